"""The OCI distribution client: reads and writes manifests and tags."""

import os
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self

import anyio
import httpx2

from ghcr_push import media_types
from ghcr_push.credentials import Credential
from ghcr_push.documents import json_object
from ghcr_push.failures import PushError
from ghcr_push.model import LARGEST_MANIFEST, Descriptor, Kind, Manifest
from ghcr_push.pushing.ports import Blob
from ghcr_push.references import Digest, Repository, digest_of, is_digest
from ghcr_push.registry.blobs import Mounts, StartedUploads, has_blob
from ghcr_push.registry.errors import failure
from ghcr_push.registry.http import WRITTEN, ApiResponse, Connections, TimeLimits
from ghcr_push.registry.referrers import referrers
from ghcr_push.registry.session import ApiRequest, Session, mount_scope, pull_scope, same_digest
from ghcr_push.registry.upload import BlobUpload

LAST_WORDS: Final = 1.0
"""Maximum number of seconds for cancelling unused uploads at the end of a run."""

_ACCEPT = ", ".join(media_types.MANIFESTS)

_JSON = "application/json"
"""The media types with which registries answer a HEAD or GET of a missing manifest, unlike HTML
pages."""


class RegistryClient:
    """HTTP API of the registries of a run; an async context manager, one per run.

    Every method is one attempt: nothing is repeated, except once a request whose token the registry
    rejected. Failures are ``PushError`` with the registry's own text.

    ``credentials`` are keyed by the registry as references name it. ``insecure_registries`` (host,
    with the port if references have one) may use plain http or any certificate, like loopback
    addresses. ``clock`` is monotonic; ``time_of_day`` is in seconds since the epoch. ``environ``
    names proxies and certificate authorities.
    """

    def __init__(
        self,
        credentials: Mapping[str, Credential],
        *,
        insecure_registries: Collection[str] = (),
        time_limits: TimeLimits | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._connections = Connections(
            time_limits or TimeLimits(),
            f"ghcr-push/{version('ghcr-push')}",
            transport,
            environ,
            frozenset(insecure_registries),
            time_of_day,
        )
        self._session = Session(credentials, self._connections, clock)
        self._started = StartedUploads(self._session)
        self._mounts = Mounts()
        self._with_head: set[str] = set()
        """Registries that have answered a HEAD of a manifest."""
        self._without_head: set[str] = set()
        """Registries that refused a HEAD but answered the same read as a GET."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            with anyio.move_on_after(LAST_WORDS):
                await self._started.abandon()
        await self._connections.aclose()

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Return the manifest that a tag or digest names, or None.

        If the registry answers no HEAD, or leaves out digest or size, the manifest is fetched with
        a GET. If it refuses both, the error has the GET's reason, since a HEAD has no text.
        """
        registry = repository.registry
        if registry in self._without_head:
            return await self._described(repository, reference)
        answer = await self._read("HEAD", repository, reference)
        if answer.status == httpx2.codes.OK:
            self._with_head.add(registry)
            return await self._named(answer, repository, reference)
        if answer.status == httpx2.codes.NOT_FOUND and self._is_believed(answer, registry):
            return None
        if _may_pass(answer):
            raise self._session.refusal(answer)
        described = await self._described(repository, reference)
        if described is not None and registry not in self._with_head:
            self._without_head.add(registry)
        return described

    def _is_believed(self, missing: ApiResponse, registry: str) -> bool:
        """Return whether a HEAD's 404 means a missing manifest: some servers support no HEAD."""
        signed = "Docker-Distribution-Api-Version" in missing.headers
        return signed or _content_type(missing) == _JSON or registry in self._with_head

    async def _named(
        self, answer: ApiResponse, repository: Repository, reference: str
    ) -> Descriptor | None:
        digest, size = answer.digest, answer.headers.get("Content-Length", "")
        if digest is None or not size.isdecimal():
            return await self._described(repository, reference)
        if is_digest(reference):
            same_digest(answer, reference, digest)
        return Descriptor(_content_type(answer), digest, int(size))

    async def _described(self, repository: Repository, reference: str) -> Descriptor | None:
        """Return what a reference names, with a GET, or None."""
        answer = await self._read("GET", repository, reference)
        if answer.status == httpx2.codes.NOT_FOUND:
            return None
        return self._manifest(answer, reference).descriptor

    async def get(self, repository: Repository, reference: str) -> Manifest:
        """Fetch a manifest or index with its exact bytes, at most 4 MiB.

        The bytes are verified against the requested digest, or the one that the registry names.
        """
        return self._manifest(await self._read("GET", repository, reference), reference)

    async def source_manifest(self, repository: Repository, reference: str) -> Manifest:
        """Fetch a manifest or index of a source, with a read-only token."""
        answer = await self._read("GET", repository, reference, pull_scope(repository))
        return self._manifest(answer, reference)

    async def source_blob(
        self, repository: Repository, digest: Digest, start: int, size: int
    ) -> AsyncGenerator[bytes]:
        """Yield the bytes of a source's blob as they arrive, from ``start`` up to its ``size``.

        Must be closed if not read to the end. RFC 9110, 14.2: a server may send the whole blob
        instead of a range.
        """
        part = {"Range": f"bytes={start}-{size - 1}"} if start else {}
        answer = await self._session.send(
            ApiRequest(
                method="GET",
                repository=repository,
                path=f"blobs/{digest}",
                headers=part,
                scope=pull_scope(repository),
                streamed=True,
            )
        )
        if answer.incoming is None:
            raise self._session.refusal(answer)
        async with aclosing(answer.incoming), aclosing(answer.incoming.chunks()) as chunks:
            self._session.expect(answer, {httpx2.codes.PARTIAL_CONTENT, httpx2.codes.OK})
            place = 0 if answer.status == httpx2.codes.OK else start
            if place != start:
                raise _other_bytes(answer, f"all bytes, not those from {start:,} on")
            async for chunk in chunks:
                place += len(chunk)
                if place > size:
                    raise _other_bytes(
                        answer, f"more than the {size:,} bytes that the manifest names"
                    )
                yield chunk
        if place != size:
            raise _other_bytes(answer, f"{place:,} bytes, not the {size:,} that the manifest names")

    def _manifest(self, answer: ApiResponse, reference: str) -> Manifest:
        self._session.expect(answer, {httpx2.codes.OK})
        named = reference if is_digest(reference) else answer.digest
        algorithm = named.partition(":")[0] if named else "sha256"
        digest = _digest_of(answer, algorithm)
        if named is not None:
            same_digest(answer, named, digest)
        return Manifest(_media_type(answer), digest, answer.body)

    async def put(self, repository: Repository, reference: str, manifest: Manifest) -> None:
        """Write ``manifest`` under a tag or its own digest, byte for byte."""
        request = ApiRequest(
            method="PUT",
            repository=repository,
            path=f"manifests/{reference}",
            headers={"Content-Type": manifest.media_type},
            content=manifest.raw,
        )
        answer = await self._session.ask(request, WRITTEN)
        if answer.digest is None and answer.status != httpx2.codes.CREATED:
            # a proxy's page may have status 200 too
            raise self._session.refusal(answer)
        same_digest(answer, manifest.digest, answer.digest)

    async def referrers(self, repository: Repository, subject: Digest) -> tuple[Digest, ...] | None:
        """List the referrers of a manifest; None if the registry has no referrers API."""
        return await referrers(self._session, repository, subject)

    async def source_referrers(
        self, repository: Repository, subject: Digest
    ) -> tuple[Digest, ...] | None:
        """List the referrers of a source's manifest, with a read-only token."""
        return await referrers(self._session, repository, subject, pull_scope(repository))

    async def check_write_access(self, repository: Repository) -> None:
        """Check for permission to write to ``repository`` by starting an upload; raise without it.

        The next blob for it continues the upload; if none does, it is cancelled at the end.
        """
        await self._started.start(repository)

    async def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Return whether ``repository`` has the blob."""
        return await has_blob(self._session, repository, digest)

    async def can_mount(
        self, repository: Repository, digest: Digest, mount_from: Repository
    ) -> bool:
        """Return whether ``mount_from`` has the blob, to mount it into ``repository``."""
        return await has_blob(
            self._session, mount_from, digest, mount_scope(repository, mount_from)
        )

    def upload(self, repository: Repository, blob: Blob) -> BlobUpload:
        """Return an upload of ``blob`` into ``repository``, which can be attempted repeatedly."""
        return BlobUpload(
            self._session, repository, blob, started=self._started, mounts=self._mounts
        )

    async def _read(
        self, method: str, repository: Repository, reference: str, scope: str | None = None
    ) -> ApiResponse:
        return await self._session.send(
            ApiRequest(
                method=method,
                repository=repository,
                path=f"manifests/{reference}",
                headers={"Accept": _ACCEPT},
                most=LARGEST_MANIFEST,
                scope=scope,
            )
        )


def _other_bytes(answer: ApiResponse, what: str) -> PushError:
    return failure(f"{answer.request}: answered with {what}", Kind.NETWORK, answer.status)


def _may_pass(answer: ApiResponse) -> bool:
    """Return whether a refusal is temporary or due to the login, whatever the request."""
    if "Retry-After" in answer.headers or answer.status in {401, 407, 408, 421, 425, 429}:
        return True
    unknown_method = answer.status == httpx2.codes.NOT_IMPLEMENTED
    return httpx2.codes.is_server_error(answer.status) and not unknown_method


def _digest_of(answer: ApiResponse, algorithm: str) -> Digest:
    # the two registered in the image-spec
    if algorithm not in {"sha256", "sha512"}:
        raise failure(
            f"{answer.request}: digests by {algorithm} cannot be checked",
            Kind.UNSUPPORTED,
            answer.status,
        )
    return digest_of(answer.body, algorithm)


def _content_type(answer: ApiResponse) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _media_type(answer: ApiResponse) -> str:
    """Return the media type that the manifest names, else the answer's.

    image-spec: ``mediaType`` should be present and must then equal the ``Content-Type``; if they
    differ, a proxy has changed the header, not the bytes.
    """
    body = json_object(answer.body)
    if body is None:
        raise failure(
            (f"{answer.request}: the answer is not a manifest"), Kind.MANGLED, answer.status
        )
    named = body.get("mediaType")
    return named if isinstance(named, str) and named.isascii() else _content_type(answer)

"""Content in a registry: streamed while it is uploaded, never written to disk."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from ghcr_push.documents import as_dict
from ghcr_push.failures import ErrorInfo, Origin, PushError, classify
from ghcr_push.model import Failure, Kind, Manifest
from ghcr_push.planning.locations import RegistryLocation
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.references import Digest, Repository, is_digest
from ghcr_push.sources.content import KnownContent
from ghcr_push.sources.disk import RunningDigest, unusable
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.layout import LARGEST_CONFIG, Layout, named_by, path_of
from ghcr_push.sources.ready import Ready
from ghcr_push.sources.referrers import Finder, found_in, gone

T = TypeVar("T")

_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500

MOST_MANIFESTS: Final = 1_000
"""Maximum number of manifests of a source; platforms and attestations make a few dozen."""

MOST_BYTES: Final = 64 << 20
"""Bytes of all its manifests, which are kept in memory; most have some thousands each."""


class ContentReader(Protocol):
    """Reads content from registries, one attempt per call. Raises ``PushError``."""

    async def source_manifest(self, repository: Repository, reference: str) -> Manifest:
        """Fetch a manifest or index with its exact bytes, verified by its digest."""

    def source_blob(
        self, repository: Repository, digest: Digest, start: int, size: int
    ) -> AsyncGenerator[bytes]:
        """Yield the bytes of a blob from ``start`` on to its ``size``."""

    async def source_referrers(
        self, repository: Repository, subject: Digest
    ) -> Sequence[Digest] | None:
        """List the referrers of a manifest; None if the registry has no such list."""


class Persist(Protocol):
    """Retries while it makes sense."""

    async def __call__(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return the result of an attempt; raise the last ``AttemptError``."""


class RegistrySources:
    """Images in registries; ``persist`` retries a read while it makes sense.

    ``platform`` selects one platform of each index; None means all. ``referrers``: copy an image's
    referrers.
    """

    def __init__(
        self,
        reader: ContentReader,
        persist: Persist,
        platform: str | None,
        *,
        referrers: bool = False,
    ) -> None:
        self._reader = reader
        self._referrers = referrers
        self._persist = persist
        self._platform = platform

    async def find(self, location: RegistryLocation) -> KnownContent | Failure:
        """Fetch all manifests; blobs are assumed to exist until they are read."""
        try:
            top, files = await self._fetch(location)
            saved = Layout(files, str(location)).read(top, self._platform)
            if self._referrers:
                saved = await self._with_referrers(location, saved, files)
        except AttemptError as failed:
            return failed.failure
        except PushError as error:
            return classify(error.evidence)
        return KnownContent.of(saved, lambda each: nullcontext(self._ready(location, each)))

    def _ready(self, location: RegistryLocation, saved: SavedImage) -> Ready:
        blobs = [
            RemoteBlob(self._reader, location.repository, named.digest, named.size, str(location))
            for named in saved.blobs
        ]
        return Ready(saved, blobs)

    async def _fetch(self, location: RegistryLocation) -> tuple[Digest, "Fetched"]:
        files = Fetched()
        first = await self._manifest(location, location.reference)
        await self._fetch_children(location, first, files)
        await self._fetch_config(location, first, files)
        return first.digest, files

    async def _fetch_children(
        self, location: RegistryLocation, manifest: Manifest, files: "Fetched"
    ) -> list[Digest]:
        """Fetch a manifest and all its children; return their digests."""
        _check_amount(location, files)
        fetched, waiting = [manifest.digest], files.add(manifest)
        while waiting:
            _check_amount(location, files)
            child = await self._manifest(location, waiting.pop())
            fetched.append(child.digest)
            waiting += [each for each in files.add(child) if each not in files.manifests]
        return fetched

    async def _with_referrers(
        self, location: RegistryLocation, saved: SavedImage, files: "Fetched"
    ) -> SavedImage:
        """Add an image's referrers, found by the registry's API or by tags."""

        async def fetched(reference: str) -> Manifest | None:
            if is_digest(reference) and (known := files.manifests.get(Digest(reference))):
                return known
            try:
                return await self._manifest(location, reference)
            except AttemptError as failed:
                if failed.failure.status != _NOT_FOUND:
                    raise
                return None

        finder = Finder(
            lambda subject: self._read(
                location, lambda: self._reader.source_referrers(location.repository, subject)
            ),
            fetched,
            lambda manifest: self._fetch_children(location, manifest, files),
        )
        await finder.search(manifest.digest for manifest in saved.manifests)
        layout = Layout(files, str(location))
        found = found_in(
            saved, finder.relations, lambda digest: layout.read(digest, None), gone(finder.gone)
        )
        return replace(saved, referrers=found)

    async def _fetch_config(
        self, location: RegistryLocation, manifest: Manifest, files: "Fetched"
    ) -> None:
        """Fetch the config of a single image: only it has the platform."""
        digest = as_dict(manifest.document.get("config")).get("digest")
        size = files.size(path_of(Digest(digest))) if isinstance(digest, str) else None
        if not isinstance(digest, str) or not size or size > LARGEST_CONFIG:
            return

        async def config() -> bytes:
            async with aclosing(
                self._reader.source_blob(location.repository, Digest(digest), 0, size)
            ) as pieces:
                return b"".join([piece async for piece in pieces])

        raw = await self._read(location, config)
        files.add_config(Digest(digest), raw)

    async def _manifest(self, location: RegistryLocation, reference: str) -> Manifest:
        return await self._read(
            location, lambda: self._reader.source_manifest(location.repository, reference)
        )

    async def _read(self, location: RegistryLocation, request: Callable[[], Awaitable[T]]) -> T:
        async def attempt() -> T:
            try:
                return await request()
            except PushError as error:
                failure = classify(of_source(error, str(location)).evidence)
                raise AttemptError(failure, counts=True) from error

        return await self._persist(attempt)


def _check_amount(location: RegistryLocation, files: "Fetched") -> None:
    if len(files.manifests) >= MOST_MANIFESTS:
        raise unusable(f"{location} leads to more than {MOST_MANIFESTS:,} manifests")
    if files.bytes > MOST_BYTES:
        raise unusable(f"{location} leads to more than {MOST_BYTES:,} bytes of manifests")


class Fetched:
    """The manifests of one source, as the files of a layout; its blobs are assumed to exist."""

    def __init__(self) -> None:
        self.manifests: dict[Digest, Manifest] = {}
        self.bytes = 0
        """Of all manifests."""
        self._contents: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}

    def add(self, manifest: Manifest) -> list[Digest]:
        """Add a manifest or index; return its children."""
        self.manifests[manifest.digest] = manifest
        self.bytes += len(manifest.raw)
        self._contents[path_of(manifest.digest)] = manifest.raw
        try:
            children, blobs = named_by(manifest.document)
        except ValueError:
            return []  # reading the layout reports it
        self._sizes |= {path_of(blob.digest): blob.size for blob in blobs}
        return [child.digest for child in children]

    def add_config(self, digest: Digest, raw: bytes) -> None:
        """Add the data of a config."""
        self._contents[path_of(digest)] = raw

    def size(self, name: str) -> int | None:
        """Return the size of a manifest, or the size in a blob's descriptor."""
        content = self._contents.get(name)
        return self._sizes.get(name) if content is None else len(content)

    def content(self, name: str, most: int) -> bytes | None:  # noqa: ARG002 - bounded when fetched
        """Return the bytes of a manifest."""
        return self._contents.get(name)

    def names(self) -> list[str]:
        """Return the digests of the manifests."""
        return sorted(self.manifests)


class RemoteBlob:
    """A blob in a source registry; nothing of it is stored here.

    A pass from its first byte to its last verifies the digest before it yields the last piece.
    """

    def __init__(
        self, reader: ContentReader, repository: Repository, digest: Digest, size: int, title: str
    ) -> None:
        self.digest = digest
        self.size = size
        self._reader = reader
        self._repository = repository
        self._title = title

    def release(self) -> None:
        """Do nothing: no space was taken."""

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` on, with one request.

        Raises ``PushError`` of the source.
        """
        check = RunningDigest(self.digest, self.size) if start == 0 else None
        wanted = self._reader.source_blob(self._repository, self.digest, start, self.size)
        async with aclosing(wanted) as pieces:
            try:
                async for piece in pieces:
                    if check is not None and not check.takes(piece):
                        break
                    yield piece
                else:
                    return
            except PushError as error:
                raise of_source(error, self._title) from error
        raise unusable(f"{self._title} returned other bytes for {self.digest}")


def of_source(error: PushError, title: str) -> PushError:
    """Return ``error`` as one of the source, which says nothing about the target's registry."""
    evidence = error.evidence
    failure = classify(evidence)
    # our own uploads may be invisible for a while; those of others exist or not
    may_pass = failure.retryable and (evidence.status is None or _may_pass(evidence.status))
    kind = Kind.SOURCE_UNREACHABLE if may_pass else Kind.SOURCE_INVALID
    return PushError(
        ErrorInfo(
            origin=Origin.RUN,
            kind=kind,
            message=f"{title}: {evidence.message}",
            status=evidence.status,
            code=evidence.code,
            retry_after=failure.asked_wait,
        )
    )


def _may_pass(status: int) -> bool:
    return status in {200, 206, 408, 425, 429} or status >= _SERVER_ERROR

"""Content in a registry: streamed while it is uploaded, never written to disk."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from typing import Final, Protocol, TypeVar

import anyio

from ghcr_push.documents import as_dict
from ghcr_push.failures import ErrorInfo, Origin, PushError, classify
from ghcr_push.model import LARGEST_MANIFEST, Descriptor, Failure, Kind, Manifest
from ghcr_push.planning.locations import RegistryLocation
from ghcr_push.pushing.pressure.retry import AttemptError, Backoff
from ghcr_push.pushing.side_by_side import for_each
from ghcr_push.references import Digest, Repository, referrers_tag
from ghcr_push.sources.content import KnownContent, Ready
from ghcr_push.sources.disk import RunningDigest, unusable
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.layout import Layout, named_by, path_of
from ghcr_push.sources.referrers import COSIGN, Relation, entries_of, found_in, gone

T = TypeVar("T")

_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500

MOST_MANIFESTS: Final = 1_000
"""Maximum number of manifests of a source; platforms and attestations make a few dozen."""

ASKED_AT_ONCE: Final = 8
"""Maximum number of parallel requests for the manifests of a source."""

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


class RegistrySources:
    """Images in registries; ``backoff`` retries a read while it makes sense.

    ``platform`` selects one platform of each index; None means all. ``referrers``: copy an image's
    referrers. ``notice`` gets a sentence for the reader if a read is repeated.
    """

    def __init__(
        self,
        reader: ContentReader,
        backoff: Backoff,
        platform: str | None,
        *,
        referrers: bool = False,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._reader = reader
        self._notice = notice
        self._noticed = set[str]()
        """The registries whose first failed read was reported."""
        self._referrers = referrers
        self._backoff = backoff
        self._platform = platform

    async def find(self, location: RegistryLocation) -> KnownContent:
        """Fetch all manifests; blobs are assumed to exist until they are read.

        Raises ``AttemptError`` or ``PushError``.
        """
        files = _Fetched(location, self._reader, self._backoff, self._tried_again)
        top = await files.fetch(location.reference)
        await files.add(top)
        unlabelled = files.without_platform() if self._platform else []
        await for_each([top, *unlabelled], files.fetch_config)
        layout = Layout(files, str(location))
        saved = layout.read(top.digest, self._platform)
        if self._referrers:
            saved = await _ReferrerSearch(files, layout).added_to(saved)

        def ready(each: SavedImage) -> Ready:
            return Ready(each, [RemoteBlob(self._reader, location, blob) for blob in each.blobs])

        return KnownContent.of(saved, lambda each: nullcontext(ready(each)))

    def _tried_again(self, location: RegistryLocation, failure: Failure) -> None:
        registry = location.repository.registry
        if registry not in self._noticed:
            self._noticed.add(registry)
            self._notice(f"reading a source failed and is tried again: {failure.message}")


class _Fetched:
    """The manifests of one source, as the files of a layout; its blobs are assumed to exist.

    ``tried_again`` is called before a read is repeated.
    """

    def __init__(
        self,
        location: RegistryLocation,
        reader: ContentReader,
        backoff: Backoff,
        tried_again: Callable[[RegistryLocation, Failure], None],
    ) -> None:
        self._location = location
        self._reader = reader
        self._backoff = backoff
        self._tried_again = tried_again
        self._manifests: dict[Digest, Manifest] = {}
        self._bytes = 0
        """Of all manifests."""
        self._contents: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._slots = anyio.CapacityLimiter(ASKED_AT_ONCE)

    # -- requests -----------------------------------------------------------------------------

    async def fetch(self, reference: str) -> Manifest:
        """Fetch a manifest or index."""
        repository = self._location.repository
        return await self._read(lambda: self._reader.source_manifest(repository, reference))

    async def look_for(self, reference: str) -> Manifest | None:
        """Return a manifest that may have been fetched before; None if it is missing."""
        try:
            return self._manifests.get(Digest(reference)) or await self.fetch(reference)
        except AttemptError as failed:
            if failed.failure.status != _NOT_FOUND:
                raise
            return None

    def without_platform(self) -> list[Manifest]:
        """Return the manifests that an index lists without their platform."""
        entries = [entry for each in self._manifests.values() for entry in entries_of(each)]
        unlabelled = {Digest(entry["digest"]) for entry in entries if not entry.get("platform")}
        return [each for digest, each in self._manifests.items() if digest in unlabelled]

    async def fetch_config(self, manifest: Manifest) -> None:
        """Fetch the config of a single image, which has its platform."""
        digest = Digest(str(as_dict(manifest.document.get("config")).get("digest")))
        name = path_of(digest)
        size = self.size(name)
        if not size or size > LARGEST_MANIFEST:
            return

        async def config() -> bytes:
            blob = self._reader.source_blob(self._location.repository, digest, 0, size)
            async with aclosing(blob) as pieces:
                return b"".join([piece async for piece in pieces])

        self._contents[name] = await self._read(config)

    async def list_referrers(self, subject: Digest) -> Sequence[Digest] | None:
        """Ask the registry's API for the referrers of a manifest; None if there is none."""
        repository = self._location.repository
        return await self._read(lambda: self._reader.source_referrers(repository, subject))

    async def _read(self, request: Callable[[], Awaitable[T]]) -> T:
        async def attempt() -> T:
            try:
                async with self._slots:
                    return await request()
            except PushError as error:
                failure = classify(of_source(error, str(self._location)).evidence)
                raise AttemptError(failure, counts=True) from error

        return await self._backoff.persist(
            attempt, lambda failed, _: self._tried_again(self._location, failed.failure)
        )

    async def add(self, manifest: Manifest) -> list[Digest]:
        """Add a manifest or index, and fetch and add all its children; return their digests."""
        added, named = [manifest.digest], self._add(manifest)

        async def fetch(digest: Digest) -> None:
            named.extend(self._add(await self.fetch(digest)))

        while missing := [each for each in dict.fromkeys(named) if each not in self._manifests]:
            named.clear()
            await for_each(missing, fetch)
            added += missing
        return added

    def _add(self, manifest: Manifest) -> list[Digest]:
        """Add a manifest or index; return its children."""
        if len(self._manifests) >= MOST_MANIFESTS:
            raise unusable(f"{self._location} leads to more than {MOST_MANIFESTS:,} manifests")
        if self._bytes > MOST_BYTES:
            raise unusable(f"{self._location} leads to more than {MOST_BYTES:,} bytes of manifests")
        self._manifests[manifest.digest] = manifest
        self._bytes += len(manifest.raw)
        self._contents[path_of(manifest.digest)] = manifest.raw
        try:
            children, blobs = named_by(manifest.document)
        except ValueError:
            return []  # reading the layout reports it
        self._sizes |= {path_of(blob.digest): blob.size for blob in blobs}
        return [child.digest for child in children]

    # -- files of a layout --------------------------------------------------------------------

    def size(self, name: str) -> int | None:
        """Return the size of a manifest, or the size in a blob's descriptor."""
        content = self._contents.get(name)
        return self._sizes.get(name) if content is None else len(content)

    def content(self, name: str, most: int = 0) -> bytes | None:  # noqa: ARG002 - they were bounded when fetched
        """Return the bytes of a manifest."""
        return self._contents.get(name)

    def names(self) -> list[str]:
        """Return the digests of the manifests."""
        return sorted(self._manifests)


class _ReferrerSearch:
    """Finds the referrers of an image in its repository, by the registry's API and by tags."""

    def __init__(self, files: _Fetched, layout: Layout) -> None:
        self._files = files
        self._layout = layout
        self._relations: dict[Digest, list[Relation]] = {}
        self._gone: list[Digest] = []
        """Listed manifests that are missing."""
        self._has_api = True
        self._new: set[Digest] = set()
        self._slots = anyio.CapacityLimiter(ASKED_AT_ONCE)
        """So that few requests ask for a list where the registry has none."""

    async def added_to(self, saved: SavedImage) -> SavedImage:
        """Return an image with its referrers, their referrers, and so on."""
        self._new = {manifest.digest for manifest in saved.manifests}
        while self._new:
            waiting, self._new = self._new, set()
            self._relations |= {digest: [] for digest in waiting}
            await for_each(waiting, self._ask)
            self._new -= self._relations.keys()
        found = found_in(
            saved, self._relations, lambda each: self._layout.read(each, None), gone(self._gone)
        )
        return replace(saved, referrers=found)

    async def _ask(self, subject: Digest) -> None:
        for digest in await self._listed(subject):
            if not await self._add(subject, digest, None):
                self._gone.append(digest)
        for ending in COSIGN:
            tag = referrers_tag(subject) + ending
            await self._add(subject, tag, tag)

    async def _listed(self, subject: Digest) -> Sequence[Digest]:
        async with self._slots:
            listed = await self._files.list_referrers(subject) if self._has_api else None
            if listed is not None:
                return listed
            self._has_api = False
            index = await self._files.look_for(referrers_tag(subject))
        if index is not None and index.digest == subject:
            return []  # GitLab reads the tag as the digest, and answers with the image itself
        return [Digest(str(entry["digest"])) for entry in entries_of(index)]

    async def _add(self, subject: Digest, reference: str, tag: str | None) -> bool:
        manifest = await self._files.look_for(reference)
        if manifest is None:
            return False
        self._new.update(await self._files.add(manifest))
        self._relations[subject].append(Relation(manifest.digest, tag))
        return True


class RemoteBlob:
    """A blob in a source registry; nothing of it is stored here.

    A pass from its first byte to its last verifies the digest before it yields the last piece.
    """

    def __init__(
        self, reader: ContentReader, location: RegistryLocation, named: Descriptor
    ) -> None:
        self.digest = named.digest
        self.size = named.size
        self.registry = location.repository.registry
        self._reader = reader
        self._location = location

    def release(self) -> None:
        """Do nothing: no space was taken."""

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` on, with one request.

        Raises ``PushError`` of the source.
        """
        check = RunningDigest(self.digest, self.size) if start == 0 else None
        wanted = self._reader.source_blob(self._location.repository, self.digest, start, self.size)
        async with aclosing(wanted) as pieces:
            try:
                async for piece in pieces:
                    if check is not None and not check.takes(piece):
                        break
                    yield piece
                else:
                    return
            except PushError as error:
                known = self.digest in error.evidence.message
                blob = "" if known else f": {self.digest}"
                raise of_source(error, f"{self._location}{blob}") from error
        raise unusable(f"{self._location} returned other bytes for {self.digest}")


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

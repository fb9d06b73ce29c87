"""Layouts and archives on disk: found by their paths, and read in place or as a stream."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, Final

from anyio import CapacityLimiter, to_thread

from ghcr_push.failures import Origin, PushError
from ghcr_push.model import Descriptor, Kind
from ghcr_push.planning.locations import DiskLocation, Form
from ghcr_push.pushing.ports import Reading
from ghcr_push.references import Digest
from ghcr_push.sources.archive import Archive, opened
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.content import FoundContent, KnownContent, Ready
from ghcr_push.sources.disk import DiskBlob, Folder, unusable
from ghcr_push.sources.docker_archive import find_image, read_archived
from ghcr_push.sources.graph import Child, the_one
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.layout import Layout, path_of
from ghcr_push.sources.plain import image_compressing, plain_layers, read_in_place
from ghcr_push.sources.saved import SavedImages, Steps
from ghcr_push.sources.spool import Spool
from ghcr_push.sources.stored import read_stored
from ghcr_push.sources.tarstream import TarStream

FOUND_AT_ONCE: Final = 8
"""Maximum number of sources that are looked at in parallel, each in a thread."""

OpenedReading = AbstractAsyncContextManager[Reading]


class DiskSources:
    """Layouts and archives; ``place`` resolves a path of the workflow.

    ``platform`` selects one platform of each index; None means all. ``referrers``: copy an image's
    referrers. ``compress``: compress uncompressed layers.
    """

    def __init__(
        self,
        place: Callable[[str], Path],
        spool: Spool,
        platform: str | None,
        *,
        referrers: bool = False,
        compress: bool = False,
    ) -> None:
        self._referrers = referrers
        self._compress = compress
        self._place = place
        self._spool = spool
        self._platform = platform
        self._slots = CapacityLimiter(FOUND_AT_ONCE)

    async def find(self, location: DiskLocation) -> FoundContent:
        """Find the content and check that it is complete, except for the bytes of its blobs."""
        return await to_thread.run_sync(self._find, location, limiter=self._slots)

    def _find(self, location: DiskLocation) -> FoundContent:
        match location.form:
            case Form.OCI_LAYOUT:
                return self._layout(location, Folder(self._place(location.path)))
            case Form.OCI_ARCHIVE:
                return self._layout(location, Archive(self._place(location.path)))
            case Form.DOCKER_ARCHIVE:
                return self._docker_archive(location)

    def _layout(self, location: DiskLocation, files: Folder | Archive) -> FoundContent:
        layout = Layout(files, f"{location.form}:{location.path}")
        saved = layout.read(layout.choose(location.name), self._platform)

        def read(each: SavedImage, plain: Mapping[Digest, Descriptor]) -> OpenedReading:
            return _read(location, self._reading(files, each, plain))

        if self._compress and (plain := plain_layers(saved)):
            image = image_compressing(saved, plain)
            return FoundContent(image=image, read=lambda: read(saved, plain))
        if self._referrers:
            saved = layout.with_referrers(saved)
        return KnownContent.of(saved, lambda each: read(each, {}))

    def _reading(
        self, files: Folder | Archive, saved: SavedImage, plain: Mapping[Digest, Descriptor]
    ) -> OpenedReading:
        """Read an image in place if that can be; layers in ``plain`` are compressed."""
        if isinstance(files, Archive) and files.compressed:
            wanted = [each.digest for each in reversed(saved.manifests)]
            read = partial(read_stored, wanted, only=saved.digests, plain=plain)
            return self._streamed(files, read)
        blob_of = partial(_blob, files)
        if plain:
            return SavedImages(partial(read_in_place, saved, blob_of), self._spool)
        return nullcontext(Ready(saved, [blob_of(named) for named in saved.blobs]))

    def _docker_archive(self, location: DiskLocation) -> FoundContent:
        archive = Archive(self._place(location.path))
        title = f"{location.form}:{location.path}"
        found = find_image(archive, location.name, title)
        if self._platform is not None:
            platform = Child(Digest(found.image.id), found.image.platform)
            the_one([platform], self._platform, title)
        read = partial(read_archived, found)
        return FoundContent(
            image=found.image, read=lambda: _read(location, self._streamed(archive, read))
        )

    @asynccontextmanager
    async def _streamed(
        self, archive: Archive, read: Callable[[TarStream, LayerCompressor], Steps]
    ) -> AsyncIterator[Reading]:
        """Read an archive from start to end; blobs go through temporary space."""
        with opened(archive.path) as file:
            tar = TarStream(_Input(file))
            async with SavedImages(partial(read, tar), self._spool) as reading:
                yield reading


class _Input:
    """A file as a pipe, to read it from start to end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _blob(files: Folder | Archive, named: Descriptor) -> DiskBlob:
    place = files.extent(path_of(named.digest))
    if place is None:
        raise unusable(f"{named.digest} no longer exists")
    return DiskBlob(named.digest, place)


@asynccontextmanager
async def _read(location: DiskLocation, reading: OpenedReading) -> AsyncIterator[Reading]:
    """Report which source is incomplete: reading it again would not help."""
    try:
        async with reading as saved:
            yield saved
    except PushError as error:
        if error.evidence.kind is Kind.SOURCE_INVALID or error.evidence.origin is Origin.RUN:
            raise
        raise unusable(f"{location}: {error.evidence.message}") from error

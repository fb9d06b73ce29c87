"""Layouts and archives on disk: found by their paths, and read in place or as a stream."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import IO, cast

from anyio import to_thread

from ghcr_push.failures import Origin, PushError, classify
from ghcr_push.model import Descriptor, Failure, Image, Kind
from ghcr_push.planning.locations import DiskLocation, Form
from ghcr_push.pushing.ports import Reading
from ghcr_push.references import Digest
from ghcr_push.sources.archive import Archive, opened
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.content import FoundContent, KnownContent
from ghcr_push.sources.disk import DiskBlob, Folder, unusable
from ghcr_push.sources.docker_archive import ArchivedImage, find_image, read_archived
from ghcr_push.sources.graph import Child, the_one
from ghcr_push.sources.images import SavedImage, StoredImage
from ghcr_push.sources.layout import Layout, path_of
from ghcr_push.sources.plain import plain_layers, read_in_place, template_of
from ghcr_push.sources.ready import Ready, unnamed
from ghcr_push.sources.saved import SavedImages, Steps
from ghcr_push.sources.spool import Spool
from ghcr_push.sources.tarstream import TarStream

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

    async def find(self, location: DiskLocation) -> FoundContent | Failure:
        """Find the content and check that it is complete, except for the bytes of its blobs."""
        try:
            return await to_thread.run_sync(self._find, location)
        except PushError as error:
            return classify(error.evidence)

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
            image = unnamed(saved, template_of(saved, plain))
            return FoundContent(image=image, read=lambda: read(saved, plain))
        if self._referrers:
            saved = layout.with_referrers(saved)
        return KnownContent.of(saved, lambda each: read(each, {}))

    def _reading(
        self, files: Folder | Archive, saved: SavedImage, plain: Mapping[Digest, Descriptor]
    ) -> OpenedReading:
        """Read an image in place if that can be; layers in ``plain`` are compressed."""
        if isinstance(files, Archive) and files.compressed:
            return self._streamed(files.path, saved, plain)
        if plain:
            return self._recompressed(saved, files)
        return nullcontext(Ready(saved, [_blob(named, files) for named in saved.blobs]))

    def _docker_archive(self, location: DiskLocation) -> FoundContent:
        archive = Archive(self._place(location.path))
        title = f"{location.form}:{location.path}"
        found = find_image(archive, location.name, title)
        if self._platform is not None:
            the_one([Child(found.image.id, found.platform, None)], self._platform, title)
        image = Image(
            id=str(found.image.id),
            layers=len(found.image.diff_ids),
            diff_ids=found.image.diff_ids,
            size=found.size,
        )
        return FoundContent(
            image=image, read=lambda: _read(location, self._compressed(archive.path, found))
        )

    @asynccontextmanager
    async def _streamed(
        self, path: Path, saved: SavedImage, plain: Mapping[Digest, Descriptor]
    ) -> AsyncIterator[Reading]:
        """Read a compressed archive from start to end; blobs go through temporary space."""
        wanted = [StoredImage(digest=each.digest) for each in reversed(saved.manifests)]
        with opened(path) as file:
            reading = SavedImages.stored(
                _Input(file),
                wanted,
                spool=self._spool,
                only=saved.digests,
                plain=plain,
            )
            async with reading:
                yield reading

    @asynccontextmanager
    async def _recompressed(
        self, saved: SavedImage, files: Folder | Archive
    ) -> AsyncIterator[Reading]:
        """Read blobs in place, and compress the uncompressed layers."""
        compressor = LayerCompressor.on_all_cores(self._spool)
        steps = read_in_place(saved, lambda named: _blob(named, files), compressor)
        # a blob on disk needs no temporary space
        async with SavedImages(cast("Steps", steps), compressor) as reading:
            yield reading

    @asynccontextmanager
    async def _compressed(self, path: Path, found: ArchivedImage) -> AsyncIterator[Reading]:
        """Read a docker archive from start to end, compressing its layers."""
        compressor = LayerCompressor.on_all_cores(self._spool)
        with opened(path) as file:
            steps = read_archived(TarStream(_Input(file)), found, compressor)
            async with SavedImages(steps, compressor) as reading:
                yield reading


class _Input:
    """A file as a pipe, to read it from start to end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _blob(named: Descriptor, files: Folder | Archive) -> DiskBlob:
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

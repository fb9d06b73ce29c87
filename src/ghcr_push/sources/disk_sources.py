"""Layouts and archives on disk: found by their paths, and read where they lie or from a stream."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import IO, cast

from anyio import to_thread

from ghcr_push.failures import ErrorInfo, Origin, PushError, classify
from ghcr_push.model import Descriptor, Failure, Image, Kind
from ghcr_push.planning.locations import DiskLocation, Form
from ghcr_push.pushing.ports import Reading
from ghcr_push.sources.archive import Archive, opened
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.content import FoundContent, KnownContent
from ghcr_push.sources.disk import DiskBlob, Extent, Files, Folder, unusable
from ghcr_push.sources.docker_archive import ArchivedImage, find_image, read_archived
from ghcr_push.sources.graph import Child, the_one
from ghcr_push.sources.images import SavedImage, StoredImage
from ghcr_push.sources.layout import Layout, path_of
from ghcr_push.sources.plain import plain_layers, read_in_place, template_of
from ghcr_push.sources.ready import Ready, unnamed
from ghcr_push.sources.saved import SavedImages, Steps
from ghcr_push.sources.spool import Spool
from ghcr_push.sources.stored import AllBut
from ghcr_push.sources.tarstream import TarStream


class DiskSources:
    """Layouts and archives; ``place`` finds a path as a workflow writes it.

    ``platform`` chooses one of each index; None wants all that it names. ``referrers``: what
    refers to an image comes along. ``compress``: layers that are not compressed become so.
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
        """Find the content and check that it is whole, but for the bytes of its blobs."""
        try:
            return await to_thread.run_sync(self._find, location)
        except PushError as error:
            return classify(error.evidence)

    def _find(self, location: DiskLocation) -> FoundContent:
        match location.form:
            case Form.OCI_LAYOUT:
                return self._layout(location)
            case Form.OCI_ARCHIVE:
                return self._oci_archive(location)
            case Form.DOCKER_ARCHIVE:
                return self._docker_archive(location)

    def _layout(self, location: DiskLocation) -> FoundContent:
        folder = Folder(self._place(location.path))
        return self._of_layout(
            folder,
            location,
            lambda saved: _in_place(saved, folder.extent),
            lambda saved: self._recompressed(saved, folder.extent),
        )

    def _oci_archive(self, location: DiskLocation) -> FoundContent:
        archive = Archive(self._place(location.path))
        if not archive.compressed:
            return self._of_layout(
                archive,
                location,
                lambda saved: _in_place(saved, archive.extent),
                lambda saved: self._recompressed(saved, archive.extent),
            )
        return self._of_layout(
            archive,
            location,
            lambda saved: self._streamed(archive.path, saved),
            lambda saved: self._streamed(archive.path, saved, compress=True),
        )

    def _of_layout(
        self,
        files: Files,
        location: DiskLocation,
        read: Callable[[SavedImage], AbstractAsyncContextManager[Reading]],
        recompress: Callable[[SavedImage], AbstractAsyncContextManager[Reading]],
    ) -> FoundContent:
        layout = Layout(files, f"{location.form}:{location.path}")
        saved = layout.read(layout.choose(location.name), self._platform)
        if self._compress and (plain := plain_layers(saved)):
            image = unnamed(saved, template_of(saved, plain))
            return FoundContent(image=image, read=lambda: _read(location, recompress(saved)))
        if self._referrers:
            saved = layout.with_referrers(saved)
        return KnownContent.of(saved, lambda each: _read(location, read(each)))

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
        self, path: Path, saved: SavedImage, *, compress: bool = False
    ) -> AsyncIterator[Reading]:
        """Read a compressed archive from front to back; blobs pass through temporary space."""
        wanted = [StoredImage(digest=each.digest) for each in reversed(saved.manifests)]
        with opened(path) as file:
            reading = SavedImages.stored(
                _Input(file),
                wanted,
                spool=self._spool,
                held=AllBut(saved.blobs),
                plain=plain_layers(saved) if compress else {},
            )
            async with reading:
                yield reading

    @asynccontextmanager
    async def _recompressed(
        self, saved: SavedImage, extent: Callable[[str], Extent | None]
    ) -> AsyncIterator[Reading]:
        """Read blobs where they lie, and compress layers that are not."""
        compressor = LayerCompressor.on_all_cores(self._spool)
        steps = read_in_place(saved, lambda named: _blob(named, extent), compressor)
        # a blob on disk is one that takes no temporary space
        async with SavedImages(cast("Steps", steps), compressor) as reading:
            yield reading

    @asynccontextmanager
    async def _compressed(self, path: Path, found: ArchivedImage) -> AsyncIterator[Reading]:
        """Read a docker archive from front to back, compressing its layers."""
        compressor = LayerCompressor.on_all_cores(self._spool)
        with opened(path) as file:
            steps = read_archived(TarStream(_Input(file)), found, compressor)
            async with SavedImages(steps, compressor) as reading:
                yield reading


class _Input:
    """A file as a pipe, for reading it from front to back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@asynccontextmanager
async def _in_place(
    saved: SavedImage, extent: Callable[[str], Extent | None]
) -> AsyncIterator[Reading]:
    yield Ready(saved, [_blob(named, extent) for named in saved.blobs])


def _blob(named: Descriptor, extent: Callable[[str], Extent | None]) -> DiskBlob:
    place = extent(path_of(named.digest))
    if place is None:
        raise unusable(f"{named.digest} is not there any more")
    return DiskBlob(named.digest, place)


@asynccontextmanager
async def _read(
    location: DiskLocation, reading: AbstractAsyncContextManager[Reading]
) -> AsyncIterator[Reading]:
    """Say of what source it is that an image is not whole: no later reading would help."""
    try:
        async with reading as saved:
            yield saved
    except PushError as error:
        if error.evidence.kind is Kind.SOURCE_INVALID or error.evidence.origin is Origin.RUN:
            raise
        message = f"{location}: {error.evidence.message}"
        raise PushError(
            ErrorInfo(origin=Origin.RUN, kind=Kind.SOURCE_INVALID, message=message)
        ) from error

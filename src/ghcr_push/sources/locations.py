"""A source's text to its content: in the engine, on disk, or in a registry."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import anyio
from anyio import to_thread

from ghcr_push.failures import ErrorInfo, Origin, PushError, classify
from ghcr_push.model import Descriptor, Failure, Image, Kind, Source
from ghcr_push.planning.annotations import NO_ANNOTATIONS, Annotations
from ghcr_push.planning.locations import (
    DiskLocation,
    Form,
    Location,
    MergedLocation,
    RegistryLocation,
    parse_location,
)
from ghcr_push.pushing.context import unseen
from ghcr_push.pushing.ports import ImageStore, Reading
from ghcr_push.sources.archive import Archive, opened
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.disk import DiskBlob, Extent, Files, Folder, unusable
from ghcr_push.sources.docker_archive import ArchivedImage, find_image, read_archived
from ghcr_push.sources.graph import Child, the_one
from ghcr_push.sources.images import SavedImage, StoredImage
from ghcr_push.sources.layout import Layout, path_of
from ghcr_push.sources.merged import MergedSources
from ghcr_push.sources.plain import plain_layers, read_in_place, template_of
from ghcr_push.sources.ready import Ready, image_of, unnamed
from ghcr_push.sources.referrers import as_content
from ghcr_push.sources.remote import RegistrySources
from ghcr_push.sources.saved import SavedImages, Steps
from ghcr_push.sources.spool import Spool
from ghcr_push.sources.stored import AllBut
from ghcr_push.sources.tarstream import TarStream


@dataclass(frozen=True, slots=True)
class Found:
    """Content on disk that was found whole: how it looks, and how it is read.

    ``saved`` is None where its manifest is made only as it is read.
    """

    image: Image
    saved: SavedImage | None
    read: Callable[[], AbstractAsyncContextManager[Reading]]
    read_referrers: Callable[[], AbstractAsyncContextManager[Reading]] | None = None


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
        self._found: dict[Source, Found] = {}

    async def inspect(self, source: Source, location: DiskLocation) -> Image | Failure:
        """Find the content and check that it is whole, but for the bytes of its blobs."""
        try:
            self._found[source] = await to_thread.run_sync(self._find, location)
        except PushError as error:
            return classify(error.evidence)
        return self._found[source].image

    def saved(self, source: Source) -> SavedImage:
        """Return what ``inspect`` found; of docker archives that is not known yet."""
        saved = self._found[source].saved
        if saved is None:
            raise ValueError(f"the manifest of {source} is not known before it is read")
        return saved

    @asynccontextmanager
    async def save(self, source: Source) -> AsyncIterator[Reading]:
        """Read the content that ``inspect`` found."""
        with _named(str(source)):
            async with self._found[source].read() as saved:
                yield saved

    @asynccontextmanager
    async def save_referrers(self, source: Source) -> AsyncIterator[Reading]:
        """Read what refers to the content that ``inspect`` found."""
        read = self._found[source].read_referrers
        if read is None:
            raise ValueError(f"nothing refers to {source}")
        with _named(str(source)):
            async with read() as saved:
                yield saved

    def _find(self, location: DiskLocation) -> Found:
        match location.form:
            case Form.OCI_LAYOUT:
                return self._layout(location)
            case Form.OCI_ARCHIVE:
                return self._oci_archive(location)
            case Form.DOCKER_ARCHIVE:
                return self._docker_archive(location)

    def _layout(self, location: DiskLocation) -> Found:
        folder = Folder(self._place(location.path))
        return self._of_layout(
            folder,
            location,
            lambda saved: _in_place(saved, folder.extent),
            lambda saved: self._recompressed(saved, folder.extent),
        )

    def _oci_archive(self, location: DiskLocation) -> Found:
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
    ) -> Found:
        layout = Layout(files, f"{location.form}:{location.path}")
        saved = layout.read(layout.choose(location.name), self._platform)
        if self._compress and (plain := plain_layers(saved)):
            image = unnamed(saved, template_of(saved, plain))
            return Found(image, None, read=lambda: recompress(saved))
        if self._referrers:
            saved = layout.with_referrers(saved)
        return Found(
            image_of(saved),
            saved,
            read=lambda: read(saved),
            read_referrers=lambda: read(as_content(saved.referrers)),
        )

    def _docker_archive(self, location: DiskLocation) -> Found:
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
            in_engine=False,
        )
        return Found(image, None, lambda: self._compressed(archive.path, found))

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
        workshop = LayerCompressor.on_all_cores(self._spool)
        steps = read_in_place(saved, lambda named: _blob(named, extent), workshop)
        # a blob on disk is one that takes no temporary space
        async with SavedImages(cast("Steps", steps), workshop) as reading:
            yield reading

    @asynccontextmanager
    async def _compressed(self, path: Path, found: ArchivedImage) -> AsyncIterator[Reading]:
        """Read a docker archive from front to back, compressing its layers."""
        workshop = LayerCompressor.on_all_cores(self._spool)
        with opened(path) as file:
            steps = read_archived(TarStream(_Input(file)), found, workshop)
            async with SavedImages(steps, workshop) as reading:
                yield reading


class _Input:
    """A file as a pipe, for reading it from front to back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class SourcesByLocation:
    """Every source of a run as one port; ``engine`` has those that are images of its own.

    ``annotations`` are for the index of a merged source.
    """

    def __init__(
        self,
        engine: ImageStore,
        disk: DiskSources,
        registries: RegistrySources,
        annotations: Annotations = NO_ANNOTATIONS,
    ) -> None:
        self._engine = engine
        self._disk = disk
        self._registries = registries
        self._merged = MergedSources(self, annotations)

    async def inspect_all(self, sources: Sequence[Source]) -> dict[Source, Image | Failure]:
        """Describe each source, or say why it cannot be; the engine is asked only for its own."""
        found: dict[Source, Image | Failure] = {}
        of_engine = [source for source in sources if parse_location(source.image) is None]

        async def ask_engine() -> None:
            found.update(await self._engine.inspect_all(of_engine))

        async def look(source: Source, location: Location) -> None:
            try:
                if isinstance(location, MergedLocation):
                    found[source] = await self._merged.inspect(source, location)
                else:
                    found[source] = await self.inspect_one(source, location)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not sink other sources
                found[source] = unseen(error, source)

        async with anyio.create_task_group() as tasks:
            if of_engine:
                tasks.start_soon(ask_engine)
            for source in sources:
                if location := parse_location(source.image):
                    tasks.start_soon(look, source, location)
        return found

    async def inspect_one(
        self, source: Source, location: DiskLocation | RegistryLocation
    ) -> Image | Failure:
        """Find one layout, archive or image in a registry."""
        if isinstance(location, DiskLocation):
            return await self._disk.inspect(source, location)
        return await self._registries.inspect(source, location)

    def saved(self, source: Source) -> SavedImage:
        """Return what ``inspect_one`` found."""
        on_disk = isinstance(parse_location(source.image), DiskLocation)
        return self._disk.saved(source) if on_disk else self._registries.saved(source)

    def save(self, source: Source, image: Image) -> AbstractAsyncContextManager[Reading]:
        """Read the content of a source while the block runs."""
        location = parse_location(source.image)
        if location is None:
            return self._engine.save(source, image)
        if isinstance(location, MergedLocation):
            return self._merged.save(source)
        return self.save_one(source)

    def save_one(self, source: Source) -> AbstractAsyncContextManager[Reading]:
        """Read one layout, archive or image in a registry."""
        on_disk = isinstance(parse_location(source.image), DiskLocation)
        return self._disk.save(source) if on_disk else self._registries.save(source)

    def save_referrers(self, source: Source) -> AbstractAsyncContextManager[Reading]:
        """Read what refers to a source while the block runs."""
        location = parse_location(source.image)
        if isinstance(location, MergedLocation):
            return self._merged.save_referrers(source)
        on_disk = isinstance(location, DiskLocation)
        return (self._disk if on_disk else self._registries).save_referrers(source)


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


@contextmanager
def _named(title: str) -> Iterator[None]:
    """Say of what source it is that an image is not whole: no later reading would help."""
    try:
        yield
    except PushError as error:
        if error.evidence.kind is Kind.SOURCE_INVALID or error.evidence.origin is Origin.RUN:
            raise
        message = f"{title}: {error.evidence.message}"
        raise PushError(
            ErrorInfo(origin=Origin.RUN, kind=Kind.SOURCE_INVALID, message=message)
        ) from error

"""From a source's text to its content: in the engine, on disk, in a registry, or merged."""

from collections.abc import Sequence

import anyio

from ghcr_push.model import Failure, Source
from ghcr_push.planning.annotations import NO_ANNOTATIONS, Annotations
from ghcr_push.planning.locations import (
    DiskLocation,
    Location,
    MergedLocation,
    RegistryLocation,
    parse_location,
)
from ghcr_push.pushing.context import classify_read_error
from ghcr_push.pushing.ports import Content, Sources
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.pushing.side_by_side import for_each
from ghcr_push.sources.content import FoundContent, KnownContent
from ghcr_push.sources.disk import unusable
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.merged import merged_content
from ghcr_push.sources.remote import RegistrySources


class SourcesByLocation:
    """All sources of a run as one port; ``engine`` has the images without a location.

    ``annotations`` are for the index of a merged source.
    """

    def __init__(
        self,
        engine: Sources,
        disk: DiskSources,
        registries: RegistrySources,
        annotations: Annotations = NO_ANNOTATIONS,
    ) -> None:
        self._engine = engine
        self._disk = disk
        self._registries = registries
        self._annotations = annotations

    async def find(self, sources: Sequence[Source]) -> dict[Source, Content | Failure]:
        """Find each content, or the reason why not; ask the engine only for its own images."""
        found: dict[Source, Content | Failure] = {}
        of_engine = [source for source in sources if parse_location(source.image) is None]

        async def ask_engine() -> None:
            found.update(await self._engine.find(of_engine))

        async def look(source: Source, location: Location) -> None:
            try:
                found[source] = await self._find(location)
            except AttemptError as failed:
                found[source] = failed.failure
            except Exception as error:  # noqa: BLE001 - an internal error must not fail other sources
                found[source] = classify_read_error(error, str(source))

        async with anyio.create_task_group() as tasks:
            if of_engine:
                tasks.start_soon(ask_engine)
            for source in sources:
                if location := parse_location(source.image):
                    tasks.start_soon(look, source, location)
        return found

    async def _find(self, location: Location) -> FoundContent:
        match location:
            case DiskLocation():
                return await self._disk.find(location)
            case RegistryLocation():
                return await self._registries.find(location)
            case MergedLocation():
                return await self._merged(location)

    async def _merged(self, location: MergedLocation) -> FoundContent:
        found: dict[Location, KnownContent] = {}

        async def find(place: Location) -> None:
            member = await self._find(place)
            if not isinstance(member, KnownContent):
                raise unusable(f"{place} has no digest before it is read")
            found[place] = member

        await for_each(location.members, find)
        members = [found[place] for place in location.members]
        return merged_content(members, str(location), self._annotations)

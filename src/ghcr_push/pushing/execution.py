"""One run from a plan to results: find its sources, check who reaches which registry, push."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass

import anyio

from ghcr_push import tracing
from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.model import Failure, Image, Kind, Outcome, Source, TargetResult
from ghcr_push.planning.locations import parse_location, repositories_of
from ghcr_push.planning.plan import build_plan, unresolved
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import OnProtected, Settings, Transport
from ghcr_push.pushing.context import PROGRESS_EVERY, RunContext, internal, ours
from ghcr_push.pushing.dry_run import DryRun
from ghcr_push.pushing.engine_first import engine_is_quicker
from ghcr_push.pushing.events import Noticed, Observer, Planned
from ghcr_push.pushing.ports import Content, Engine, Registry, Sources
from ghcr_push.pushing.preflight import Preflight, Reach
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.pushing.run import PushRun
from ghcr_push.references import Repository


@dataclass(frozen=True, slots=True)
class Adapters:
    """The adapters for sources and registries."""

    sources: Sources
    registry: Registry
    engine: Engine


class Execution:
    """Does what ``settings`` ask, and gives every target a result, however the run ends.

    ``start`` is a time of the event loop's clock, as is the deadline of ``backoff``. ``listen``
    registers a function to call on a signal, and ``interrupted`` says whether one came.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        start: float,
        backoff: Backoff,
        listen: Callable[[Callable[[], None]], None],
        interrupted: Callable[[], bool],
        observer: Observer,
        progress_every: float = PROGRESS_EVERY,
    ) -> None:
        self.plan = build_plan(settings.targets)
        self._settings = settings
        self._start = start
        self._backoff = backoff
        self._listen = listen
        self._interrupted = interrupted
        self._observer = observer
        self._progress_every = progress_every
        self._run: PushRun | None = None

    @property
    def registries(self) -> list[str]:
        """The registries that the run writes to or reads content from."""
        targets = {group.repository.registry for group in self.plan.groups}
        return sorted(targets.union(each.registry for each in self._source_repositories))

    @property
    def _sources(self) -> list[Source]:
        """The distinct sources, including those of conflicting targets."""
        conflicting = (source for each in self._settings.conflicts for source in each.sources)
        sources = (target.source for target in self.plan.targets)
        return list(dict.fromkeys([*sources, *conflicting]))

    @property
    def _source_repositories(self) -> list[Repository]:
        """The repositories from which content is read."""
        locations = (parse_location(source.image) for source in self._sources)
        return [each for location in locations for each in repositories_of(location)]

    async def results(
        self, adapters: AbstractAsyncContextManager[Adapters]
    ) -> tuple[TargetResult, ...]:
        """Return one result per target; raise ``InputError`` if one target has two images."""
        try:
            async with AsyncExitStack() as stack:
                return await self._results(stack, adapters)
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 - what landed must be reported
            return self._broken_off(error)

    async def _results(
        self, stack: AsyncExitStack, adapters: AbstractAsyncContextManager[Adapters]
    ) -> tuple[TargetResult, ...]:
        made: Adapters | None = None
        found: Mapping[Source, Content | Failure] | None = None
        with self._before_run():
            made = await stack.enter_async_context(adapters)
            if self._settings.conflicts:  # no registry is asked before the inputs are valid
                found = await made.sources.find(self._sources)
                self._learn(found)
        if made is None:
            return self._ended_before_run()
        reach = Reach()
        async with self._preflight(reach, made):
            with self._before_run():
                if found is None:
                    found = await made.sources.find(self._sources)
                images = self._learn(found)
                if self._settings.dry_run:
                    self._observer(Planned(self.plan))
                    read = DryRun(self.plan, images, made.registry, self._settings, self._notice)
                    return await read.results()
                self._run = self._new_run(found, made, reach)
                self._announce_docker_push(images)
                self._listen(self._run.cancel)
            if self._run is None:
                return self._ended_before_run()
            return await self._run.run()

    def _new_run(
        self, found: Mapping[Source, Content | Failure], adapters: Adapters, reach: Reach
    ) -> PushRun:
        settings = self._settings
        context = RunContext(
            registry=adapters.registry,
            engine=adapters.engine,
            backoff=self._backoff,
            observer=self._observer,
            start=self._start,
            attempt_timeout=settings.attempt_timeout,
            verify=settings.verify,
            protect=settings.protect,
            all_or_nothing=settings.all_or_nothing,
            fail_fast=settings.fail_fast,
            max_parallel=settings.max_parallel,
            adaptive=settings.adaptive,
            keep_protected=settings.on_protected is OnProtected.KEEP,
            direct=settings.transport is not Transport.ENGINE,
            engine_first=self._engine_first,
            mount_sources=(*settings.mount_from, *self._source_repositories),
            progress_every=self._progress_every,
            reach=reach,
        )
        return PushRun(self.plan, found, context)

    def _preflight(self, reach: Reach, made: Adapters) -> AbstractAsyncContextManager[None]:
        """Check who reaches which registry while the block runs."""
        without_engine = all(parse_location(source.image) for source in self._sources)
        direct = self._settings.transport is Transport.DIRECT or without_engine
        if direct or self._settings.dry_run:
            return nullcontext()
        preflight = Preflight(
            reach,
            [group.repository for group in self.plan.groups],
            ours=made.registry,
            engine=made.engine,
            notice=self._notice,
        )
        return preflight.asking()

    def _before_run(self) -> anyio.CancelScope:
        """Return a scope that ends with the run's time or on a signal."""
        scope = anyio.CancelScope(deadline=self._backoff.deadline)
        self._listen(scope.cancel)
        return scope

    def _learn(self, found: Mapping[Source, Content | Failure]) -> dict[Source, Image | Failure]:
        """Join groups with the same content; reject targets with two images.

        Returns what is known of each image.
        """
        images = {
            source: each if isinstance(each, Failure) else each.image
            for source, each in found.items()
        }
        ids = {source: image.id for source, image in images.items() if isinstance(image, Image)}
        if problems := unresolved(self._settings.conflicts, ids):
            raise InputError(problems)
        contents = {source: each for source, each in found.items() if not isinstance(each, Failure)}
        self.plan = build_plan(self.plan.targets, contents)
        return images

    @property
    def _engine_first(self) -> bool:
        settings = self._settings
        return settings.transport is Transport.AUTO and not settings.all_or_nothing

    def _announce_docker_push(self, images: Mapping[Source, Image | Failure]) -> None:
        there = (image for image in images.values() if isinstance(image, Image))
        if self._engine_first and any(engine_is_quicker(image) for image in there):
            self._notice(
                "trying `docker push` first for large images, since the engine's containerd "
                "image store pushes faster than it exports; if that fails, they are uploaded "
                "directly"
            )

    def _notice(self, sentence: str) -> None:
        self._observer(Noticed(sentence))

    # -- early ends ---------------------------------------------------------------------------

    def _ended_before_run(self) -> tuple[TargetResult, ...]:
        kind = Kind.CANCELLED if self._interrupted() else Kind.DEADLINE
        return self._all_ended(
            Outcome.SKIPPED, ours(kind, "the run ended before anything was tried")
        )

    def _broken_off(self, error: Exception) -> tuple[TargetResult, ...]:
        if all(isinstance(cause, OSError) for cause in tracing.leaves(error)):
            failure = classify(ErrorInfo(origin=Origin.RUN, message=tracing.described(error)))
        else:
            failure = internal(error, "the run as a whole")
        if self._run is None:
            return self._all_ended(Outcome.FAILED, failure)
        return self._run.break_off(failure)

    def _all_ended(self, outcome: Outcome, failure: Failure) -> tuple[TargetResult, ...]:
        return tuple(
            TargetResult(target=target, outcome=outcome, failure=failure)
            for target in self.plan.targets
        )

"""One run from a plan to results: find its sources, learn who reaches which registry, push."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

import anyio

from ghcr_push import tracing
from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.model import Failure, Image, Kind, Outcome, Plan, Source, TargetResult
from ghcr_push.planning.locations import parse_location
from ghcr_push.planning.plan import build_plan, regroup, unresolved
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, Transport
from ghcr_push.pushing.context import RunContext, internal, ours
from ghcr_push.pushing.dry_run import DryRun
from ghcr_push.pushing.events import Noticed, Observer, Planned
from ghcr_push.pushing.group import engine_is_quicker
from ghcr_push.pushing.ports import Engine, Registry, Sources
from ghcr_push.pushing.preflight import Preflight, Reach
from ghcr_push.pushing.run import PushRun


@dataclass(frozen=True, slots=True)
class Adapters:
    """Where content comes from, and where it goes."""

    sources: Sources
    registry: Registry
    engine: Engine


class Execution:
    """Does what ``settings`` ask, and gives every target a result, whatever ends the run.

    ``deadline`` is a time of the event loop's clock. ``listen`` has a signal call the function that
    it is given, and ``interrupted`` says whether one came.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        deadline: float,
        listen: Callable[[Callable[[], None]], None],
        interrupted: Callable[[], bool],
        observer: Observer,
    ) -> None:
        self.plan = build_plan(settings)
        self.run: PushRun | None = None
        """The push itself; None until it begins."""
        self._settings = settings
        self._deadline = deadline
        self._listen = listen
        self._interrupted = interrupted
        self._observer = observer

    @property
    def sources(self) -> list[Source]:
        """The distinct sources, those of conflicting targets among them."""
        conflicting = (source for each in self._settings.conflicts for source in each.sources)
        sources = (target.source for target in self.plan.targets)
        return list(dict.fromkeys([*sources, *conflicting]))

    async def results(
        self,
        adapters: Callable[[], Awaitable[Adapters]],
        new_run: Callable[[Plan, Mapping[Source, Image | Failure], Adapters, Reach], PushRun],
    ) -> tuple[TargetResult, ...]:
        """Return one result per target; raise ``InputError`` where one target has two images."""
        try:
            return await self._run(adapters, new_run)
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 - what landed must be told all the same
            return self._broken_off(error)

    async def _run(
        self,
        adapters: Callable[[], Awaitable[Adapters]],
        new_run: Callable[[Plan, Mapping[Source, Image | Failure], Adapters, Reach], PushRun],
    ) -> tuple[TargetResult, ...]:
        made: Adapters | None = None
        with self._before_run():
            made = await adapters()
            if self._settings.conflicts:  # no registry is asked before the inputs are good
                self._learn(await made.sources.inspect_all(self.sources))
        if made is None:
            return self._ended_before_run()
        reach = Reach()
        async with self._preflight(reach, made):
            with self._before_run():
                images = await made.sources.inspect_all(self.sources)
                self._learn(images)
                if self._settings.dry_run:
                    self._observer(Planned(self.plan))
                    read = DryRun(self.plan, images, made.registry, self._settings, self._notice)
                    return await read.results()
                self.run = new_run(self.plan, images, made, reach)
                self._tell_who_pushes_first(images, self.run.context)
                self._listen(self.run.cancel)
            if self.run is None:
                return self._ended_before_run()
            return await self.run.run()

    def _preflight(self, reach: Reach, made: Adapters) -> AbstractAsyncContextManager[None]:
        """Ask who reaches which registry, while the block runs."""
        without_engine = all(parse_location(source.image) for source in self.sources)
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
        """Return a scope that ends where the run's time is up or a signal comes."""
        scope = anyio.CancelScope(deadline=self._deadline)
        self._listen(scope.cancel)
        return scope

    def _learn(self, images: Mapping[Source, Image | Failure]) -> None:
        """Join groups that turn out to be of one image; refuse targets of two."""
        ids = {source: image.id for source, image in images.items() if isinstance(image, Image)}
        if problems := unresolved(self._settings.conflicts, ids):
            raise InputError(problems)
        # another copy of an image is another source: one that is damaged says nothing of the other
        in_engine = {
            source: image.id
            for source, image in images.items()
            if isinstance(image, Image) and image.in_engine
        }
        self.plan = regroup(self.plan, in_engine)

    def _tell_who_pushes_first(
        self, images: Mapping[Source, Image | Failure], context: RunContext
    ) -> None:
        there = (image for image in images.values() if isinstance(image, Image))
        if context.engine_first and any(engine_is_quicker(image) for image in there):
            self._notice(
                "trying `docker push` first for large images, since the engine's containerd image "
                "store pushes them sooner than it hands them out; what fails is uploaded directly"
            )

    def _notice(self, sentence: str) -> None:
        self._observer(Noticed(sentence))

    # -- ends before the end ------------------------------------------------------------------

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
        if self.run is None:
            return self._all_ended(Outcome.FAILED, failure)
        return self.run.break_off(failure)

    def _all_ended(self, outcome: Outcome, failure: Failure) -> tuple[TargetResult, ...]:
        return tuple(
            TargetResult(target=target, outcome=outcome, failure=failure)
            for target in self.plan.targets
        )

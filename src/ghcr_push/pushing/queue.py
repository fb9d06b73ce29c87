"""The queue: seeds first, then the rest; it ends with every target's one outcome."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import anyio
from anyio.abc import TaskGroup

from ghcr_push.model import (
    Failure,
    Group,
    Hold,
    Image,
    Kind,
    LimitChange,
    Plan,
    Source,
    TargetResult,
)
from ghcr_push.pushing.gate import Gate
from ghcr_push.pushing.group import Course, GroupRun, Lane
from ghcr_push.pushing.hindsight import with_hindsight
from ghcr_push.pushing.holdings import Holdings
from ghcr_push.pushing.limit import AdaptiveLimit, FixedLimit, Limit
from ghcr_push.pushing.permission import Permission
from ghcr_push.pushing.places import Ceiling
from ghcr_push.pushing.readings import Readings, SharedContent
from ghcr_push.pushing.shared import Shared, ours
from ghcr_push.pushing.target import TargetRun
from ghcr_push.pushing.together import Together
from ghcr_push.references import Repository

LAST_LOOK = 2.0
"""Seconds, at most, to read the tags whose writes were in flight when the run was cut off."""

REASONS = {
    Kind.CANCELLED: "the run was cancelled",
    Kind.DEADLINE: "the run's time was up",
    Kind.FAIL_FAST: "another target had failed, and fail-fast is on",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a run may do at once, and for how long (seconds; infinity for no end)."""

    max_parallel: int
    adaptive: bool
    timeout: float
    fail_fast: bool


class PushQueue:
    """One run over a plan: every target gets a task; a slot is held only while writing."""

    def __init__(
        self,
        plan: Plan,
        images: Mapping[Source, Image | Failure],
        *,
        shared: Shared,
        limits: Limits,
        random: Random,
    ) -> None:
        self._plan = plan
        self._images = images
        self._shared = shared
        self._limits = limits
        self._random = random
        self._scope = anyio.CancelScope()
        self._together = Together(plan.groups, wanted=shared.all_or_nothing)
        self._course = Course(fail_fast=limits.fail_fast, together=self._together)
        self._lanes: dict[str, Lane] = {}
        self._contents: dict[str, SharedContent] = {}
        self._turns: dict[Repository, anyio.Lock] = {}
        self._runs: list[TargetRun] = []
        self._groups_left = Counter(group.repository.registry for group in plan.groups)

    @property
    def limit_changes(self) -> tuple[LimitChange, ...]:
        """Every change of a limit, in the order of time."""
        changes = (change for lane in self._lanes.values() for change in lane.gate.changes)
        return tuple(sorted(changes, key=lambda change: change.at))

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Every hold of a registry's queue, in the order of time."""
        holds = (hold for lane in self._lanes.values() for hold in lane.gate.holds)
        return tuple(sorted(holds, key=lambda hold: hold.at))

    def cancel(self) -> None:
        """End the run now; callable at any time, also before it began."""
        self._course.cancelled = True
        self._scope.cancel()

    async def run(self) -> tuple[TargetResult, ...]:
        """Push everything; return one result per target, in the plan's order."""
        self._scope.deadline = self._shared.start + self._limits.timeout
        async with anyio.create_task_group() as timers:
            self._set_up(timers)
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    for group, runs in self._grouped():
                        tasks.start_soon(self._run_group, group, runs)
            await self._end_all()
            timers.cancel_scope.cancel()
        return with_hindsight([run.result for run in self._runs if run.result is not None])

    def break_off(self, failure: Failure) -> tuple[TargetResult, ...]:
        """End what has no outcome with ``failure``, after ``run`` raised; return all results."""
        return with_hindsight([run.result or run.cut_off(failure) for run in self._runs])

    def _set_up(self, timers: TaskGroup) -> None:
        ceiling = Ceiling(self._limits.max_parallel)
        for target in self._plan.targets:
            registry = target.reference.repository.registry
            if registry not in self._lanes:
                self._lanes[registry] = self._new_lane(registry, ceiling, timers)
            gate = self._lanes[registry].gate
            self._runs.append(TargetRun(target, self._shared, gate, self._may_start))

        self._contents = self._shared_contents(Readings(self._shared, timers))

    def _shared_contents(self, readings: Readings) -> dict[str, SharedContent]:
        """Give each image, by its ID, what the groups of it share."""
        contents: dict[str, SharedContent] = {}
        for group in self._plan.groups:
            image = self._images[group.source]
            if isinstance(image, Image):
                content = contents.setdefault(
                    image.id, SharedContent(readings, group.source, image)
                )
                content.expect(group.repository)
        return contents

    def _new_lane(self, registry: str, ceiling: Ceiling, timers: TaskGroup) -> Lane:
        gate = Gate(
            registry,
            limit=self._new_limit(),
            ceiling=ceiling,
            tasks=timers,
            observer=self._shared.observer,
            random=self._random,
            clock=self._shared.clock,
            start=self._shared.start,
        )
        return Lane(
            gate=gate,
            holdings=Holdings(self._shared, gate),
            permission=Permission(self._shared, gate, self._may_start),
        )

    def _may_start(self) -> bool:
        return self._course.goes_on

    def _new_limit(self) -> Limit:
        most = self._limits.max_parallel
        return AdaptiveLimit(most) if self._limits.adaptive else FixedLimit(most)

    def _grouped(self) -> list[tuple[Group, list[TargetRun]]]:
        runs = iter(self._runs)
        return [(group, [next(runs) for _ in group.targets]) for group in self._plan.groups]

    async def _run_group(self, group: Group, runs: list[TargetRun]) -> None:
        try:
            await self._push_group(group, runs)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not sink other groups
            failure = self._shared.judge(error, group.repository)
            for run in runs:
                if run.result is None:
                    run.fail(failure)
                    self._course.note_failure()
            self._tell_others(group, runs)
        else:
            self._tell_others(group, runs)
        finally:
            registry = group.repository.registry
            self._groups_left[registry] -= 1
            if not self._groups_left[registry]:
                self._lanes[registry].gate.share.leave()

    def _tell_others(self, group: Group, runs: list[TargetRun]) -> None:
        """Tell the groups that wait for this one how it ended."""
        for run in runs:
            if run.result and run.result.failure:
                self._together.refuse(run.target, run.result.failure)
        self._together.needs_nothing(group)

    async def _push_group(self, group: Group, runs: list[TargetRun]) -> None:
        image = self._images[group.source]
        if isinstance(image, Failure):
            for run in runs:
                run.fail(image)
                self._course.note_failure()
            return
        await GroupRun(
            group,
            image,
            runs,
            shared=self._shared,
            course=self._course,
            lane=self._lanes[group.repository.registry],
            content=self._contents[image.id],
            turn=self._turns.setdefault(group.repository, anyio.Lock()),
        ).run()

    # -- the end ------------------------------------------------------------------------------

    async def _end_all(self) -> None:
        """Give an outcome to every target that the run left without one."""
        unfinished = [run for run in self._runs if run.result is None]
        with anyio.move_on_after(LAST_LOOK, shield=True):
            async with anyio.create_task_group() as tasks:
                for run in unfinished:
                    tasks.start_soon(run.look_a_last_time)
        for run in unfinished:
            if run.result is None:
                run.cut_off(self._what_ended(run))

    def _what_ended(self, run: TargetRun) -> Failure:
        kind = Kind.DEADLINE
        if self._course.cancelled:
            kind = Kind.CANCELLED
        elif self._together.refusal is not None:
            return self._together.refusal
        elif self._course.failing_fast and not run.tried:
            kind = Kind.FAIL_FAST
        return ours(kind, REASONS[kind])

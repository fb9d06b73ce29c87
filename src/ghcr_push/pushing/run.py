"""The queue: seeds first, then the rest; every target ends with one outcome."""

from collections import Counter
from collections.abc import Mapping

import anyio
from anyio.abc import TaskGroup

from ghcr_push.background import background
from ghcr_push.model import Failure, Group, Kind, Plan, Source, TargetResult
from ghcr_push.pushing.context import RunContext, ours
from ghcr_push.pushing.events import Noticed
from ghcr_push.pushing.group import GroupPush
from ghcr_push.pushing.hindsight import out_of_time, with_hindsight
from ghcr_push.pushing.known_blobs import KnownBlobs
from ghcr_push.pushing.ports import Content
from ghcr_push.pushing.pressure.global_limit import GlobalLimit
from ghcr_push.pushing.pressure.limit import AdaptiveLimit, Limit
from ghcr_push.pushing.pressure.limiter import Limiter
from ghcr_push.pushing.readings import Readings, SharedContent
from ghcr_push.pushing.registry_state import RegistryState
from ghcr_push.pushing.run_control import RunControl
from ghcr_push.pushing.tag_push import TagPush
from ghcr_push.pushing.together import Together
from ghcr_push.pushing.write_access import WriteAccess
from ghcr_push.references import Repository

LAST_LOOK = 2.0
"""Maximum number of seconds to read tags whose writes were in flight when the run was cut off."""


class PushRun:
    """One run of a plan: every target gets a task; a slot is held only while writing."""

    def __init__(
        self, plan: Plan, contents: Mapping[Source, Content | Failure], context: RunContext
    ) -> None:
        self._plan = plan
        self._contents = contents
        self._context = context
        self._scope = anyio.CancelScope()
        self._together = Together(plan.groups, wanted=context.all_or_nothing)
        self._control = RunControl(fail_fast=context.fail_fast, together=self._together)
        self._registry_states: dict[str, RegistryState] = {}
        self._shared: dict[Content, SharedContent] = {}
        self._locks: dict[Repository, anyio.Lock] = {}
        self._groups: list[tuple[Group, list[TagPush]]] = []
        self._groups_left = Counter(group.repository.registry for group in plan.groups)

    @property
    def _tag_pushes(self) -> list[TagPush]:
        return [each for _, tag_pushes in self._groups for each in tag_pushes]

    def cancel(self) -> None:
        """End the run now; callable at any time, even before it starts."""
        self._control.cancelled = True
        self._scope.cancel()

    async def run(self) -> tuple[TargetResult, ...]:
        """Push everything; return one result per target, in the plan's order."""
        self._scope.deadline = self._context.backoff.deadline
        async with background() as timers:
            self._set_up(timers)
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    for group, tag_pushes in self._groups:
                        tasks.start_soon(self._run_group, group, tag_pushes)
            await self._end_all()
        return with_hindsight([each.result for each in self._tag_pushes if each.result is not None])

    def break_off(self, failure: Failure) -> tuple[TargetResult, ...]:
        """End what has no outcome with ``failure``, after ``run`` raised; return all results."""
        return with_hindsight([each.result or each.cut_off(failure) for each in self._tag_pushes])

    def _set_up(self, timers: TaskGroup) -> None:
        global_limit = GlobalLimit(self._context.max_parallel)
        for group in self._plan.groups:
            registry = group.repository.registry
            if registry not in self._registry_states:
                self._registry_states[registry] = self._new_state(registry, global_limit, timers)
            limiter, may_start = self._registry_states[registry].limiter, self._control.may_start
            tag_pushes = [
                TagPush(each, self._context, limiter, may_start) for each in group.targets
            ]
            self._groups.append((group, tag_pushes))
        self._shared = self._shared_contents(Readings(self._context, timers))

    def _shared_contents(self, readings: Readings) -> dict[Content, SharedContent]:
        shared: dict[Content, SharedContent] = {}
        for group in self._plan.groups:
            content = self._contents[group.source]
            if isinstance(content, Failure):
                continue
            if content not in shared:
                shared[content] = SharedContent(readings, content)
                if (notice := content.image.referrers.notice) is not None:
                    self._context.observer(Noticed(notice))
            shared[content].expect(group.repository)
        return shared

    def _new_state(
        self, registry: str, global_limit: GlobalLimit, timers: TaskGroup
    ) -> RegistryState:
        context = self._context
        limiter = Limiter(
            registry,
            limit=(AdaptiveLimit if context.adaptive else Limit)(context.max_parallel),
            global_limit=global_limit,
            tasks=timers,
            observer=context.observer,
            random=context.backoff.random,
            clock=context.clock,
        )
        return RegistryState(
            limiter=limiter,
            known_blobs=KnownBlobs(context, limiter),
            write_access=WriteAccess(context, limiter, self._control.may_start),
        )

    async def _run_group(self, group: Group, tag_pushes: list[TagPush]) -> None:
        try:
            await self._push_group(group, tag_pushes)
        except Exception as error:  # noqa: BLE001 - an internal error must not fail other groups
            self._control.fail_all(tag_pushes, self._context.classify(error, group.repository))
        finally:
            registry = group.repository.registry
            self._groups_left[registry] -= 1
            if not self._groups_left[registry]:
                self._registry_states[registry].limiter.share.leave()
        self._notify_others(group, tag_pushes)

    def _notify_others(self, group: Group, tag_pushes: list[TagPush]) -> None:
        """Tell the groups that wait for this one how it ended."""
        for tag_push in tag_pushes:
            if tag_push.result and tag_push.result.failure:
                self._together.refuse(tag_push.target, tag_push.result.failure)
        self._together.needs_nothing(group)

    async def _push_group(self, group: Group, tag_pushes: list[TagPush]) -> None:
        content = self._contents[group.source]
        if isinstance(content, Failure):
            self._control.fail_all(tag_pushes, content)
            return
        await GroupPush(
            group,
            tag_pushes,
            context=self._context,
            control=self._control,
            registry_state=self._registry_states[group.repository.registry],
            content=self._shared[content],
            lock=self._locks.setdefault(group.repository, anyio.Lock()),
        ).run()

    # -- the end ------------------------------------------------------------------------------

    async def _end_all(self) -> None:
        """Give an outcome to every target that has none."""
        unfinished = [each for each in self._tag_pushes if each.result is None]
        with anyio.move_on_after(LAST_LOOK, shield=True):
            async with anyio.create_task_group() as tasks:
                for tag_push in unfinished:
                    tasks.start_soon(tag_push.look_a_last_time)
        for _, tag_pushes in self._groups:
            logs = (each.content_log for each in tag_pushes)
            contents = (log.failing for log in logs if log is not None)
            content_failing = next(filter(None, contents), None)
            for tag_push in tag_pushes:
                if tag_push.result is None:
                    tag_push.cut_off(self._what_ended(tag_push, content_failing))

    def _what_ended(self, tag_push: TagPush, content_failing: Failure | None) -> Failure:
        """Return why ``tag_push`` has no outcome, and the failure that was being retried."""
        if self._control.cancelled:
            return ours(Kind.CANCELLED, "the run was cancelled")
        if self._together.refusal is not None:
            return self._together.refusal
        if self._control.failing_fast and not tag_push.tried:
            return ours(Kind.FAIL_FAST, "another target had failed, and fail-fast is on")
        registry = self._registry_states[tag_push.repository.registry]
        return out_of_time(tag_push.failing or content_failing or registry.limiter.current_failure)

"""Plays a scenario: the real queue, unchanged, on a virtual clock against the modelled world."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, cast

import anyio
import trio
from trio._core import _run as scheduler
from trio.testing import MockClock

from ghcr_push.model import Failure, Hold, Image, LimitChange, Source, TargetResult
from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.events import Event, Held, LimitChanged
from ghcr_push.pushing.ports import Content, Engine, Registry
from ghcr_push.pushing.preflight import Preflight, Reach
from ghcr_push.pushing.pressure.limiter import READS_PER_WRITE
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.pushing.pressure.timers import TIMER_GRACE
from ghcr_push.pushing.run import PushRun
from ghcr_push.references import Repository
from ghcr_push.sources.content import FoundContent, Read
from tests.simulation.records import HeldSlot, Request
from tests.simulation.scenario import MISSING, Scenario
from tests.simulation.slots import SLOTS, noted
from tests.simulation.world import Asker, EngineOf, World

ENDLESS = 200_000.0
"""Virtual seconds after which a run counts as one that never ends."""

LEAD = 17.25
"""Virtual seconds before the run, so that the clock's zero is not the run's."""


@dataclass(slots=True)
class Played:
    """A finished run and everything recorded of it; times are the clock's."""

    scenario: Scenario
    world: World
    start: float = 0.0
    ended: float | None = None
    cancelled: float | None = None
    results: tuple[TargetResult, ...] = ()
    events: list[tuple[float, Event]] = field(default_factory=list)
    raised: str | None = None
    reach: Reach = field(default_factory=Reach)
    notices: list[str] = field(default_factory=list)
    """The notices of the preflight."""
    wrong_while_idle: list[str] = field(default_factory=list)
    """Faults found at moments when every task waited."""
    slots: list[HeldSlot] = field(default_factory=list)
    """The slots that the queue gave out, in this order."""
    _named: dict[tuple[Repository, str], list[Request]] = field(default_factory=dict)

    @property
    def changes(self) -> tuple[LimitChange, ...]:
        """Every change of a limit."""
        return tuple(event.change for _, event in self.events if isinstance(event, LimitChanged))

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Every hold of a registry's queue."""
        return tuple(event.hold for _, event in self.events if isinstance(event, Held))

    @property
    def log(self) -> list[Request]:
        """Every request of the run."""
        return self.world.log

    def naming(self, repository: Repository, name: str) -> list[Request]:
        """Return the requests that name a tag or a blob; only of a run that has ended."""
        if not self._named:
            for request in self.log:
                for each in request.tags:
                    self._named.setdefault((request.repository, each), []).append(request)
        return self._named.get((repository, name), [])

    @property
    def broken_off(self) -> float:
        """When a cancel or the deadline ended the run; infinity if neither did."""
        deadline = self.start + self.scenario.timeout
        return min(deadline, self.cancelled if self.cancelled is not None else deadline)


class Steady(Random):
    """Returns the middle of a range, or the first of a sequence, instead of a random value."""

    def random(self) -> float:
        return 0.5

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2

    def choice(self, seq: Any) -> Any:
        return seq[0]


def watched_clock(watch: Callable[[], None]) -> MockClock:
    """Return a virtual clock that jumps when every task waits, and calls ``watch`` just before."""
    clock = MockClock(autojump_threshold=0)
    jump = clock._autojump

    def watch_and_jump() -> None:
        watch()
        jump()

    clock._autojump = watch_and_jump  # type: ignore[method-assign] # the class is final
    return clock


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Make trio choose the order of ready tasks by ``seed`` (it shuffles them by its own)."""
    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc] # as pytest-trio does
    state = scheduler._r.getstate()
    scheduler._r.seed(seed)
    try:
        yield
    finally:
        scheduler._r.setstate(state)
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = before  # type: ignore[misc]


def play(scenario: Scenario) -> Played:
    """Play one scenario to its end; the same scenario gives the same run."""
    random = Steady if scenario.steady else Random
    played = Played(scenario, World(scenario, random(scenario.seed + 1)))
    queues: list[PushRun] = []

    def watch() -> None:
        for queue in queues:
            check_while_idle(queue, played)

    with deterministic(scenario.seed), noted():
        trio.run(_run, played, queues, clock=watched_clock(watch))
    return played


async def _run(played: Played, queues: list[PushRun]) -> None:
    await anyio.sleep(LEAD)
    scenario, world = played.scenario, played.world
    world.begin()
    played.start = anyio.current_time()
    queue = _queue(played)
    queues.append(queue)
    with anyio.move_on_after(ENDLESS):
        async with anyio.create_task_group() as tasks:
            if scenario.cancel_at is not None:
                tasks.start_soon(_cancel, queue, played)
            try:
                async with _preflight(played):
                    played.results = await queue.run()
            except Exception as error:  # noqa: BLE001 - whatever it is, the run broke its promises
                played.raised = repr(error)
            played.ended = anyio.current_time()
            tasks.cancel_scope.cancel()
    world.settle()


def _preflight(played: Played) -> AbstractAsyncContextManager[None]:
    """Check who reaches which registry while the block runs."""
    world = played.world
    preflight = Preflight(
        played.reach,
        [group.repository for group in played.scenario.plan.groups],
        ours=Asker(world, "head"),
        engine=Asker(world, "engine-head"),
        notice=played.notices.append,
    )
    return preflight.asking()


def _queue(played: Played) -> PushRun:
    scenario, random = played.scenario, Random(played.scenario.seed + 2)
    SLOTS.set(played.slots)
    context = RunContext(
        engine=cast("Engine", EngineOf(played.world)),
        registry=cast("Registry", played.world),
        backoff=Backoff(
            initial=scenario.backoff_initial,
            maximum=scenario.backoff_max,
            max_attempts=scenario.max_attempts,
            random=random,
            deadline=played.start + scenario.timeout,
        ),
        observer=lambda event: played.events.append((anyio.current_time(), event)),
        start=played.start,
        attempt_timeout=scenario.attempt_timeout,
        verify=scenario.verify,
        protect=scenario.protect,
        direct=scenario.direct,
        keep_protected=scenario.keep_protected,
        all_or_nothing=scenario.all_or_nothing,
        fail_fast=scenario.fail_fast,
        max_parallel=scenario.max_parallel,
        adaptive=scenario.adaptive,
        engine_first=scenario.engine_first,
        mount_sources=scenario.transfer.mount_sources,
        reach=played.reach,
    )
    return PushRun(scenario.plan, _contents(played.world), context)


def _contents(world: World) -> dict[Source, Content | Failure]:
    """Return the content of each source; names of one image in the engine share one content."""
    found: dict[Source, Content | Failure] = {}
    by_id: dict[str, FoundContent] = {}
    for source, image in world.scenario.images.items():
        if image is None:
            found[source] = MISSING
            continue
        content = FoundContent(
            image=image,
            read=cast("Read", partial(world.save, source)),
            referrers=_referrers(world, source) if image.referrers.found else None,
        )
        found[source] = by_id.setdefault(image.id, content) if image.in_engine else content
    return found


def _referrers(world: World, source: Source) -> FoundContent:
    read = cast("Read", partial(world.save_referrers, source))
    return FoundContent(image=Image(id="referrers", layers=0), read=read)


async def _cancel(queue: PushRun, played: Played) -> None:
    await anyio.sleep(played.scenario.cancel_at or 0.0)
    played.cancelled = anyio.current_time()
    queue.cancel()


def check_while_idle(queue: PushRun, played: Played) -> None:
    """Record faults while every task waits: slots held without a write, free slots not used."""
    now = anyio.current_time()
    for name, limiter in (
        (name, registry_state.limiter) for name, registry_state in queue._registry_states.items()
    ):
        traffic, inside = played.world.traffic[name], limiter.writes.inside
        # a protected tag, and a blob whose last read is old, are read in their slots
        spare = traffic.reads - limiter.reads.inside
        if not traffic.in_flight <= inside <= traffic.in_flight + spare:
            played.wrong_while_idle.append(
                f"{inside} slots for {traffic.in_flight} writes at {now:.3f}"
            )
        shut = max(limiter.holds.until, limiter.write_pace.next_start, limiter.outage.next_probe)
        shut += played.start + TIMER_GRACE
        # if writes are spaced, none is admitted beside one that first reads in its slot
        first = limiter.write_pace.spaced and limiter.write_pace.begun < inside
        allowed = 1 if limiter.outage.lasts or first else limiter.limit
        place = limiter.share.global_limit.has_slot_for(limiter.share)
        free = inside < allowed and place and now > shut
        if limiter.writes.waiting and free and now < played.broken_off:
            played.wrong_while_idle.append(f"a free slot is not used at {now:.3f}")
        near = limiter.window.inside < limiter._writers_soon and now > shut
        if limiter.window.waiting and near and now < played.broken_off:
            played.wrong_while_idle.append(f"no target near its turn reads its tag at {now:.3f}")
        reads = 1 if limiter.outage.lasts else READS_PER_WRITE * limiter.limit
        closed = played.start + limiter.read_pace.next_start + TIMER_GRACE
        free = limiter.reads.inside < reads and now > closed
        if limiter.reads.waiting and free and shut < now < played.broken_off:
            played.wrong_while_idle.append(f"a free slot for a read is not used at {now:.3f}")

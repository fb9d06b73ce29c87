"""Slots for writes and reads, holds and outages, on a virtual clock."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

import anyio
import pytest
from anyio.abc import TaskGroup
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.virtual_clock import played
from trio.testing import wait_all_tasks_blocked

from ghcr_push.model import Failure, Hold, Kind
from ghcr_push.pushing.events import (
    Event,
    Held,
    LimitChanged,
    Noticed,
    Resumed,
    StillWaiting,
    WentDown,
)
from ghcr_push.pushing.pressure.global_limit import GlobalLimit
from ghcr_push.pushing.pressure.holds import (
    SPACING_AFTER_THROTTLE,
    THROTTLE_FIRST,
    THROTTLE_GROWTH,
    THROTTLE_LAST,
    THROTTLE_SPREAD,
)
from ghcr_push.pushing.pressure.limit import AdaptiveLimit, Limit
from ghcr_push.pushing.pressure.limiter import READS_PER_WRITE, Limiter, Slot
from ghcr_push.pushing.pressure.outage import (
    BLAME_UNIT_AFTER,
    OUTAGE_AFTER,
    PROBE_FIRST,
    PROBE_LAST,
    SHARE_OF_REFUSALS,
    SHARE_OF_SILENCE,
    FailureStreak,
)
from ghcr_push.pushing.pressure.pacing import (
    LONGEST_PAUSES,
    PAUSE_FIRST,
    PAUSE_THROTTLED,
)
from ghcr_push.pushing.pressure.timers import LONGEST, PROGRESS_EVERY, SHORTEST, TIMER_GRACE

BROKEN = Failure(kind=Kind.SERVER_ERROR, message="", advice="", retryable=True, pressure=True)
CUT_OFF = replace(BROKEN, kind=Kind.NETWORK, pressure=False)
SECONDARY = replace(BROKEN, kind=Kind.SECONDARY_LIMIT, holds=True)
BURST = replace(BROKEN, kind=Kind.THROTTLED, counts=False)


@dataclass(slots=True)
class Writer:
    """A write that asks for a slot at once and ends on request.

    It begins as soon as it has the slot, unless it ``reads_first``.
    """

    limiter: Limiter
    unit: str
    reads_first: bool = False
    slot: Slot | None = None
    cancelled: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    let_in: anyio.Event = field(default_factory=anyio.Event)
    done: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> None:
        with self.cancelled:
            async with self.limiter.write(self.unit) as self.slot:
                self.let_in.set()
                if not self.reads_first:
                    self.slot.begin()
                await self.done.wait()

    @property
    def inside(self) -> bool:
        return self.let_in.is_set() and not self.done.is_set()


@dataclass(slots=True)
class Bench:
    """A limiter in a running loop, with its events."""

    tasks: TaskGroup
    global_limit: GlobalLimit
    events: list[Event]

    @property
    def holds(self) -> list[Hold]:
        return [event.hold for event in self.events if isinstance(event, Held)]

    def limiter(
        self,
        limit: Limit,
        registry: str = "ghcr.io",
        clock: Callable[[], float] = anyio.current_time,
    ) -> Limiter:
        return Limiter(
            registry,
            limit=limit,
            global_limit=self.global_limit,
            tasks=self.tasks,
            observer=self.events.append,
            random=Random(1),
            clock=clock,
        )

    async def ask(
        self, limiter: Limiter, unit: str = "unit", *, reads_first: bool = False
    ) -> Writer:
        writer = Writer(limiter, unit, reads_first)
        self.tasks.start_soon(writer.run)
        await wait_all_tasks_blocked()
        return writer

    async def fail(self, writer: Writer, failure: Failure) -> bool:
        assert writer.slot is not None
        spent = writer.slot.failed(failure)
        await self.end(writer)
        return spent

    async def succeed(self, writer: Writer) -> None:
        assert writer.slot is not None
        writer.slot.succeeded()
        await self.end(writer)

    async def end(self, writer: Writer) -> None:
        writer.done.set()
        await wait_all_tasks_blocked()


@asynccontextmanager
async def bench(most: int = 64) -> AsyncIterator[Bench]:
    async with anyio.create_task_group() as tasks:
        yield Bench(tasks, GlobalLimit(most), [])
        tasks.cancel_scope.cancel()


@played
async def test_no_more_are_inside_than_the_limit_and_the_first_to_ask_is_next() -> None:
    async with bench() as on:
        limiter = on.limiter(Limit(2))
        writers = [await on.ask(limiter) for _ in range(4)]
        assert [writer.inside for writer in writers] == [True, True, False, False]

        await on.succeed(writers[1])
        assert [writer.inside for writer in writers] == [True, False, True, False]


@played
async def test_max_parallel_holds_for_all_registries_and_reserves_a_slot_for_each() -> None:
    async with bench(most=2) as on:
        one, other = on.limiter(Limit(2), "one"), on.limiter(Limit(2), "other")
        first, second = await on.ask(one), await on.ask(one)
        third, fourth = await on.ask(other), await on.ask(other)
        assert [each.inside for each in (first, second, third, fourth)] == [True, False] * 2

        await on.succeed(first)
        assert [each.inside for each in (second, fourth)] == [True, False]
        await on.succeed(second)
        await on.succeed(third)
        assert fourth.inside


@played
async def test_a_registry_that_never_answers_holds_one_place_only() -> None:
    async with bench(most=4) as on:
        silent = on.limiter(Limit(4), "silent")
        healthy = on.limiter(Limit(4), "healthy")
        hung = [await on.ask(silent) for _ in range(4)]
        writers = [await on.ask(healthy) for _ in range(5)]
        assert [each.inside for each in hung] == [True, False, False, False]

        await on.succeed(writers[0])
        assert [each.inside for each in writers] == [False, True, True, True, False]


@pytest.mark.parametrize("was_let_in", [True, False])
@played
async def test_a_cancelled_waiter_leaves_its_slot_to_the_next(was_let_in: bool) -> None:
    async with bench(most=1) as on:
        limiter = on.limiter(Limit(1))
        first, second, third = [await on.ask(limiter) for _ in range(3)]
        if was_let_in:  # admitted and cancelled before it could run
            first.done.set()
            await anyio.lowlevel.checkpoint()
        second.cancelled.cancel()
        await on.end(first)
        assert third.inside


@played
async def test_reads_hold_no_slot_and_have_a_bound_of_their_own() -> None:
    async with bench() as on:
        limiter = on.limiter(Limit(1))
        reading = 0
        end = anyio.Event()

        async def read() -> None:
            nonlocal reading
            async with limiter.read():
                reading += 1
                await end.wait()

        for _ in range(5):
            on.tasks.start_soon(read)
        await wait_all_tasks_blocked()
        assert reading == READS_PER_WRITE
        assert (await on.ask(limiter)).inside
        end.set()
        await wait_all_tasks_blocked()
        assert reading == 5


@played
async def test_a_secondary_limit_holds_all_for_a_minute_and_longer_while_it_lasts() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        writers = [await on.ask(limiter) for _ in range(6)]
        for writer in writers[:4]:  # a write in flight does not prolong the hold
            await on.fail(writer, SECONDARY)
        (hold,) = on.holds
        assert THROTTLE_FIRST <= hold.seconds <= THROTTLE_FIRST + THROTTLE_SPREAD
        assert limiter.limit == 1

        await anyio.sleep(hold.seconds - 0.1)
        assert [writer.inside for writer in writers[4:]] == [False, False]
        await anyio.sleep(0.2)
        assert [writer.inside for writer in writers[4:]] == [True, False]
        await on.fail(writers[4], SECONDARY)
        longer = THROTTLE_GROWTH * THROTTLE_FIRST
        assert longer <= on.holds[-1].seconds <= longer + THROTTLE_SPREAD


@played
async def test_holds_grow_to_an_end_and_begin_anew_after_a_success() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        for _ in range(5):
            writer = await on.ask(limiter)
            await anyio.sleep(THROTTLE_LAST + THROTTLE_SPREAD)
            await on.fail(writer, SECONDARY)
        assert THROTTLE_LAST <= on.holds[-1].seconds <= THROTTLE_LAST + THROTTLE_SPREAD

        writer = await on.ask(limiter)
        await anyio.sleep(THROTTLE_LAST + THROTTLE_SPREAD)
        await on.succeed(writer)
        writer = await on.ask(limiter)
        await anyio.sleep(LONGEST_PAUSES[1] * LONGEST)
        await on.fail(writer, SECONDARY)
        assert on.holds[-1].seconds <= THROTTLE_FIRST + THROTTLE_SPREAD


@played
async def test_only_a_second_secondary_limit_allows_longer_pauses() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        for longest in LONGEST_PAUSES[1:]:
            for _ in range(8):
                await on.fail(await on.ask(limiter), SECONDARY)
                await anyio.sleep(THROTTLE_LAST + THROTTLE_SPREAD + longest * LONGEST)
            assert limiter.write_pace.pause == longest
            await on.succeed(await on.ask(limiter))
            await anyio.sleep(longest * LONGEST)


@played
async def test_a_hold_counts_as_an_attempt_only_after_another_without_a_success() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(1))
        seen = []
        for taken in (False, True, False):
            writer = await on.ask(limiter)
            await anyio.sleep(THROTTLE_LAST + THROTTLE_SPREAD)
            seen.append(await on.fail(writer, SECONDARY))
            if taken:
                writer = await on.ask(limiter)
                await anyio.sleep(THROTTLE_LAST + THROTTLE_SPREAD)
                await on.succeed(writer)
        assert seen == [False, True, False]


@played
async def test_a_request_in_flight_prolongs_a_hold_only_as_the_registry_asks() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        writers = [await on.ask(limiter) for _ in range(2)]
        await on.fail(writers[0], SECONDARY)
        await on.fail(writers[1], replace(SECONDARY, asked_wait=500.0))

        assert on.holds[-1].seconds == 500.0
        waiting = await on.ask(limiter)
        await anyio.sleep(499)
        assert not waiting.inside
        await anyio.sleep(2)
        assert waiting.inside


@played
async def test_starts_are_spaced_after_a_secondary_limit() -> None:
    async with bench() as on:
        limiter = on.limiter(Limit(4))
        await on.fail(await on.ask(limiter), SECONDARY)
        await anyio.sleep(THROTTLE_FIRST + THROTTLE_SPREAD)

        writers = [await on.ask(limiter) for _ in range(3)]
        assert [writer.inside for writer in writers] == [True, False, False]
        await anyio.sleep(SPACING_AFTER_THROTTLE + 2 * TIMER_GRACE)
        assert [writer.inside for writer in writers] == [True, True, False]


@played
async def test_starts_are_spaced_from_where_a_write_begins_that_reads_in_its_slot_first() -> None:
    async with bench() as on:
        limiter = on.limiter(Limit(4))
        await on.fail(await on.ask(limiter), SECONDARY)
        await anyio.sleep(THROTTLE_FIRST + THROTTLE_SPREAD)

        reading, waiting = await on.ask(limiter, reads_first=True), await on.ask(limiter)
        await anyio.sleep(2 * SPACING_AFTER_THROTTLE)
        assert not waiting.inside
        assert reading.slot is not None
        assert reading.slot.begin()
        await anyio.sleep(SPACING_AFTER_THROTTLE - TIMER_GRACE)
        assert not waiting.inside
        await anyio.sleep(3 * TIMER_GRACE)
        assert waiting.inside


@played
async def test_a_slot_without_a_write_delays_no_other_write() -> None:
    async with bench() as on:
        limiter = on.limiter(Limit(4))
        await on.fail(await on.ask(limiter), SECONDARY)
        await anyio.sleep(THROTTLE_FIRST + THROTTLE_SPREAD)

        reading, waiting = await on.ask(limiter, reads_first=True), await on.ask(limiter)
        assert not waiting.inside
        await on.end(reading)
        assert waiting.inside


@played
async def test_starts_are_apart_where_one_at_a_time_is_refused_after_a_secondary_limit() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        await on.fail(await on.ask(limiter), SECONDARY)
        await anyio.sleep(THROTTLE_FIRST + THROTTLE_SPREAD)
        for _ in range(3):
            await on.succeed(await on.ask(limiter))
            await anyio.sleep(LONGEST_PAUSES[1] * LONGEST)
            await on.fail(await on.ask(limiter), BROKEN)
            waiting = await on.ask(limiter)
            await anyio.sleep(PAUSE_THROTTLED * SHORTEST - TIMER_GRACE)
            assert not waiting.inside
            await anyio.sleep(LONGEST_PAUSES[1] * LONGEST)
            await on.succeed(waiting)
            await anyio.sleep(LONGEST_PAUSES[1] * LONGEST)


@played
async def test_starts_are_apart_after_a_429_to_a_lone_write() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(1))
        await on.fail(await on.ask(limiter), BURST)
        waiting = await on.ask(limiter)
        await anyio.sleep(PAUSE_FIRST * SHORTEST - TIMER_GRACE)
        assert not waiting.inside
        await anyio.sleep(PAUSE_FIRST)
        assert waiting.inside


@played
async def test_the_limit_is_one_until_the_pause_is_over() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        await on.fail(await on.ask(limiter), BURST)
        assert limiter.limit == 1
        for _ in range(40):
            writer = await on.ask(limiter)
            await anyio.sleep(LONGEST_PAUSES[1])
            await on.succeed(writer)
        assert limiter.limit == 4


@played
async def test_refusals_without_a_throttle_begin_no_pause() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(1))
        for _ in range(OUTAGE_AFTER):
            await on.succeed(await on.ask(limiter))
            await on.fail(await on.ask(limiter), BROKEN)
        assert (await on.ask(limiter)).inside


@pytest.mark.parametrize("over", [False, True], ids=["pausing", "pause over"])
@played
async def test_an_outage_leaves_the_pause_that_it_found(over: bool) -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(1))
        await on.fail(await on.ask(limiter), BURST)
        for _ in range(60 if over else 1):
            await anyio.sleep(LONGEST_PAUSES[1])
            await on.succeed(await on.ask(limiter))
        found = limiter.write_pace.pause
        assert bool(found) is not over
        for _ in range(OUTAGE_AFTER + 4):
            await anyio.sleep(LONGEST_PAUSES[1])
            await on.fail(await on.ask(limiter), BROKEN)
        assert limiter.outage.lasts
        await anyio.sleep(LONGEST_PAUSES[1])
        await on.succeed(await on.ask(limiter))
        assert limiter.write_pace.pause <= found


@played
async def test_spacing_of_writes_is_reported_once() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(1))
        for _ in range(3):
            await on.fail(await on.ask(limiter), SECONDARY)
            await anyio.sleep(THROTTLE_LAST + THROTTLE_SPREAD)
            await on.succeed(await on.ask(limiter))
            await anyio.sleep(LONGEST_PAUSES[1] * LONGEST)
        events = [event.sentence for event in on.events if isinstance(event, Noticed)]
        assert events == ["ghcr.io is rate limiting us: from now on writes begin seconds apart"]


@played
async def test_a_slot_is_spare_if_no_write_waits_and_writes_need_no_pause() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(2))
        spare = [limiter.spare]
        first, second = await on.ask(limiter), await on.ask(limiter)
        spare.append(limiter.spare)
        last = await on.ask(limiter)
        await on.succeed(first)
        spare.append(limiter.spare)
        await on.succeed(second)
        spare.append(limiter.spare)
        await on.fail(last, SECONDARY)
        spare.append(limiter.spare)
        assert spare == [True, False, False, True, False]


@played
async def test_no_slot_is_spare_while_a_write_waits() -> None:
    async with bench(most=1) as on:
        limiter, other = on.limiter(Limit(2)), on.limiter(Limit(2), "docker.io")
        writer = await on.ask(other)
        await on.ask(limiter)
        assert not limiter.spare
        await on.succeed(writer)
        assert limiter.spare


@played
async def test_no_slot_is_spare_in_an_outage() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(2))
        for _ in range(OUTAGE_AFTER):
            assert limiter.spare
            await on.fail(await on.ask(limiter), BROKEN)
        assert limiter.outage.lasts
        assert not limiter.spare


@played
async def test_reads_are_apart_after_a_429_and_draw_near_again() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        async with limiter.read() as reading:
            reading.failed(BURST)
        began = anyio.current_time()
        async with limiter.read() as reading:
            assert anyio.current_time() - began >= PAUSE_FIRST * SHORTEST
            reading.succeeded()
        for _ in range(60):
            async with limiter.read() as reading:
                reading.succeeded()
        began = anyio.current_time()
        async with limiter.read():
            assert anyio.current_time() == began


@played
async def test_a_long_outage_is_reported_while_it_lasts_and_at_its_end() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(1))
        for _ in range(OUTAGE_AFTER + 3):
            await on.fail(await on.ask(limiter), BROKEN)
            await anyio.sleep(2 * PROBE_LAST)
        assert limiter.outage.lasts
        down = [event for event in on.events if isinstance(event, WentDown)]
        assert [event.failure for event in down] == [BROKEN]
        waits = [event for event in on.events if isinstance(event, StillWaiting)]
        assert [each.seconds for each in waits[:2]] == [PROGRESS_EVERY, 2 * PROGRESS_EVERY]
        assert all(each.left is None for each in waits)

        await on.succeed(await on.ask(limiter))
        [over] = (event for event in on.events if isinstance(event, Resumed))
        assert over.outage
        assert over.seconds == 8 * PROBE_LAST


@played
async def test_a_hold_is_reported_every_ten_seconds_and_at_its_end() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(1))
        limiter.holds.hold(25.0, "secondary-limit 403")
        await anyio.sleep(40)
        waits = [event for event in on.events if isinstance(event, StillWaiting)]
        assert [round(each.left or 0) for each in waits] == [15, 5]
        [over] = (event for event in on.events if isinstance(event, Resumed))
        assert not over.outage
        assert round(over.seconds) == 25


@played
async def test_a_hold_that_another_one_prolongs_has_one_end() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(1))
        limiter.holds.hold(5.0, "throttled 429")
        await anyio.sleep(3)
        limiter.holds.hold(5.0, "throttled 429")
        await anyio.sleep(10)
        assert sum(isinstance(event, Resumed) for event in on.events) == 1
        assert [hold.seconds for hold in on.holds] == [5.0, 5.0]


@played
async def test_a_429_with_a_wait_of_seconds_holds_the_queue_and_milliseconds_do_not() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        await on.fail(await on.ask(limiter), replace(BURST, asked_wait=0.0125))
        assert not on.holds
        next_one = await on.ask(limiter)
        await anyio.sleep(PAUSE_FIRST * LONGEST + 2 * TIMER_GRACE)
        assert next_one.inside

        await on.fail(next_one, replace(BURST, asked_wait=7.0))
        assert [hold.seconds for hold in on.holds] == [7.0]
        assert not (await on.ask(limiter)).inside


@played
async def test_a_slot_that_was_given_before_a_hold_is_no_longer_open() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        early, failing = await on.ask(limiter), await on.ask(limiter)
        assert early.slot is not None
        assert early.slot.open

        await on.fail(failing, SECONDARY)
        assert not early.slot.begin()


@played
async def test_a_refusal_that_lowers_the_limit_does_not_count_and_is_reported() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        writers = [await on.ask(limiter) for _ in range(4)]

        assert not await on.fail(writers[3], BROKEN)
        assert limiter.limit < 4
        change = next(event.change for event in on.events if isinstance(event, LimitChanged))
        assert (change.old, change.new) == (4, limiter.limit)


@played
async def test_a_broken_connection_is_pressure_where_another_units_broke_just_before() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        a, b, c, d = [await on.ask(limiter, unit) for unit in "abab"]
        assert await on.fail(a, CUT_OFF)
        assert await on.fail(c, CUT_OFF), "the same unit again"
        assert limiter.limit == 4

        assert not await on.fail(b, CUT_OFF)
        assert limiter.limit < 4
        await on.end(d)


def assert_spaced(starts: Sequence[float], share: float) -> None:
    """Assert that probes were apart by that share of the outage, which began at the first."""
    for one, later in pairwise(starts):
        pause = min(max(share * (one - starts[0]), PROBE_FIRST), PROBE_LAST)
        assert SHORTEST * pause <= later - one <= LONGEST * pause + 0.01
    assert later - one >= SHORTEST * PROBE_LAST


@played
async def test_lone_failures_of_two_units_are_an_outage_that_costs_nothing_and_is_probed() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        spent = [
            await on.fail(await on.ask(limiter, f"unit {n % 2}"), BROKEN)
            for n in range(OUTAGE_AFTER)
        ]
        assert limiter.outage.lasts
        assert spent == [True] * (OUTAGE_AFTER - 1) + [False]

        starts = [anyio.current_time()]
        for _ in range(40):
            writer = await on.ask(limiter)
            await writer.let_in.wait()
            starts.append(anyio.current_time())
            assert not await on.fail(writer, BROKEN)
        assert_spaced(starts, SHARE_OF_REFUSALS)


@pytest.mark.parametrize("accepted", [None, 0, 3], ids=["none", "first", "last"])
@played
async def test_writes_begun_together_are_an_outage_if_all_of_them_failed(
    accepted: int | None,
) -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        writers = [await on.ask(limiter, f"unit {n}") for n in range(4)]
        for number, writer in enumerate(writers):
            assert not limiter.outage.lasts
            await (on.succeed(writer) if number == accepted else on.fail(writer, BROKEN))
        assert limiter.outage.lasts is (accepted is None)


def test_failures_beside_a_long_write_are_no_outage_until_it_fails_as_well() -> None:
    streak = FailureStreak()
    long = streak.began()
    for _ in range(2 * OUTAGE_AFTER):
        streak.failed_beside(streak.began(), in_flight=1)
        assert not streak.lasting
    streak.failed_beside(long, in_flight=0)
    assert streak.lasting


@played
async def test_an_outage_ends_with_the_first_success_for_all_who_wait() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        for number in range(OUTAGE_AFTER):
            await on.fail(await on.ask(limiter, f"unit {number}"), BROKEN)
        waiting = [await on.ask(limiter) for _ in range(3)]
        await anyio.sleep(2 * PROBE_FIRST)
        assert [writer.inside for writer in waiting] == [True, False, False]

        await on.succeed(waiting[0])
        assert not limiter.outage.lasts
        assert [writer.inside for writer in waiting[1:]] == [True, True]


@played
async def test_time_that_passes_between_two_looks_at_the_clock_loses_no_probe() -> None:
    """A real clock advances between two readings: here by 5 ms each time, when a probe fails."""
    looks, preempted = 0, False

    def clock() -> float:
        nonlocal looks
        looks += preempted
        return anyio.current_time() + 0.005 * looks

    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4), clock=clock)
        for number in range(2 * OUTAGE_AFTER):
            writer = await on.ask(limiter, f"unit {number}")
            await anyio.sleep(2 * PROBE_LAST)
            assert writer.slot is not None
            preempted = True
            writer.slot.failed(BROKEN)
            preempted = False
            await on.end(writer)


@played
async def test_one_unit_that_keeps_failing_while_others_succeed_is_no_outage() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        spent = [await on.fail(await on.ask(limiter, "poison"), BROKEN)]
        await on.succeed(await on.ask(limiter, "another"))
        taken = anyio.current_time()

        while anyio.current_time() - taken <= BLAME_UNIT_AFTER:
            spent.append(await on.fail(await on.ask(limiter, "poison"), BROKEN))
            async with limiter.read() as reading:
                reading.succeeded()
            await anyio.sleep(PROBE_LAST * LONGEST)
        assert spent[: OUTAGE_AFTER + 1] == [True] * OUTAGE_AFTER + [False]
        assert not any(spent[OUTAGE_AFTER:])

        assert not limiter.outage.lasts
        async with limiter.read() as reading:
            reading.succeeded()
        spent = [await on.fail(await on.ask(limiter, "poison"), BROKEN) for _ in range(6)]
        assert spent == [True] * 6
        events = [event.sentence for event in on.events if isinstance(event, Noticed)]
        assert not any("again" in sentence for sentence in events)


@played
async def test_other_units_do_not_wait_for_the_probe_of_a_failing_unit() -> None:
    async with bench() as on:
        limiter = on.limiter(Limit(4))
        await on.fail(await on.ask(limiter, "poison"), BROKEN)
        await on.succeed(await on.ask(limiter, "another"))
        for _ in range(OUTAGE_AFTER):
            await on.fail(await on.ask(limiter, "poison"), BROKEN)
        assert limiter.outage.lasts
        probe = await on.ask(limiter, "poison")
        waiting = await on.ask(limiter, "a third")
        await anyio.sleep(BLAME_UNIT_AFTER + 1)

        assert probe.inside
        assert waiting.inside


@played
async def test_the_last_unit_may_be_in_an_outage_although_others_were_taken_before() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        await on.succeed(await on.ask(limiter, "another"))

        spent = [await on.fail(await on.ask(limiter, "last"), BROKEN) for _ in range(OUTAGE_AFTER)]

        assert limiter.outage.lasts
        assert spent == [True] * (OUTAGE_AFTER - 1) + [False]


@played
async def test_reads_that_fail_in_a_row_are_an_outage_and_one_answer_ends_it() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        for number in range(OUTAGE_AFTER):
            async with limiter.read() as reading:
                assert reading.failed(CUT_OFF) is (number < OUTAGE_AFTER - 1)
        assert limiter.outage.lasts

        starts = [anyio.current_time()]
        for _ in range(40):
            async with limiter.read() as reading:
                starts.append(anyio.current_time())
                assert not reading.failed(CUT_OFF)
        assert_spaced(starts, SHARE_OF_SILENCE)

        async with limiter.read() as reading:
            reading.succeeded()
        assert not limiter.outage.lasts


@dataclass(slots=True)
class Turn:
    """One step of a random walk: an action and its subject."""

    action: str
    which: int


turns = st.builds(
    Turn,
    st.sampled_from(
        ["ask", "ask", "ask", "succeed", "fail", "throttle", "hold", "cancel", "sleep"]
    ),
    st.integers(0, 50),
)


@settings(max_examples=200, deadline=None)
@given(
    most=st.integers(1, 6), adaptive=st.booleans(), steps=st.lists(turns, min_size=5, max_size=80)
)
@played
async def test_no_slot_is_lost_and_none_is_given_twice(
    most: int, adaptive: bool, steps: list[Turn]
) -> None:
    async with bench(most) as on:
        limiter = on.limiter(AdaptiveLimit(most) if adaptive else Limit(most))
        writers: list[Writer] = []
        for step in steps:
            await _take(step, on, limiter, writers)
            inside = sum(writer.inside for writer in writers)
            assert inside <= most
            assert limiter.writes.inside == inside
            assert limiter.share.slots == inside
        await anyio.sleep(2 * THROTTLE_LAST)  # every hold and outage lets at least one in
        inside = sum(writer.inside for writer in writers)
        assert inside > 0 or not limiter.writes.waiting


async def _take(step: Turn, on: Bench, limiter: Limiter, writers: list[Writer]) -> None:
    inside = [writer for writer in writers if writer.inside]
    if step.action == "ask":
        writers.append(await on.ask(limiter, str(step.which)))
    elif step.action == "sleep":
        await anyio.sleep(step.which)
    elif step.action == "hold":
        limiter.holds.hold(step.which / 10, "as events")
    elif step.action == "cancel" and writers:
        writer = writers[step.which % len(writers)]
        writer.cancelled.cancel()
        await on.end(writer)
        writers.remove(writer)
    elif inside:
        writer = inside[step.which % len(inside)]
        if step.action == "succeed":
            await on.succeed(writer)
        else:
            await on.fail(writer, SECONDARY if step.action == "throttle" else BROKEN)

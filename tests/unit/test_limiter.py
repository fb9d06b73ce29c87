"""Slots for writes and reads: who gets one when, and what an ending of it costs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import anyio
import pytest
from anyio.abc import TaskGroup
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.pressure import BROKEN, BURST, CUT_OFF, SECONDARY
from tests.support.virtual_clock import played
from trio.testing import wait_all_tasks_blocked

from ghcr_push.model import Failure, Hold
from ghcr_push.pushing.events import Event, Held, LimitChanged
from ghcr_push.pushing.pressure.global_limit import GlobalLimit
from ghcr_push.pushing.pressure.holds import (
    HOLD_FIRST,
    HOLD_LAST,
    HOLD_SPREAD,
    SPACING,
)
from ghcr_push.pushing.pressure.limit import AdaptiveLimit, Limit
from ghcr_push.pushing.pressure.limiter import READS_PER_WRITE, Limiter, Slot
from ghcr_push.pushing.pressure.outage import BLAME_UNIT_AFTER, OUTAGE_AFTER, PROBE_FIRST
from ghcr_push.pushing.pressure.pacing import LONGEST_PAUSES, PAUSE_FIRST
from ghcr_push.pushing.pressure.timers import LONGEST, SHORTEST, TIMER_GRACE


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

    def limiter(self, limit: Limit, registry: str = "ghcr.io") -> Limiter:
        return Limiter(
            registry,
            limit=limit,
            global_limit=self.global_limit,
            tasks=self.tasks,
            observer=self.events.append,
            random=Random(1),
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
async def test_a_hold_gives_no_slot_until_its_end_and_the_next_one_costs_an_attempt() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        writers = [await on.ask(limiter) for _ in range(6)]
        for writer in writers[:4]:  # a write in flight does not prolong the hold
            assert not await on.fail(writer, SECONDARY)
        (hold,) = on.holds
        await anyio.sleep(hold.seconds - 0.1)
        assert [writer.inside for writer in writers[4:]] == [False, False]
        await anyio.sleep(0.2)
        assert [writer.inside for writer in writers[4:]] == [True, False]

        assert await on.fail(writers[4], SECONDARY)
        await anyio.sleep(on.holds[-1].seconds + 0.1)
        await on.succeed(writers[5])
        last = await on.ask(limiter)
        await anyio.sleep(LONGEST_PAUSES[1] * LONGEST)
        assert not await on.fail(last, SECONDARY)


@played
async def test_starts_are_spaced_from_where_a_write_begins_that_reads_in_its_slot_first() -> None:
    async with bench() as on:
        limiter = on.limiter(Limit(4))
        await on.fail(await on.ask(limiter), SECONDARY)
        await anyio.sleep(HOLD_FIRST + HOLD_SPREAD)

        reading, waiting = await on.ask(limiter, reads_first=True), await on.ask(limiter)
        await anyio.sleep(2 * SPACING)
        assert not waiting.inside
        assert reading.slot is not None
        assert reading.slot.begin()
        await anyio.sleep(SPACING - TIMER_GRACE)
        assert not waiting.inside
        await anyio.sleep(3 * TIMER_GRACE)
        assert waiting.inside


@played
async def test_a_slot_without_a_write_delays_no_other_write() -> None:
    async with bench() as on:
        limiter = on.limiter(Limit(4))
        await on.fail(await on.ask(limiter), SECONDARY)
        await anyio.sleep(HOLD_FIRST + HOLD_SPREAD)

        reading, waiting = await on.ask(limiter, reads_first=True), await on.ask(limiter)
        assert not waiting.inside
        await on.end(reading)
        assert waiting.inside


@played
async def test_only_a_refusal_to_a_lone_write_lengthens_the_pause() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        first, second, third = [await on.ask(limiter) for _ in range(3)]
        await on.fail(second, BURST)
        for beside_others in (first, third):
            await on.fail(beside_others, BROKEN)
            assert limiter.write_pace.pause == PAUSE_FIRST

        for ending in (on.succeed, lambda lone: on.fail(lone, BROKEN)):
            before = limiter.write_pace.pause
            lone = await on.ask(limiter)
            await lone.let_in.wait()
            await ending(lone)
        assert limiter.write_pace.pause == 2 * before


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
async def test_a_slot_that_was_given_before_a_hold_is_no_longer_open() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        early, failing = await on.ask(limiter), await on.ask(limiter)
        assert early.slot is not None
        assert early.slot.open

        await on.fail(failing, SECONDARY)
        assert not early.slot.begin()


@played
async def test_a_slot_is_not_open_if_the_limit_falls_between_its_admission_and_its_task() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(2))
        async with limiter.write("refused") as refused:
            async with limiter.write("another"):
                late = await on.ask(limiter, "late")
                assert not late.inside
            refused.failed(BROKEN)
            assert (limiter.limit, limiter.writes.inside) == (1, 2)
            await wait_all_tasks_blocked()
            assert late.slot is not None
            assert not late.slot.begun


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


@played
async def test_an_outage_costs_nothing_and_ends_with_the_first_success_for_all_who_wait() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        spent = [
            await on.fail(await on.ask(limiter, f"unit {number}"), BROKEN)
            for number in range(OUTAGE_AFTER)
        ]
        assert spent == [True] * (OUTAGE_AFTER - 1) + [False]
        waiting = [await on.ask(limiter) for _ in range(3)]
        await anyio.sleep(2 * PROBE_FIRST)
        assert [writer.inside for writer in waiting] == [True, False, False]

        await on.succeed(waiting[0])
        assert not limiter.outage.lasts
        assert [writer.inside for writer in waiting[1:]] == [True, True]


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
async def test_reads_that_fail_in_a_row_are_an_outage_and_one_answer_ends_it() -> None:
    async with bench() as on:
        limiter = on.limiter(AdaptiveLimit(4))
        for number in range(OUTAGE_AFTER):
            async with limiter.read() as reading:
                assert reading.failed(CUT_OFF) is (number < OUTAGE_AFTER - 1)
        assert limiter.outage.lasts
        assert limiter.read_pace.next_start < anyio.current_time(), "only a 429 begins a pause"

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
        await anyio.sleep(2 * HOLD_LAST)  # every hold and outage lets at least one in
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

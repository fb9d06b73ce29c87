"""How the pause between starts and the limit follow refusals and successes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pressure import BROKEN, BURST, SECONDARY, running_timers
from tests.support.virtual_clock import played

from ghcr_push.model import Failure
from ghcr_push.pushing.events import Event, LimitChanged
from ghcr_push.pushing.pressure.holds import SPACING, Holds
from ghcr_push.pushing.pressure.limit import AdaptiveLimit, Limit
from ghcr_push.pushing.pressure.outage import OUTAGE_AFTER, FailureStreak
from ghcr_push.pushing.pressure.pacing import (
    GAIN_KEPT,
    GAIN_OF_READS,
    GAIN_OF_WRITES,
    LONGEST_PAUSES,
    PAUSE_FIRST,
    PAUSE_SECONDARY,
    Pacing,
    WritePace,
)
from ghcr_push.pushing.pressure.timers import LONGEST, SHORTEST


def after_limits(number: int) -> Pacing:
    """Return the pacing of a run after so many secondary limits."""
    pacing = Pacing(GAIN_OF_WRITES)
    for _ in range(number):
        pacing.met_secondary_limit(again=False)
    return pacing


@pytest.mark.parametrize("limits", range(4))
@given(steps=st.lists(st.sampled_from(["refused", "accepted", "again"]), max_size=200))
def test_a_pause_stays_within_its_bounds(limits: int, steps: list[str]) -> None:
    pacing = after_limits(limits)
    longest = LONGEST_PAUSES[min(limits, 2)]
    for step in steps:
        before = pacing.pause
        match step:
            case "accepted":
                pacing.accepted()
                ended = not pacing.pause and before < PAUSE_FIRST
                assert ended or pacing.pause <= before
            case "refused":
                pacing.refused()
                assert pacing.pause == max(PAUSE_FIRST, min(2 * before, longest))
            case "again":
                pacing.met_secondary_limit(again=True)
                assert max(PAUSE_SECONDARY, min(2 * before, longest)) == pacing.pause


@pytest.mark.parametrize("limits", range(4))
@pytest.mark.parametrize("pause", [1.0, 4.0, 8.0])
def test_a_success_adds_starts_per_second_and_fewer_after_each_limit(
    limits: int, pause: float
) -> None:
    pacing = after_limits(limits)
    pacing.pause = pause
    for number in range(1, 4):
        before = pacing.pause
        pacing.accepted()
        gained = 1 / pacing.pause - 1 / before
        assert gained == pytest.approx(GAIN_OF_WRITES * GAIN_KEPT[min(limits, 2)] * number)


@pytest.mark.parametrize(("limits", "pause", "successes"), [(0, 4.0, 3), (1, 8.0, 3), (2, 36.0, 4)])
def test_a_refusal_now_and_then_keeps_the_pause_that_a_fleet_needs(
    limits: int, pause: float, successes: int
) -> None:
    """Repeat one refusal and so many successes: the pause stays about the same."""
    pacing = after_limits(limits)
    pacing.pause = pause
    for _ in range(20):
        pacing.refused()
        for _ in range(successes):
            pacing.accepted()
    assert pause / 2 < pacing.pause < pause * 2


def test_a_secondary_limit_that_continues_counts_once() -> None:
    pacing = after_limits(1)
    for _ in range(5):
        pacing.met_secondary_limit(again=True)
    assert pacing.pause == LONGEST_PAUSES[1]


@pytest.mark.parametrize("gain", [GAIN_OF_READS, GAIN_OF_WRITES])
@pytest.mark.parametrize("limits", range(3))
def test_successes_end_the_longest_pause(gain: float, limits: int) -> None:
    pacing = after_limits(limits)
    pacing.gain = gain
    pacing.pause = LONGEST_PAUSES[limits]
    seconds = 0.0
    while pacing.pause:
        seconds += pacing.pause
        pacing.accepted()
    assert seconds <= (60, 180, 1200)[limits]


@dataclass(slots=True)
class Bench:
    """The pace of writes that follow one another."""

    holds: Holds
    pace: WritePace
    events: list[Event]
    streak: FailureStreak = field(default_factory=FailureStreak)

    @property
    def until_next(self) -> float:
        return self.pace.next_start - anyio.current_time()

    def accept(self) -> None:
        self.streak.succeeded()
        self.holds.write_accepted(anyio.current_time())
        self.pace.accepted(self.pace.base_limit.began())

    def refuse(self, failure: Failure = BROKEN) -> None:
        self.streak.failed(self.streak.began())
        self.pace.refused(self.pace.base_limit.began(), failure, self.streak, alone=True)

    async def throttle(self) -> None:
        """Meet a secondary limit, and wait until the hold is over."""
        assert self.holds.obey(anyio.current_time(), SECONDARY)
        self.pace.met_secondary_limit(SECONDARY)
        await anyio.sleep_until(self.holds.until)


@asynccontextmanager
async def bench(limit: Limit) -> AsyncIterator[Bench]:
    events: list[Event] = []
    async with running_timers() as timers:
        holds = Holds("ghcr.io", timers, events.append)
        yield Bench(holds, WritePace("ghcr.io", limit, holds, timers, events.append), events)


@played
async def test_only_a_second_secondary_limit_allows_longer_pauses() -> None:
    async with bench(AdaptiveLimit(4)) as on:
        for longest in LONGEST_PAUSES[1:]:
            for _ in range(8):
                await on.throttle()
            assert on.pace.pause == longest
            on.accept()


@played
async def test_writes_are_one_at_a_time_and_apart_after_a_secondary_limit() -> None:
    async with bench(AdaptiveLimit(4)) as on:
        await on.throttle()
        [change] = (event.change for event in on.events if isinstance(event, LimitChanged))
        assert (change.old, change.new, on.pace.limit) == (4, 1, 1)
        for _ in range(3):
            on.accept()
            on.refuse()
            assert on.until_next >= PAUSE_SECONDARY * SHORTEST
            on.accept()


@played
async def test_a_limit_that_never_changes_is_spaced_after_a_secondary_limit() -> None:
    async with bench(Limit(4)) as on:
        await on.throttle()
        on.pace.began()
        assert (on.pace.limit, on.until_next) == (4, SPACING)


@played
async def test_starts_are_apart_after_a_429_to_a_lone_write() -> None:
    async with bench(AdaptiveLimit(1)) as on:
        on.refuse(BURST)
        assert PAUSE_FIRST * SHORTEST <= on.until_next <= PAUSE_FIRST * LONGEST


@played
async def test_the_limit_is_one_until_the_pause_is_over() -> None:
    async with bench(AdaptiveLimit(4)) as on:
        on.refuse(BURST)
        assert on.pace.limit == 1
        for _ in range(40):
            on.accept()
        assert on.pace.limit == 4


@played
async def test_refusals_without_a_throttle_begin_no_pause() -> None:
    async with bench(AdaptiveLimit(1)) as on:
        for _ in range(OUTAGE_AFTER):
            on.accept()
            on.refuse()
        assert not on.pace.pause
        assert on.until_next <= 0


@pytest.mark.parametrize("over", [False, True], ids=["pausing", "pause over"])
@played
async def test_an_outage_leaves_the_pause_that_it_found(over: bool) -> None:
    async with bench(AdaptiveLimit(1)) as on:
        on.refuse(BURST)
        for _ in range(60 if over else 1):
            on.accept()
        found = on.pace.pause
        assert bool(found) is not over
        for _ in range(OUTAGE_AFTER + 4):
            on.refuse()
        assert on.streak.lasting
        on.accept()
        assert on.pace.pause <= found

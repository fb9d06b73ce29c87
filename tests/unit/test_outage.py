"""Whether a registry is down or one unit is at fault itself, and when it is probed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest
from tests.support.pressure import BROKEN, CUT_OFF, running_timers
from tests.support.virtual_clock import played

from ghcr_push.pushing.events import Event, Resumed, StillWaiting, WentDown
from ghcr_push.pushing.pressure.outage import (
    BLAME_UNIT_AFTER,
    OUTAGE_AFTER,
    PROBE_FIRST,
    PROBE_LAST,
    SHARE_OF_REFUSALS,
    SHARE_OF_SILENCE,
    FailureStreak,
    Outage,
)
from ghcr_push.pushing.pressure.timers import LONGEST, PROGRESS_EVERY, SHORTEST


@asynccontextmanager
async def bench() -> AsyncIterator[tuple[Outage, list[Event]]]:
    events: list[Event] = []
    async with running_timers() as timers:
        yield Outage("ghcr.io", timers, events.append), events


def refuse(outage: Outage, unit: str) -> bool:
    """Record that a lone write was refused; return whether that counts."""
    outage.failed(BROKEN)
    outage.write_failed(unit, outage.writes.began(), in_flight=0)
    return outage.counts(BROKEN)


def cut_off(outage: Outage, _: str) -> bool:
    """Record that a read got no answer; return whether that counts."""
    outage.failed(CUT_OFF)
    outage.reads.failed(outage.reads.began())
    return outage.counts(CUT_OFF)


@pytest.mark.parametrize(
    ("fail", "share"), [(refuse, SHARE_OF_REFUSALS), (cut_off, SHARE_OF_SILENCE)]
)
@played
async def test_failures_in_a_row_are_an_outage_that_costs_nothing_and_is_probed(
    fail: Callable[[Outage, str], bool], share: float
) -> None:
    async with bench() as (outage, _):
        spent = [fail(outage, f"unit {number % 2}") for number in range(OUTAGE_AFTER)]
        assert outage.lasts
        assert spent == [True] * (OUTAGE_AFTER - 1) + [False]

        starts = [anyio.current_time()]
        for number in range(40):
            await anyio.sleep_until(outage.next_probe)
            starts.append(anyio.current_time())
            assert not fail(outage, f"unit {number % 2}")
        for one, later in pairwise(starts):
            pause = min(max(share * (one - starts[0]), PROBE_FIRST), PROBE_LAST)
            assert SHORTEST * pause <= later - one <= LONGEST * pause
        assert later - one >= SHORTEST * PROBE_LAST

        outage.answered()
        assert outage.lasts is (fail is refuse)
        outage.write_accepted("unit 1")
        assert not outage.lasts


@played
async def test_a_long_outage_is_reported_while_it_lasts_and_at_its_end() -> None:
    async with bench() as (outage, events):
        for _ in range(OUTAGE_AFTER + 3):
            refuse(outage, "unit")
            await anyio.sleep(2 * PROBE_LAST)
        down = [event for event in events if isinstance(event, WentDown)]
        assert [event.failure for event in down] == [BROKEN]
        waits = [event for event in events if isinstance(event, StillWaiting)]
        assert [each.seconds for each in waits[:2]] == [PROGRESS_EVERY, 2 * PROGRESS_EVERY]
        assert all(each.left is None for each in waits)

        outage.write_accepted("unit")
        [over] = (event for event in events if isinstance(event, Resumed))
        assert over.outage
        assert over.seconds == 8 * PROBE_LAST


def test_failures_beside_a_long_write_are_no_outage_until_it_fails_as_well() -> None:
    streak = FailureStreak()
    long = streak.began()
    for _ in range(2 * OUTAGE_AFTER):
        streak.failed_beside(streak.began(), in_flight=1)
        assert not streak.lasting
    streak.failed_beside(long, in_flight=0)
    assert streak.lasting


@played
async def test_one_unit_that_keeps_failing_while_others_succeed_is_no_outage() -> None:
    async with bench() as (outage, events):
        spent = [refuse(outage, "poison")]
        outage.write_accepted("another")
        taken = anyio.current_time()
        while anyio.current_time() - taken <= BLAME_UNIT_AFTER:
            spent.append(refuse(outage, "poison"))
            outage.answered()
            await anyio.sleep(PROBE_LAST * LONGEST)
        assert spent[: OUTAGE_AFTER + 1] == [True] * OUTAGE_AFTER + [False]
        assert not any(spent[OUTAGE_AFTER:])

        assert not outage.lasts
        outage.answered()
        assert [refuse(outage, "poison") for _ in range(6)] == [True] * 6
        reports = [type(event) for event in events if not isinstance(event, StillWaiting)]
        assert reports == [WentDown, Resumed]


@played
async def test_the_last_unit_may_be_in_an_outage_although_others_were_taken_before() -> None:
    async with bench() as (outage, _):
        outage.write_accepted("another")
        spent = [refuse(outage, "last") for _ in range(OUTAGE_AFTER)]
        assert outage.lasts
        assert spent == [True] * (OUTAGE_AFTER - 1) + [False]

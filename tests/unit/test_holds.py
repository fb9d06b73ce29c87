"""How long a registry holds its whole queue, and what is reported of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
from tests.support.pressure import BURST, SECONDARY, running_timers
from tests.support.virtual_clock import played

from ghcr_push.pushing.events import Event, Held, Noticed, Resumed, StillWaiting
from ghcr_push.pushing.pressure.holds import HOLD_SPREAD, SPACING, Holds


@asynccontextmanager
async def bench() -> AsyncIterator[tuple[Holds, list[Event]]]:
    events: list[Event] = []
    async with running_timers() as timers:
        yield Holds("ghcr.io", timers, events.append), events


async def throttle(holds: Holds) -> float:
    """Meet a secondary limit and wait until the hold is over; return its length."""
    began = anyio.current_time()
    assert holds.obey(began, SECONDARY)
    await anyio.sleep_until(holds.until)
    return holds.until - began


@played
async def test_secondary_limits_hold_for_a_minute_and_longer_until_a_write_is_accepted() -> None:
    async with bench() as (holds, _):
        for least in (60.0, 90.0, 135.0, 202.5, 300.0, 300.0):
            assert least <= await throttle(holds) <= least + HOLD_SPREAD
        holds.write_accepted(anyio.current_time())
        assert 60.0 <= await throttle(holds) <= 60.0 + HOLD_SPREAD


@played
async def test_a_hold_counts_as_an_attempt_only_after_another_without_a_success() -> None:
    async with bench() as (holds, _):
        seen = []
        for accepted in (False, True, False):
            await throttle(holds)
            seen.append(holds.counts(SECONDARY))
            if accepted:
                holds.write_accepted(anyio.current_time())
        assert seen == [False, True, False]


@played
async def test_a_request_from_before_a_hold_prolongs_it_only_as_the_registry_asks() -> None:
    async with bench() as (holds, _):
        began = anyio.current_time()
        assert holds.obey(began, SECONDARY)
        until = holds.until
        assert not holds.obey(began, SECONDARY)
        assert holds.until == until
        assert not holds.obey(began, replace(SECONDARY, asked_wait=500.0))
        assert holds.until == began + 500.0
        await anyio.sleep_until(holds.until)
        assert not holds.lasts

        holds.write_accepted(began)
        await throttle(holds)
        assert holds.secondary_limits == 2


@played
async def test_a_429_with_a_wait_of_seconds_holds_the_queue_and_milliseconds_do_not() -> None:
    async with bench() as (holds, events):
        assert not holds.obey(anyio.current_time(), replace(BURST, asked_wait=0.0125))
        assert not holds.lasts
        assert not holds.obey(anyio.current_time(), replace(BURST, asked_wait=7.0, status=429))
        [hold] = (event.hold for event in events if isinstance(event, Held))
        assert (hold.seconds, hold.reason) == (7.0, "throttled (429)")


@played
async def test_spacing_of_writes_is_reported_once() -> None:
    async with bench() as (holds, events):
        for _ in range(3):
            await throttle(holds)
            holds.write_accepted(anyio.current_time())
        assert holds.spacing == SPACING
        notices = [event.sentence for event in events if isinstance(event, Noticed)]
        assert notices == ["ghcr.io is rate limiting us: from now on writes begin seconds apart"]


@played
async def test_a_hold_is_reported_every_ten_seconds_and_at_its_end() -> None:
    async with bench() as (holds, events):
        holds.hold(25.0, "secondary-limit 403")
        await anyio.sleep(40)
        waits = [event for event in events if isinstance(event, StillWaiting)]
        assert [(round(each.seconds), round(each.left or 0)) for each in waits] == [
            (10, 15),
            (20, 5),
        ]
        [over] = (event for event in events if isinstance(event, Resumed))
        assert not over.outage
        assert round(over.seconds) == 25


@played
async def test_a_hold_that_another_one_prolongs_has_one_end() -> None:
    async with bench() as (holds, events):
        holds.hold(5.0, "throttled 429")
        await anyio.sleep(3)
        holds.hold(5.0, "throttled 429")
        await anyio.sleep(10)
        assert sum(isinstance(event, Resumed) for event in events) == 1
        assert [event.hold.seconds for event in events if isinstance(event, Held)] == [5.0, 5.0]

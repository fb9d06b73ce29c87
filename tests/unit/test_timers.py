"""Requests that wait for a time are admitted once it has come."""

import anyio
from tests.support.pressure import running_timers
from tests.support.virtual_clock import played


@played
async def test_time_that_passes_between_two_looks_at_the_clock_loses_no_start() -> None:
    """A real clock advances between two readings: here by 5 ms each time."""
    looks, preempted = 0, True

    def clock() -> float:
        nonlocal looks
        looks += preempted
        return anyio.current_time() + 0.005 * looks

    woken: list[float] = []
    async with running_timers(lambda: woken.append(clock()), clock) as timers:
        until = timers.after(1.0)
        preempted = False
        await anyio.sleep(2.0)
    assert max(woken) >= until

"""Times at which waiting requests may start."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import anyio
from anyio.abc import TaskGroup

SHORTEST, LONGEST = 0.75, 1.25
"""Bounds of the jitter on a pause between starts or probes, as multiples of the pause."""

LOOK_LEAD = 0.5
"""Seconds before a start from which the next targets may read their tags."""

TIMER_GRACE = 0.001
"""Seconds added to timers: rounding and asyncio's clock may end a sleep slightly early."""

PROGRESS_EVERY = 10.0
"""Seconds between two events during a hold or an outage."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Call ``wake``, which admits waiting requests, at the times from which they may start."""

    tasks: TaskGroup
    random: Random
    clock: Callable[[], float]
    wake: Callable[[], object]

    def wake_at(self, time: float) -> None:
        """Have waiting requests admitted just after ``time``."""
        self.tasks.start_soon(self._wake_at, time)

    def after(self, pause: float, least: float = 0.0) -> float:
        """Return when ``pause``, with jitter, is over, and have waiting requests admitted then."""
        seconds = max(least, pause * self.random.uniform(SHORTEST, LONGEST))
        if not seconds:
            return float("-inf")
        # read once: a timer set before the returned time would admit nothing
        until = self.clock() + seconds
        self.wake_at(until)
        if seconds > LOOK_LEAD:
            self.wake_at(until - LOOK_LEAD)
        return until

    async def _wake_at(self, time: float) -> None:
        await anyio.sleep(time - self.clock() + TIMER_GRACE)
        self.wake()

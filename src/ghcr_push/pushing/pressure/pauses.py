"""Events on the times in which nothing is written: their beginning, duration and end."""

from collections.abc import Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup

from ghcr_push.model import Failure, Hold
from ghcr_push.pushing.events import Held, Observer, Resumed, StillWaiting, WentDown

PROGRESS_EVERY: Final = 10.0
"""Seconds between two events during a hold or an outage."""

_GRACE: Final = 0.001
"""Seconds added to a sleep, which may end slightly early."""


class Pauses:
    """Reports the holds and outages of one registry.

    ``clock`` is the run's; ``tasks`` runs the timers.
    """

    def __init__(
        self,
        registry: str,
        tasks: TaskGroup,
        observer: Observer,
        clock: Callable[[], float],
    ) -> None:
        self._down_since: float | None = None
        self._held_until = float("-inf")
        self._registry = registry
        self._tasks = tasks
        self._observer = observer
        self._clock = clock

    def held(self, seconds: float, reason: str) -> None:
        """Report a hold that begins now, or that lasts longer than reported before."""
        now = self._clock()
        hold = Hold(at=now, registry=self._registry, seconds=seconds, reason=reason)
        self._held_until = now + seconds
        self._observer(Held(hold))
        self._tasks.start_soon(self._report_hold, now, self._held_until)

    def went_down(self, failure: Failure) -> None:
        """Report an outage that begins now; ``failure`` is that of the last request."""
        self._down_since = self._clock()
        self._observer(WentDown(self._registry, failure))
        self._tasks.start_soon(self._report_outage, self._down_since)

    def came_back(self) -> None:
        """Report that the outage is over."""
        if self._down_since is not None:
            lasted = self._clock() - self._down_since
            self._down_since = None
            self._observer(Resumed(self._registry, lasted, outage=True))

    async def _report_hold(self, began: float, until: float) -> None:
        """Report the remaining time until the hold is over or another one has replaced it."""
        while (left := until - self._clock()) > 0:
            await anyio.sleep(min(left, PROGRESS_EVERY) + _GRACE)
            if self._held_until != until:
                return
            if (left := until - self._clock()) > 0:
                self._observer(StillWaiting(self._registry, self._clock() - began, left))
        self._observer(Resumed(self._registry, self._clock() - began, outage=False))

    async def _report_outage(self, since: float) -> None:
        while True:
            await anyio.sleep(PROGRESS_EVERY)
            if self._down_since != since:
                return
            self._observer(StillWaiting(self._registry, self._clock() - since, None))

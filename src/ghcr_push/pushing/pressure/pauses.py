"""What is told of the times in which a registry does nothing: their beginning, length and end."""

from collections.abc import Callable
from typing import Final

import anyio
from anyio.abc import TaskGroup

from ghcr_push.model import Failure, Hold
from ghcr_push.pushing.events import Held, Observer, Resumed, StillWaiting, WentDown

PROGRESS_EVERY: Final = 10.0
"""Seconds between two events on a hold or an outage that lasts."""

_GRACE: Final = 0.001
"""Seconds added to a sleep, which may end a hair early."""


class Pauses:
    """The holds and outages of one registry, as they are told; holds are recorded, too.

    ``start`` is the run's, on the same clock as ``clock``; ``tasks`` runs what tells of them.
    """

    def __init__(
        self,
        registry: str,
        tasks: TaskGroup,
        observer: Observer,
        clock: Callable[[], float],
        start: float,
    ) -> None:
        self.holds: list[Hold] = []
        self._down_since: float | None = None
        self._held_until = float("-inf")
        self._registry = registry
        self._tasks = tasks
        self._observer = observer
        self._clock = clock
        self._start = start

    def held(self, seconds: float, reason: str) -> None:
        """Tell of a hold that begins now, or goes on for longer than was told."""
        now = self._clock()
        hold = Hold(at=now - self._start, registry=self._registry, seconds=seconds, reason=reason)
        self.holds.append(hold)
        self._held_until = now + seconds
        self._observer(Held(hold))
        self._tasks.start_soon(self._tell_of_hold, now, self._held_until)

    def went_down(self, failure: Failure) -> None:
        """Tell of an outage that begins now: ``failure`` is how the last request ended."""
        self._down_since = self._clock()
        self._observer(WentDown(self._registry, failure))
        self._tasks.start_soon(self._tell_of_outage, self._down_since)

    def came_back(self) -> None:
        """Tell that the outage is over."""
        if self._down_since is not None:
            lasted = self._clock() - self._down_since
            self._down_since = None
            self._observer(Resumed(self._registry, lasted, outage=True))

    async def _tell_of_hold(self, began: float, until: float) -> None:
        """Tell how much is left, until it is over or another hold has taken its place."""
        while (left := until - self._clock()) > 0:
            await anyio.sleep(min(left, PROGRESS_EVERY) + _GRACE)
            if self._held_until != until:
                return
            if (left := until - self._clock()) > 0:
                self._observer(StillWaiting(self._registry, self._clock() - began, left))
        self._observer(Resumed(self._registry, self._clock() - began, outage=False))

    async def _tell_of_outage(self, since: float) -> None:
        while True:
            await anyio.sleep(PROGRESS_EVERY)
            if self._down_since != since:
                return
            self._observer(StillWaiting(self._registry, self._clock() - since, None))

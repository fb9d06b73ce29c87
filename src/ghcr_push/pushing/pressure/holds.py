"""What a registry asked of its whole client: to wait, and to begin writes further apart."""

from dataclasses import dataclass

import anyio

from ghcr_push.model import Failure, Hold, Kind
from ghcr_push.pushing.events import Held, Noticed, Observer, Resumed, StillWaiting
from ghcr_push.pushing.pressure.timers import PROGRESS_EVERY, TIMER_GRACE, Timers

SPACING = 1.0
"""Seconds between starts after a secondary limit, for the rest of the run, as GitHub advises."""

HOLD_FIRST, HOLD_LAST, HOLD_SPREAD = 60.0, 300.0, 15.0
"""Seconds that a secondary limit holds the queue: at first, at most, and the jitter added to it."""

HOLD_GROWTH = 1.5
"""Factor of the next hold if the limit still lasts: exponential, as GitHub advises.

With 2, a hundred runners in ``ghcr`` take 4 % longer (``docs/fleet.md``).
"""

SHARED_FROM = 1.0
"""Seconds from which the wait in a 429 holds the whole queue; shorter ones concern a burst."""


@dataclass(slots=True)
class Holds:
    """Holds the queue of one registry as that registry asks, and reports it."""

    registry: str
    timers: Timers
    observer: Observer
    until: float = float("-inf")
    """The time until which nothing may start."""
    spacing: float = 0.0
    """Seconds between starts of writes, at least."""
    secondary_limits: int = 0
    """Secondary limits since the last success."""

    @property
    def lasts(self) -> bool:
        """Whether nothing may start now."""
        return self.timers.clock() < self.until

    def hold(self, seconds: float, reason: str) -> None:
        """Let nothing start for ``seconds`` from now."""
        now = self.timers.clock()
        until = now + seconds
        if until <= self.until:
            return
        self.until = until
        self.observer(Held(Hold(at=now, registry=self.registry, seconds=seconds, reason=reason)))
        self.timers.tasks.start_soon(self._report, now, until)
        self.timers.wake_at(until)

    def obey(self, began: float, failure: Failure) -> bool:
        """Hold the queue as the registry asks; return whether that is a new secondary limit.

        Requests that ``began`` before a hold do not prolong it.
        """
        asked = failure.asked_wait or 0.0
        is_new = failure.holds and began >= self.until
        if is_new:
            floor = min(HOLD_FIRST * HOLD_GROWTH**self.secondary_limits, HOLD_LAST)
            self.secondary_limits += 1
            if not self.spacing:
                sentence = "is rate limiting us: from now on writes begin seconds apart"
                self.observer(Noticed(f"{self.registry} {sentence}"))
            self.spacing = SPACING
            asked = max(asked, floor) + self.timers.random.uniform(0, HOLD_SPREAD)
        if failure.holds or (failure.kind is Kind.THROTTLED and asked >= SHARED_FROM):
            self.hold(asked, reason_of(failure))
        return is_new

    def counts(self, failure: Failure) -> bool:
        """Return whether a secondary limit costs its unit an attempt: not the first in a row."""
        return failure.counts and self.secondary_limits > 1

    def write_accepted(self, began: float) -> None:
        """Record that a write that ``began`` then was accepted, which ends a secondary limit."""
        if began >= self.until:
            self.secondary_limits = 0

    async def _report(self, began: float, until: float) -> None:
        """Report the remaining time until the hold is over or another one has replaced it."""
        clock = self.timers.clock
        while (left := until - clock()) > 0:
            await anyio.sleep(min(left, PROGRESS_EVERY) + TIMER_GRACE)
            if self.until != until:
                return
            if (left := until - clock()) > 0:
                self.observer(StillWaiting(self.registry, clock() - began, left))
        self.observer(Resumed(self.registry, clock() - began, outage=False))


def reason_of(failure: Failure) -> str:
    """Return the name of a failure as the reason of a hold or of another limit."""
    return f"{failure.kind} ({failure.status})" if failure.status else str(failure.kind)

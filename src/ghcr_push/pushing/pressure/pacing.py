"""How many writes may be in flight, and how far apart reads and writes begin."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from ghcr_push.model import Failure, Kind, LimitChange
from ghcr_push.pushing.events import LimitChanged, Observer
from ghcr_push.pushing.pressure.holds import Holds, reason_of
from ghcr_push.pushing.pressure.limit import Limit, Write
from ghcr_push.pushing.pressure.outage import FailureStreak
from ghcr_push.pushing.pressure.timers import Timers

PAUSE_FIRST, PAUSE_SECONDARY = 0.5, 5.0
"""Seconds between starts: first, and at least after a secondary limit (``docs/fleet.md``)."""

LONGEST_PAUSES: Final = (8.0, 30.0, 120.0)
"""Seconds between starts at most: before a secondary limit, after the first, and after others.

Thirty runners whose pauses may be 30 s from the beginning take 3 % longer in ``ghcr``, because one
that was unlucky comes back late. A hundred that share 600 requests a minute have to be 36 s apart.
"""

GAIN_KEPT: Final = (1.0, 0.5, 0.05)
"""Share of the gain that is kept: before a secondary limit, after the first, and after others.

With all of it after the first limit, a hundred runners that share one bucket bring on a second
limit. The values come from simulated fleets of 10 to 300 runners (``docs/fleet.md``).
"""

GAIN_OF_WRITES, GAIN_OF_READS = 0.03, 0.01
"""The gain of each pace. At one refusal in four the pause between writes settles at 4 s, which is
about right for a hundred runners on GHCR.
"""


@dataclass(slots=True)
class Pacing:
    """The pause between starts, for the case that even one write at a time is too many.

    A hundred runners with one write in flight each are a hundred writes. So a refusal doubles the
    pause, and successes in a row add more and more to the starts per second. That shortens long
    pauses most: a runner that was unlucky catches up with the others. Each secondary limit shows
    that the pace grew too soon: from then on it grows more slowly.
    """

    gain: float
    """Starts a second that a success adds, times the successes in a row."""
    pause: float = 0.0
    """Seconds."""
    _streak: int = 0
    """Successes in a row."""
    _secondary_limits: int = 0
    """The secondary limits so far; one that goes on counts once."""

    @property
    def _stage(self) -> int:
        """The index of ``LONGEST_PAUSES`` and ``GAIN_KEPT``."""
        return min(self._secondary_limits, len(LONGEST_PAUSES) - 1)

    def refused(self) -> None:
        """Double the pause, or begin it."""
        self.pause = min(max(self.pause * 2, PAUSE_FIRST), LONGEST_PAUSES[self._stage])
        self._streak = 0

    def accepted(self) -> None:
        """Shorten the pause; end it when it is far shorter than a write."""
        self._streak += 1
        gain = self.gain * GAIN_KEPT[self._stage]
        self.pause /= 1 + gain * self._streak * self.pause
        if self.pause < PAUSE_FIRST / 4:
            self.pause = 0.0

    def met_secondary_limit(self, *, again: bool) -> None:
        """Begin again slowly after a secondary limit; ``again``: it is still the same one."""
        self._secondary_limits += not again
        self.refused()
        self.pause = max(self.pause, PAUSE_SECONDARY)


@dataclass(slots=True)
class ReadPace:
    """How far apart the reads of one registry begin."""

    timers: Timers
    next_start: float = float("-inf")
    """The time until which no read may begin."""
    _pacing: Pacing = field(default_factory=lambda: Pacing(GAIN_OF_READS))
    _slowed_at: float = float("-inf")

    def began(self) -> None:
        """Record that a read begins now: the next one may have to wait."""
        self.next_start = self.timers.after(self._pacing.pause)

    def accepted(self) -> None:
        """Record that a read was answered."""
        self._pacing.accepted()

    def throttled(self, began: float) -> None:
        """Record a 429 to a read, unless the read ``began`` before the last 429 was known."""
        if began >= self._slowed_at:
            self._slowed_at = self.timers.clock()
            self._pacing.refused()
            self.began()


@dataclass(slots=True)
class WritePace:
    """How many writes to one registry may be in flight, and how far apart they begin."""

    registry: str
    base_limit: Limit
    """The limit while there is no pause."""
    holds: Holds
    timers: Timers
    observer: Observer
    next_start: float = float("-inf")
    """The time until which no write may begin."""
    begun: int = 0
    """Slots in which the write has begun; in the others the tag is read again."""
    _pacing: Pacing = field(default_factory=lambda: Pacing(GAIN_OF_WRITES))
    _pause_before: float = 0.0
    """The pause when the last failures in a row began."""

    @property
    def limit(self) -> int:
        """Writes allowed in flight now; one while there is a pause between them."""
        return 1 if self.pause else self.base_limit.value

    @property
    def pause(self) -> float:
        """Seconds between starts because even one write at a time is too many; 0 if it is not."""
        return self._pacing.pause

    @property
    def spaced(self) -> bool:
        """Whether writes have to begin apart."""
        return bool(self.pause or self.holds.spacing)

    def began(self) -> None:
        """Record that a write begins now: if writes are spaced, the next one has to wait."""
        self.begun += 1
        self._space()

    def accepted(self, write: Write) -> None:
        """Record that the registry accepted a write."""
        with self._reporting("writes succeed"):
            self._pacing.accepted()
            self.base_limit.accepted(write)

    def refused(
        self, write: Write, failure: Failure, streak: FailureStreak, *, alone: bool
    ) -> bool:
        """Record a sign of overload; return whether the limit is its cause, not the write.

        ``streak`` includes this failure; ``alone``: no other write was in flight.
        """
        with self._reporting(reason_of(failure)):
            limit_too_high = self.base_limit.refused(write)
            if not self.base_limit.fixed:
                self._slow_down(failure, streak, alone=alone)
        return limit_too_high

    def met_secondary_limit(self, failure: Failure) -> None:
        """Begin again slowly after a secondary limit."""
        with self._reporting(reason_of(failure)):
            self.base_limit.met_secondary_limit()
            if not self.base_limit.fixed:
                self._pacing.met_secondary_limit(again=self.holds.secondary_limits > 1)

    def _slow_down(self, failure: Failure, streak: FailureStreak, *, alone: bool) -> None:
        """Write one at a time, with a pause, after a 429; lengthen the pause after a refusal.

        Refusals without a 429 may be random faults, which no pause makes fewer. If no write is
        accepted at all, that is an outage, whose probes are spaced separately.
        """
        begins = failure.kind is Kind.THROTTLED and not self.pause
        if alone and streak.failures == 1:
            self._pause_before = self.pause
        if alone and streak.lasting:
            self._pacing.pause = self._pause_before
        elif begins or (alone and self.pause):
            self._pacing.refused()
        if self.pause:  # it begins now
            self._space()

    def _space(self) -> None:
        self.next_start = self.timers.after(self.pause, self.holds.spacing)

    @contextmanager
    def _reporting(self, reason: str) -> Iterator[None]:
        """Report a change of the limit made inside."""
        old = self.limit
        yield
        if self.limit != old:
            now, registry = self.timers.clock(), self.registry
            change = LimitChange(at=now, registry=registry, old=old, new=self.limit, reason=reason)
            self.observer(LimitChanged(change))

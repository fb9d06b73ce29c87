"""Whether a registry is down, since when, when it is probed next, and whether it is given up."""

from collections.abc import Hashable
from dataclasses import dataclass, field

import anyio

from ghcr_push.model import Failure
from ghcr_push.pushing.events import Observer, Resumed, StillWaiting, WentDown
from ghcr_push.pushing.pressure.reachability import LONGEST_SILENCE, SILENT, Reachability
from ghcr_push.pushing.pressure.timers import PROGRESS_EVERY, Timers

OUTAGE_AFTER = 3
"""Failures in a row, without a success, that are an outage rather than load."""

BLAME_UNIT_AFTER = LONGEST_SILENCE
"""Seconds without an accepted write after which the only failing unit is at fault itself: until
then other clients may use all of the capacity (``docs/fleet.md``), or an outage may last."""

BREAKS_TOGETHER = 10.0
"""Seconds within which broken connections of two units are a sign of overload, not of chance."""

PROBE_FIRST, PROBE_LAST = 2.0, 11.0
"""Seconds between single probes in an outage, at least and at most.

With 15 s at most, a runner with bad luck comes back long after the others (``docs/fleet.md``).
"""

SHARE_OF_SILENCE, SHARE_OF_REFUSALS = 0.2, 1.0
"""Time until the next probe, as a share of the outage so far: the first if reads fail too, the
second if only writes do. The end of an outage is noticed late by about that share at most.

If reads are answered and only writes refused, other clients may be the cause: thirty runners that
kept each other out caused the secondary limit in 3 of 3 fleets with a share of 0.2, in 1 of 14 with
0.5, in 2 of 54 with 0.7, in none of 54 with 1 (``bench.fleet``, ``ghcr``).
"""


@dataclass(slots=True)
class FailureStreak:
    """Failures in a row, without a success between them.

    Requests that began together may all fail by one short fault. So either a failure counts if its
    request began after the failure before it was known (``failed``), or all of them count as soon
    as no request is left in flight that could still succeed (``failed_beside``).
    """

    begun: int = 0
    """Requests begun so far; the number of a start is its ``order``."""
    failures: int = 0
    _known_at: int = 0
    """Requests begun when the last counted failure was known."""
    _succeeded_at: int = 0
    """Requests begun at the last success."""
    _beside: int = 0
    """Failures of requests begun since the last success."""

    def began(self) -> int:
        """Count a start and return its number."""
        self.begun += 1
        return self.begun

    def failed(self, order: int) -> None:
        """Count the failure of that start, unless the last counted one was not known then."""
        if order > self._known_at:
            self.failures += 1
            self._known_at = self.begun

    def failed_beside(self, order: int, *, in_flight: int) -> None:
        """Count all failures of requests begun since the last success if none is in flight now."""
        self._beside += order > self._succeeded_at
        if not in_flight:
            self.failures = self._beside

    def succeeded(self) -> None:
        """Start again at zero."""
        self.failures = self._beside = 0
        self._succeeded_at = self.begun

    @property
    def lasting(self) -> bool:
        """Whether there are enough for an outage."""
        return self.failures >= OUTAGE_AFTER


@dataclass(slots=True)
class FailingUnits:
    """Tells a unit that is at fault itself from a registry that is; times are the run's."""

    failing: set[Hashable] = field(default_factory=set)
    """Units that failed since the last accepted write."""
    _passed_by: set[Hashable] = field(default_factory=set)
    """Units that failed before the write of another unit was accepted."""
    _last_accepted: float = float("-inf")
    _last_broken: tuple[Hashable, float] | None = None
    """The unit whose connection broke last, and when."""

    @property
    def blamed_from(self) -> float:
        """The time from which a unit that fails alone is at fault, unless a write is accepted."""
        return self._last_accepted + BLAME_UNIT_AFTER

    def own_fault(self, now: float) -> bool:
        """Return whether one unit keeps failing, and another's write was accepted since."""
        alone = len(self.failing) == 1 and self.failing <= self._passed_by
        return alone and now >= self.blamed_from

    def accepted(self, unit: Hashable, now: float) -> None:
        """Record that the registry accepted a write of ``unit``."""
        self._last_accepted = now
        self._passed_by |= self.failing - {unit}
        self.failing.clear()

    def broke(self, unit: Hashable, now: float) -> bool:
        """Record a broken connection; return whether that of another unit broke just before."""
        last, self._last_broken = self._last_broken, (unit, now)
        return last is not None and last[0] != unit and now - last[1] <= BREAKS_TOGETHER


class Outage(Reachability):
    """Decides whether one registry is down, and whether it answers at all, and reports outages."""

    def __init__(self, registry: str, timers: Timers, observer: Observer) -> None:
        super().__init__(registry, timers.clock)
        self.writes = FailureStreak()
        self.reads = FailureStreak()
        self.units = FailingUnits()
        self.since: float | None = None
        """When the outage began; None if none is known."""
        self.next_probe = float("-inf")
        """The time of the next probe."""
        self._timers = timers
        self._observer = observer
        self.last_failure: Failure | None = None
        """The last failure of a request that was the registry's, if there was one."""

    @property
    def lasts(self) -> bool:
        """Whether nothing succeeds, so that only single spaced probes are sent.

        A single unit that keeps failing is at fault itself, and that is no outage, if another
        unit's write was accepted since and reads are answered.
        """
        if self.given_up is not None:
            return False  # waiting requests are admitted, and find that it is given up
        own_fault = self.units.own_fault(self.clock())
        return self.reads.lasting or (self.writes.lasting and not own_fault)

    def write_accepted(self, unit: Hashable) -> None:
        """Record that the registry accepted a write of ``unit``."""
        self.units.accepted(unit, self.clock())
        self.writes.succeeded()
        self.answered()

    def write_failed(self, unit: Hashable, order: int, *, in_flight: int | None) -> None:
        """Record that a write failed with a sign of overload.

        ``in_flight`` is the number of other writes in flight; None if the limit never changes, so
        that others begin as soon as one ends.
        """
        self.units.failing.add(unit)
        if in_flight is None:
            self.writes.failed(order)
        else:
            self.writes.failed_beside(order, in_flight=in_flight)

    def failed(self, failure: Failure) -> None:
        """Record how a request failed, with or without an answer."""
        if failure.pressure or failure.kind in SILENT:
            self.last_failure = failure
        super().failed(failure)

    def answered(self) -> None:
        """Record a success: an outage is over unless writes keep failing."""
        super().answered()
        self.reads.succeeded()
        if self.since is not None and not self.lasts:
            lasted = self.clock() - self.since
            self.since, self.next_probe = None, float("-inf")
            self._observer(Resumed(self.registry, lasted, outage=True))

    def counts(self, failure: Failure) -> bool:
        """Return whether a failure costs an attempt; in an outage, set the next probe instead."""
        if not self.lasts:
            return failure.counts
        now = self.clock()
        if self.since is None:
            self.since = now
            self._observer(WentDown(self.registry, failure))
            self._timers.tasks.start_soon(self._report, now)
            if self.units.blamed_from > now:  # it may turn out to be one unit's own fault
                self._timers.wake_at(self.units.blamed_from)
        if now >= self.next_probe:
            share = SHARE_OF_SILENCE if self.reads.lasting else SHARE_OF_REFUSALS
            wait = share * (now - self.since)
            self.next_probe = self._timers.after(min(max(wait, PROBE_FIRST), PROBE_LAST))
        return False

    async def _report(self, since: float) -> None:
        while True:
            await anyio.sleep(PROGRESS_EVERY)
            if self.since != since:
                return
            self._observer(StillWaiting(self.registry, self.clock() - since, None))

"""Whether a registry is down, since when, when it is probed next, and whether it is given up."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from ghcr_push.model import Failure
from ghcr_push.pushing.pressure.reachability import LONGEST_SILENCE, SILENT, Reachability

OUTAGE_AFTER = 3
"""Failures in a row, without a success, that are an outage rather than load."""

BLAME_UNIT_AFTER = LONGEST_SILENCE
"""Seconds without an accepted write after which the only failing unit is at fault itself: until
then other clients may use all of the capacity (``docs/fleet.md``), or an outage may last."""

PROBE_FIRST, PROBE_LAST = 2.0, 11.0
"""Seconds between single probes in an outage, at least and at most."""

SHARE_OF_SILENCE, SHARE_OF_REFUSALS = 0.2, 1.0
"""Time until the next probe, as a share of the outage so far: its end is noticed late by at most
about that share.

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
    failures: int = 0
    _known_at: int = 0
    _succeeded_at: int = 0
    _beside: int = 0

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

    def broken(self) -> None:
        """Start again at zero after a success."""
        self.failures = self._beside = 0
        self._succeeded_at = self.begun

    @property
    def lasting(self) -> bool:
        """Whether it is long enough for an outage."""
        return self.failures >= OUTAGE_AFTER


class Outage(Reachability):
    """Decides from the requests to one registry whether it is down, and whether it answers at all.

    ``after`` returns when a pause of so many seconds, with jitter, is over; ``begins`` and ``ends``
    are called when an outage begins and ends.
    """

    def __init__(
        self,
        registry: str,
        clock: Callable[[], float],
        after: Callable[[float], float],
        begins: Callable[[Failure], object],
        ends: Callable[[], object],
    ) -> None:
        super().__init__(registry, clock)
        self.writes = FailureStreak()
        self.reads = FailureStreak()
        self.since: float | None = None
        """When the outage began; None if none is known."""
        self.next_probe = float("-inf")
        """The time of the next probe."""
        self._after = after
        self._begins = begins
        self._ends = ends
        self._failing: set[Hashable] = set()
        """Units that failed since the last accepted write."""
        self._passed_by: set[Hashable] = set()
        """Units that failed before the write of another unit was accepted."""
        self._last_accepted = float("-inf")
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
        alone = len(self._failing) == 1 and self._failing <= self._passed_by
        own_fault = alone and self.clock() >= self.unit_blamed_from
        return self.reads.lasting or (self.writes.lasting and not own_fault)

    @property
    def unit_blamed_from(self) -> float:
        """The time from which a unit that fails alone is at fault, unless a write is accepted."""
        return self._last_accepted + BLAME_UNIT_AFTER

    def write_accepted(self, unit: Hashable) -> None:
        """Record that the registry accepted a write of ``unit``."""
        self._last_accepted = self.clock()
        self._passed_by |= self._failing - {unit}
        self._failing.clear()
        self.writes.broken()
        self.answered()

    def write_failed(self, unit: Hashable, order: int, *, in_flight: int | None) -> None:
        """Record that a write failed with a sign of overload.

        ``in_flight`` is the number of other writes in flight; None if the limit never changes, so
        that others begin as soon as one ends.
        """
        self._failing.add(unit)
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
        self.reads.broken()
        if self.since is not None and not self.lasts:
            self.since, self.next_probe = None, float("-inf")
            self._ends()

    def probe_failed(self, failure: Failure) -> None:
        """Record that a request failed in the outage, and set the time of the next probe."""
        now = self.clock()
        if self.since is None:
            self.since = now
            self._begins(failure)
        if now >= self.next_probe:
            share = SHARE_OF_SILENCE if self.reads.lasting else SHARE_OF_REFUSALS
            wait = share * (now - self.since)
            self.next_probe = self._after(min(max(wait, PROBE_FIRST), PROBE_LAST))

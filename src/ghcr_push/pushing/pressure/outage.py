"""Whether a registry is down, since when, when it is probed next, and whether it is given up."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from ghcr_push.model import Failure
from ghcr_push.pushing.pressure.reachability import SILENT, UNHEARD, Reachability

OUTAGE_AFTER = 3
"""Failures one after the other, with no success, that are an outage rather than load."""

OWN_FAULT_AFTER = UNHEARD
"""Seconds with nothing taken after which the one unit left is at fault itself: before, other
clients may hold every place that the registry has (``docs/fleet.md``), or an outage may last."""

PROBE_FIRST, PROBE_LAST = 2.0, 15.0
"""Seconds between single probes in an outage, at least and at most."""

SHARE_OF_SILENCE, SHARE_OF_REFUSALS = 0.2, 1.0
"""Of how long an outage has lasted, what passes until the next probe: by about so much, at most, is
its end noticed late.

Where reads are answered and only writes refused, others may be at work: thirty runners that keep
each other out brought on the secondary limit in 3 of 3 fleets with a share of 0.2, in 1 of 14 with
0.5, in 2 of 54 with 0.7, in none of 54 with 1 (``bench.fleet``, ``ghcr``).
"""


@dataclass(slots=True)
class FailureStreak:
    """Failures one after the other: each began when the one before was known."""

    begun: int = 0
    failures: int = 0
    _known_at: int = 0

    def began(self) -> int:
        """Count a start and return its number."""
        self.begun += 1
        return self.begun

    def failed(self, order: int) -> None:
        """Count the failure of that start, unless it began before the last counted was known."""
        if order > self._known_at:
            self.failures += 1
            self._known_at = self.begun

    def broken(self) -> None:
        """Begin anew: something succeeded."""
        self.failures = 0

    @property
    def lasting(self) -> bool:
        """Whether it is long enough for an outage."""
        return self.failures >= OUTAGE_AFTER


class Outage(Reachability):
    """What the requests to one registry say of whether it is down, and whether it answers at all.

    ``after`` says when a pause of so many seconds, jitter on it, is over; ``begins`` and ``ends``
    are called as an outage does.
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
        """When it began; None where there is none as far as is known."""
        self.next_probe = float("-inf")
        """Before which no probe begins."""
        self._after = after
        self._begins = begins
        self._ends = ends
        self._failing: set[Hashable] = set()
        """Units that failed since a write was last taken."""
        self._passed_by: set[Hashable] = set()
        """Units that failed and then saw another's write taken."""
        self._last_taken = float("-inf")
        self.last_failure: Failure | None = None
        """How the last request that met trouble of the registry failed, if one did."""

    @property
    def lasts(self) -> bool:
        """Whether nothing succeeds: single probes, spaced, until something does.

        One unit that fails on and on where another's write was taken meanwhile, and reads are
        answered, is none: the fault is the unit's. One that is merely the last may be in an outage.
        """
        if self.given_up is not None:
            return False  # whoever waits is let in to learn of it
        alone = len(self._failing) == 1 and self._failing <= self._passed_by
        own_fault = alone and self.clock() >= self.own_fault_from
        return self.reads.lasting or (self.writes.lasting and not own_fault)

    @property
    def own_fault_from(self) -> float:
        """From when on one unit that fails alone is at fault itself, unless a write is taken."""
        return self._last_taken + OWN_FAULT_AFTER

    def write_taken(self, unit: Hashable) -> None:
        """Learn that the registry took a write of ``unit``."""
        self._last_taken = self.clock()
        self._passed_by |= self._failing - {unit}
        self._failing.clear()
        self.writes.broken()
        self.answered()

    def write_failed(self, unit: Hashable, order: int | None) -> None:
        """Learn that a write met pressure; ``order`` is None where it was one of several."""
        self._failing.add(unit)
        if order is not None:
            self.writes.failed(order)

    def read_failed(self, order: int) -> None:
        """Learn that a read met pressure or was not answered."""
        self.reads.failed(order)

    def failed(self, failure: Failure) -> None:
        """Learn how any request failed: by an answer, or by none."""
        if failure.pressure or failure.kind in SILENT:
            self.last_failure = failure
        super().failed(failure)

    def answered(self) -> None:
        """Learn that the registry did what was asked: unless writes fail on, an outage is over."""
        super().answered()
        self.reads.broken()
        if self.since is not None and not self.lasts:
            self.since, self.next_probe = None, float("-inf")
            self._ends()

    def probe_failed(self, failure: Failure) -> None:
        """Learn that a request failed in the outage: the next has to wait."""
        now = self.clock()
        if self.since is None:
            self.since = now
            self._begins(failure)
        if now >= self.next_probe:
            share = SHARE_OF_SILENCE if self.reads.lasting else SHARE_OF_REFUSALS
            wait = share * (now - self.since)
            self.next_probe = self._after(min(max(wait, PROBE_FIRST), PROBE_LAST))

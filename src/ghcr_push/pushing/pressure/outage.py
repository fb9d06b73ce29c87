"""Whether a registry is down, since when, when it is probed next, and whether it is given up."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from ghcr_push.model import Failure
from ghcr_push.pushing.pressure.probes import SHARE_OF_REFUSALS, SHARE_OF_SILENCE, OutageProbe
from ghcr_push.pushing.pressure.reachability import SILENT, UNHEARD, Reachability

OUTAGE_AFTER = 3
"""Failures one after the other, with no success, that are an outage rather than load."""

OWN_FAULT_AFTER = UNHEARD
"""Seconds with nothing taken after which the one unit left is at fault itself: before, other
clients may hold every place that the registry has (``docs/fleet.md``), or an outage may last."""


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


class Outage:
    """What the requests to one registry say of whether it is down.

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
        self.writes = FailureStreak()
        self.reads = FailureStreak()
        self._clock = clock
        self._hearing = Reachability(registry, clock)
        self._probing = OutageProbe(clock, after, begins, ends)
        self._suspects: set[Hashable] = set()
        """Units that failed since a write was last taken."""
        self._outdone: set[Hashable] = set()
        """Units that failed and then saw another's write taken."""
        self._last_taken = float("-inf")
        self.last_failure: Failure | None = None
        """How the last request that met trouble of the registry failed, if one did."""

    @property
    def given_up(self) -> Failure | None:
        """Why nothing more is asked of the registry; None where it is."""
        return self._hearing.given_up

    @property
    def answers(self) -> bool:
        """Whether the last request that ended was answered, and not by trouble of the registry."""
        return self._hearing.answers

    @property
    def heard_at(self) -> float:
        """When the last answer came."""
        return self._hearing.heard_at

    @property
    def lasts(self) -> bool:
        """Whether nothing succeeds: single probes, spaced, until something does.

        One unit that fails on and on where another's write was taken meanwhile, and reads are
        answered, is none: the fault is the unit's. One that is merely the last may be in an outage.
        """
        if self.given_up is not None:
            return False  # whoever waits is let in to learn of it
        alone = len(self._suspects) == 1 and self._suspects <= self._outdone
        own_fault = alone and self._clock() - self._last_taken > OWN_FAULT_AFTER
        return self.reads.lasting or (self.writes.lasting and not own_fault)

    @property
    def since(self) -> float | None:
        """When it began; None where there is none as far as is known."""
        return self._probing.since

    @property
    def next_probe(self) -> float:
        """Before which no probe begins."""
        return self._probing.next

    def write_taken(self, unit: Hashable) -> None:
        """Learn that the registry took a write of ``unit``."""
        self._last_taken = self._clock()
        self._outdone |= self._suspects - {unit}
        self._suspects.clear()
        self.writes.broken()

    def write_failed(self, unit: Hashable, order: int | None) -> None:
        """Learn that a write met pressure; ``order`` is None where it was one of several."""
        self._suspects.add(unit)
        if order is not None:
            self.writes.failed(order)

    def read_failed(self, order: int) -> None:
        """Learn that a read met pressure or was not answered."""
        self.reads.failed(order)

    def failed(self, failure: Failure) -> None:
        """Learn how any request failed: by an answer, or by none."""
        if failure.pressure or failure.kind in SILENT:
            self.last_failure = failure
        self._hearing.failed(failure)

    def known_to_answer(self) -> None:
        """Learn that the registry has answered somebody of this run."""
        self._hearing.known()

    def missed(self) -> None:
        """Learn that an answer is overdue."""
        self._hearing.missed()

    def answered(self) -> None:
        """Learn that the registry did what was asked: unless writes fail on, an outage is over."""
        self._hearing.answered()
        self.reads.broken()
        if self.since is not None and not self.lasts:
            self._probing.end()

    def probe_failed(self, failure: Failure) -> None:
        """Learn that a request failed in the outage: the next has to wait."""
        share = SHARE_OF_SILENCE if self.reads.lasting else SHARE_OF_REFUSALS
        self._probing.failed(share, failure)

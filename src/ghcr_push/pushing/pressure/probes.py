"""Single probes of a registry that takes nothing: when the next may begin."""

from collections.abc import Callable

from ghcr_push.model import Failure

PROBE_FIRST, PROBE_LAST = 2.0, 15.0
"""Seconds between single probes in an outage, at least and at most."""

SHARE_OF_SILENCE, SHARE_OF_REFUSALS = 0.2, 1.0
"""Of how long an outage has lasted, what passes until the next probe: by about so much, at most, is
its end noticed late.

Where reads are answered and only writes refused, others may be at work: thirty runners that keep
each other out brought on the secondary limit in 3 of 3 fleets with a share of 0.2, in 1 of 14 with
0.5, in 2 of 54 with 0.7, in none of 54 with 1 (``bench.fleet``, ``ghcr``).
"""


class OutageProbe:
    """The probes of one outage after the other; times are the clock's.

    ``after`` says when a pause of so many seconds, jitter on it, is over; ``begins`` and ``ends``
    are called as an outage does.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        after: Callable[[float], float],
        begins: Callable[[Failure], object],
        ends: Callable[[], object],
    ) -> None:
        self.next = float("-inf")
        """Before which no probe begins."""
        self._clock = clock
        self._after = after
        self._begins = begins
        self._ends = ends
        self._since: float | None = None

    @property
    def since(self) -> float | None:
        """When the outage began; None where there is none, as far as is known."""
        return self._since

    def failed(self, share: float, failure: Failure) -> None:
        """Learn that a request was in vain: the next begins after that share of the outage."""
        now = self._clock()
        if self._since is None:
            self._since = now
            self._begins(failure)
        lasted = now - self._since
        if now >= self.next:
            self.next = self._after(min(max(share * lasted, PROBE_FIRST), PROBE_LAST))

    def end(self) -> None:
        """Begin anew, for the next outage."""
        self.next = float("-inf")
        if self._since is not None:
            self._since = None
            self._ends()

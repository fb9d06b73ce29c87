"""Single probes of a registry that takes nothing: when the next may begin, and what is told."""

from collections.abc import Callable

PROBE_FIRST, PROBE_LAST = 2.0, 15.0
"""Seconds between single probes in an outage, at least and at most."""

SHARE_OF_SILENCE, SHARE_OF_REFUSALS = 0.2, 1.0
"""Of how long an outage has lasted, what passes until the next probe: by about so much, at most, is
its end noticed late.

Where reads are answered and only writes refused, others may be at work: thirty runners that keep
each other out brought on the secondary limit in 3 of 3 fleets with a share of 0.2, in 1 of 14 with
0.5, in 2 of 54 with 0.7, in none of 54 with 1 (``bench.fleet``, ``ghcr``).
"""

TOLD_FROM = 10.0
"""Seconds from which an outage is worth a line in the report."""


class OutageProbe:
    """The probes of one outage after the other; times are the clock's.

    ``after`` says when a pause of so many seconds, jitter on it, is over; ``tell`` takes what a
    person should know of the registry.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        after: Callable[[float], float],
        tell: Callable[[str], object],
    ) -> None:
        self.next = float("-inf")
        """Before which no probe begins."""
        self._clock = clock
        self._after = after
        self._tell = tell
        self._since: float | None = None
        self._told = False

    @property
    def since(self) -> float | None:
        """When the outage began; None where there is none, as far as is known."""
        return self._since

    def failed(self, share: float) -> None:
        """Learn that a request was in vain: the next begins after that share of the outage."""
        now = self._clock()
        if self._since is None:
            self._since, self._told = now, False
        lasted = now - self._since
        if lasted >= TOLD_FROM and not self._told:
            self._told = True
            self._tell("takes nothing: one request at a time is tried until it does")
        if now >= self.next:
            self.next = self._after(min(max(share * lasted, PROBE_FIRST), PROBE_LAST))

    def end(self, *, taken: bool) -> None:
        """Begin anew; ``taken``: since the registry took something."""
        since, self._since = self._since, None
        self.next = float("-inf")
        if since is not None and self._told and taken:
            lasted = self._clock() - since
            self._tell(f"took nothing for {lasted:.0f} s; now it does again")

"""Single probes of a registry that takes nothing: when the next may begin, and what is told."""

from collections.abc import Callable

PROBE_FIRST, PROBE_LAST = 2.0, 15.0
"""Seconds between single probes in an outage: first, and after doublings."""

TOLD_FROM = 10.0
"""Seconds from which an outage is worth a line in the report."""


class Probing:
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
        self._wait = 0.0
        self._since = 0.0
        self._told = False

    @property
    def under_way(self) -> bool:
        """Whether there is an outage, as far as is known."""
        return self._wait > 0

    def failed(self) -> None:
        """Learn that a request was in vain; the next begins later."""
        if not self.under_way:
            self._since, self._told = self._clock(), False
        elif not self._told and self._clock() - self._since >= TOLD_FROM:
            self._told = True
            self._tell("takes nothing: one request at a time is tried until it does")
        if self._clock() >= self.next:
            self._wait = min(max(self._wait * 2, PROBE_FIRST), PROBE_LAST)
            self.next = self._after(self._wait)

    def end(self, *, taken: bool) -> None:
        """Begin anew; ``taken``: since the registry took something."""
        self._wait, self.next = 0.0, float("-inf")
        if self._told and taken:
            lasted = self._clock() - self._since
            self._tell(f"took nothing for {lasted:.0f} s; now it does again")

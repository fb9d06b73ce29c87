"""The time between starts while a registry throttles its client: arithmetic only, no clock."""

from dataclasses import dataclass

PAUSE_FIRST, PAUSE_LAST, PAUSE_THROTTLED = 0.5, 30.0, 6.0
"""Seconds between starts: first, at most, and at least after a secondary limit.

Found by playing fleets of 10 to 1,000 runners (``docs/fleet.md``).
"""

CAREFUL_FROM, CAREFUL_LAST, CAREFUL_GAIN = 2, 120.0, 1.2
"""From the second secondary limit of a run on: seconds between starts at most, and the factor by
which one success makes the pace quicker at most.

A hundred runners that share 600 requests a minute have to be 36 s apart. There a success would
nearly halve the pause and a refusal double it: half of all requests would be refused, and bring on
the next secondary limit. If only a third limit had this effect, such fleets would lose 0.3 % of
their tags (``docs/fleet.md``).
"""

GAIN_OF_WRITES, GAIN_OF_READS = 0.03, 0.01
"""Starts a second that a success adds to the pace, times the successes in a row.

Four seconds, at which a hundred runners are about right for GHCR, are kept by one refusal in four.
"""


@dataclass(slots=True)
class Pacing:
    """The pause between starts, for the case that even one write at a time is too many.

    A hundred runners with one write in flight each are a hundred writes. So a refusal doubles the
    pause, and successes in a row add more and more to the starts per second, which shortens long
    pauses most: a runner that was unlucky catches up with the others. A second secondary limit
    shows that this was too quick; from then on a success shortens a long pause by little.
    """

    gain: float
    pause: float = 0.0
    """Seconds."""
    _streak: int = 0
    _secondary_limits: int = 0
    """The secondary limits met; one that goes on counts once."""

    @property
    def _careful(self) -> bool:
        return self._secondary_limits >= CAREFUL_FROM

    def refused(self) -> None:
        """Double the pause, or begin it."""
        longest = CAREFUL_LAST if self._careful else PAUSE_LAST
        self.pause = min(max(self.pause * 2, PAUSE_FIRST), longest)
        self._streak = 0

    def taken(self) -> None:
        """Shorten the pause; end it when it is far shorter than a write."""
        self._streak += 1
        quicker = 1 + self.gain * self._streak * self.pause
        self.pause /= min(quicker, CAREFUL_GAIN) if self._careful else quicker
        if self.pause < PAUSE_FIRST / 4:
            self.pause = 0.0

    def throttled(self, *, again: bool) -> None:
        """Begin again slowly after a secondary limit; ``again``: it is still the same one."""
        self._secondary_limits += not again
        self.refused()
        self.pause = max(self.pause, PAUSE_THROTTLED)

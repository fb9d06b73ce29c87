"""The time between starts while a registry throttles its client: arithmetic only, no clock."""

from dataclasses import dataclass
from typing import Final

PAUSE_FIRST, PAUSE_THROTTLED = 0.5, 5.0
"""Seconds between starts: first, and at least after a secondary limit."""

LONGEST_PAUSES: Final = (8.0, 30.0, 120.0)
"""Seconds between starts at most, before a secondary limit, after the first, and after others.

Thirty runners whose pauses may be 30 s from the beginning take 3 % longer in ``ghcr``, because one
that was unlucky comes back late. A hundred that share 600 requests a minute have to be 36 s apart.
"""

GAIN_KEPT: Final = (1.0, 0.5, 0.05)
"""What is left of the gain, before a secondary limit, after the first, and after others.

With all of it after the first limit, a hundred runners that share one bucket bring on a second
limit. All three rows were found by playing fleets of 10 to 300 runners (``docs/fleet.md``).
"""

GAIN_OF_WRITES, GAIN_OF_READS = 0.03, 0.01
"""Starts a second that a success adds to the pace, times the successes in a row.

At one refusal in four the pause settles at 4 s, which is about right for a hundred runners on GHCR.
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
    pause: float = 0.0
    """Seconds."""
    _streak: int = 0
    _secondary_limits: int = 0
    """The secondary limits so far; one that goes on counts once."""

    @property
    def _row(self) -> int:
        return min(self._secondary_limits, len(LONGEST_PAUSES) - 1)

    def refused(self) -> None:
        """Double the pause, or begin it."""
        self.pause = min(max(self.pause * 2, PAUSE_FIRST), LONGEST_PAUSES[self._row])
        self._streak = 0

    def accepted(self) -> None:
        """Shorten the pause; end it when it is far shorter than a write."""
        self._streak += 1
        gain = self.gain * GAIN_KEPT[self._row]
        self.pause /= 1 + gain * self._streak * self.pause
        if self.pause < PAUSE_FIRST / 4:
            self.pause = 0.0

    def throttled(self, *, again: bool) -> None:
        """Begin again slowly after a secondary limit; ``again``: it is still the same one."""
        self._secondary_limits += not again
        self.refused()
        self.pause = max(self.pause, PAUSE_THROTTLED)

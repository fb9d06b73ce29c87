"""How far apart requests begin where a registry throttles its client: arithmetic only, no clock."""

from dataclasses import dataclass

PAUSE_FIRST, PAUSE_LAST, PAUSE_THROTTLED = 0.5, 30.0, 6.0
"""Seconds between starts: first, at most, and at least after a secondary limit.

Found by playing fleets of 10 to 1,000 runners (``docs/fleet.md``).
"""

GAIN_OF_WRITES, GAIN_OF_READS = 0.03, 0.01
"""Starts a second that a success adds to the pace, times the successes in a row.

Four seconds, at which a hundred runners are about right for GHCR, are kept by one refusal in four.
"""


@dataclass(slots=True)
class Pacing:
    """The pause between starts, where one request at a time may be too many: others push, too.

    A hundred runners with one write in flight each are a hundred writes. So a refusal doubles the
    pause, and successes in a row add more and more to the starts per second, which shortens long
    pauses most: whoever was unlucky catches up with the others.
    """

    gain: float
    pause: float = 0.0
    """Seconds."""
    _streak: int = 0

    def refused(self) -> None:
        """Double the pause, or begin it."""
        self.pause = min(max(self.pause * 2, PAUSE_FIRST), PAUSE_LAST)
        self._streak = 0

    def taken(self) -> None:
        """Shorten the pause; end it where it is far shorter than a write."""
        self._streak += 1
        self.pause /= 1 + self.gain * self._streak * self.pause
        if self.pause < PAUSE_FIRST / 4:
            self.pause = 0.0

    def throttled(self) -> None:
        """Begin anew, slowly."""
        self.refused()
        self.pause = max(self.pause, PAUSE_THROTTLED)

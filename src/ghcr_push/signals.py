"""SIGINT and SIGTERM, held from the first moment: the standard library only, so it loads fast.

The process is PID 1 in its container: without handlers the kernel would drop both signals.
"""

import signal
from collections.abc import Callable
from types import FrameType


class Interruption:
    """The first SIGINT or SIGTERM that came, and whom to tell when one comes."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._tell: Callable[[], None] | None = None

    @classmethod
    def installed(cls) -> "Interruption":
        """Handle both signals from now on, for as long as the process lives."""
        interruption = cls()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interruption._come)
        return interruption

    @property
    def exit_status(self) -> int | None:
        """130 or 143 where a signal came, as shells say it; else None."""
        return None if self.signal is None else 128 + self.signal

    def tell(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when a signal comes, at once if one came already."""
        self._tell = listener
        if self.signal is not None:
            listener()

    def tell_nobody(self) -> None:
        """Keep the next signal without calling anyone: whoever listened is at its end."""
        self._tell = None

    def _come(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal's
        if self.signal is not None:
            return  # the first one is being obeyed already
        self.signal = number
        if self._tell is not None:
            self._tell()

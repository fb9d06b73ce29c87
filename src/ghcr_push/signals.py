"""Early handlers for SIGINT and SIGTERM: imports the standard library only, so it loads fast.

The process is PID 1 in its container: without handlers the kernel would drop both signals.
"""

import signal
from collections.abc import Callable
from types import FrameType


class Interruption:
    """The first SIGINT or SIGTERM that arrived, and the listener to call on arrival."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._listener: Callable[[], None] | None = None

    @classmethod
    def installed(cls) -> "Interruption":
        """Install handlers for both signals for the rest of the process."""
        interruption = cls()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interruption._on_signal)
        return interruption

    @property
    def exit_status(self) -> int | None:
        """130 or 143 after a signal, following the shell's convention; else None."""
        return None if self.signal is None else 128 + self.signal

    def set_listener(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when a signal arrives, or at once if one already has."""
        self._listener = listener
        if self.signal is not None:
            listener()

    def remove_listener(self) -> None:
        """Remove the listener, which can no longer react to a signal."""
        self._listener = None

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.signal is not None:
            return  # the first signal is already being handled
        self.signal = number
        if self._listener is not None:
            self._listener()

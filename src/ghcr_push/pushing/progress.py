"""Whether a registry does anything for one repository at present."""

from collections.abc import Callable
from typing import Final

from ghcr_push.pushing.gate import Gate

QUIET: Final = 15.0
"""Seconds in which a registry with requests in flight neither answers one nor takes a byte of ours.

Less than any time limit, so that nobody is held up so long; more than GHCR takes to commit a layer.
"""


class Progress:
    """Watches a registry for one repository; ``sent`` are the bytes sent to that so far."""

    def __init__(self, gate: Gate, sent: Callable[[], int], clock: Callable[[], float]) -> None:
        self._gate = gate
        self._sent = sent
        self._clock = clock
        self._seen = (float("-inf"), 0)
        self._since = clock()

    def stalled(self) -> bool:
        """Say whether nothing goes on there: an outage, a hold, or silence."""
        seen = (self._gate.hearing.heard_at, self._sent())
        if seen != self._seen or not self._gate.busy:
            self._seen, self._since = seen, self._clock()
        return self._gate.shut or self._clock() - self._since > QUIET

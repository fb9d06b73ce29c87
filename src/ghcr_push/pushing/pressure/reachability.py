"""Whether a registry has answered at all in this run: if it never does, it is given up early."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ghcr_push.model import Failure, Kind

LONGEST_SILENCE: Final = 720.0
"""Seconds without an answer after which a registry that never answered is given up.

A run survives an outage of ten minutes even if it began before the run. A mistyped address never
answers, and its user should learn of it before the end of the run.
"""

LONGEST_UNCONNECTED: Final = 60.0
"""The same if no connection was made: nothing accepts connections, or the host is unknown.

A registry in an incident usually still accepts connections; a mistyped port does not. A service
container of the job may need a minute to start.
"""

NO_ANSWER: Final = frozenset(
    {Kind.NETWORK, Kind.TIMEOUT, Kind.HOST_UNKNOWN, Kind.CERTIFICATE, Kind.PROXY}
)
"""Failures of a request that mean that no answer came."""

SILENT: Final = NO_ANSWER | {Kind.SERVER_ERROR}
"""Failures without an answer, or with that of a registry in an incident."""

_NO_SERVER: Final = frozenset({Kind.HOST_UNKNOWN, Kind.NETWORK, Kind.TIMEOUT})
"""Failures without an answer from any server; a bad certificate or a proxy's refusal is one."""

ADVICE: Final = (
    "The registry never answered: check its host and port for a typing error, that it "
    "is running, and that the runner may connect to it."
)

ADVICE_UNCONNECTED: Final = (
    "Nothing accepts connections at that address: check the registry's host and port for a typing "
    "error, that it runs before this step begins, and that the runner may connect to it."
)


@dataclass(slots=True)
class Reachability:
    """The answers of one registry; any kind counts, also a refusal."""

    registry: str
    clock: Callable[[], float]
    answers: bool = False
    """Whether the last request was answered, and not with an error of the registry itself."""
    answered_at: float = float("-inf")
    """When the last answer came."""
    given_up: Failure | None = None
    """Why no more requests are sent to the registry; None while they are."""
    _has_answered: bool = False
    _connected: bool = False
    """Whether a connection was made, even without an answer."""
    _silent_since: float | None = None

    def answered(self) -> None:
        """Record an answer that is no failure."""
        self.answers, self.answered_at = True, self.clock()
        self.record_answer()

    def record_answer(self) -> None:
        """Record that it has answered in this run, whatever it answers now."""
        self._has_answered, self.given_up = True, None

    def record_overdue(self) -> None:
        """Record that an answer is overdue."""
        self.answers = False

    def failed(self, failure: Failure) -> None:
        """Record how a request failed, with or without an answer."""
        self.answers = failure.kind not in SILENT
        if self.answers:
            self.answered_at = self.clock()
        if failure.status is not None or failure.kind not in _NO_SERVER:
            self._has_answered = True
        self._connected = self._connected or not failure.unconnected
        if self._has_answered:
            return
        longest = LONGEST_SILENCE if self._connected else LONGEST_UNCONNECTED
        if self._silent_since is None:
            self._silent_since = self.clock()
        elif self.clock() - self._silent_since >= longest:
            self.given_up = replace(
                failure,
                message=f"{self.registry} has not answered once in this run: {failure.message}",
                advice=ADVICE if self._connected else ADVICE_UNCONNECTED,
                retryable=False,
            )

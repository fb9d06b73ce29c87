"""Whether a registry has answered at all in this run: if it never does, it is given up early."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ghcr_push.model import Failure, Kind

UNHEARD: Final = 720.0
"""Seconds of silence after which a registry that never answered is given up.

A run survives an outage of ten minutes even if it began before the run. A mistyped address stays
silent, and its user should learn of it before the end of the run.
"""

UNCONNECTED: Final = 60.0
"""The same if no connection was made: nothing listens at the address, or the host is unknown.

A registry in an incident usually still accepts connections; a mistyped port does not. A service
container of the job may need a minute to start.
"""

NO_ANSWER: Final = frozenset(
    {Kind.NETWORK, Kind.TIMEOUT, Kind.HOST_UNKNOWN, Kind.CERTIFICATE, Kind.PROXY}
)
"""Failures of a request that mean that no answer came."""

SILENT: Final = NO_ANSWER | {Kind.SERVER_ERROR}
"""Failures without an answer, or with that of a registry in an incident."""

_UNANSWERED: Final = frozenset({Kind.HOST_UNKNOWN, Kind.NETWORK, Kind.TIMEOUT})
"""Failures without an answer from any server."""

ADVICE: Final = (
    "Nothing at all came from that registry: check its host and port for a typing error, that it "
    "is running, and that the runner may connect to it."
)

NOBODY_THERE: Final = (
    "Nobody listens at that address: check the registry's host and port for a typing error, that "
    "it runs before this step begins, and that the runner may connect to it."
)


@dataclass(slots=True)
class Reachability:
    """The answers of one registry; any kind counts, also a refusal."""

    registry: str
    clock: Callable[[], float]
    answers: bool = False
    """Whether the last request was answered, and not with an error of the registry itself."""
    heard_at: float = float("-inf")
    """When the last answer came."""
    given_up: Failure | None = None
    """Why no more requests are sent to the registry; None while they are."""
    _heard: bool = False
    _met: bool = False
    """Whether a connection was made, even without an answer."""
    _silent_since: float | None = None

    def answered(self) -> None:
        """Record a success."""
        self.answers, self.heard_at = True, self.clock()
        self.known_to_answer()

    def known_to_answer(self) -> None:
        """Record that it has answered in this run."""
        self._heard, self.given_up = True, None

    def missed(self) -> None:
        """Record that an answer is overdue."""
        self.answers = False

    def failed(self, failure: Failure) -> None:
        """Record how a request failed, with or without an answer."""
        self.answers = failure.kind not in SILENT
        if self.answers:
            self.heard_at = self.clock()
        if failure.status is not None or failure.kind not in _UNANSWERED:
            self._heard = True
        self._met = self._met or not failure.unconnected
        if self._heard:
            return
        if self._silent_since is None:
            self._silent_since = self.clock()
        elif self.clock() - self._silent_since >= (UNHEARD if self._met else UNCONNECTED):
            self.given_up = replace(
                failure,
                message=f"{self.registry} has not answered once in this run: {failure.message}",
                advice=ADVICE if self._met else NOBODY_THERE,
                retryable=False,
            )

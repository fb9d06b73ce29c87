"""Whether a registry has answered at all in this run: one that never does is given up early."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ghcr_push.model import Failure, Kind

UNHEARD: Final = 720.0
"""Seconds of silence after which a registry that never answered is given up.

An outage of ten minutes is ridden out even where it began before us; a mistyped port stays silent,
and its owner need not wait for the end of the run to learn of it.
"""

SILENT: Final = frozenset(
    {
        Kind.CERTIFICATE,
        Kind.HOST_UNKNOWN,
        Kind.NETWORK,
        Kind.PROXY,
        Kind.SERVER_ERROR,
        Kind.TIMEOUT,
    }
)
"""Failures that are no answer, or that of a registry in trouble."""

ADVICE: Final = (
    "Nothing at all came from that registry: check its host and port for a typing error, that it "
    "is running, and that the runner may connect to it."
)


@dataclass(slots=True)
class Reachability:
    """What was heard of one registry; an answer of any kind counts, also a refusal."""

    registry: str
    clock: Callable[[], float]
    answers: bool = False
    """Whether the last request was answered, and not by trouble of the registry."""
    heard_at: float = float("-inf")
    """When the last answer came."""
    given_up: Failure | None = None
    """Why nothing more is asked of the registry; None where it is."""
    _heard: bool = False
    _silent_since: float | None = None

    def answered(self) -> None:
        """Note that it did what was asked."""
        self._heard, self.given_up = True, None
        self.answers, self.heard_at = True, self.clock()

    def missed(self) -> None:
        """Note that an answer is overdue."""
        self.answers = False

    def failed(self, failure: Failure) -> None:
        """Note how a request failed: by an answer, or by none."""
        self.answers = failure.kind not in SILENT
        if self.answers:
            self.heard_at = self.clock()
        if failure.status is not None or failure.kind not in {Kind.NETWORK, Kind.TIMEOUT}:
            self._heard = True
        if self._heard:
            return
        if self._silent_since is None:
            self._silent_since = self.clock()
        elif self.clock() - self._silent_since >= UNHEARD:
            message = f"{self.registry} has not answered once in this run: {failure.message}"
            self.given_up = replace(failure, message=message, advice=ADVICE, retryable=False)

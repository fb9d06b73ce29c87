"""Whether a registry has answered at all in this run: one that never does is given up early."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ghcr_push.model import Failure, Kind

UNHEARD: Final = 720.0
"""Seconds of silence after which a registry that never answered is given up.

An outage of ten minutes is ridden out even where it began before us; a mistyped address of which
nothing comes back stays silent, and its owner need not wait for the end of the run to learn of it.
"""

UNCONNECTED: Final = 60.0
"""The same where not even a connection was made: nobody listens there, or no such host is known.

A registry in trouble keeps its front door open, as a rule; a mistyped port does not. A minute is
what a service container of the job takes to come up.
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

_UNANSWERED: Final = frozenset({Kind.HOST_UNKNOWN, Kind.NETWORK, Kind.TIMEOUT})
"""Failures that are no answer of anybody."""

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
    _met: bool = False
    """Whether anything but a missing connection was met, though it was no answer."""
    _silent_since: float | None = None

    def answered(self) -> None:
        """Note that it did what was asked."""
        self.answers, self.heard_at = True, self.clock()
        self.known_to_answer()

    def known_to_answer(self) -> None:
        """Note that it has answered in this run."""
        self._heard, self.given_up = True, None

    def missed(self) -> None:
        """Note that an answer is overdue."""
        self.answers = False

    def failed(self, failure: Failure) -> None:
        """Note how a request failed: by an answer, or by none."""
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

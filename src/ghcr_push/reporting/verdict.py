"""Where to look for the remedy of what did not land, in one word to count by."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from ghcr_push.failures.treatments import TREATMENTS, Cause
from ghcr_push.model import Kind, TargetResult


class Verdict(StrEnum):
    """The vocabulary of the output ``cause``."""

    NONE = "none"
    REGISTRY = "registry"
    NETWORK = "network"
    PERMISSION = "permission"
    ENGINE = "engine"
    INPUT = "input"
    MIXED = "mixed"


_OF_CAUSE: Final = {
    Cause.REGISTRY: Verdict.REGISTRY,
    Cause.NETWORK: Verdict.NETWORK,
    Cause.PERMISSION: Verdict.PERMISSION,
    Cause.ENGINE: Verdict.ENGINE,
    Cause.INPUT: Verdict.INPUT,
    Cause.RUN: Verdict.NONE,
}
_OF_KIND: Final = {kind: _OF_CAUSE[treatment.cause] for kind, treatment in TREATMENTS.items()} | {
    Kind.INTERNAL: Verdict.ENGINE  # a fault of the machinery on this side
}


def cause_of(result: TargetResult) -> Verdict:
    """Return why a target did not land; none where it did.

    A target that the end of the run cut off has the cause of its last failed attempt, and none
    where nothing had failed: an end is not a cause.
    """
    if result.failure is None:
        return Verdict.NONE
    failed = [attempt.failure for attempt in result.all_attempts if attempt.failure]
    verdicts = (_OF_KIND[failure.kind] for failure in (result.failure, *reversed(failed)))
    return next((verdict for verdict in verdicts if verdict is not Verdict.NONE), Verdict.NONE)


def joined(causes: Iterable[Verdict]) -> Verdict:
    """Return the one cause of all that did not land, or that there are several."""
    several = set(causes) - {Verdict.NONE}
    if not several:
        return Verdict.NONE
    return several.pop() if len(several) == 1 else Verdict.MIXED

"""Where to look for the fix of a failure, as one word for statistics."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from ghcr_push.failures.policies import POLICIES, Cause
from ghcr_push.model import Kind, TargetResult


class CauseCategory(StrEnum):
    """The values of the output ``cause``."""

    NONE = "none"
    REGISTRY = "registry"
    NETWORK = "network"
    PERMISSION = "permission"
    ENGINE = "engine"
    INPUT = "input"
    MIXED = "mixed"


_OF_CAUSE: Final = {
    Cause.REGISTRY: CauseCategory.REGISTRY,
    Cause.NETWORK: CauseCategory.NETWORK,
    Cause.PERMISSION: CauseCategory.PERMISSION,
    Cause.ENGINE: CauseCategory.ENGINE,
    Cause.INPUT: CauseCategory.INPUT,
    Cause.RUN: CauseCategory.NONE,
}
_OF_KIND: Final = {kind: _OF_CAUSE[policy.cause] for kind, policy in POLICIES.items()} | {
    Kind.INTERNAL: CauseCategory.ENGINE  # an internal error on this side
}


def cause_of(result: TargetResult) -> CauseCategory:
    """Return why a target did not land; none if it did.

    If the end of the run cut it off, the cause is that of the failure being retried, or none if
    nothing had failed.
    """
    if result.failure is None:
        return CauseCategory.NONE
    failed = [attempt.failure for attempt in result.all_attempts if attempt.failure]
    kinds = [result.failure.kind, *(each.kind for each in reversed(failed))]
    if result.failure.kept_failing is not None:
        kinds.insert(1, result.failure.kept_failing)
    causes = (_OF_KIND[kind] for kind in kinds)
    return next((cause for cause in causes if cause is not CauseCategory.NONE), CauseCategory.NONE)


def joined(causes: Iterable[CauseCategory]) -> CauseCategory:
    """Return the common cause of all that did not land, or that there are several."""
    several = set(causes) - {CauseCategory.NONE}
    if not several:
        return CauseCategory.NONE
    return several.pop() if len(several) == 1 else CauseCategory.MIXED

"""Where to look for the fix of a failure, as one word for statistics."""

from collections.abc import Iterable

from ghcr_push.failures.policies import POLICIES, Cause
from ghcr_push.model import Kind, TargetResult


def cause_of(result: TargetResult) -> Cause:
    """Return why a target did not land; none if it did.

    If the end of the run cut it off, the cause is that of the failure being retried, or none if
    nothing had failed.
    """
    if result.failure is None:
        return Cause.NONE
    failed = [attempt.failure for attempt in result.all_attempts if attempt.failure]
    kinds = [result.failure.kind, *(each.kind for each in reversed(failed))]
    if result.failure.kept_failing is not None:
        kinds.insert(1, result.failure.kept_failing)
    return next((cause for cause in map(_of_kind, kinds) if cause is not Cause.NONE), Cause.NONE)


def _of_kind(kind: Kind) -> Cause:
    """Return the cause by the kind's policy; an internal error is one on this side."""
    return Cause.ENGINE if kind is Kind.INTERNAL else POLICIES[kind].cause


def joined(causes: Iterable[Cause]) -> Cause:
    """Return the common cause of all that did not land, or that there are several."""
    several = set(causes) - {Cause.NONE}
    return Cause.MIXED if len(several) > 1 else next(iter(several), Cause.NONE)

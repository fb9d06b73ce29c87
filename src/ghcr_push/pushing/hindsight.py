"""Advice that depends on the whole run: a repository that accepted other tags permits pushes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ghcr_push.model import Failure, Kind, Outcome, Step, TargetResult
from ghcr_push.pushing.context import ours

RULES_FOR_TAGS: Final = (
    "The repository accepted other tags in this run, so the job may push there: look for a "
    "rule that forbids writing this tag (immutable or protected tags, retention, a pattern in "
    "the account's permissions), or use another tag."
)

REFUSED: Final = frozenset({Kind.DENIED, Kind.UNAUTHORIZED, Kind.AUTH_BLIP})
"""Refusals that may be of a single tag, whatever their text."""

_WRITES_OF_A_TAG: Final = frozenset({Step.RETAG, Step.PUSH})


def out_of_time(last: Failure | None) -> Failure:
    """Return that the run's time was up, and ``last``, the failure that was being retried."""
    if last is None:
        return ours(Kind.DEADLINE, "the run's time was up")
    ended = ours(Kind.DEADLINE, f"the run's time was up; before, it failed with: {last.message}")
    more = (
        "" if "`timeout`" in last.advice else (" A longer `timeout` helps with temporary failures.")
    )
    return replace(
        ended,
        advice=f"{last.advice}{more}",
        status=last.status,
        code=last.code,
        details=last.details,
        kept_failing=last.kind,
    )


def with_hindsight(results: Sequence[TargetResult]) -> tuple[TargetResult, ...]:
    """Return ``results`` with the advice on refused tags adapted to how the other tags ended."""
    took = {
        result.target.reference.repository for result in results if result.outcome is Outcome.PUSHED
    }
    return tuple(
        _advised(result) if result.target.reference.repository in took else result
        for result in results
    )


def _advised(result: TargetResult) -> TargetResult:
    """Replace the advice if the target was refused as a tag."""
    failure, last = result.failure, next(reversed(result.attempts), None)
    if failure is None or result.outcome is not Outcome.FAILED or failure.kind not in REFUSED:
        return result
    if last is None or last.failure is None or last.step not in _WRITES_OF_A_TAG:
        return result
    return replace(result, failure=replace(failure, advice=RULES_FOR_TAGS))

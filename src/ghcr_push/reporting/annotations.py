"""Annotations: what GitHub shows on the run's page before anybody opens a log."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ghcr_push.model import Outcome, Report, TargetResult
from ghcr_push.reporting.escape import clipped, visible
from ghcr_push.reporting.phrases import cause, count, retried, retries_told, tried_again, tries

MOST = 10
"""Annotations of a kind that a runner keeps per step (actions/runner, ExecutionContext)."""

LONGEST = 4096
"""Characters of a message that a runner keeps (actions/runner, ExecutionContext)."""

_LONGEST_QUOTE = 2000


class Level(StrEnum):
    """How a runner shows an annotation."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation; plain text on one line, not yet escaped for a runner's command."""

    level: Level
    title: str
    message: str


def annotations(report: Report) -> tuple[Annotation, ...]:
    """Return an error per failed target, the tenth for all that are left, and one warning."""
    failed = [result for result in report.results if result.outcome is Outcome.FAILED]
    single = failed if len(failed) <= MOST else failed[: MOST - 1]
    errors = [_error(result) for result in single]
    if rest := failed[len(single) :]:
        errors.append(_rolled_up(rest))
    return (*errors, *_warnings(report))


def _error(result: TargetResult) -> Annotation:
    title = f"{result.target} was not pushed"
    failure = result.failure
    if failure is None:
        return Annotation(Level.ERROR, title, f"No cause is known; {tries(result)}.")
    landed = " It may have landed all the same." if result.may_have_landed else ""
    quote = clipped(visible(failure.message), _LONGEST_QUOTE)
    message = f"{cause(failure)}, {tries(result)}: {quote} — {visible(failure.advice)}{landed}"
    return Annotation(Level.ERROR, title, clipped(message, LONGEST))


def _rolled_up(rest: Sequence[TargetResult]) -> Annotation:
    named = ", ".join(str(result.target) for result in rest)
    return Annotation(
        Level.ERROR,
        f"{count(len(rest), 'more tag')} failed",
        clipped(f"The job summary has their causes: {named}", LONGEST),
    )


def _warnings(report: Report) -> tuple[Annotation, ...]:
    again = retried(report)
    if not again:
        return ()
    named = ", ".join(str(result.target) for result in again)
    title = f"{tried_again(again)} needed more than one try"
    return (Annotation(Level.WARNING, title, clipped(f"{retries_told(report)} {named}", LONGEST)),)

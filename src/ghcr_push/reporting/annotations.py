"""Annotations, which GitHub shows on the run's page before the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ghcr_push.model import Outcome, Result
from ghcr_push.reporting.escape import clipped, visible
from ghcr_push.reporting.phrases import (
    attempts_text,
    cause,
    common_cause,
    count,
    retries_text,
    said,
    tried_again,
)
from ghcr_push.reporting.records import Report, TargetRecord, grouped

MOST_ANNOTATIONS = 10
"""Number of annotations per kind that a runner keeps per step (actions/runner,
ExecutionContext)."""

LONGEST = 4096
"""Number of characters of a message that a runner keeps (actions/runner, ExecutionContext)."""

_LONGEST_QUOTE = 2000


class Level(StrEnum):
    """How a runner shows an annotation."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation; plain text on one line, not yet escaped for a runner's command."""

    level: Level
    title: str
    message: str


def annotations(report: Report) -> tuple[Annotation, ...]:
    """Return an error per cause of failed targets, and a line about retries.

    The tenth error covers all remaining causes. Retries are a warning if something failed, and a
    notice otherwise: a temporary failure of the registry needs no attention then.
    """
    causes = list(grouped(report.ended(Outcome.FAILED), common_cause).values())
    single = causes if len(causes) <= MOST_ANNOTATIONS else causes[: MOST_ANNOTATIONS - 1]
    errors = [_error(group) for group in single]
    if rest := [result for group in causes[len(single) :] for result in group]:
        errors.append(_rolled_up(rest))
    return (*errors, *_retried(report))


def _error(alike: Sequence[TargetRecord]) -> Annotation:
    first = alike[0]
    failure = first.failure
    one = len(alike) == 1
    what = f"{first.reference} was" if one else f"{count(len(alike), 'tag')} were"
    named = "" if one else f" Tags: {', '.join(result.reference for result in alike)}"
    if failure is None:
        return Annotation(
            Level.ERROR,
            f"{what} not pushed",
            clipped(f"No cause is known.{named}", LONGEST),
        )
    landed = " It may be there all the same." if first.may_have_landed else ""
    quote = clipped(visible(said(failure.message)), _LONGEST_QUOTE)
    tried = f"{how_often}: " if (how_often := attempts_text(first)) else ""
    message = f"{tried}{quote} — {visible(failure.advice)}{landed}{named}"
    return Annotation(
        Level.ERROR, f"{what} not pushed: {cause(failure)}", clipped(message, LONGEST)
    )


def _rolled_up(rest: Sequence[TargetRecord]) -> Annotation:
    named = ", ".join(result.reference for result in rest)
    return Annotation(
        Level.ERROR,
        f"{count(len(rest), 'more tag')} failed",
        clipped(f"The job summary has their causes: {named}", LONGEST),
    )


def _retried(report: Report) -> tuple[Annotation, ...]:
    if not (again := report.retried):
        return ()
    level = Level.NOTICE if report.result is Result.SUCCESS else Level.WARNING
    named = ", ".join(result.reference for result in again)
    title = f"{tried_again(again)} needed more than one try"
    return (Annotation(level, title, clipped(f"{retries_text(report)} {named}", LONGEST)),)

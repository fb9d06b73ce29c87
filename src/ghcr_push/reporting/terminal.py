"""The end of a run for a terminal or a log: what the summary says, in a few plain lines."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from ghcr_push.model import Outcome, Report, TargetResult
from ghcr_push.reporting.escape import clipped, visible
from ghcr_push.reporting.phrases import (
    cause,
    causes,
    count,
    headline,
    retries_told,
    short,
    tally,
    tries,
)

_MOST_TARGETS = 40
_LONGEST_QUOTE = 300


def terminal(report: Report) -> str:
    """Return the run as plain text, trouble first; control characters are made visible."""
    failed = [result for result in report.results if result.outcome is Outcome.FAILED]
    skipped = [result for result in report.results if result.outcome is Outcome.SKIPPED]
    kept = [result for result in report.results if result.outcome is Outcome.KEPT]
    again = [result for result in report.landed if result.retried]
    lines = [
        headline(report),
        *_failed_blocks(failed),
        *_listed(skipped, _skipped),
        *_listed(kept, _kept),
        *_listed(again, _retried),
        retries_told(report),
        tally(report),
    ]
    return "".join(f"{line}\n" for line in lines if line)


def _listed(
    results: Sequence[TargetResult], told: Callable[[TargetResult], Iterator[str]]
) -> Iterator[str]:
    for result in results[:_MOST_TARGETS]:
        yield from told(result)
    if (left := len(results) - _MOST_TARGETS) > 0:
        yield f"  … {count(left, 'more tag')} ({results[0].outcome})"


def _failed_blocks(results: Sequence[TargetResult]) -> Iterator[str]:
    """Yield the failed targets; those that failed alike share their text and advice."""
    for told, alike in groupby(results, key=_told):
        yield from _listed(list(alike), _failed)
        for text in told:
            yield f"      {visible(text)}"


def _told(result: TargetResult) -> tuple[str, ...]:
    if result.failure is None:
        return ()
    return (clipped(result.failure.message, _LONGEST_QUOTE), result.failure.advice)


def _failed(result: TargetResult) -> Iterator[str]:
    landed = "; may have landed" if result.may_have_landed else ""
    name = cause(result.failure) if result.failure else "no cause is known"
    yield f"  ✗ {result.target}: {name}, {tries(result)}{landed}"


def _skipped(result: TargetResult) -> Iterator[str]:
    reason = f": {cause(result.failure)}" if result.failure else ""
    yield f"  - {result.target} skipped{reason}"


def _retried(result: TargetResult) -> Iterator[str]:
    yield f"  ↻ {result.target} {result.outcome} after retries: {causes([result])}"


def _kept(result: TargetResult) -> Iterator[str]:
    names = short(result.before) if result.before else "another image"
    yield f"  = {result.target} kept: protected, and names {names}"

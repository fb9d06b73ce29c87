"""The end of a run for a terminal or a log: what the summary says, in a few plain lines."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from ghcr_push.model import Outcome
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
from ghcr_push.reporting.records import Report, TargetRecord

_MOST_TARGETS = 40
_LONGEST_QUOTE = 300


def terminal(report: Report) -> str:
    """Return the run as plain text, trouble first; control characters are made visible."""
    failed = [result for result in report.targets if result.outcome is Outcome.FAILED]
    skipped = [result for result in report.targets if result.outcome is Outcome.SKIPPED]
    kept = [result for result in report.targets if result.outcome is Outcome.KEPT]
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
    results: Sequence[TargetRecord], told: Callable[[TargetRecord], Iterator[str]]
) -> Iterator[str]:
    for result in results[:_MOST_TARGETS]:
        yield from told(result)
    if (left := len(results) - _MOST_TARGETS) > 0:
        yield f"  … {count(left, 'more tag')} ({results[0].outcome})"


def _failed_blocks(results: Sequence[TargetRecord]) -> Iterator[str]:
    """Yield the failed targets; those that failed alike share their text and advice."""
    for told, alike in groupby(results, key=_told):
        yield from _listed(list(alike), _failed)
        for text in told:
            yield f"      {visible(text)}"


def _told(result: TargetRecord) -> tuple[str, ...]:
    if result.failure is None:
        return ()
    return (clipped(result.failure.message, _LONGEST_QUOTE), result.failure.advice)


def _failed(result: TargetRecord) -> Iterator[str]:
    landed = "; may have landed" if result.may_have_landed else ""
    name = cause(result.failure) if result.failure else "no cause is known"
    yield f"  ✗ {result.reference}: {name}, {tries(result)}{landed}"


def _skipped(result: TargetRecord) -> Iterator[str]:
    reason = f": {cause(result.failure)}" if result.failure else ""
    yield f"  - {result.reference} skipped{reason}"


def _retried(result: TargetRecord) -> Iterator[str]:
    yield f"  ↻ {result.reference} {result.outcome} after retries: {causes([result])}"


def _kept(result: TargetRecord) -> Iterator[str]:
    names = short(result.before) if result.before else "another image"
    yield f"  = {result.reference} kept: protected, and names {names}"

"""A report as numbers: CSV with a row per target, OpenMetrics text for dashboards."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ghcr_push.model import Outcome
from ghcr_push.reporting.outages import outages
from ghcr_push.reporting.records import Report, TargetRecord

COLUMNS: Final[Mapping[str, Callable[[TargetRecord], object]]] = {
    "reference": lambda target: _inert(target.reference),
    "source": lambda target: _inert(target.source),
    "outcome": lambda target: target.outcome,
    "digest": lambda target: target.digest,
    "before": lambda target: target.before,
    "verified": lambda target: str(target.verified).lower(),
    "retried": lambda target: str(target.retried).lower(),
    "attempts": lambda target: len(target.all_attempts),
    "seconds": lambda target: f"{sum(attempt.seconds for attempt in target.all_attempts):.3f}",
    "seconds_waited": lambda target: f"{sum(attempt.wait for attempt in target.all_attempts):.3f}",
    "cause": lambda target: target.cause,
    "kind": lambda target: target.failure and target.failure.kind,
    "status": lambda target: target.failure and target.failure.status,
}
"""The columns of the CSV, each with its cell; None is an empty one."""


def to_csv(report: Report) -> str:
    """Return a row per target under a row of titles, in the format of RFC 4180."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([cell(target) for cell in COLUMNS.values()] for target in report.targets)
    return text.getvalue()


def _inert(text: str) -> str:
    """Return ``text`` in a form that a spreadsheet does not read as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def to_openmetrics(report: Report) -> str:
    """Return gauges of one run, by OpenMetrics 1.0; a finished run has no counters."""
    outcomes = {str(outcome): report.counts[outcome] for outcome in Outcome}
    bad = Counter(str(each.cause) for each in report.ended(Outcome.FAILED, Outcome.SKIPPED))
    attempts = [attempt for target in report.targets for attempt in target.all_attempts]
    failures = Counter(str(attempt.failure.kind) for attempt in attempts if attempt.failure)
    waited = sum(attempt.wait for attempt in attempts)
    totals = report.totals
    held = sum(hold.seconds for hold in report.holds)
    down = sum(outage.seconds for outage in outages(report))
    lines = [
        *_family("targets", "Targets by outcome.", "outcome", outcomes),
        *_family("targets_not_pushed", "Failed and skipped targets by cause.", "cause", bad),
        *_family("failed_attempts", "Attempts that failed, by kind.", "kind", failures),
        *_single("retried_targets", "Targets retried.", totals.retried),
        *_single("attempts", "Attempts.", totals.attempts),
        *_single("retries", "Attempts that were retries.", totals.retries),
        *_single("waited_seconds", "Back-off after failed attempts.", round(waited, 3)),
        *_single("held_seconds", "Time in which the queue waited for registries.", round(held, 3)),
        *_single("down_seconds", "Time that registries were down.", round(down, 3)),
        *_single("lowest_parallel", "Lowest limit on writes in flight.", totals.lowest_parallel),
        *_single("duration_seconds", "Length of the run.", round(report.duration, 3)),
        "# EOF",
    ]
    return "".join(f"{line}\n" for line in lines)


def _family(name: str, text: str, label: str, values: Mapping[str, int]) -> Iterator[str]:
    yield f"# TYPE ghcr_push_{name} gauge"
    yield f"# HELP ghcr_push_{name} {text}"
    for value, number in values.items():
        yield f'ghcr_push_{name}{{{label}="{value}"}} {number}'


def _single(name: str, text: str, number: float) -> Iterator[str]:
    yield f"# TYPE ghcr_push_{name} gauge"
    if name.endswith("_seconds"):
        yield f"# UNIT ghcr_push_{name} seconds"
    yield f"# HELP ghcr_push_{name} {text}"
    yield f"ghcr_push_{name} {number}"

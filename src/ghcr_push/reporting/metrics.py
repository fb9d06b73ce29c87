"""A report as numbers: CSV with a row per target, OpenMetrics text for dashboards."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping

from ghcr_push.model import Outcome
from ghcr_push.reporting.outages import outages
from ghcr_push.reporting.records import Report

COLUMNS = (
    "reference",
    "source",
    "outcome",
    "digest",
    "before",
    "verified",
    "retried",
    "attempts",
    "seconds",
    "seconds_waited",
    "cause",
    "kind",
    "status",
)


def to_csv(report: Report) -> str:
    """Return a row per target under ``COLUMNS``, in the format of RFC 4180."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for result in report.targets:
        failure = result.failure
        writer.writerow(
            [
                _inert(result.reference),
                _inert(str(result.source)),
                result.outcome,
                result.digest or "",
                result.before or "",
                str(result.verified).lower(),
                str(result.retried).lower(),
                len(result.all_attempts),
                f"{sum(attempt.seconds for attempt in result.all_attempts):.3f}",
                f"{sum(attempt.wait for attempt in result.all_attempts):.3f}",
                result.cause,
                failure.kind if failure else "",
                failure.status if failure and failure.status else "",
            ]
        )
    return text.getvalue()


def _inert(text: str) -> str:
    """Return ``text`` in a form that a spreadsheet does not read as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def to_openmetrics(report: Report) -> str:
    """Return gauges of one run, by OpenMetrics 1.0; a finished run has no counters."""
    outcomes = {str(outcome): report.counts[outcome] for outcome in Outcome}
    bad = Counter(str(each.cause) for each in report.ended(Outcome.FAILED, Outcome.SKIPPED))
    failures = Counter(
        str(attempt.failure.kind)
        for result in report.targets
        for attempt in result.all_attempts
        if attempt.failure
    )
    waited = sum(attempt.wait for result in report.targets for attempt in result.all_attempts)
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

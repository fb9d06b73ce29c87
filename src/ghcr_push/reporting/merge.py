"""Merges the reports of several jobs into one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter

from ghcr_push.model import AttemptRecord
from ghcr_push.reporting.build import build
from ghcr_push.reporting.records import Report


def merged(reports: Sequence[tuple[str, Report]]) -> Report:
    """Return the named reports of many jobs as one, timed from the start of the first.

    A target in several reports has the outcome of the report that started last. The result is
    cancelled if all jobs were. Limits are listed under the name of the job. Raises ``ValueError``
    without reports.
    """
    if len(reports) == 1:
        return reports[0][1]
    in_order = sorted(reports, key=lambda named: _time(named[1]))
    start = _time(in_order[0][1])
    later = [
        _delayed(name, report, (_time(report) - start).total_seconds()) for name, report in in_order
    ]
    targets = {target.reference: target for report in later for target in report.targets}
    repeated = sum(len(report.targets) for report in later) - len(targets)
    repeats = (
        (f"{repeated} targets are in several reports; the newest counts.",) if repeated else ()
    )
    return build(
        targets.values(),
        started_at=in_order[0][1].started_at,
        duration=max(report.duration for report in later),
        cancelled=all(report.cancelled for report in later),
        max_parallel=max(report.max_parallel for report in later),
        limit_changes=sorted(
            (change for report in later for change in report.limit_changes), key=attrgetter("at")
        ),
        holds=sorted((hold for report in later for hold in report.holds), key=attrgetter("at")),
        notices=dict.fromkeys([*repeats, *(n for report in later for n in report.notices)]),
    )


def _time(report: Report) -> datetime:
    time = datetime.fromisoformat(report.started_at)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _delayed(name: str, report: Report, seconds: float) -> Report:
    """Return ``report`` with all its times later by ``seconds``; its limits under ``name``."""

    def later(attempts: list[AttemptRecord]) -> list[AttemptRecord]:
        return [replace(each, started=each.started + seconds) for each in attempts]

    return replace(
        report,
        duration=report.duration + seconds,
        targets=[
            replace(
                target,
                attempts=later(target.attempts),
                content_attempts=later(target.content_attempts),
            )
            for target in report.targets
        ],
        limit_changes=[
            replace(each, at=each.at + seconds, registry=f"{each.registry} ({name})")
            for each in report.limit_changes
        ],
        holds=[replace(each, at=each.at + seconds) for each in report.holds],
    )

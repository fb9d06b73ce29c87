"""Saved JSON reports, read back: rendered like a fresh one, and several made into one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ghcr_push.model import (
    Attempt,
    Carriage,
    Failure,
    Hold,
    LimitChange,
    Report,
    Source,
    Target,
    TargetResult,
)
from ghcr_push.references import Digest, parse_tag_reference
from ghcr_push.reporting import records


class UnreadableReportError(Exception):
    """A text is no report of a version that is known here; says in a sentence why."""


def from_json(text: bytes) -> Report:
    """Return the report that ``to_json`` wrote; raise ``UnreadableReportError``."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - slow to load, rarely used

    try:
        return _report(TypeAdapter(records.Report).validate_json(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the text"
        raise UnreadableReportError(f"no report of ghcr-push: {place}: {first['msg']}") from error
    except ValueError as error:
        raise UnreadableReportError(f"no report of ghcr-push: {error}") from error


def merged(reports: Sequence[tuple[str, Report]]) -> Report:
    """Return the reports of many jobs, named, as one, timed from the start of the first.

    A target that stands in several has the outcome of the report that began last. What concerned
    one job's requests only, its limits, is told under the job's name. Raises ``ValueError`` without
    reports.
    """
    if len(reports) == 1:
        return reports[0][1]
    in_order = sorted(reports, key=lambda named: _time(named[1]))
    start = _time(in_order[0][1])
    later = [
        _delayed(name, report, (_time(report) - start).total_seconds()) for name, report in in_order
    ]
    results = {result.target.reference: result for report in later for result in report.results}
    repeated = sum(len(report.results) for report in later) - len(results)
    told = (f"{repeated} targets stand in several reports; the newest counts.",) if repeated else ()
    return Report(
        started_at=in_order[0][1].started_at,
        duration=max(report.duration for report in later),
        cancelled=any(report.cancelled for report in later),
        max_parallel=max(report.max_parallel for report in later),
        results=tuple(results.values()),
        limit_changes=_in_order(change for report in later for change in report.limit_changes),
        holds=_in_order(hold for report in later for hold in report.holds),
        notices=tuple(dict.fromkeys([*told, *(n for report in later for n in report.notices)])),
    )


def _time(report: Report) -> datetime:
    time = datetime.fromisoformat(report.started_at)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _in_order(events: Any) -> tuple[Any, ...]:
    return tuple(sorted(events, key=lambda event: event.at))


def _delayed(name: str, report: Report, seconds: float) -> Report:
    """Return ``report`` with all its times later by ``seconds``; its limits under ``name``."""

    def later(attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
        return tuple(replace(each, started=each.started + seconds) for each in attempts)

    return replace(
        report,
        duration=report.duration + seconds,
        results=tuple(
            replace(
                result,
                attempts=later(result.attempts),
                content_attempts=later(result.content_attempts),
            )
            for result in report.results
        ),
        limit_changes=tuple(
            replace(each, at=each.at + seconds, registry=f"{each.registry} ({name})")
            for each in report.limit_changes
        ),
        holds=tuple(replace(each, at=each.at + seconds) for each in report.holds),
    )


# -- from records -----------------------------------------------------------------------------


def _report(record: records.Report) -> Report:
    return Report(
        started_at=record.started_at,
        duration=record.duration,
        cancelled=record.cancelled,
        max_parallel=record.max_parallel,
        results=tuple(_result(target) for target in record.targets),
        limit_changes=tuple(
            LimitChange(
                at=each.at, registry=each.registry, old=each.old, new=each.new, reason=each.reason
            )
            for each in record.limit_changes
        ),
        holds=tuple(
            Hold(at=each.at, registry=each.registry, seconds=each.seconds, reason=each.reason)
            for each in record.holds
        ),
        notices=tuple(record.notices),
    )


def _result(record: records.Target) -> TargetResult:
    return TargetResult(
        target=Target(parse_tag_reference(record.reference), Source(record.source)),
        outcome=record.outcome,
        digest=None if record.digest is None else Digest(record.digest),
        before=None if record.before is None else Digest(record.before),
        known_before=record.before_known,
        verified=record.verified,
        may_have_landed=record.may_have_landed,
        seed=record.seed,
        retried=record.retried,
        attempts=tuple(map(_attempt, record.attempts)),
        content_attempts=tuple(map(_attempt, record.content_attempts)),
        failure=_failure(record.failure),
        carriage=_carriage(record.carriage),
    )


def _attempt(record: records.Attempt) -> Attempt:
    return Attempt(
        number=record.number,
        step=record.step,
        started=record.started,
        seconds=record.seconds,
        limit=record.limit,
        failure=_failure(record.failure),
        wait=record.wait,
    )


def _failure(record: records.Failure | None) -> Failure | None:
    """Return a failure as people see it; what the queue did about it is over."""
    if record is None:
        return None
    return Failure(
        kind=record.kind,
        status=record.status,
        code=record.code,
        message=record.message,
        advice=record.advice,
        retryable=record.retryable,
        wait=record.asked_wait,
        details=record.details or "",
    )


def _carriage(record: records.Carriage | None) -> Carriage | None:
    if record is None:
        return None
    return Carriage(
        sent=record.blobs_sent,
        mounted=record.blobs_mounted,
        found=record.blobs_found,
        bytes_sent=record.bytes_sent,
        bytes_saved=record.bytes_saved,
        seconds_reading=record.seconds_reading,
        seconds_compressing=record.seconds_compressing,
        seconds_sending=record.seconds_sending,
    )

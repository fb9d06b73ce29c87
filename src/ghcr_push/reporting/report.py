"""The JSON report: everything known of a run, for machines; and its published schema.

``python -m ghcr_push.reporting.report`` prints the schema, kept as ``docs/report.schema.json``.
"""

import json
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from ghcr_push.model import (
    Attempt,
    Carriage,
    Failure,
    Hold,
    LimitChange,
    Outcome,
    Report,
    TargetResult,
)
from ghcr_push.reporting import records
from ghcr_push.reporting.verdict import cause_of, verdict

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ID = "urn:ghcr-push:report:1"


def to_json(report: Report) -> bytes:
    """Return ``report`` as JSON in UTF-8 by the published schema, indented, with a newline."""
    return _adapter().dump_json(_record(report), indent=2) + b"\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of what ``to_json`` writes."""
    schema = _adapter().json_schema(mode="serialization")
    return {"$schema": _DIALECT, "$id": _ID, **schema, "title": "ghcr-push report"}


@cache
def _adapter() -> "TypeAdapter[records.Report]":
    # imported late: a run needs it at its very end only
    from pydantic import TypeAdapter  # noqa: PLC0415

    return TypeAdapter(records.Report)


def _record(report: Report) -> records.Report:
    return records.Report(
        schema_version="1",
        result=report.result,
        cause=verdict(report),
        started_at=report.started_at,
        duration=_ms(report.duration),
        cancelled=report.cancelled,
        max_parallel=report.max_parallel,
        totals=_totals(report),
        targets=[_target(result) for result in report.results],
        limit_changes=[_limit_change(change) for change in report.limit_changes],
        holds=[_hold(hold) for hold in report.holds],
        notices=[_text(notice) for notice in report.notices],
    )


def _totals(report: Report) -> records.Totals:
    return records.Totals(
        targets=len(report.results),
        **{outcome.value: report.counts[outcome] for outcome in Outcome},
        retried=sum(result.retried for result in report.results),
        retried_layers=sum(result.retried_layers for result in report.results),
        attempts=report.attempts,
        retries=report.retries,
        lowest_parallel=report.lowest_parallel,
    )


def _target(result: TargetResult) -> records.Target:
    return records.Target(
        reference=str(result.target),
        source=_text(str(result.target.source)),
        outcome=result.outcome,
        digest=result.digest,
        before=result.before,
        before_known=result.known_before,
        verified=result.verified,
        may_have_landed=result.may_have_landed,
        seed=result.seed,
        retried=result.retried,
        cause=cause_of(result),
        failure=_failure(result.failure),
        attempts=[_attempt(attempt) for attempt in result.attempts],
        content_attempts=[_attempt(attempt) for attempt in result.content_attempts],
        carriage=_carriage(result.carriage),
    )


def _carriage(carriage: Carriage | None) -> records.Carriage | None:
    if carriage is None:
        return None
    return records.Carriage(
        blobs_sent=carriage.sent,
        blobs_mounted=carriage.mounted,
        blobs_found=carriage.found,
        bytes_sent=carriage.bytes_sent,
        bytes_saved=carriage.bytes_saved,
        seconds_reading=_ms(carriage.seconds_reading),
        seconds_compressing=_ms(carriage.seconds_compressing),
        seconds_sending=_ms(carriage.seconds_sending),
    )


def _attempt(attempt: Attempt) -> records.Attempt:
    return records.Attempt(
        number=attempt.number,
        step=attempt.step,
        started=_ms(attempt.started),
        seconds=_ms(attempt.seconds),
        limit=attempt.limit,
        failure=_failure(attempt.failure),
        wait=_ms(attempt.wait),
    )


def _failure(failure: Failure | None) -> records.Failure | None:
    if failure is None:
        return None
    return records.Failure(
        kind=failure.kind,
        status=failure.status,
        code=None if failure.code is None else _text(failure.code),
        message=_text(failure.message),
        advice=_text(failure.advice),
        retryable=failure.retryable,
        asked_wait=None if failure.wait is None else _ms(failure.wait),
        details=_text(failure.details) or None,
    )


def _limit_change(change: LimitChange) -> records.LimitChange:
    return records.LimitChange(
        at=_ms(change.at),
        registry=change.registry,
        old=change.old,
        new=change.new,
        reason=_text(change.reason),
    )


def _hold(hold: Hold) -> records.Hold:
    return records.Hold(
        at=_ms(hold.at),
        registry=hold.registry,
        seconds=_ms(hold.seconds),
        reason=_text(hold.reason),
    )


def _ms(seconds: float) -> float:
    return round(seconds, 3)


def _text(text: str) -> str:
    """Return ``text`` with lone surrogates, which UTF-8 cannot carry, spelled out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


if __name__ == "__main__":
    json.dump(json_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")

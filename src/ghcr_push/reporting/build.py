"""Builds the published record of a run from its results; all renderers read this record."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, Final

from ghcr_push.model import (
    LANDED,
    Attempt,
    AttemptRecord,
    Failure,
    FailureRecord,
    Hold,
    LimitChange,
    Outcome,
    Result,
    TargetResult,
)
from ghcr_push.reporting.cause import cause_of, joined
from ghcr_push.reporting.records import Report, TargetRecord, Totals

_RECORDS: Final = {Attempt: AttemptRecord, Failure: FailureRecord}
"""What a report has of the objects that the queue uses, too."""


def build(
    results: Iterable[TargetResult | TargetRecord],
    *,
    started_at: str,
    duration: float,
    cancelled: bool,
    max_parallel: int,
    limit_changes: Iterable[LimitChange] = (),
    holds: Iterable[Hold] = (),
    notices: Iterable[str] = (),
) -> Report:
    """Return the record of a finished or interrupted run, with its result, cause and totals."""
    targets = [each if isinstance(each, TargetRecord) else _target(each) for each in results]
    outcomes = Counter(target.outcome for target in targets)
    attempts = [attempt for target in targets for attempt in target.all_attempts]
    changes = list(limit_changes)
    report: Report = _reported(
        Report(
            schema_version="1",
            result=_result(outcomes, cancelled=cancelled),
            cause=joined(target.cause for target in targets),
            started_at=started_at,
            duration=duration,
            cancelled=cancelled,
            max_parallel=max_parallel,
            totals=Totals(
                targets=len(targets),
                **{outcome.value: outcomes[outcome] for outcome in Outcome},
                retried=sum(target.retried for target in targets),
                retried_layers=sum(target.retried_layers for target in targets),
                attempts=len(attempts),
                retries=sum(attempt.number > 1 for attempt in attempts),
                lowest_parallel=min((change.new for change in changes), default=max_parallel),
            ),
            targets=targets,
            limit_changes=changes,
            holds=list(holds),
            notices=list(notices),
        )
    )
    return report


def _result(outcomes: Counter[Outcome], *, cancelled: bool) -> Result:
    """Return ``partial`` if some landed and some did not; a dry run is a success."""
    if cancelled:
        return Result.CANCELLED
    if not outcomes[Outcome.FAILED] and not outcomes[Outcome.SKIPPED]:
        return Result.SUCCESS
    good = sum(outcomes[outcome] for outcome in (*LANDED, Outcome.PLANNED))
    return Result.PARTIAL if good else Result.FAILURE


def _target(result: TargetResult) -> TargetRecord:
    return TargetRecord(
        reference=str(result.target),
        source=str(result.target.source),
        outcome=result.outcome,
        digest=result.digest,
        before=result.before,
        before_known=result.known_before,
        verified=result.verified,
        may_have_landed=result.may_have_landed,
        seed=result.seed,
        retried=result.retried,
        cause=cause_of(result),
        expected=result.expected,
        failure=result.failure,
        attempts=list(result.attempts),
        content_attempts=list(result.content_attempts),
        transfer=result.transfer,
        referrers=list(result.referrers),
    )


def _reported(value: Any) -> Any:  # a record of one type gives one of another
    """Return ``value`` as it is reported, at any depth.

    Times are rounded to milliseconds; lone surrogates, which UTF-8 cannot encode, are escaped.
    """
    match value:
        case StrEnum():
            return value
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case float():
            return round(value, 3)
        case list() | tuple():
            return [_reported(each) for each in value]
    if not is_dataclass(value):
        return value
    record = _RECORDS.get(type(value), type(value))
    return record(**{each.name: _reported(getattr(value, each.name)) for each in fields(record)})

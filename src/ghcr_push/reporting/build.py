"""Builds the published record of a run from its results; all renderers read this record."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ghcr_push.model import (
    LANDED,
    Attempt,
    Failure,
    Hold,
    LimitChange,
    Outcome,
    Result,
    TargetResult,
    TransferStats,
)
from ghcr_push.reporting.cause import cause_of, joined
from ghcr_push.reporting.records import (
    AttemptRecord,
    FailureRecord,
    Report,
    TargetRecord,
    Totals,
    TransferRecord,
)


def build(
    results: Sequence[TargetResult],
    *,
    started_at: str,
    duration: float,
    cancelled: bool,
    max_parallel: int,
    limit_changes: Sequence[LimitChange] = (),
    holds: Sequence[Hold] = (),
    notices: Sequence[str] = (),
) -> Report:
    """Return the record of a finished or interrupted run; times are rounded to milliseconds."""
    return summed(
        [_target(result) for result in results],
        started_at=started_at,
        duration=_ms(duration),
        cancelled=cancelled,
        max_parallel=max_parallel,
        limit_changes=[_limit_change(change) for change in limit_changes],
        holds=[_hold(hold) for hold in holds],
        notices=[_text(notice) for notice in notices],
    )


def summed(
    targets: list[TargetRecord],
    *,
    started_at: str,
    duration: float,
    cancelled: bool,
    max_parallel: int,
    limit_changes: list[LimitChange],
    holds: list[Hold],
    notices: list[str],
) -> Report:
    """Return a report of ``targets`` with its result, cause and totals."""
    outcomes = Counter(target.outcome for target in targets)
    attempts = [attempt for target in targets for attempt in target.all_attempts]
    return Report(
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
            lowest_parallel=min((change.new for change in limit_changes), default=max_parallel),
        ),
        targets=targets,
        limit_changes=limit_changes,
        holds=holds,
        notices=notices,
    )


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
        expected=result.expected,
        failure=_failure(result.failure),
        attempts=[_attempt(attempt) for attempt in result.attempts],
        content_attempts=[_attempt(attempt) for attempt in result.content_attempts],
        transfer=_transfer(result.transfer),
        referrers=[
            replace(each, artifact_type=_text(each.artifact_type)) for each in result.referrers
        ],
    )


def _transfer(transfer: TransferStats | None) -> TransferRecord | None:
    if transfer is None:
        return None
    return TransferRecord(
        blobs_sent=transfer.sent,
        blobs_mounted=transfer.mounted,
        blobs_found=transfer.found,
        bytes_sent=transfer.bytes_sent,
        bytes_saved=transfer.bytes_saved,
        seconds_reading=_ms(transfer.seconds_reading),
        seconds_compressing=_ms(transfer.seconds_compressing),
        seconds_sending=_ms(transfer.seconds_sending),
    )


def _attempt(attempt: Attempt) -> AttemptRecord:
    return AttemptRecord(
        number=attempt.number,
        step=attempt.step,
        started=_ms(attempt.started),
        seconds=_ms(attempt.seconds),
        limit=attempt.limit,
        failure=_failure(attempt.failure),
        wait=_ms(attempt.wait),
        answered=None if attempt.answered is None else _ms(attempt.answered),
    )


def _failure(failure: Failure | None) -> FailureRecord | None:
    if failure is None:
        return None
    return FailureRecord(
        kind=failure.kind,
        status=failure.status,
        code=None if failure.code is None else _text(failure.code),
        message=_text(failure.message),
        advice=_text(failure.advice),
        retryable=failure.retryable,
        asked_wait=None if failure.wait is None else _ms(failure.wait),
        kept_failing=failure.kept_failing,
        details=_text(failure.details) or None,
    )


def _limit_change(change: LimitChange) -> LimitChange:
    return replace(change, at=_ms(change.at), reason=_text(change.reason))


def _hold(hold: Hold) -> Hold:
    return replace(hold, at=_ms(hold.at), seconds=_ms(hold.seconds), reason=_text(hold.reason))


def _ms(seconds: float) -> float:
    return round(seconds, 3)


def _text(text: str) -> str:
    """Return ``text`` with lone surrogates escaped, since UTF-8 cannot encode them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")

"""A run as rows of bars over time, for the renderers; and the limit's history as a sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice, zip_longest

from ghcr_push.model import AttemptRecord, FailureRecord, LimitChange, Outcome, Step
from ghcr_push.reporting.escape import clipped
from ghcr_push.reporting.outages import outages
from ghcr_push.reporting.phrases import count, rounded_span, span
from ghcr_push.reporting.records import Report, TargetRecord, grouped

MOST_ROWS = 40
"""Maximum number of targets in the picture, for readability."""

MOST_BARS = 16
"""Maximum number of bars of a row; the last ones are kept, which show how it ended."""

_MOST_LIMIT_BARS = 40
_MOST_REGISTRIES = 3

_MOST_CLAUSES = 12
"""Maximum number of changes of a limit, or holds, in a sentence: the first and the last ones."""

_LONGEST_REASON = 80

_LONG_RUN = 60.0
"""Seconds from which a successful run is worth a picture."""

_SHORTEST = 0.01
"""Minimum width of a failed request as a share of the run: many fail within milliseconds."""

_LABELS = {Step.RETAG: "write", Step.LOOK: "read", Step.PROVE: "read back"}


class BarKind(StrEnum):
    """The meaning of a bar."""

    REQUEST = "request"
    FAILED = "failed"
    WAIT = "wait"
    LIMIT = "limit"
    DOWN = "down"
    """An outage; drawn behind all rows if possible."""


_LEGEND = {
    BarKind.REQUEST: "🟩 a request",
    BarKind.FAILED: "🟥 one that failed",
    BarKind.WAIT: "⬜ waiting, or reading a tag back",
    BarKind.LIMIT: "🟦 writes allowed in parallel",
    BarKind.DOWN: "light red: the registry was down",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A period, in seconds from the start of the run."""

    text: str
    kind: BarKind
    start: float
    end: float
    lasted: float | None = None
    """Seconds, if the bar is longer than the period."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start if self.lasted is None else self.lasted


@dataclass(frozen=True, slots=True)
class Row:
    """Bars of one subject; ``label`` is outside text."""

    label: str
    bars: tuple[Bar, ...]


def rows(report: Report) -> tuple[Row, ...]:
    """Return the rows to draw, from top to bottom; none if a picture shows nothing.

    A row per target that failed or was retried, as many as fit, and one for all others. The first
    rows show outages, the writes allowed in flight, and the holds of the queue.
    """
    if not any(map(_is_telling, report.targets)) and not _is_eventful(report):
        return ()
    smooth = [result for result in _tried(report) if not _has_row(result)]
    drawn = [
        *_outage_rows(report),
        *_limit_rows(report),
        *_target_rows(_most_telling(report), report),
        *_smooth_row(smooth),
    ]
    return tuple(Row(row.label, _cut(row.bars, report.duration)) for row in drawn)


def rows_left_out(report: Report) -> int:
    """Return how many targets that failed or were retried have no row for lack of space."""
    return max(0, sum(map(_has_row, _tried(report))) - MOST_ROWS)


def legend(report: Report) -> str:
    """Return the meaning of the colours that are in the picture."""
    drawn = {bar.kind for row in rows(report) for bar in row.bars}
    return " · ".join(text for kind, text in _LEGEND.items() if kind in drawn)


def limit_history(report: Report) -> list[str]:
    """Return the changes of each registry's limit as a sentence of plain text."""
    sentences = []
    for registry, changes in _changes(report):
        steps = [
            f"to {c.new} at {span(c.at)}, {clipped(c.reason, _LONGEST_REASON)}" for c in changes
        ]
        line = "; ".join(_shortened(steps, "changes"))
        sentences.append(f"Parallel writes to {registry}: from {changes[0].old} {line}.")
    return sentences


def hold_history(report: Report) -> list[str]:
    """Return the holds of all queues as a sentence of plain text."""
    if not report.holds:
        return []
    holds = [
        f"{span(h.seconds)} from {span(h.at)} on, as {h.registry} asked: "
        f"{clipped(h.reason, _LONGEST_REASON)}"
        for h in report.holds
    ]
    return [f"The whole queue waited {'; '.join(_shortened(holds, 'holds'))}."]


def _shortened(clauses: list[str], noun: str) -> list[str]:
    """Return ``clauses``, with the middle replaced by its count if there are many."""
    if (more := len(clauses) - _MOST_CLAUSES) <= 1:
        return clauses
    half = _MOST_CLAUSES // 2
    return [*clauses[:half], f"{more} more {noun}", *clauses[-half:]]


def _changes(report: Report) -> list[tuple[str, list[LimitChange]]]:
    """Return the changes of limits by registry, of the first registries."""
    by_registry = grouped(report.limit_changes, lambda change: change.registry)
    return list(by_registry.items())[:_MOST_REGISTRIES]


def _tried(report: Report) -> list[TargetRecord]:
    return [result for result in report.targets if result.all_attempts]


def _is_telling(result: TargetRecord) -> bool:
    """Return whether the target's row shows more than a write or a permanent refusal."""
    return result.retried or any(
        attempt.number > 1 or (attempt.failure and attempt.failure.retryable)
        for attempt in result.all_attempts
    )


def _has_row(result: TargetRecord) -> bool:
    """Return whether the target has its own row in the picture."""
    return _is_telling(result) or result.outcome is Outcome.FAILED


def _is_eventful(report: Report) -> bool:
    """Return whether the run as a whole is worth a picture."""
    return bool(_tried(report)) and bool(
        report.holds or report.limit_changes or report.duration >= _LONG_RUN or outages(report)
    )


def _most_telling(report: Report) -> list[TargetRecord]:
    """Return the targets to show, in the order of their first attempts: failed, retried in turn."""
    telling = [result for result in _tried(report) if _has_row(result)]
    failed = [result for result in telling if result.outcome is Outcome.FAILED]
    retried = [result for result in telling if result.outcome is not Outcome.FAILED]
    in_turn = (result for pair in zip_longest(failed, retried) for result in pair if result)
    shown = islice(in_turn, MOST_ROWS)
    return sorted(shown, key=lambda result: result.all_attempts[0].started)


def _smooth_row(results: Sequence[TargetRecord]) -> Iterator[Row]:
    """Yield one row for all targets without failures, from their first request to their last."""
    attempts = [attempt for result in results for attempt in result.all_attempts]
    if attempts:
        start = min(attempt.started for attempt in attempts)
        end = max(attempt.ended for attempt in attempts)
        bar = Bar("first try", BarKind.REQUEST, start, end)
        yield Row(count(len(results), "other tag"), (bar,))


def _target_rows(results: Sequence[TargetRecord], report: Report) -> Iterator[Row]:
    """Yield the rows of each target, named by its tag; with several repositories by theirs, too."""
    duration = report.duration
    one_repository = len({target.parsed.repository for target in report.targets}) == 1
    for result in results:
        reference = result.parsed
        name = "" if one_repository else reference.repository.name.rpartition("/")[2]
        label = f"{name}:{reference.tag}"
        if result.content_attempts:
            yield Row(f"layers of {label}", _content_bars(result.content_attempts, duration))
        if result.attempts:
            yield Row(label, tuple(_bars(result.attempts, duration))[-MOST_BARS:])


def _content_bars(attempts: Sequence[AttemptRecord], duration: float) -> tuple[Bar, ...]:
    """Return a bar for each time with parallel uploads, and the failed ones."""
    failed = [_failed_bar(one, one.failure, duration) for one in attempts if one.failure]
    times: list[tuple[float, float]] = []
    for start, end in sorted((one.started, one.ended) for one in attempts if not one.failure):
        if times and start - times[-1][1] < _SHORTEST * duration:
            times[-1] = times[-1][0], max(end, times[-1][1])
        else:
            times.append((start, end))
    sent = [Bar("layers", BarKind.REQUEST, start, end) for start, end in times]
    return (*sent[-MOST_BARS:], *failed[-MOST_BARS:])


def _bars(attempts: Sequence[AttemptRecord], duration: float) -> Iterator[Bar]:
    """Yield a bar per request of one target, and the waits between them."""
    following = [*(attempt.started for attempt in attempts[1:]), None]
    for attempt, after in zip(attempts, following, strict=True):
        if attempt.failure is None:
            text = _LABELS.get(attempt.step, attempt.step.value)
            answered = attempt.seconds if attempt.answered is None else attempt.answered
            bar = Bar(text, BarKind.REQUEST, attempt.started, attempt.started + answered)
        else:
            bar = _failed_bar(attempt, attempt.failure, duration)
        yield bar
        if not attempt.failure and attempt.ended - bar.end > _SHORTEST * duration:
            yield Bar("read back", BarKind.WAIT, bar.end, attempt.ended)
        waited_until = attempt.ended + attempt.wait if after is None else after
        if attempt.failure and waited_until > bar.end:
            yield Bar("wait", BarKind.WAIT, bar.end, waited_until)


def _failed_bar(attempt: AttemptRecord, failure: FailureRecord, duration: float) -> Bar:
    text = failure.kind.value if failure.status is None else str(failure.status)
    end = max(attempt.ended, attempt.started + _SHORTEST * duration)
    return Bar(text, BarKind.FAILED, attempt.started, end, attempt.seconds)


def _outage_rows(report: Report) -> Iterator[Row]:
    """Yield a row per registry that was down, for the time of its outages."""
    down = grouped(outages(report)[:MOST_BARS], lambda outage: outage.registry)
    for registry, found in down.items():
        bars = [
            Bar(f"down {rounded_span(each.seconds)}", BarKind.DOWN, each.start, each.end)
            for each in found
        ]
        yield Row(f"{registry} down", tuple(bars))


def _limit_rows(report: Report) -> Iterator[Row]:
    """Yield a row per registry with its limits over time, and one with the holds."""
    changed = _changes(report)
    for registry, changes in changed:
        name = f"writes {registry}" if len(changed) > 1 else "parallel writes"
        values = [changes[0].old, *(change.new for change in changes)]
        times = [0.0, *(change.at for change in changes), report.duration]
        bars = [
            Bar(str(value), BarKind.LIMIT, start, end)
            for value, start, end in zip(values, times, times[1:], strict=False)
        ]
        yield Row(name, tuple(bars[:_MOST_LIMIT_BARS]))
    if report.holds:
        held = [
            Bar("queue held", BarKind.WAIT, hold.at, hold.at + hold.seconds)
            for hold in report.holds
        ]
        yield Row("held as asked", tuple(held[:MOST_BARS]))


def _cut(bars: Sequence[Bar], duration: float) -> tuple[Bar, ...]:
    """Return ``bars``, cut at the end of the run."""
    return tuple(replace(bar, end=max(bar.start, min(bar.end, duration))) for bar in bars)

"""The run as a picture: a Mermaid Gantt of attempts and waits, and the limit's history."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, zip_longest

from ghcr_push.model import Attempt, LimitChange, Outcome, Report, Step, TargetResult
from ghcr_push.reporting.escape import clipped, mermaid
from ghcr_push.reporting.phrases import count, span

MOST_ROWS = 40
"""Targets in the picture: more are not read."""

LONGEST = 50_000
"""Characters of a diagram that GitHub draws (Mermaid's ``maxTextSize``)."""

# caps that keep 40 targets under ``LONGEST``, at 65 characters a bar
_MOST_BARS = 16
_MOST_REGISTRIES = 3
_MOST_LIMIT_BARS = 40

_LABELS = {Step.RETAG: "write", Step.LOOK: "read", Step.PROVE: "read back"}

_MOST_TOLD = 12
"""Changes of a limit, or holds, in a sentence: the first and the last ones."""

_LONGEST_REASON = 80
_LONGEST_LABEL = 24

_HOUR = 3600

# d3 puts ticks at half seconds in shorter pictures (7.1 s), with some to spare
_TICKS_BELOW_A_SECOND = 10

# at GitHub's usual width of the chart, in characters of the font size below
_CHART_WIDTH = 110

# Mermaid wants a text, and takes blanks for none
_NO_LABEL = "\N{ZERO WIDTH SPACE}"

# no date of a change to summer time: Mermaid reads and shows local time
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - a length of time from zero, no point in time

_LAYOUT = {
    "leftPadding": 170,
    "barHeight": 18,
    "barGap": 4,
    "fontSize": 11,
    "sectionFontSize": 12,
}

# colours that show on a light and on a dark page; Mermaid lets a fifth of a band through
_BAND = "#88888899"
_COLOURS = {
    **dict.fromkeys(("sectionBkgColor", "sectionBkgColor2"), _BAND),
    "altSectionBkgColor": "#0000",
    **dict.fromkeys(("taskBkgColor", "taskBorderColor"), "#2da44e"),
    **dict.fromkeys(("doneTaskBkgColor", "doneTaskBorderColor"), "#9ea7b3"),
    **dict.fromkeys(("critBkgColor", "critBorderColor"), "#e5534b"),
    **dict.fromkeys(("activeTaskBkgColor", "activeTaskBorderColor"), "#54aeff"),
    **dict.fromkeys(("taskTextColor", "taskTextLightColor", "taskTextDarkColor"), "#0d1117"),
}

LEGEND = "Green: a request; red: one that failed; grey: waiting; blue: writes allowed in parallel."

_LONG_RUN = 60.0
"""Seconds from which a run is worth a picture though all went well."""

_SHORTEST_FAILURE = 0.01
"""The least share of the run that a failed request is drawn as: many fail within milliseconds."""


def gantt(report: Report) -> str:
    """Return the diagram's source, at most ``LONGEST`` characters; empty where it tells nothing.

    A row per target that failed or was retried, as many as have room, and one for all others. The
    first rows show the writes allowed in flight, and the times in which the queue was held.
    """
    shown = _most_telling(report)
    if not shown and not _is_eventful(report):
        return ""
    smooth = [result for result in _tried(report) if not _is_telling(result)]
    config = json.dumps({"gantt": _LAYOUT, "themeVariables": _COLOURS})
    head = f"---\ndisplayMode: compact\nconfig: {config}\n---\ngantt\n"
    head += f"    dateFormat YYYY-MM-DD HH:mm:ss.SSS\n    axisFormat {_axis([*shown, *smooth])}\n"
    rows = [*_target_rows(shown, report.duration), *_smooth_row(smooth, report.duration)]
    return "".join([head, *_limit_rows(report), *rows])


def rows_left_out(report: Report) -> int:
    """Return how many targets that failed or were retried ``gantt`` has no room for."""
    return max(0, sum(_is_telling(result) for result in _tried(report)) - MOST_ROWS)


def limit_history(report: Report) -> list[str]:
    """Return the changes of each registry's limit as a sentence of plain text."""
    told = []
    for registry, changes in list(_by_registry(report.limit_changes))[:_MOST_REGISTRIES]:
        steps = [f"{c.new} at {span(c.at)} ({clipped(c.reason, _LONGEST_REASON)})" for c in changes]
        line = " → ".join([str(changes[0].old), *_shortened(steps, "changes")])
        told.append(f"Parallel writes to {registry}: {line}.")
    return told


def hold_history(report: Report) -> list[str]:
    """Return the holds of all queues as a sentence of plain text."""
    if not report.holds:
        return []
    holds = [
        f"{span(h.seconds)} at {span(h.at)}, as {h.registry} asked "
        f"({clipped(h.reason, _LONGEST_REASON)})"
        for h in report.holds
    ]
    return [f"The whole queue was held: {'; '.join(_shortened(holds, 'holds'))}."]


def _shortened(told: list[str], noun: str) -> list[str]:
    """Return ``told``, with its middle counted where it is long."""
    if (more := len(told) - _MOST_TOLD) <= 1:
        return told
    half = _MOST_TOLD // 2
    return [*told[:half], f"{more} more {noun}", *told[-half:]]


def _by_registry(changes: Sequence[LimitChange]) -> Iterator[tuple[str, list[LimitChange]]]:
    for registry in dict.fromkeys(change.registry for change in changes):
        yield registry, [change for change in changes if change.registry == registry]


def _tried(report: Report) -> list[TargetResult]:
    return [result for result in report.results if result.all_attempts]


def _is_telling(result: TargetResult) -> bool:
    """Say whether the target, or the content that went up with it, met anything."""
    bad = result.outcome is Outcome.FAILED or result.retried
    return bad or any(attempt.failure for attempt in result.all_attempts)


def _is_eventful(report: Report) -> bool:
    """Say whether the run as a whole is worth a picture."""
    tried = any(result.all_attempts for result in report.results)
    return tried and bool(
        report.holds or report.limit_changes or report.cancelled or report.duration >= _LONG_RUN
    )


def _most_telling(report: Report) -> list[TargetResult]:
    """Return the targets to show, in the order of their first attempts: failed, retried in turn."""
    telling = [result for result in _tried(report) if _is_telling(result)]
    failed = [result for result in telling if result.outcome is Outcome.FAILED]
    retried = [result for result in telling if result.outcome is not Outcome.FAILED]
    in_turn = (result for pair in zip_longest(failed, retried) for result in pair if result)
    shown = islice(in_turn, MOST_ROWS)
    return sorted(shown, key=lambda result: result.all_attempts[0].started)


def _smooth_row(results: Sequence[TargetResult], duration: float) -> Iterator[str]:
    """Yield one row for all targets that met nothing, from their first request to their last."""
    attempts = [attempt for result in results for attempt in result.all_attempts]
    if not attempts:
        return
    start = min(attempt.started for attempt in attempts)
    end = max(attempt.started + attempt.seconds for attempt in attempts)
    bar = _bar("first try", "", start, end, duration)
    yield f"    section {count(len(results), 'other tag').replace(',', ' ')}\n{bar}"


def _target_rows(results: Sequence[TargetResult], duration: float) -> Iterator[str]:
    for result, label in zip(results, _labels(results), strict=True):
        if result.content_attempts:
            bars = _content_bars(result.content_attempts, duration)
            yield f"    section layers of {label}\n{''.join(bars)}"
        if not result.attempts:
            continue
        bars = [bar for attempt in result.attempts for bar in _bars(attempt, duration)]
        # the last ones tell how it ended
        yield f"    section {label}\n{''.join(bars[-_MOST_BARS:])}"


def _content_bars(attempts: Sequence[Attempt], duration: float) -> list[str]:
    """Return one bar for all uploads, which go side by side, and those of the failed ones."""
    start = min(attempt.started for attempt in attempts)
    end = max(attempt.started + attempt.seconds for attempt in attempts)
    failed = [bar for one in attempts if one.failure for bar in _bars(one, duration)]
    return [_bar("layers", "", start, end, duration), *failed[-_MOST_BARS:]]


def _bars(attempt: Attempt, duration: float) -> Iterator[str]:
    end = attempt.started + attempt.seconds
    failure = attempt.failure
    if failure is None:
        yield _bar(_LABELS.get(attempt.step, attempt.step), "", attempt.started, end, duration)
    else:
        text = failure.kind.value if failure.status is None else str(failure.status)
        visible = max(end, attempt.started + _SHORTEST_FAILURE * duration)
        yield _bar(text, "crit, ", attempt.started, visible, duration)
    if attempt.wait > 0:
        yield _bar("wait", "done, ", end, end + attempt.wait, duration)


def _limit_rows(report: Report) -> Iterator[str]:
    """Yield a row per registry of its limits over time, and one of the holds."""
    changed = list(_by_registry(report.limit_changes))[:_MOST_REGISTRIES]
    for registry, changes in changed:
        name = f"parallel writes {registry}" if len(changed) > 1 else "parallel writes"
        values = [changes[0].old, *(change.new for change in changes)]
        times = [0.0, *(change.at for change in changes), report.duration]
        bars = [
            _bar(str(value), "active, ", start, end, report.duration)
            for value, start, end in zip(values, times, times[1:], strict=False)
        ]
        yield f"    section {_clip(mermaid(name))}\n{''.join(bars[:_MOST_LIMIT_BARS])}"
    if report.holds:
        bars = [
            _bar("queue held", "done, ", hold.at, hold.at + hold.seconds, report.duration)
            for hold in report.holds
        ]
        yield f"    section held as asked\n{''.join(bars[:_MOST_BARS])}"


def _bar(text: str, style: str, start: float, end: float, duration: float) -> str:
    """Return one bar, cut where the run ended.

    Mermaid writes a text that has no room over the next bar: then the bar has none.
    """
    length = max(min(end, duration) - start, 0.0)
    label = text if length * _CHART_WIDTH > (len(text) + 1) * duration else _NO_LABEL
    begin = (_EPOCH + timedelta(seconds=start)).isoformat(" ", "milliseconds")
    return f"    {label} :{style}{begin}, {length * 1000:.0f}ms\n"


def _axis(shown: Sequence[TargetResult]) -> str:
    """Return a d3 time format that tells all ticks apart; there are about ten."""
    attempts = [attempt for result in shown for attempt in result.all_attempts]
    drawn = max(a.started + a.seconds for a in attempts) - min(a.started for a in attempts)
    if drawn < _TICKS_BELOW_A_SECOND:
        return "%-S.%L s"
    return "%M:%S" if drawn < _HOUR else "%H:%M:%S"


def _labels(results: Sequence[TargetResult]) -> Iterator[str]:
    """Yield a label per target, no two alike: Mermaid draws sections of one name as one.

    None is a whole number: Mermaid keeps sections in an object of JavaScript, which lists such
    names first. So a tag alone is written with its colon.
    """
    one_repository = len({result.target.reference.repository for result in results}) == 1
    seen: Counter[str] = Counter()
    for result in results:
        reference = result.target.reference
        name = "" if one_repository else reference.repository.name.rpartition("/")[2]
        label = _clip(mermaid(f"{name}:{reference.tag}"))
        seen[label] += 1
        yield label if seen[label] == 1 else f"{label} +{seen[label]}"


def _clip(label: str) -> str:
    if len(label) <= _LONGEST_LABEL:
        return label
    return f"{label[: _LONGEST_LABEL - 8]}..{label[-6:]}"

"""The timeline as a Mermaid Gantt, which GitHub draws in a job summary."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ghcr_push.reporting.escape import mermaid
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.timeline import Bar, BarKind, Row, rows

LONGEST = 50_000
"""Characters of a diagram that GitHub draws (Mermaid's ``maxTextSize``)."""

_LONGEST_LABEL = 24
"""Characters; with the caps of ``timeline`` it keeps a diagram, at 65 a bar, under ``LONGEST``."""

_HOUR = 3600

# seconds of a picture up to which ticks are parts of a second, and then whole seconds
_TICKS_BELOW_A_SECOND, _TICKS_OF_A_SECOND = 3, 15

# at GitHub's usual width of the chart, in characters of the font size below
_CHART_WIDTH = 110

# Mermaid wants a text, and takes blanks for none
_NO_LABEL = "\N{ZERO WIDTH SPACE}"

# no date of a change to summer time: Mermaid reads and shows local time
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - a length of time from zero, no point in time

_HEIGHT, _GAP, _PADDING = 18, 4, 50
"""Pixels of a bar, between two, and above and below all."""
_LINE = _HEIGHT + _GAP

_LAYOUT = {
    "leftPadding": 170,
    "barHeight": _HEIGHT,
    "barGap": _GAP,
    "topPadding": _PADDING,
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

_STYLES = {
    BarKind.REQUEST: "",
    BarKind.FAILED: "crit, ",
    BarKind.WAIT: "done, ",
    BarKind.LIMIT: "active, ",
    BarKind.DOWN: "crit, ",
}


def gantt(report: Report) -> str:
    """Return the diagram's source, at most ``LONGEST`` characters; empty where it tells nothing."""
    drawn = rows(report)
    if not drawn:
        return ""
    css = _bands(drawn)
    styles = {"themeCSS": css} if css else {}
    config = json.dumps({"gantt": _LAYOUT, "themeVariables": _COLOURS, **styles})
    head = f"---\ndisplayMode: compact\nconfig: {config}\n---\ngantt\n"
    head += f"    dateFormat YYYY-MM-DD HH:mm:ss.SSS\n    axisFormat {_axis(drawn)}\n"
    return "".join([head, *_sections(drawn, report.duration)])


def _sections(drawn: Sequence[Row], duration: float) -> Iterator[str]:
    """Yield a section per row, no two of one name: Mermaid draws those as one.

    None is named by a whole number either: Mermaid keeps sections in an object of JavaScript, which
    lists such names first. The labels of tags have a colon.
    """
    seen: Counter[str] = Counter()
    for number, row in enumerate(drawn):
        label = _clip(mermaid(row.label))
        seen[label] += 1
        name = label if seen[label] == 1 else f"{label} +{seen[label]}"
        yield f"    section {name}\n"
        for place, bar in enumerate(row.bars):
            yield _bar(bar, duration, f"down{number}x{place}, " * (bar.kind is BarKind.DOWN))


def _bands(drawn: Sequence[Row]) -> str:
    """Return the style by which the bars of outages reach down through all rows, seen through.

    Rows of outages are the first, a line each. Who draws Mermaid without styles of the diagram's
    own shows them as bars.
    """
    rules = [
        f"rect[id*=down{number}x]{{height:calc(100% - {2 * _PADDING + 2 + number * _LINE}px);"
        "fill-opacity:.25;stroke:none}"
        for number, row in enumerate(drawn)
        if any(bar.kind is BarKind.DOWN for bar in row.bars)
    ]
    return "".join([*rules, "text[id*=down]{fill:#e5534b!important}"] if rules else [])


def _bar(bar: Bar, duration: float, name: str) -> str:
    """Return one bar, without its text where that has no room: Mermaid writes over the next.

    ``name`` is what a style knows it by, with a comma, or empty.
    """
    length = bar.end - bar.start
    label = bar.text if length * _CHART_WIDTH > (len(bar.text) + 1) * duration else _NO_LABEL
    begin = (_EPOCH + timedelta(seconds=bar.start)).isoformat(" ", "milliseconds")
    return f"    {label} :{_STYLES[bar.kind]}{name}{begin}, {length * 1000:.0f}ms\n"


def _axis(drawn: Sequence[Row]) -> str:
    """Return a d3 time format that tells all ticks apart; there are about ten."""
    bars = [bar for row in drawn for bar in row.bars]
    length = max(bar.end for bar in bars) - min(bar.start for bar in bars)
    if length < _TICKS_BELOW_A_SECOND:
        return "%-S.%L s"
    if length < _TICKS_OF_A_SECOND:
        return "%-S s\n    tickInterval 1second"
    return "%M:%S" if length < _HOUR else "%H:%M:%S"


def _clip(label: str) -> str:
    if len(label) <= _LONGEST_LABEL:
        return label
    return f"{label[: _LONGEST_LABEL - 8]}..{label[-6:]}"

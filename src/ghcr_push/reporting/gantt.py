"""The timeline as a Mermaid Gantt, which GitHub draws in a job summary."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ghcr_push.reporting.escape import mermaid
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.timeline import Bar, BarKind, Row, rows

LONGEST = 50_000
"""Maximum characters of a diagram that GitHub draws (Mermaid's ``maxTextSize``)."""

_LONGEST_LABEL = 24
"""Characters; with the limits of ``timeline`` it keeps a diagram, at 65 per bar, under
``LONGEST``."""

_HOUR = 3600

# up to these seconds, ticks are fractions of a second, beyond whole seconds
_TICKS_BELOW_A_SECOND, _TICKS_OF_A_SECOND = 3, 15

# at GitHub's usual width of the chart, in characters of the font size below
_CHART_WIDTH = 110

# Mermaid requires a text, and treats blanks as none
_NO_LABEL = "\N{ZERO WIDTH SPACE}"

# not a date on which summer time starts or ends: Mermaid reads and shows local time
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - a length of time from zero, no point in time

_HEIGHT, _GAP, _PADDING = 18, 4, 50
"""Pixels of a bar, between two bars, and above and below all."""
_LINE = _HEIGHT + _GAP

_LAYOUT = {
    "leftPadding": 170,
    "barHeight": _HEIGHT,
    "barGap": _GAP,
    "topPadding": _PADDING,
    "fontSize": 11,
    "sectionFontSize": 12,
}

# colours for a light and a dark page; a band has a fifth of Mermaid's opacity
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
    """Return the diagram's source, at most ``LONGEST`` characters; empty if it shows nothing."""
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
    """Yield a section per row with distinct names, since Mermaid merges sections of one name.

    No name is a whole number either: Mermaid keeps sections in a JavaScript object, which lists
    such names first. The labels of tags have a colon.
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
    """Return the style that extends the bars of outages through all rows, half transparent.

    Rows of outages are the first, one line each. A viewer that ignores the diagram's styles shows
    them as bars.
    """
    rules = [
        f"rect[id*=down{number}x]{{height:calc(100% - {2 * _PADDING + 2 + number * _LINE}px);"
        "fill-opacity:.25;stroke:none}"
        for number, row in enumerate(drawn)
        if any(bar.kind is BarKind.DOWN for bar in row.bars)
    ]
    return "".join([*rules, "text[id*=down]{fill:#e5534b!important}"] if rules else [])


def _bar(bar: Bar, duration: float, name: str) -> str:
    """Return one bar, without its text if there is no room: Mermaid would overwrite the next.

    ``name`` is the bar's ID for a style, with a comma, or empty.
    """
    length = bar.end - bar.start
    label = bar.text if length * _CHART_WIDTH > (len(bar.text) + 1) * duration else _NO_LABEL
    begin = (_EPOCH + timedelta(seconds=bar.start)).isoformat(" ", "milliseconds")
    return f"    {label} :{_STYLES[bar.kind]}{name}{begin}, {length * 1000:.0f}ms\n"


def _axis(drawn: Sequence[Row]) -> str:
    """Return a d3 time format that distinguishes all ticks; there are about ten."""
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

"""The timeline as a self-contained SVG, for the HTML page."""

import html
from collections.abc import Iterator, Sequence

from ghcr_push.reporting.escape import clipped, visible
from ghcr_push.reporting.phrases import span
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.timeline import Bar, BarKind, Row, rows

_LABELS, _CHART, _ROW, _AXIS = 200, 760, 24, 24
"""Pixels: the width of the labels and of the chart, the height of a row and of the axis."""

_TICKS = 6
_LONGEST_LABEL = 30

_CHARACTER = 6.5
"""Pixels per character of a bar's text."""


def svg(report: Report) -> str:
    """Return an ``<svg>`` element, coloured by classes; empty if a picture shows nothing."""
    drawn = rows(report)
    if not drawn:
        return ""
    length = max(bar.end for row in drawn for bar in row.bars) or 1.0
    width, height = _LABELS + _CHART + 28, _AXIS + _ROW * len(drawn)
    body = "".join([*_bands(drawn, length, height), *_axis(length, height), *_rows(drawn, length)])
    return (
        f'<svg class="timeline" role="img" aria-label="Timeline of attempts" '
        f'viewBox="0 0 {width} {height}" width="{width}">{body}</svg>\n'
    )


def _axis(length: float, height: int) -> Iterator[str]:
    for number in range(_TICKS + 1):
        x = _LABELS + _CHART * number / _TICKS
        yield f'<line class="tick" x1="{x:.1f}" y1="18" x2="{x:.1f}" y2="{height}"/>'
        text = span(length * number / _TICKS)
        yield f'<text class="tick" x="{x:.1f}" y="13" text-anchor="middle">{text}</text>'


def _bands(drawn: Sequence[Row], length: float, height: int) -> Iterator[str]:
    """Yield the times in which a registry was down, behind all rows."""
    for bar in (bar for row in drawn for bar in row.bars if bar.kind is BarKind.DOWN):
        x, width = _LABELS + _CHART * bar.start / length, _CHART * (bar.end - bar.start) / length
        yield f'<rect class="band" x="{x:.1f}" y="{_AXIS}" width="{width:.1f}" height="{height}"/>'


def _rows(drawn: Sequence[Row], length: float) -> Iterator[str]:
    for number, row in enumerate(drawn):
        y = _AXIS + _ROW * number
        label = html.escape(clipped(visible(row.label), _LONGEST_LABEL))
        yield f'<text class="label" x="{_LABELS - 8}" y="{y + 15}" text-anchor="end">{label}</text>'
        for bar in row.bars:
            yield _bar(bar, y, length)


def _bar(bar: Bar, y: int, length: float) -> str:
    x = _LABELS + _CHART * bar.start / length
    width = max(_CHART * (bar.end - bar.start) / length, 1.0)
    text = html.escape(visible(bar.text))
    title = f"{text}: {span(bar.seconds)} from {span(bar.start)}"
    shown = f'<text x="{x + width / 2:.1f}" y="{y + 15}" text-anchor="middle">{text}</text>'
    fits = len(bar.text) * _CHARACTER < width
    return (
        f'<g class="{bar.kind}" tabindex="0"><title>{title}</title>'
        f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 6}" rx="2"/>'
        f"{shown if fits else ''}</g>"
    )

"""Pictures for `docs/`: SVG with the same bytes for the same numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from bench.push.conditions import CONDITIONS
from bench.push.contenders import CONTENDERS
from bench.push.measuring import Measurement
from bench.push.tables import Runs, seconds
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import RcKeyType

STYLE: Final[dict[RcKeyType, Any]] = {
    "svg.hashsalt": "ghcr-push",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",  # matplotlib's own, so that no machine's fonts matter
    "font.size": 9,
    "axes.edgecolor": "#8c959f",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.8,
}

PAPER, INK, PALE = "#ffffff", "#1f2328", "#8c959f"
OURS, PEER, LOSING = "#0969da", "#afb8c1", "#cf222e"
"""Distinguishable without colour: ours is the darkest, and runs that lost tags are hatched."""

COLUMNS: Final = 4
SIZE: Final = (13.0, 6.6)


def draw(measured: Mapping[str, Runs], path: Path) -> None:
    """Draw the times of every contender, a panel per condition, on an opaque background."""
    rows = -(-(len(measured) + 1) // COLUMNS)
    names = [name for name in CONTENDERS if any(name in runs for runs in measured.values())]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(SIZE[0], SIZE[1] * rows / 2), facecolor=PAPER, layout="tight")
        grid = figure.subplots(rows, COLUMNS, squeeze=False)
        panels = list(grid.flat)
        for place, (condition, runs) in enumerate(measured.items()):
            _panel(panels[place], condition, runs, names)
            if place % COLUMNS == 0:
                _name(panels[place], names)
        for spare in panels[len(measured) :]:
            spare.axis("off")
        _key(panels[-1])
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def _panel(axes: Axes, condition: str, runs: Runs, names: Sequence[str]) -> None:
    """Draw a bar per contender, each at its place among `names`, which every panel shares."""
    given = CONDITIONS[condition]
    widest = max(each.seconds for found in runs.values() for each in found)
    for name, found in runs.items():
        _bar(axes, names.index(name), name, found, widest)
    axes.axvline(given.bound, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    axes.set_title(given.title, fontsize=10, fontweight="bold", color=INK, loc="left")
    axes.set_xlim(0, widest * 1.42)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.tick_params(axis="x", colors=PALE, labelsize=8)
    axes.set_facecolor(PAPER)


def _name(axes: Axes, names: Sequence[str]) -> None:
    """Put the contenders' names beside a panel."""
    labels = [CONTENDERS[name].title.replace("`", "") for name in names]
    axes.set_yticks(range(len(labels)), labels=labels, color=INK)
    axes.tick_params(axis="y", length=0)


def _bar(axes: Axes, place: int, name: str, runs: Sequence[Measurement], widest: float) -> None:
    """Draw a median with the least and the most, what was lost, and the figure."""
    time, all_times = seconds(runs), [each.seconds for each in runs]
    lost = max(each.lost for each in runs)
    colour = OURS if CONTENDERS[name].ours else PEER
    edge = LOSING if lost else colour
    axes.barh(
        place,
        time,
        height=0.68,
        color=PAPER if lost else colour,
        edgecolor=edge,
        linewidth=0.8,
        hatch="////" if lost else None,
    )
    if len(runs) > 1:
        axes.plot([min(all_times), max(all_times)], [place, place], color=INK, linewidth=1)
    text = f"{time:.1f}" + (f", lost {lost}" if lost else "")
    axes.text(
        max(all_times) + widest * 0.02,
        place,
        text,
        va="center",
        color=LOSING if lost else INK,
        fontsize=8,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
    )


def _key(axes: Axes) -> None:
    """Say what the marks mean, in a panel of its own."""
    axes.legend(
        handles=[
            Patch(facecolor=OURS, label="this action"),
            Patch(facecolor=PEER, label="other clients"),
            Patch(facecolor=PAPER, edgecolor=LOSING, hatch="////", label="tags were lost"),
            Line2D([], [], color=INK, linewidth=1, label="least to most"),
            Line2D([], [], color=INK, linewidth=1, linestyle=(0, (3, 2)), label="lower bound"),
        ],
        title="Seconds, shorter is better",
        loc="center",
        frameon=False,
        alignment="left",
    )

"""Progress on standard error: bars for a person, lines elsewhere, or nothing."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

import click

from ghcr_push.fronts.colours import in_colours, is_terminal
from ghcr_push.fronts.lines import engine_lines, escape_commands
from ghcr_push.fronts.runlog import RunLog
from ghcr_push.fronts.wording import COMMAND_LINE
from ghcr_push.pushing.context import PROGRESS_EVERY
from ghcr_push.pushing.events import ContentProgress, EngineSaid, Event, Noticed, Observer

if TYPE_CHECKING:
    from ghcr_push.fronts.bars import Bars

DRAWN_EVERY: Final = 0.2
"""Seconds between two progress events of an upload, for bars."""


@dataclass(frozen=True, slots=True)
class Display:
    """The observer of events, the interval of progress events, and the printer of other lines."""

    observer: Observer
    progress_every: float
    line: Callable[[str], None]
    end: Callable[[], None] = lambda: None
    """Prints what was held back; call it when the run is over."""


@contextmanager
def displayed(
    tags: int, *, quiet: bool, coloured: bool, verbose: bool = False
) -> Iterator[Display]:
    """Show the progress of a run with ``tags`` tags while the block runs."""

    def line(text: str) -> None:
        click.echo(in_colours(text) if coloured else text, err=True, color=coloured)

    if quiet:
        yield Display(_notices(line), PROGRESS_EVERY, line)
    elif not is_terminal(sys.stderr):
        lines = _Lines(line, verbose=verbose)
        yield Display(lines.tell, PROGRESS_EVERY, line, lines.end)
    else:
        # a third of a second of imports that only a person at a terminal needs
        from ghcr_push.fronts.bars import Bars, console  # noqa: PLC0415 - see the line above

        with Bars(tags, console(coloured=coloured)) as bars:
            lines = _Lines(bars.line, verbose=verbose)
            yield Display(_drawing(bars, lines), DRAWN_EVERY, bars.line, lines.end)


class _Lines:
    """Prints events line by line, each with the seconds since the start."""

    def __init__(self, line: Callable[[str], None], *, verbose: bool) -> None:
        self._line = line
        self._verbose = verbose
        self._start = monotonic()
        self._log = RunLog()

    def tell(self, event: Event) -> None:
        """Print an event; the engine's output only if everything is requested."""
        if not isinstance(event, EngineSaid):
            self._print(self._log.lines(event))
        elif self._verbose:
            self._print(engine_lines(event))

    def end(self) -> None:
        """Print what was held back."""
        self._print(self._log.rest())

    def _print(self, lines: Iterable[str]) -> None:
        for each in lines:
            self._line(f"{monotonic() - self._start:7.1f} s  {COMMAND_LINE.said(each)}")


def _drawing(bars: "Bars", lines: _Lines) -> Observer:
    """Draw bars, and print above them the events that they do not show."""

    def draw(event: Event) -> None:
        bars.draw(event)
        if not isinstance(event, ContentProgress):
            lines.tell(event)

    return draw


def _notices(line: Callable[[str], None]) -> Observer:
    """Print only notices, like errors."""

    def tell(event: Event) -> None:
        if isinstance(event, Noticed):
            line(COMMAND_LINE.said(escape_commands(event.sentence)))

    return tell

"""Progress on standard error: bars for a person, lines elsewhere, or nothing."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ghcr_push.fronts.colours import is_terminal, write
from ghcr_push.fronts.lines import engine_lines, escape_commands
from ghcr_push.fronts.runlog import RunLog
from ghcr_push.fronts.wording import COMMAND_LINE
from ghcr_push.pushing.context import PROGRESS_EVERY
from ghcr_push.pushing.events import ContentProgress, EngineSaid, Event, Noticed

if TYPE_CHECKING:
    from ghcr_push.fronts.bars import Bars

DRAWN_EVERY: Final = 0.2
"""Seconds between two progress events of an upload, for bars."""


class Display:
    """Prints events as lines, above ``bars`` if there are any; only notices if it is quiet.

    ``line`` prints a line. With ``verbose``, the engine's output is printed, too.
    """

    def __init__(
        self,
        line: Callable[[str], None],
        *,
        quiet: bool = False,
        verbose: bool = False,
        bars: "Bars | None" = None,
    ) -> None:
        self.line = line
        self.progress_every = DRAWN_EVERY if bars else PROGRESS_EVERY
        self._quiet = quiet
        self._verbose = verbose
        self._bars = bars
        self._log = RunLog()

    def observe(self, event: Event) -> None:
        """Show an event; bars show the progress of uploads in place of lines."""
        if self._quiet:
            if isinstance(event, Noticed):
                self.line(COMMAND_LINE.said(escape_commands(event.sentence)))
            return
        if self._bars:
            self._bars.draw(event)
        if isinstance(event, EngineSaid):
            self._print(engine_lines(event) if self._verbose else ())
        elif not (self._bars and isinstance(event, ContentProgress)):
            self._print(self._log.lines(event))

    def detail(self, text: str) -> None:
        """Print a line of the debug log."""
        self.line(self._log.timed(text))

    def end(self) -> None:
        """Print what was held back; call it when the run is over."""
        self._print(self._log.rest())

    def _print(self, lines: Iterable[str]) -> None:
        for each in lines:
            self.line(self._log.timed(COMMAND_LINE.said(each)))


@contextmanager
def displayed(
    tags: int, *, quiet: bool, coloured: bool, verbose: bool = False
) -> Iterator[Display]:
    """Show the progress of a run with ``tags`` tags while the block runs."""
    if quiet or not is_terminal(sys.stderr):

        def line(text: str) -> None:
            write(f"{text}\n", sys.stderr, coloured=coloured)

        yield Display(line, quiet=quiet, verbose=verbose)
        return
    # a third of a second of imports that only a person at a terminal needs
    from ghcr_push.fronts.bars import Bars  # noqa: PLC0415 - see the line above

    with Bars(tags, coloured=coloured) as bars:
        yield Display(bars.line, verbose=verbose, bars=bars)

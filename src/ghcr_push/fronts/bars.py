"""Bars on a terminal: how many tags have ended, and how far each image on its way is.

Lines pass above the bars and stay; the bars are gone when the run has ended.
"""

from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ghcr_push.fronts.lines import carriage_text, harmless
from ghcr_push.model import Target
from ghcr_push.pushing.events import Carried, Carrying, Ended, Event

REFRESHED: Final = 5
"""Times a second that the bars are drawn anew."""


class Bars:
    """The bars of a run with so many ``tags``; a context manager, shown while the block runs."""

    def __init__(self, tags: int, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[told]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=REFRESHED,
            transient=True,
            expand=True,
            # what is printed goes through ``line``; a replaced stdout would hold back its end
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tags = tags
        self._ended = 0
        self._all = self._progress.add_task("tags", total=tags, told=f"0 of {tags}")
        self._carriages: dict[Target, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def line(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(Text.from_ansi(text), soft_wrap=True)

    def draw(self, event: Event) -> None:
        """Move the bars by what happened."""
        match event:
            case Carrying():
                self._carry(event)
            case Carried(seed):
                self._drop(seed)
            case Ended(result):
                self._drop(result.target)
                self._ended += 1
                told = f"{self._ended} of {self._tags}"
                self._progress.update(self._all, completed=self._ended, told=told)

    def _carry(self, event: Carrying) -> None:
        if event.seed not in self._carriages:
            name = harmless(str(event.seed.reference.repository))
            self._carriages[event.seed] = self._progress.add_task(name, total=None, told="")
        carriage = event.carriage
        self._progress.update(
            self._carriages[event.seed],
            completed=carriage.blobs,
            total=event.expected,
            told=carriage_text(carriage),
        )

    def _drop(self, seed: Target) -> None:
        if seed in self._carriages:
            self._progress.remove_task(self._carriages.pop(seed))


def console(*, coloured: bool) -> Console:
    """Return standard error, with colours or without."""
    return Console(stderr=True, no_color=not coloured)

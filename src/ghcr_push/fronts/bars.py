"""Bars on a terminal: the number of finished tags, and the progress of each upload.

Lines scroll above the bars and stay; the bars disappear at the end of the run.
"""

from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from ghcr_push.fronts.lines import escape_commands
from ghcr_push.model import Target
from ghcr_push.pushing.events import ContentDone, ContentProgress, Ended, Event

REFRESHED: Final = 5
"""Refreshes of the bars per second."""

MOST_UPLOADS: Final = 8
"""Maximum number of uploads with a bar; the others are counted."""

MARGIN: Final = 4
"""Columns left free at the right: the ``^C`` of a terminal must not wrap and move the bars."""

RESERVED: Final = MARGIN + 18
"""Columns of a line that its name and its status leave free: for the bar, the time and spaces."""

MEASURED_OVER: Final = 10.0
"""Seconds over which the rate of an upload is averaged."""

_MINUTE: Final = 60


class Bars:
    """The bars of a run with ``tags`` tags; a context manager, shown while the block runs."""

    def __init__(
        self,
        tags: int,
        *,
        coloured: bool = True,
        console: Console | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._frame = _Frame(
            TextColumn("{task.description}", markup=False),
            BarColumn(
                bar_width=None, complete_style="blue", finished_style="green", pulse_style="blue"
            ),
            TextColumn("{task.fields[status]}", markup=False),
            TimeElapsedColumn(),
            console=console or Console(stderr=True, no_color=not coloured),
            refresh_per_second=REFRESHED,
            transient=True,
            expand=True,
            # output goes through ``line``; a replaced stdout would hold back its end
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._clock = clock
        self._tags = tags
        self._ended = 0
        self._all = self._frame.add_task("tags", total=tags, status=f"0 of {tags}")
        self._uploads: dict[Target, _Upload] = {}

    def __enter__(self) -> Self:
        self._frame.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._frame.stop()

    def line(self, text: str) -> None:
        """Print a line above the bars."""
        self._frame.console.print(Text.from_ansi(text), soft_wrap=True)

    def draw(self, event: Event) -> None:
        """Update the bars for an event."""
        match event:
            case ContentProgress():
                self._uploads.setdefault(event.seed, _Upload(event)).moved(event, self._clock())
                self._show_uploads()
            case ContentDone(seed):
                self._drop(seed)
            case Ended(result):
                self._drop(result.target)
                self._ended += 1
                status = f"{self._ended} of {self._tags}"
                self._frame.update(self._all, completed=self._ended, status=status)

    def _show_uploads(self) -> None:
        """Give bars to the first active uploads, and count the others."""
        active = [each for each in self._uploads.values() if each.active]
        columns = self._frame.console.width
        shown = {each: each.name(columns // 3) for each in active[:MOST_UPLOADS]}
        room = columns - max(map(len, shown.values()), default=0) - RESERVED
        for each, name in shown.items():
            if each.bar is None:
                each.bar = self._frame.add_task(name, total=None, status="")
            self._frame.update(
                each.bar,
                completed=each.event.done,
                total=each.event.size if each.event.whole else None,
                status=each.status(room),
            )
        without = sum(each.bar is None for each in self._uploads.values())
        more = "more" if len(active) > MOST_UPLOADS else "waiting"
        self._frame.rest = f"… and {without} {more}" if without else ""

    def _drop(self, seed: Target) -> None:
        upload = self._uploads.pop(seed, None)
        if upload is not None:
            if upload.bar is not None:
                self._frame.remove_task(upload.bar)
            self._show_uploads()


class _Frame(Progress):
    """All bars, a little narrower than the terminal, and a line for uploads without a bar."""

    rest = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield _Narrower(self.make_tasks_table(self.tasks))
        if self.rest:
            yield Text(self.rest)


class _Narrower:
    """A renderable that leaves the columns of the margin free."""

    def __init__(self, drawn: RenderableType) -> None:
        self._drawn = drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._drawn, options.update_width(options.max_width - MARGIN))


class _Upload:
    """The progress and rate of one upload, and its bar, if it has one."""

    def __init__(self, event: ContentProgress) -> None:
        self.event = event
        self.bar: TaskID | None = None
        self._seen: deque[tuple[float, int]] = deque()

    def moved(self, event: ContentProgress, now: float) -> None:
        """Update the progress to ``now``."""
        self.event = event
        self._seen.append((now, event.transfer.bytes_sent))
        while len(self._seen) > 2 and now - self._seen[1][0] >= MEASURED_OVER:  # noqa: PLR2004 - two make a rate
            self._seen.popleft()

    @property
    def active(self) -> bool:
        """Whether anything was sent or found so far."""
        return self.event.done > 0 or self.event.transfer.blobs > 0

    def name(self, width: int) -> str:
        """Return its repository, or the end of one that is longer than ``width``."""
        name = escape_commands(str(self.event.seed.reference.repository))
        return name if len(name) <= width else f"…{name[1 - width :]}"

    def status(self, width: int) -> str:
        """Return its bytes, and what fits beside them into ``width`` columns: time first."""
        event, rate = self.event, self._rate
        size = f"{event.done / 1e6:,.1f} / {event.size / 1e6:,.1f}{'' if event.whole else '+'} MB"
        left = f"  {_left((event.size - event.done) / rate)}" if rate and event.whole else ""
        speed = f"  {rate / 1e6:,.1f} MB/s" if rate else ""
        blobs = f"  ({event.transfer.blobs} of {event.expected} blobs)" if event.expected else ""
        choices = (f"{size}{speed}{left}{blobs}", f"{size}{speed}{left}", f"{size}{left}")
        return next((each for each in choices if len(each) <= width), size)

    @property
    def _rate(self) -> float:
        """Bytes per second sent recently; 0 if unknown."""
        (began, sent_before), (now, sent) = self._seen[0], self._seen[-1]
        return (sent - sent_before) / (now - began) if now > began else 0.0


def _left(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s left"
    return f"{seconds / _MINUTE:.0f} min left"

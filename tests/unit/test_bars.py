"""Bars on a terminal: they follow the events and keep the lines above them."""

import io
import os
import re
from collections.abc import Callable
from itertools import count
from typing import IO

import pytest
from rich.console import Console
from tests.support.screen import COLUMNS, Terminal, screen

from ghcr_push.fronts.bars import MOST_UPLOADS, Bars
from ghcr_push.model import Outcome, Source, Target, TargetResult, TransferStats
from ghcr_push.pushing.events import ContentDone, ContentProgress, Ended, Event
from ghcr_push.references import parse_tag_reference

SEED = Target(parse_tag_reference("ghcr.io/acme/app:1"), Source("app"))
OTHER = Target(parse_tag_reference("ghcr.io/acme/app:2"), Source("app"))
HALF = TransferStats(blobs_sent=2, blobs_found=1, bytes_sent=12_300_000, bytes_saved=400_000)
DONE = TransferStats(blobs_sent=5, blobs_found=1, bytes_sent=30_000_000, bytes_saved=400_000)


@pytest.fixture(autouse=True)
def _a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


def ended(target: Target) -> Ended:
    return Ended(TargetResult(target=target, outcome=Outcome.PUSHED))


def bars_of_two(file: IO[str]) -> Bars:
    ticks = count()  # a second between two events
    return Bars(2, console=Console(file=file, width=COLUMNS), clock=lambda: float(next(ticks)))


def progress(done: float, size: float, *, whole: bool = True, name: str = "app") -> ContentProgress:
    """Return a progress event: MB of an image in the repository, and MB known so far."""
    sent = TransferStats(blobs_sent=int(done > 0), bytes_sent=int(done * 1e6))
    seed = Target(parse_tag_reference(f"ghcr.io/acme/{name}:1"), Source("app"))
    return ContentProgress(seed, sent, 6, done=int(done * 1e6), size=int(size * 1e6), whole=whole)


def written(draw: Callable[[Bars], None]) -> str:
    """Return everything that the bars of two tags write to a terminal."""
    terminal = Terminal()
    with os.fdopen(os.dup(terminal.fd), "w") as file, bars_of_two(file) as bars:
        draw(bars)
    return terminal.closed()


def seen(*events: Event) -> list[str]:
    """Return the screen, including the bars, after ``events``."""

    def draw(bars: Bars) -> None:
        for event in events:
            bars.draw(event)
        bars._frame.refresh()
        bars.line("the end")

    text = written(draw)
    # before a line comes, the bars are erased from the last one up
    shown = screen(text[: text.index("the end")].rpartition("\r\x1b[2K")[0])
    return [line for line in shown if line]


def test_an_upload_shows_bytes_rate_and_time_left() -> None:
    tags, image = seen(progress(4, 72), progress(14, 72), progress(24, 72))
    assert tags.startswith("tags ")
    assert "0 of 2" in tags
    assert image.startswith("ghcr.io/acme/app ")
    assert "24.0 / 72.0 MB  10.0 MB/s  5 s left  (1 of 6 blobs)" in image


@pytest.mark.parametrize(
    ("columns", "name", "status"),
    [
        (60, "…pp-frontend-service", "14.0 / 72.0 MB"),
        (80, "…tion/app-frontend-service", "14.0 / 72.0 MB  6 s left"),
        (
            200,
            "ghcr.io/acme/organisation/app-frontend-service",
            "10.0 MB/s  6 s left  (1 of 6 blobs)",
        ),
    ],
)
def test_a_narrow_terminal_drops_the_least_important_and_cuts_nothing_else(
    columns: int, name: str, status: str
) -> None:
    ticks, file = count(), io.StringIO()
    console = Console(file=file, width=columns, force_terminal=True, no_color=True)
    with Bars(2, console=console, clock=lambda: float(next(ticks))) as bars:
        for done in (4, 14):
            bars.draw(progress(done, 72, name="organisation/app-frontend-service"))
    text = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", file.getvalue())
    *_, upload = [line for line in text.splitlines() if "MB" in line]
    assert upload.startswith(f"{name} ━")
    assert f"{status} 0:00:" in upload


def test_the_rate_is_that_of_late() -> None:
    slow = [progress(done, 1000) for done in range(1, 40)]
    fast = [progress(40 + 20 * each, 1000) for each in range(12)]
    assert "20.0 MB/s  37 s left" in seen(*slow, *fast)[1]
    assert "2 min left" in seen(progress(1, 130), progress(2, 130))[1]


def test_the_number_of_blobs_is_unknown_before_the_last_byte() -> None:
    _, image = seen(progress(4, 20, whole=False), progress(8, 30, whole=False))
    assert "8.0 / 30.0+ MB  4.0 MB/s  (1 of 6 blobs)" in image
    assert "left" not in image


def test_only_uploads_that_have_begun_have_bars() -> None:
    waiting = [progress(0, 0, whole=False, name=f"w{each}") for each in range(32)]
    lines = seen(*waiting, progress(4, 72))
    assert [line.split()[0] for line in lines] == ["tags", "ghcr.io/acme/app", "…"]
    assert lines[-1] == "… and 32 waiting"


def test_no_more_uploads_have_bars_than_a_screen_can_show() -> None:
    lines = seen(*(progress(1, 2, name=f"a{each}") for each in range(20)))
    assert len(lines) == 1 + MOST_UPLOADS + 1
    assert lines[-1] == "… and 12 more"


def test_the_next_upload_takes_the_place_of_one_that_ended() -> None:
    several = [progress(1, 2, name=f"a{each}") for each in range(MOST_UPLOADS + 1)]
    lines = seen(*several, ContentDone(several[0].seed, several[0].transfer, 1.0))
    assert [line.split()[0] for line in lines[1:]] == [
        f"ghcr.io/acme/a{each}" for each in range(1, MOST_UPLOADS + 1)
    ]


def test_healthy_bars_are_green_and_blue() -> None:
    def draw(bars: Bars) -> None:
        for done in (1, 2):
            bars.draw(progress(done, 2))
            bars._frame.refresh()

    colours = set(re.findall(r"\x1b\[(?:1;)?(3[0-7]|38;5;\d+)m", written(draw)))
    assert {"34", "32"} <= colours
    assert not colours & {"31", "38;5;197"}


def test_an_echoed_key_fits_beside_the_bars() -> None:
    def draw(bars: Bars) -> None:
        bars.draw(progress(1, 2))
        bars._frame.refresh()
        bars._frame.console.file.write("^C^C")  # as a terminal shows Ctrl-C, at the cursor

    frames = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", written(draw)).replace("\r", "\n")
    assert max(map(len, frames.splitlines())) <= COLUMNS
    assert not any(screen(written(draw)))


def test_a_bar_goes_when_its_image_is_there_or_given_up() -> None:
    for last in (ContentDone(SEED, DONE, 3.0), ended(SEED)):
        [tags] = seen(ContentProgress(SEED, HALF, 6), last)
        assert tags.startswith("tags ")


def test_tags_are_counted_as_they_end() -> None:
    [tags] = seen(ended(SEED), ended(OTHER))
    assert "2 of 2" in tags


def test_lines_pass_above_the_bars_as_they_are_and_stay() -> None:
    lines = ["first [bold]no markup[/bold] :smile:", "second " + "x" * 2 * COLUMNS]

    def draw(bars: Bars) -> None:
        bars.draw(ContentProgress(SEED, HALF, 6))
        for line in lines:
            bars.line(line)
        bars.draw(ended(SEED))
        bars.draw(ended(OTHER))

    text = written(draw)
    assert [line for line in screen(text) if line] == lines
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_the_bars_are_gone_after_a_fault_too() -> None:
    terminal = Terminal()
    with (
        os.fdopen(os.dup(terminal.fd), "w") as file,
        pytest.raises(ValueError, match="a fault"),
        bars_of_two(file),
    ):
        raise ValueError("a fault")
    text = terminal.closed()
    assert not any(screen(text))
    assert "\x1b[?25h" in text

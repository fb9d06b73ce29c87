"""Bars on a terminal: they move with what happens, and leave the lines alone."""

import os
from collections.abc import Callable
from typing import IO

import pytest
from rich.console import Console
from tests.support.screen import COLUMNS, Terminal, screen

from ghcr_push.fronts.bars import Bars
from ghcr_push.model import Carriage, Outcome, Source, Target, TargetResult
from ghcr_push.pushing.events import Carried, Carrying, Ended, Event
from ghcr_push.references import parse_tag_reference

SEED = Target(parse_tag_reference("ghcr.io/acme/app:1"), Source("app"))
OTHER = Target(parse_tag_reference("ghcr.io/acme/app:2"), Source("app"))
HALF = Carriage(sent=2, found=1, bytes_sent=12_300_000, bytes_saved=400_000)
DONE = Carriage(sent=5, found=1, bytes_sent=30_000_000, bytes_saved=400_000)


@pytest.fixture(autouse=True)
def _a_terminal_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


def ended(target: Target) -> Ended:
    return Ended(TargetResult(target=target, outcome=Outcome.PUSHED))


def bars_of_two(file: IO[str]) -> Bars:
    return Bars(2, Console(file=file, width=COLUMNS))


def written(tell: Callable[[Bars], None]) -> str:
    """Give all that two tags' bars write to a terminal."""
    terminal = Terminal()
    with os.fdopen(os.dup(terminal.fd), "w") as file, bars_of_two(file) as bars:
        tell(bars)
    return terminal.closed()


def seen(*events: Event) -> list[str]:
    """Give what stands on the screen, bars and all, after ``events``."""

    def tell(bars: Bars) -> None:
        for event in events:
            bars.draw(event)
        bars._progress.refresh()
        bars.line("the end")

    text = written(tell)
    # before a line comes, the bars are erased from the last one up
    shown = screen(text[: text.index("the end")].rpartition("\r\x1b[2K")[0])
    return [line for line in shown if line]


def test_an_image_on_its_way_has_a_bar_of_its_blobs() -> None:
    tags, image = seen(Carrying(SEED, HALF, 6))
    assert tags.startswith("tags ")
    assert "0 of 2" in tags
    assert image.startswith("ghcr.io/acme/app ")
    assert "2 sent (12.3 MB), 1 there already (0.4 MB)" in image


def test_what_only_the_last_byte_tells_has_a_bar_without_an_end() -> None:
    _, image = seen(Carrying(SEED, HALF))
    assert image.startswith("ghcr.io/acme/app ")


def test_a_bar_goes_when_its_image_is_there_or_given_up() -> None:
    for last in (Carried(SEED, DONE, 3.0), ended(SEED)):
        [tags] = seen(Carrying(SEED, HALF, 6), last)
        assert tags.startswith("tags ")


def test_tags_are_counted_as_they_end() -> None:
    [tags] = seen(ended(SEED), ended(OTHER))
    assert "2 of 2" in tags


def test_lines_pass_above_the_bars_as_they_are_and_stay() -> None:
    lines = ["first [bold]no markup[/bold] :smile:", "second " + "x" * 2 * COLUMNS]

    def tell(bars: Bars) -> None:
        bars.draw(Carrying(SEED, HALF, 6))
        for line in lines:
            bars.line(line)
        bars.draw(ended(SEED))
        bars.draw(ended(OTHER))

    text = written(tell)
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

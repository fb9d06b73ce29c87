"""Where there are colours on a terminal, and which."""

import os
import re
from collections.abc import Mapping
from typing import Final, TextIO

import click

_COLOURS: Final = {"✓": "green", "✗": "red", "↻": "yellow"}
_MARKED: Final = re.compile("([✓✗↻])")


def is_terminal(stream: TextIO) -> bool:
    """Say whether ``stream`` is a terminal on which a line can be drawn anew."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def wants_colours(stream: TextIO, given: bool | None, environ: Mapping[str, str]) -> bool:  # noqa: FBT001 - what was given
    """Say whether what goes to ``stream`` has colours; ``given`` is None where none was asked."""
    if given is not None:
        return given
    return is_terminal(stream) and not environ.get("NO_COLOR")


def in_colours(text: str) -> str:
    """Colour the marks in ``text``: green for what is well, red for failures alone."""
    return _MARKED.sub(lambda mark: click.style(mark[0], fg=_COLOURS[mark[1]]), text)

"""Output in colours, and whether a stream shows them."""

import os
import re
from collections.abc import Mapping
from typing import Final, TextIO

import click

_COLOURS: Final = {"✓": "green", "✗": "red", "↻": "yellow"}
_MARKED: Final = re.compile("([✓✗↻])")


def is_terminal(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal on which lines can be redrawn."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def wants_colours(stream: TextIO, environ: Mapping[str, str], *, given: bool | None) -> bool:
    """Return whether output to ``stream`` is coloured; ``given`` is None for the default."""
    if given is not None:
        return given
    return is_terminal(stream) and not environ.get("NO_COLOR")


def write(text: str | bytes, stream: TextIO, *, coloured: bool) -> None:
    """Write ``text``, with its marks in green for success and in red for failures only."""
    if coloured and isinstance(text, str):
        text = _MARKED.sub(lambda mark: click.style(mark[0], fg=_COLOURS[mark[1]]), text)
    try:
        click.echo(text, stream, nl=False, color=coloured)
    except BrokenPipeError:
        raise  # click ends the command without a word: the reader wanted no more
    except OSError as error:
        raise click.ClickException(f"the output could not be written: {error.strerror}") from error

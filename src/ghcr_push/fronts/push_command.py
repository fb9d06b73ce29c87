"""A run of the command line: progress on standard error, the result on standard output."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import replace

import click

from ghcr_push import app
from ghcr_push.fronts.colours import wants_colours, write
from ghcr_push.fronts.delivery import BAD_INPUT, Delivery, deliver, exit_status
from ghcr_push.fronts.display import displayed
from ghcr_push.fronts.files import WorkspacePaths
from ghcr_push.fronts.lines import escape_commands
from ghcr_push.fronts.log import logged
from ghcr_push.fronts.wording import COMMAND_LINE
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, read_settings
from ghcr_push.reporting.report import to_json
from ghcr_push.reporting.terminal import terminal
from ghcr_push.signals import Interruption


def run(
    texts: Mapping[str, str],
    interruption: Interruption,
    *,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    color: bool | None,
) -> int:
    """Push according to ``texts``, keyed by input; return the exit status.

    ``color`` is None if neither colours nor plain text were requested.
    """
    try:
        settings = _settings(texts)
        coloured = wants_colours(sys.stderr, os.environ, given=color)
        with (
            displayed(
                len(settings.targets), quiet=quiet, coloured=coloured, verbose=verbose
            ) as display,
            logged(
                fault=display.line,
                detail=display.detail if verbose else None,
                secrets=settings.secrets,
            ),
        ):
            report = asyncio.run(
                app.push(
                    settings,
                    environ=os.environ,
                    observer=display.observe,
                    interruption=interruption,
                    progress_every=display.progress_every,
                )
            )
            display.end()
            delivery = deliver(report, settings, os.environ, WorkspacePaths({}))
    except InputError as error:
        for sentence in (*error.notices, *str(error).splitlines()):
            _warn(COMMAND_LINE.said_of_input(sentence))
        return BAD_INPUT
    _show(delivery, as_json=as_json, quiet=quiet, color=color)
    return exit_status(delivery, settings, interruption)


def _settings(texts: Mapping[str, str]) -> Settings:
    settings = read_settings(texts)
    return replace(settings, notices=tuple(map(COMMAND_LINE.said_of_input, settings.notices)))


def _show(delivery: Delivery, *, as_json: bool, quiet: bool, color: bool | None) -> None:
    """Print the result, after notices from its delivery.

    With JSON, the text for people goes to standard error.
    """
    for sentence in (*delivery.notices, *delivery.undelivered):
        _warn(COMMAND_LINE.said(sentence))
    if as_json:
        write(to_json(delivery.report), sys.stdout, coloured=False)
        if quiet:
            return
    stream = sys.stderr if as_json else sys.stdout
    text = COMMAND_LINE.said(terminal(delivery.report))
    write(text, stream, coloured=wants_colours(stream, os.environ, given=color))


def _warn(sentence: str) -> None:
    click.echo(escape_commands(sentence), err=True)

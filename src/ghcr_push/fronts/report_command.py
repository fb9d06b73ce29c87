"""``ghcr-push report FILE…``: saved JSON reports for a terminal, a page or a dashboard."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import click

from ghcr_push.fronts.colours import wants_colours, write
from ghcr_push.fronts.guide import guide
from ghcr_push.fronts.wording import COMMAND_LINE, variable
from ghcr_push.reporting.merge import merged
from ghcr_push.reporting.metrics import to_csv, to_openmetrics
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.report import UnreadableReportError, from_json, to_json
from ghcr_push.reporting.summary import summary
from ghcr_push.reporting.terminal import terminal

_HELP: Final = """Show saved reports of ghcr-push; those of many jobs become one.

FILE is a JSON report as `report-file` writes it; - reads standard input.

\b
Examples:
  ghcr-push report report.json
  ghcr-push report reports/*.json --format html --output report.html
"""


def _html(report: Report, address: str) -> str:
    # parsing HTML needs a tenth of a second of imports
    from ghcr_push.reporting.html import page  # noqa: PLC0415 - see the line above

    return page(report, address)


RENDERERS: Final[dict[str, Callable[[Report, str], str]]] = {
    "text": lambda report, _: terminal(report),
    "markdown": lambda report, address: summary(report, guide=address),
    "html": _html,
    "json": lambda report, _: to_json(report).decode(),
    "csv": lambda report, _: to_csv(report),
    "openmetrics": lambda report, _: to_openmetrics(report),
}
"""Renderers of a report, with the address of the guide to failures."""


@click.command("report", help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option(
    "--format",
    "form",
    type=click.Choice(list(RENDERERS)),
    default="text",
    show_default=True,
    help="Output format.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(),
    help="Write to a file, not to standard output.",
)
@click.option(
    "--guide",
    "address",
    metavar="URL",
    help="The guide to failures that Markdown and HTML link to.  [default: that of the "
    "installed release, if known]",
)
@click.option(
    "--color/--no-color",
    default=None,
    envvar=variable("color"),
    help="Use colours in the text, or none.  [default: on a terminal without NO_COLOR]",
)
def report_command(
    files: tuple[str, ...],
    form: str,
    output: str | None,
    address: str | None,
    *,
    color: bool | None,
) -> None:
    """Show saved reports of ghcr-push."""
    report = merged([(_name(file), _read(file)) for file in files])
    text = RENDERERS[form](report, guide(os.environ) if address is None else address)
    if form == "text":
        text = COMMAND_LINE.said(text)
    if output is None:
        coloured = form == "text" and wants_colours(sys.stdout, os.environ, given=color)
        write(text, sys.stdout, coloured=coloured)
        return
    try:
        Path(output).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise click.ClickException(f"{output} could not be written: {error.strerror}") from error


def _name(file: str) -> str:
    return "standard input" if file == "-" else Path(file).stem


def _read(file: str) -> Report:
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return from_json(text)
    except OSError as error:
        _refuse(f"{file} could not be read: {error.strerror}")
    except UnreadableReportError as error:
        _refuse(f"{file} is {error}")


def _refuse(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(click.UsageError.exit_code)

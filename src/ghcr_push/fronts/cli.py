"""The way in from a command line: one option per input, the same names and defaults.

Secrets are no options, since every user of a machine can read its command lines: they come from
the environment, or a password from standard input.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final

import click

from ghcr_push import app
from ghcr_push.fronts.delivery import Delivery, deliver, exit_status
from ghcr_push.fronts.files import Places
from ghcr_push.fronts.lines import engine_lines, event_lines, harmless
from ghcr_push.fronts.log import Write, logged
from ghcr_push.planning.inputs import INPUTS, Input
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, read_settings
from ghcr_push.pushing.events import Carrying, EngineSaid, Event, Noticed, Observer
from ghcr_push.pushing.shared import TOLD_EVERY
from ghcr_push.reporting.report import to_json
from ghcr_push.reporting.terminal import terminal
from ghcr_push.signals import Interruption

if TYPE_CHECKING:
    from ghcr_push.fronts.bars import Bars

BAD_INPUT: Final = 2
"""Exit status of a run that was refused before its first request; click's own for bad usage."""

DRAWN_EVERY: Final = 0.2
"""Seconds between two looks at how far a carriage is, for bars."""

NOT_HERE: Final = frozenset({"summary"})
"""Inputs that mean nothing without a runner."""


def main() -> None:
    """Run the command ``ghcr-push`` and end the process with its status."""
    if sys.argv[1:2] == ["report"]:
        # no target is named so: a reference names its registry
        from ghcr_push.fronts.report_command import report_command  # noqa: PLC0415 - rarely used

        report_command.main(sys.argv[2:], prog_name="ghcr-push report")
    command().main(prog_name="ghcr-push")


def command() -> click.Command:
    """Make the command from the table of inputs."""
    options: list[click.Parameter] = [
        _option(each) for each in INPUTS if not each.secret and each.name not in NOT_HERE
    ]
    options += [
        click.Option(
            ["--password-stdin"], is_flag=True, help="Read the password from standard input."
        ),
        click.Option(
            ["-v", "--verbose"], is_flag=True, help="Print every request and docker command."
        ),
        click.Option(
            ["--format", "output_format"],
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="Print lines as things happen, or the JSON report at the end.",
        ),
    ]
    return click.Command(
        "ghcr-push", params=options, callback=_run, help=_HELP, no_args_is_help=True
    )


def _variable(each: Input) -> str:
    return f"GHCR_PUSH_{each.name.upper().replace('-', '_')}"


_HELP: Final = (
    "Push container images to a registry: the speed of parallel with the safety of sequential. "
    f"Secrets come from the environment: {', '.join(_variable(i) for i in INPUTS if i.secret)}."
)


def _option(each: Input) -> click.Option:
    text = each.description.replace("`", "")
    return click.Option([each.option], default=each.default, show_default=True, help=text)


def _run(*, password_stdin: bool, verbose: bool, output_format: str, **given: str) -> None:
    interruption = Interruption.installed()
    values = {name.replace("_", "-"): value for name, value in given.items()}
    values |= _secrets(os.environ)
    if password_stdin:
        values["password"] = sys.stdin.readline().rstrip("\r\n")
    quiet = output_format == "json"
    try:
        settings = read_settings(values)
        with (
            _watching(settings, quiet=quiet) as (observer, told_every, line),
            _followed(line, settings.secrets, verbose=verbose),
        ):
            report = app.push(
                settings,
                environ=os.environ,
                observer=observer,
                interruption=interruption,
                told_every=told_every,
            )
            delivery = deliver(report, settings, os.environ, Places({}))
    except InputError as error:
        for sentence in error.notices:
            _warn(sentence)
        click.echo(str(error), err=True)
        sys.exit(BAD_INPUT)
    _show(delivery, quiet=quiet)
    sys.exit(exit_status(delivery, settings, interruption))


def _secrets(environ: Mapping[str, str]) -> dict[str, str]:
    return {each.name: environ.get(_variable(each), "") for each in INPUTS if each.secret}


@contextmanager
def _watching(settings: Settings, *, quiet: bool) -> Iterator[tuple[Observer, float, Write]]:
    """Give who is told of events, how often of a carriage, and who prints other lines.

    There are bars where a person looks on, and lines go above them.
    """
    if quiet:
        yield _silent, TOLD_EVERY, _warn
    elif not _is_terminal():
        yield _printing(click.echo), TOLD_EVERY, _warn
    else:
        # a third of a second of imports that only a person who looks on needs
        from ghcr_push.fronts.bars import Bars  # noqa: PLC0415 - see the line above

        with Bars(len(settings.targets)) as bars:
            yield _drawing(bars), DRAWN_EVERY, bars.line


def _followed(
    line: Write, secrets: Sequence[str], *, verbose: bool
) -> AbstractContextManager[None]:
    start = monotonic()
    return logged(
        fault=line,
        detail=(lambda text: line(f"{monotonic() - start:7.1f} s  {text}")) if verbose else None,
        secrets=secrets,
    )


def _is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _printing(echo: Callable[[str], None]) -> Observer:
    """Print what happens, line by line, each with the seconds since now."""
    start = monotonic()

    def tell(event: Event) -> None:
        lines = engine_lines(event) if isinstance(event, EngineSaid) else event_lines(event)
        for line in lines:
            echo(f"{monotonic() - start:7.1f} s  {line}")

    return tell


def _drawing(bars: "Bars") -> Observer:
    """Draw bars, and print above them what they do not show."""
    tell = _printing(bars.line)

    def draw(event: Event) -> None:
        bars.draw(event)
        if not isinstance(event, Carrying):
            tell(event)

    return draw


def _silent(event: Event) -> None:
    """Tell notices only, as errors are told: standard output is the report's."""
    if isinstance(event, Noticed):
        _warn(event.sentence)


def _warn(sentence: str) -> None:
    click.echo(harmless(sentence), err=True)


def _show(delivery: Delivery, *, quiet: bool) -> None:
    """Print the report, and before it what delivering it found."""
    for sentence in (*delivery.notices, *delivery.undelivered):
        _warn(sentence)
    if quiet:
        click.echo(to_json(delivery.report))
    else:
        click.echo(terminal(delivery.report), nl=False)

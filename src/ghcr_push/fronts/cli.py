"""The way in from a command line: arguments, options and variables to the inputs of a run.

What a run needs is imported when one begins: ``--help`` and completion are quick.
"""

import os
import re
import sys
from typing import Any

import click

from ghcr_push.fronts.options import (
    DESCRIPTION,
    PushCommand,
    parameters,
    unknown_variables,
    values,
)
from ghcr_push.fronts.wording import PREFIX
from ghcr_push.loading import without_garbage_collection
from ghcr_push.signals import Interruption

_COMPLETE = f"_{PREFIX}COMPLETE"
"""The variable by which a shell asks what completes a line, as click has it."""


def main() -> None:
    """Run the command ``ghcr-push`` and end the process with its status."""
    if sys.argv[1:2] == ["report"] or _completes_report():
        # no target is named so: a reference names its registry
        from ghcr_push.fronts.report_command import report_command  # noqa: PLC0415 - rarely used

        report_command.main(sys.argv[2:], "ghcr-push report", complete_var=_COMPLETE)
    command().main(prog_name="ghcr-push", complete_var=_COMPLETE)


def _completes_report() -> bool:
    """Say whether a shell asks what may follow ``report``, and leave that word out for click.

    A shell says in ``COMP_WORDS`` what was typed, and in ``COMP_CWORD`` the number of the word
    that is to be completed, or, fish, its text.
    """
    typed, word = os.environ.get("COMP_WORDS", ""), os.environ.get("COMP_CWORD", "")
    found = re.match(r"\s*\S+\s+(report\s*)", typed)
    if _COMPLETE not in os.environ or found is None or word in {"0", "1", "report"}:
        return False
    os.environ["COMP_WORDS"] = typed[: found.start(1)] + typed[found.end(1) :]
    if word.isdecimal():
        os.environ["COMP_CWORD"] = str(int(word) - 1)
    return True


def command() -> click.Command:
    """Make the command from the table of inputs."""
    return PushCommand(
        "ghcr-push",
        params=parameters(),
        callback=_run,
        help=DESCRIPTION,
        no_args_is_help=not any(name.startswith(PREFIX) for name in os.environ),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _run(
    *,
    targets: tuple[str, ...],
    password_stdin: bool,
    output_format: str,
    quiet: bool,
    verbose: bool,
    color: bool | None,
    **given: Any,
) -> None:
    for name, nearest in unknown_variables(os.environ):
        _refuse_or_warn(name, nearest)
    listed = None
    if "-" in (*targets, *given["tags"]):
        listed = _listed(password=password_stdin)
    texts = values(targets, given, os.environ, listed)
    if password_stdin:
        texts["password"] = _password()
    interruption = Interruption.installed()
    # the signals are held before it loads, which takes longer than all of the above
    with without_garbage_collection():
        from ghcr_push.fronts import push_command  # noqa: PLC0415 - see the line above
    shown = push_command.Shown(output_format == "json", quiet, verbose, color)
    sys.exit(push_command.run(texts, shown, interruption))


def _refuse_or_warn(name: str, nearest: str) -> None:
    """Refuse a variable that is nearly one of ours: it might say not to push."""
    if nearest:
        raise click.UsageError(f"{name} is no variable of ours. Did you mean {nearest}?")
    click.echo(f"{name} is no variable of ours; it was ignored.", err=True)


def _listed(*, password: bool) -> str:
    """Read the targets that ``-`` stands for."""
    if password:
        raise click.UsageError(
            "Standard input is for the targets (-) or for the password (--password-stdin), not "
            "both: use --tags-file, or the variable GHCR_PUSH_PASSWORD."
        )
    return sys.stdin.read()


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")

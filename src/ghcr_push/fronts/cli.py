"""Entry point for the command line: arguments, options and variables to the inputs of a run.

Modules for a run are imported only for a run, so that ``--help`` and completion are fast.
"""

import os
import re
import sys
from io import TextIOWrapper
from typing import Any

import click

from ghcr_push.fronts.options import (
    DESCRIPTION,
    PushCommand,
    parameters,
    unknown_variables,
    values,
    with_version,
)
from ghcr_push.fronts.wording import PREFIX
from ghcr_push.loading import without_garbage_collection
from ghcr_push.signals import Interruption

_COMPLETE = f"_{PREFIX}COMPLETE"
"""The variable with which a shell requests completion, named as click names it."""


def main() -> None:
    """Run the command ``ghcr-push`` and exit the process with its status."""
    _prepare_streams()
    if sys.argv[1:2] == ["report"] or _completes_report():
        # no target has this name: a reference names its registry
        from ghcr_push.fronts.report_command import report_command  # noqa: PLC0415 - rarely used

        report_command.main(sys.argv[2:], "ghcr-push report", complete_var=_COMPLETE)
    command().main(prog_name="ghcr-push", complete_var=_COMPLETE)


def _prepare_streams() -> None:
    """Make sure that no output stream can stop a push.

    Streams that the caller closed (``>&-``) are replaced. Characters that the locale lacks are
    printed as question marks.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _completes_report() -> bool:
    """Return whether a shell completes after ``report``, and remove that word for click.

    A shell passes the typed words in ``COMP_WORDS``, and in ``COMP_CWORD`` the number of the word
    to complete or, in fish, its text.
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
    """Create the command from the table of inputs."""
    push = PushCommand(
        "ghcr-push",
        params=parameters(),
        callback=_run,
        help=DESCRIPTION,
        no_args_is_help=not any(name.startswith(PREFIX) for name in os.environ),
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    return with_version(push)


def _run(
    *,
    targets: tuple[str, ...],
    password_stdin: bool,
    output_format: str,
    quiet: bool,
    verbose: bool,
    color: bool | None,
    **given: Any,  # bool, str or tuple of str, as ``options`` declares them
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
    # signals are handled before it loads, which takes longer than everything above
    with without_garbage_collection():
        from ghcr_push.fronts import push_command  # noqa: PLC0415 - see the line above
    as_json = output_format == "json"
    status = push_command.run(
        texts, interruption, as_json=as_json, quiet=quiet, verbose=verbose, color=color
    )
    sys.exit(status)


def _refuse_or_warn(name: str, nearest: str) -> None:
    """Reject a variable whose name is nearly that of an option: it might forbid the push."""
    if nearest:
        raise click.UsageError(f"{name} is not a known variable. Did you mean {nearest}?")
    click.echo(f"{name} is not a known variable; it was ignored.", err=True)


def _listed(*, password: bool) -> str:
    """Read the targets of ``-`` from standard input."""
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

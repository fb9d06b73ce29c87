"""The command line: one option per input, secrets aside, and what it prints where."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from tests.support.screen import Terminal

from ghcr_push.fronts import cli
from ghcr_push.model import Carriage
from ghcr_push.planning.inputs import INPUTS, Input
from ghcr_push.planning.settings import read_settings
from ghcr_push.pushing.events import Carrying, Noticed
from ghcr_push.pushing.shared import TOLD_EVERY

OPTIONS = {option.name: option for option in cli.command().params}
# without an input: what a runner would do, and where secrets come from
OWN = {"password_stdin", "output_format", "verbose"}


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(*arguments: str, stdin: str = "", **environ: str) -> Result:
    return CliRunner().invoke(cli.command(), arguments, input=stdin, env=environ)


def test_there_is_an_option_for_every_input_that_is_no_secret() -> None:
    names = {each.name.replace("-", "_") for each in INPUTS if not each.secret}
    assert set(OPTIONS) == names - {"summary"} | OWN


@pytest.mark.parametrize("each", [each for each in INPUTS if each.name != "summary"])
def test_options_have_the_inputs_names_and_defaults(each: Input) -> None:
    option = OPTIONS.get(each.name.replace("-", "_"))
    if each.secret:
        assert option is None
        return
    assert isinstance(option, click.Option)
    assert option.opts == [each.option]
    assert option.default == each.default
    assert option.help == each.description.replace("`", "")


@pytest.mark.parametrize("secret", [each.option for each in INPUTS if each.secret])
def test_a_secret_on_the_command_line_is_refused(secret: str) -> None:
    done = run("--tags", "ghcr.io/a/b:1", secret, "s3cret")
    assert done.exit_code == 2
    assert "s3cret" not in done.output


def test_help_says_where_secrets_come_from() -> None:
    text = run("--help").output
    for name in ("GHCR_PUSH_TOKEN", "GHCR_PUSH_PASSWORD", "GHCR_PUSH_REGISTRY_AUTH"):
        assert name in text


def test_all_problems_are_told_at_once_on_standard_error() -> None:
    done = run("--tags", "", "--max-parallel", "0", "--timeout", "soon")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert [line.partition(":")[0] for line in done.stderr.splitlines()][1:] == [
        "max-parallel",
        "timeout",
    ]
    assert done.stderr.startswith("tags is empty")


def test_nothing_to_do_is_said_in_a_line() -> None:
    done = run("--tags", "", "--allow-empty", "true")
    assert done.exit_code == 0
    assert done.stdout.startswith("✅ Nothing to push")


def test_json_is_all_that_is_printed_where_it_is_asked_for() -> None:
    done = run("--tags", "", "--allow-empty", "true", "--format", "json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["result"] == "success"


def test_the_report_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = run("--tags", "", "--allow-empty", "true", "--report-file", str(path))
    assert done.exit_code == 0
    assert json.loads(path.read_bytes())["result"] == "success"


def test_a_report_file_that_cannot_be_written_is_said_and_fails_the_command() -> None:
    done = run("--tags", "", "--allow-empty", "true", "--report-file", "/proc/no/report.json")
    assert done.exit_code == 1
    assert "/proc/no/report.json could not be written: " in done.stderr
    assert done.stdout.startswith("✅ Nothing to push")


def test_notices_come_first_of_all() -> None:
    done = run("--tags", "1", "--image", "ghcr.io/Acme/App", "--dry-run", "true", PATH="")
    assert "image 'ghcr.io/Acme/App' was lowered" in done.stdout.splitlines()[0]


def test_notices_leave_standard_output_to_the_report() -> None:
    done = run(
        *("--tags", "1", "--image", "ghcr.io/Acme/App", "--dry-run", "true", "--format", "json"),
        PATH="",
    )
    assert "image 'ghcr.io/Acme/App' was lowered" in done.stderr
    assert "was lowered" in json.loads(done.stdout)["notices"][0]


def test_what_was_noticed_is_told_beside_bad_input() -> None:
    done = run("--tags", "a b", "--image", "ghcr.io/Acme/App")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[0].startswith("image 'ghcr.io/Acme/App' was lowered")


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_the_run_can_be_followed_beside_the_report(option: str) -> None:
    arguments = ("--tags", "", "--allow-empty", "true", "--format", "json")
    done = run(*arguments, option)
    assert json.loads(done.stdout)["result"] == "success"
    assert " s  ghcr-push " in done.stderr
    assert run(*arguments).stderr == ""


def test_secrets_come_from_the_environment() -> None:
    bad = run(
        "--tags", "ghcr.io/a/b:1", "--username", "octocat", GHCR_PUSH_REGISTRY_AUTH="- {registry: "
    )
    assert bad.exit_code == 2
    assert "registry-auth is not YAML" in bad.stderr
    assert "username" in bad.stderr  # it has no password


def test_a_password_comes_from_standard_input() -> None:
    done = run(
        *("--tags", "", "--allow-empty", "true", "--username", "octocat", "--password-stdin"),
        stdin="s3cret\n",
    )
    assert done.exit_code == 0
    assert "s3cret" not in done.output
    assert run("--tags", "", "--allow-empty", "true", "--username", "octocat").exit_code == 2


@pytest.mark.parametrize(
    ("on_a_terminal", "term", "quiet", "bars"),
    [
        (True, "xterm", False, True),
        (True, "dumb", False, False),
        (True, "", False, False),
        (False, "xterm", False, False),
        (True, "xterm", True, False),
    ],
)
def test_bars_are_for_a_person_who_looks_on(
    monkeypatch: pytest.MonkeyPatch, *, on_a_terminal: bool, term: str, quiet: bool, bars: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    if not term:
        monkeypatch.delenv("TERM")
    terminal = Terminal()
    place = os.ttyname(terminal.fd) if on_a_terminal else os.devnull
    settings = read_settings({"tags": "ghcr.io/acme/app:1"})
    with Path(place).open("w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        with cli._watching(settings, quiet=quiet) as (observer, told_every, _):
            observer(Noticed("a line"))
            observer(Carrying(settings.targets[0], Carriage(sent=1)))
        monkeypatch.undo()
    text = terminal.closed()
    assert ("━" in text) is bars
    assert ("a line" in text) is (on_a_terminal and not quiet)
    assert ("carrying the layers" in text) is (on_a_terminal and not quiet and not bars)
    assert told_every == (cli.DRAWN_EVERY if bars else TOLD_EVERY)

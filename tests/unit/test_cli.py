"""The command line: one option per input except secrets, and its output on both streams."""

import gc
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO, cast

import pytest
from click.testing import CliRunner, Result
from tests.support.screen import Terminal

from ghcr_push.failures.policies import POLICIES
from ghcr_push.failures.rules import RULES
from ghcr_push.fronts import cli, colours, display, push_command
from ghcr_push.fronts.options import GROUPS
from ghcr_push.fronts.wording import COMMAND_LINE
from ghcr_push.model import TransferStats
from ghcr_push.planning.inputs import INPUTS, Input
from ghcr_push.planning.settings import Settings, read_settings
from ghcr_push.pushing.context import PROGRESS_EVERY
from ghcr_push.pushing.events import ContentDone, ContentProgress, Noticed

OPTIONS = {option.name: option for option in cli.command().params}
# options without an input: those of a runner, and the sources of secrets
OWN = {"targets", "password_stdin", "output_format", "quiet", "verbose", "color", "version"}
FLAGS = [each for each in INPUTS if each.default in {"true", "false"} and each.name != "summary"]
DRY = ("--image", "127.0.0.1:9/acme/app", "--source", "app", "--dry-run", "--format", "json")


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


def test_the_groups_of_the_help_have_every_option_once() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    every = {max(each.opts, key=len).removeprefix("--") for each in OPTIONS.values()}
    assert sorted(grouped) == sorted(every - {"targets"} | {"help"})


@pytest.mark.parametrize("each", [each for each in INPUTS if not each.secret])
def test_help_names_each_option_and_its_default(each: Input) -> None:
    if each.name == "summary":
        return
    text = f" {' '.join(run('--help').output.partition('What:')[2].split())}"
    if each in FLAGS:
        assert (f" --no-{each.name} " in text) is (each.default == "true")
        assert (f" {each.option} " in text) is (each.default == "false")
        return
    default = rf"[^\[]*\[default: {each.default}\]" if each.default else ""
    assert re.search(rf" {each.option} (\[[a-z|]+\]|[A-Z/]+) [A-Z]{default}", text)


def test_help_has_examples_variables_and_exit_statuses() -> None:
    text = run("-h").output
    assert text == run("--help").output
    headings = [line for line in text.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)]
    assert headings == [
        *("Examples:", "What:", "Where to:", "How fast:", "When it fails:", "Credentials:"),
        *("Output:", "Environment:", "Exit status:"),
    ]
    assert max(map(len, text.splitlines())) <= 100
    examples = text[text.index("Examples:") : text.index("What:")].splitlines()[1:4]
    for example in examples:
        words = shlex.split(example.rpartition("|")[2])[1:]
        done = run(*words, "--dry-run", stdin="1.4.2\n", PATH="")
        assert "No such option" not in done.output
        assert done.exit_code == 1  # there is no docker command here


def tags_of(*arguments: str, stdin: str = "", **environ: str) -> list[str]:
    """Return the tags that a dry run plans without an engine."""
    done = run(*DRY, *arguments, stdin=stdin, **{"PATH": "", **environ})
    assert done.stdout, done.stderr
    results = json.loads(done.stdout)["targets"]
    return [each["reference"].rpartition(":")[2] for each in results]


def test_targets_are_arguments_and_every_way_to_give_them_adds_up() -> None:
    assert tags_of("a", "b") == ["a", "b"]
    assert tags_of("--tags", "a", "--tags", "c,d") == ["a", "c", "d"]
    assert tags_of("--tags", "c", "a") == ["a", "c"]
    assert tags_of('["a", "b"]', "c") == ["a", "b", "c"]
    assert tags_of('{"tags": ["a"]}', "--tags", "c") == ["a", "c"]


def test_targets_come_from_standard_input_where_a_dash_stands() -> None:
    assert tags_of("-", stdin="a\nb\n") == ["a", "b"]
    assert tags_of("z", "--tags", "-", stdin='["a", "b"]') == ["z", "a", "b"]


def test_standard_input_is_not_for_targets_and_password_at_once() -> None:
    done = run("-", "--password-stdin", stdin="a\n")
    assert done.exit_code == 2
    assert "--tags-file" in done.stderr


@pytest.mark.parametrize(
    ("option", "values", "field"),
    [
        ("--protect", ("v*", "w*"), "protect"),
        ("--insecure-registries", ("a.example:1", "b.example:1"), "insecure_registries"),
        ("--mount-from", ("acme/a", "acme/b"), "mount_from"),
    ],
)
def test_lists_add_up_by_repeating(
    monkeypatch: pytest.MonkeyPatch, option: str, values: tuple[str, ...], field: str
) -> None:
    seen: list[Settings] = []
    monkeypatch.setattr(
        push_command,
        "displayed",
        lambda *_, **__: nullcontext(
            SimpleNamespace(observe=lambda _: None, progress_every=5.0, line=lambda _: None)
        ),
    )
    real = push_command._settings

    def kept(texts: Mapping[str, str]) -> Settings:
        seen.append(real(texts))
        return seen[-1]

    monkeypatch.setattr(push_command, "_settings", kept)
    run(*DRY, "a", option, values[0], option, values[1], PATH="")
    assert len(getattr(seen[0], field)) == 2


def test_two_values_for_a_single_valued_option_are_rejected() -> None:
    done = run("1", "--image", "ghcr.io/a/b", "--image", "ghcr.io/a/c")
    assert done.exit_code == 2
    assert "--image has one value, not 'ghcr.io/a/b' and 'ghcr.io/a/c'" in done.stderr
    assert tags_of("1", "--image", "127.0.0.1:9/acme/app") == ["1"]


@pytest.mark.parametrize("each", FLAGS, ids=lambda each: each.name)
@pytest.mark.parametrize("value", ["true", "false"])
def test_a_flag_with_a_value_is_refused_with_the_flag_to_write(each: Input, value: str) -> None:
    wanted = each.option if value == "true" else f"--no-{each.name}"
    for form in ((each.option, value), (f"{each.option}={value}",)):
        done = run("ghcr.io/a/b:1", *form)
        assert done.exit_code == 2
        assert f"{each.option} is a flag and takes no value: write {wanted}." in done.stderr


def test_choices_are_choices() -> None:
    done = run("ghcr.io/a/b:1", "--transport", "fast")
    assert done.exit_code == 2
    assert "'fast' is not one of 'auto', 'direct', 'engine'" in done.stderr


@pytest.mark.parametrize(
    ("typo", "meant"), [("--dryrun", "--dry-run"), ("--max-paralel", "--max-parallel")]
)
def test_an_unknown_option_is_refused_with_the_nearest(typo: str, meant: str) -> None:
    done = run("ghcr.io/a/b:1", typo)
    assert done.exit_code == 2
    assert "No such option" in done.stderr
    assert meant in done.stderr


def test_every_option_comes_from_the_environment_too() -> None:
    assert tags_of(GHCR_PUSH_TAGS="a\nb") == ["a", "b"]
    assert tags_of("c", GHCR_PUSH_TAGS="a\nb") == ["c"]
    done = run("ghcr.io/a/b:1", GHCR_PUSH_MAX_PARALLEL="0", GHCR_PUSH_DRY_RUN="yes")
    assert done.exit_code == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "--max-parallel",
        "--dry-run",
    ]
    assert run("--no-dry-run", "a b", GHCR_PUSH_DRY_RUN="yes").stderr.count("\n") == 1


def test_a_variable_that_is_nearly_one_of_ours_is_refused() -> None:
    done = run("ghcr.io/a/b:1", GHCR_PUSH_DRYRUN="true")
    assert done.exit_code == 2
    assert "Did you mean GHCR_PUSH_DRY_RUN?" in done.stderr
    assert "GHCR_PUSH_COLOUR_OF_MY_CAR is not a known variable" in (
        run(*DRY, "1", PATH="", GHCR_PUSH_COLOUR_OF_MY_CAR="red").stderr
    )


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_is_printed(option: str) -> None:
    done = run(option)
    assert (done.exit_code, done.stdout) == (0, f"ghcr-push {version('ghcr-push')}\n")


def test_bad_input_is_reported_with_the_names_of_options() -> None:
    text = run("--tags", "").stderr
    assert text.startswith("--tags is empty: give `--allow-empty` to accept that")
    assert "metadata-action" not in text
    assert "set `--image` to the repository" in run("1.0").stderr


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ghcr-push --transport ", "plain,engine"),
        ("ghcr-push --max-p", "plain,--max-parallel"),
        ("ghcr-push --report-file ", "file,"),
        ("ghcr-push re", "plain,report"),
        ("ghcr-push report ", "file,"),
        ("ghcr-push report --fo", "plain,--format"),
        ("ghcr-push report a.json --format ", "plain,openmetrics"),
    ],
)
def test_tab_completes_options_choices_and_files(typed: str, offered: str) -> None:
    assert offered in completed(typed)


def test_tab_after_the_version_offers_options_and_prints_no_version() -> None:
    assert completed("ghcr-push --version --qu") == ["plain,--quiet"]


def completed(typed: str) -> list[str]:
    """Return what bash is offered after ``typed``."""
    asked = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [Path(sys.executable).with_name("ghcr-push")],
        env={**os.environ, **asked, "_GHCR_PUSH_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(("typed", "word"), [("ghcr-push report --fo", "--fo"), ("x rep", "rep")])
def test_fish_completes_reports_too(typed: str, word: str) -> None:
    asked = {"COMP_WORDS": typed, "COMP_CWORD": word}
    done = subprocess.run(
        [Path(sys.executable).with_name("ghcr-push")],
        env={**os.environ, **asked, "_GHCR_PUSH_COMPLETE": "fish_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    offered = done.stdout.split("\t")[0].strip()
    assert offered.startswith(("plain,--format", "plain,report"))


def test_a_saved_report_has_colours_and_the_words_of_a_command_line(tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    source = ("--source", "oci-layout:/nonexistent", "--dry-run", "--report-file", str(saved))
    assert run("ghcr.io/a/b:1", *source).exit_code == 1
    words = [str(Path(sys.executable).with_name("ghcr-push")), "report", str(saved)]

    def shown(*options: str) -> str:
        return subprocess.run([*words, *options], capture_output=True, text=True, check=True).stdout

    assert "\x1b[31m✗\x1b[0m ghcr.io/a/b:1" in shown("--color")
    assert "\x1b" not in shown()
    assert "\x1b" not in shown("--color", "--format", "csv")
    assert "the tag and the `--platform`" in shown()


def test_python_runs_the_package_as_the_command() -> None:
    words = [sys.executable, "-m", "ghcr_push", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == f"ghcr-push {version('ghcr-push')}\n"


def test_advice_uses_the_wording_of_the_command_line() -> None:
    done = run("ghcr.io/a/b:1", "--source", "oci-layout:/nonexistent", "--dry-run")
    assert done.exit_code == 1
    assert "the tag and the `--platform`, and that it was written completely" in done.stdout
    assert " step" not in done.stdout


def test_no_advice_speaks_of_steps_and_runners_outside_a_workflow() -> None:
    classified = [POLICIES[kind].advice for kind in POLICIES]
    classified += [rule.classification.advice for rule in RULES if rule.classification.advice]
    for text in map(COMMAND_LINE.said, classified):
        assert not re.search(r"\b(step|runner|the job|`permissions: p)\b", text), text


def in_shell(redirected: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command with redirected streams."""
    line = shlex.join([str(Path(sys.executable).with_name("ghcr-push")), *words])
    return subprocess.run(
        f"{line} {redirected}", shell=True, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_the_caller_closed_do_not_stop_a_run(closed: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = in_shell(closed, "--tags", "", "--allow-empty", "--report-file", str(report))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(report.read_bytes())["result"] == "success"


def test_targets_from_a_closed_standard_input_are_none() -> None:
    done = in_shell("<&-", "-", "--source", "app")
    assert done.returncode == 2
    assert "--tags is empty" in done.stderr


def test_characters_that_the_locale_lacks_do_not_stop_a_run() -> None:
    words = [sys.executable, "-m", "ghcr_push", "--source", "oci-layout:/nö", "ghcr.io/a/b:1"]
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert "? 1 FAILED: source-invalid: /n? is not there" in done.stderr
    assert done.stdout.startswith("? The tag was not pushed")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_result_that_cannot_be_printed_is_reported_in_a_sentence(form: str) -> None:
    done = in_shell(">/dev/full", "--tags", "", "--allow-empty", "--format", form)
    assert done.returncode == 1
    assert done.stderr.endswith("Error: the output could not be written: No space left on device\n")


def test_the_actions_container_is_the_command_outside_a_runner() -> None:
    words = [sys.executable, str(Path(__file__).parents[2] / "entrypoint.py"), "--version"]
    environ = {name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"}
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"ghcr-push {version('ghcr-push')}\n"
    environ["GITHUB_ACTIONS"] = "true"
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2  # the action, which has no input here
    assert "::error title=Bad input" in done.stdout


def test_help_loads_nothing_that_only_a_run_needs() -> None:
    code = (
        "import sys\nfrom ghcr_push.fronts import cli\n"
        "try: cli.command().main(['--help'])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"httpx2", "pydantic", "anyio", "rich", "ghcr_push.app"} & {*done.stderr.split()}


def test_garbage_is_collected_again_once_all_is_loaded() -> None:
    run("--tags", "no tag")
    assert gc.isenabled()


@pytest.mark.parametrize("secret", [each.option for each in INPUTS if each.secret])
def test_a_secret_on_the_command_line_is_refused(secret: str) -> None:
    done = run("--tags", "ghcr.io/a/b:1", secret, "s3cret")
    assert done.exit_code == 2
    assert "s3cret" not in done.output


def test_help_says_where_secrets_come_from() -> None:
    text = run("--help").output
    for name in ("GHCR_PUSH_TOKEN", "GHCR_PUSH_PASSWORD", "GHCR_PUSH_REGISTRY_AUTH"):
        assert name in text


def test_all_problems_are_reported_at_once_on_standard_error() -> None:
    done = run("--tags", "", "--max-parallel", "0", "--timeout", "soon")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert [line.partition(":")[0] for line in done.stderr.splitlines()][1:] == [
        "--max-parallel",
        "--timeout",
    ]
    assert done.stderr.startswith("--tags is empty")


def test_nothing_to_do_has_a_line() -> None:
    done = run("--tags", "", "--allow-empty")
    assert done.exit_code == 0
    assert done.stdout.startswith("✅ Nothing to push")


def test_json_is_all_that_is_printed_where_it_is_asked_for() -> None:
    done = run("--tags", "", "--allow-empty", "--format", "json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["result"] == "success"


def test_the_report_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    done = run("--tags", "", "--allow-empty", "--report-file", str(path))
    assert done.exit_code == 0
    assert json.loads(path.read_bytes())["result"] == "success"


def test_an_unwritable_report_file_is_reported_and_fails_the_command() -> None:
    done = run("--tags", "", "--allow-empty", "--report-file", "/proc/no/report.json")
    assert done.exit_code == 1
    assert "/proc/no/report.json could not be written: " in done.stderr
    assert done.stdout.startswith("✅ Nothing to push")


def test_notices_come_first_of_all() -> None:
    done = run("--tags", "1", "--image", "ghcr.io/Acme/App", "--dry-run", PATH="")
    assert "--image 'ghcr.io/Acme/App' was lowered" in done.stderr.splitlines()[0]


def test_notices_leave_standard_output_to_the_report() -> None:
    done = run(
        *("--tags", "1", "--image", "ghcr.io/Acme/App", "--dry-run", "--format", "json"),
        PATH="",
    )
    assert "image 'ghcr.io/Acme/App' was lowered" in done.stderr
    assert "was lowered" in json.loads(done.stdout)["notices"][0]


def test_notices_are_shown_with_bad_input() -> None:
    done = run("--tags", "a b", "--image", "ghcr.io/Acme/App")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[0].startswith("--image 'ghcr.io/Acme/App' was lowered")


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_the_run_can_be_followed_beside_the_report(option: str) -> None:
    arguments = ("--tags", "", "--allow-empty", "--format", "json")
    done = run(*arguments, option)
    assert json.loads(done.stdout)["result"] == "success"
    assert " s  ghcr-push " in done.stderr
    assert " s  ghcr-push " not in run(*arguments).stderr


def test_beside_the_report_the_result_for_people_goes_to_standard_error() -> None:
    arguments = ("--tags", "", "--allow-empty", "--format", "json")
    done = run(*arguments)
    assert json.loads(done.stdout)["result"] == "success"
    assert "✅ Nothing to push" in done.stderr
    assert not run(*arguments, "--quiet").stderr


def test_secrets_come_from_the_environment() -> None:
    bad = run(
        "--tags", "ghcr.io/a/b:1", "--username", "octocat", GHCR_PUSH_REGISTRY_AUTH="- {registry: "
    )
    assert bad.exit_code == 2
    assert "GHCR_PUSH_REGISTRY_AUTH is not YAML" in bad.stderr
    assert "username" in bad.stderr  # it has no password


def test_a_password_comes_from_standard_input() -> None:
    done = run(
        *("--tags", "", "--allow-empty", "--username", "octocat", "--password-stdin"),
        stdin="s3cret\n",
    )
    assert done.exit_code == 0
    assert "s3cret" not in done.output
    assert run("--tags", "", "--allow-empty", "--username", "octocat").exit_code == 2


def test_progress_goes_to_standard_error_and_the_result_to_standard_output() -> None:
    done = run("1", "--image", "ghcr.io/Acme/App", "--source", "app", "--dry-run", PATH="")
    assert " s  --image 'ghcr.io/Acme/App' was lowered" in done.stderr
    assert "was lowered" not in done.stdout
    assert "ghcr.io/acme/app:1" in done.stdout


def test_quiet_prints_only_the_result_and_errors() -> None:
    done = run("1", "--image", "ghcr.io/Acme/App", "--source", "app", "--dry-run", "-q", PATH="")
    assert done.stderr.startswith("--image 'ghcr.io/Acme/App' was lowered")
    assert "ghcr.io/acme/app:1" in done.stdout


@pytest.mark.parametrize(
    ("given", "no_color", "terminal", "coloured"),
    [
        (None, "", True, True),
        (None, "1", True, False),
        (None, "", False, False),
        (True, "1", False, True),
        (False, "", True, False),
    ],
)
def test_colours_are_for_terminals_and_on_request(
    monkeypatch: pytest.MonkeyPatch,
    *,
    given: bool | None,
    no_color: str,
    terminal: bool,
    coloured: bool,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = cast("TextIO", SimpleNamespace(isatty=lambda: terminal))
    assert colours.wants_colours(stream, {"NO_COLOR": no_color}, given=given) is coloured


def test_red_is_for_failures_alone() -> None:
    arguments = ("ghcr.io/a/b:1", "--source", "app", "--dry-run")
    assert "\x1b[31m✗" in run(*arguments, "--color", PATH="").stdout
    assert "\x1b[" not in run(*arguments, PATH="").stdout
    written = StringIO()
    colours.write("✓ a pushed", written, coloured=True)
    assert written.getvalue() == "\x1b[32m✓\x1b[0m a pushed"


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
def test_bars_are_for_a_terminal(
    monkeypatch: pytest.MonkeyPatch, *, on_a_terminal: bool, term: str, quiet: bool, bars: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    if not term:
        monkeypatch.delenv("TERM")
    terminal = Terminal()
    place = os.ttyname(terminal.fd) if on_a_terminal else os.devnull
    target = read_settings({"tags": "ghcr.io/acme/app:1"}).targets[0]
    with Path(place).open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        with display.displayed(1, quiet=quiet, coloured=False) as shown:
            shown.observe(Noticed("a line"))
            shown.observe(ContentProgress(target, TransferStats(blobs_sent=1)))
            shown.observe(ContentDone(target, TransferStats(blobs_sent=1), 0.5))
            shown.end()
        monkeypatch.undo()
    text = terminal.closed()
    assert ("━" in text) is bars
    assert ("a line" in text) is on_a_terminal
    assert ("1 blob uploaded" in text) is (on_a_terminal and not quiet)
    assert shown.progress_every == (display.DRAWN_EVERY if bars else PROGRESS_EVERY)

"""The runner's front: its variables in; commands, outputs, summary and report out."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.action_yml import ACTION
from tests.support.commands import COMMANDS, file_values, lines_of, obeyed
from tests.support.reports import all_failed, all_good, hostile_run, partly_failed, pushed, target

from ghcr_push.fronts.action import Runner, inputs, main
from ghcr_push.fronts.delivery import BAD_INPUT, Delivery, exit_status
from ghcr_push.planning.inputs import INPUTS
from ghcr_push.planning.problems import InputError, Problem
from ghcr_push.planning.settings import Settings, read_settings
from ghcr_push.pushing.events import Ended, EngineSaid, Noticed
from ghcr_push.reporting.annotations import MOST_ANNOTATIONS
from ghcr_push.reporting.records import Report
from ghcr_push.signals import Interruption

TEXTS = st.text(st.characters(codec="utf-8"))


class Files:
    """A runner's files, and the environment that names them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.workspace = folder / "workspace"
        self.output, self.summary = folder / "output", folder / "summary"
        self.workspace.mkdir()
        self.output.touch()
        self.summary.touch()
        self.environ = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_WORKSPACE": str(self.workspace),
        }
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)  # the library reads the process's own environment

    def outputs(self) -> dict[str, str]:
        return dict(file_values(self.output.read_text(encoding="utf-8")))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    return Files(tmp_path, monkeypatch)


def settings_of(**values: str) -> Settings:
    return read_settings({"tags": "ghcr.io/acme/app:1"} | values)


def commands(log: str, name: str) -> list[str]:
    """Return the lines of the log that a runner executes as the command ``name``."""
    return [line for line in lines_of(log) if obeyed(line) == name]


# -- inputs -----------------------------------------------------------------------------------


def test_every_input_is_read_from_its_variable() -> None:
    environ = {f"INPUT_{each.name.upper()}": f"value of {each.name}" for each in INPUTS}
    environ |= {"PATH": "/bin", "GITHUB_ACTOR": "octocat"}
    assert inputs(environ) == {each.name: f"value of {each.name}" for each in INPUTS}


def test_a_misspelled_input_is_passed_on_for_the_error() -> None:
    given_names = inputs({"INPUT_MAX_PARALLEL": "2", "INPUT_TAGS": "x"})
    assert given_names == {"max_parallel": "2", "tags": "x"}
    with pytest.raises(InputError, match=r"'max_parallel' is no input; .* `max-parallel`"):
        read_settings({"tags": "ghcr.io/a/b:1", "max_parallel": "2"})


# -- outputs ----------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from(list(ACTION["outputs"])), TEXTS, min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_out_as_it_went_in(files: Files, values: dict[str, str]) -> None:
    files.output.write_bytes(b"")
    Runner(files.environ)._set_outputs(values)
    assert list(file_values(files.output.read_bytes().decode())) == list(values.items())


def test_every_output_is_written(files: Files) -> None:
    Runner(files.environ).deliver(partly_failed(), settings_of(**{"report-file": "push.json"}))
    assert list(files.outputs()) == list(ACTION["outputs"])
    report = files.workspace / files.outputs()["report"]
    assert json.loads(report.read_bytes())["result"] == files.outputs()["result"] == "partial"


def test_without_a_runner_nothing_is_printed_for_one(
    files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_OUTPUT")
    environ = {"GITHUB_WORKSPACE": str(files.workspace)}
    runner = Runner(environ)
    runner.mask(["s3cret"])
    runner.deliver(all_good(2), settings_of())
    printed = capsys.readouterr().out
    assert "s3cret" not in printed
    assert not commands(printed, "set-output")
    assert not commands(printed, "add-mask")


# -- delivery ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["output", "summary", "workspace"])
def test_an_unwritable_result_costs_nothing_else(
    files: Files, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    path: Path = getattr(files, lost)
    (path.rmdir if path.is_dir() else path.unlink)()
    path.symlink_to("/proc/nowhere")
    given = settings_of(**{"report-file": "push.json"})
    delivery = Runner(files.environ).deliver(all_good(3), given)
    log = capsys.readouterr().out
    assert len(commands(log, "error")) == 1
    assert "could not be written" in log
    assert "3 of 3 tags pushed" in log
    # only the report was requested by name, so only its absence fails the step
    assert exit_status(delivery, given, Interruption()) == (1 if lost == "workspace" else 0)
    if lost != "output":
        assert files.outputs()["result"] == "success"
        assert files.outputs()["report"] == ("" if lost == "workspace" else "push.json")
    if lost != "summary":
        assert files.summary.read_text().startswith("## ✅")
        assert ("push.json could not be written" in files.summary.read_text()) == (
            lost == "workspace"
        )


@pytest.mark.parametrize("lost", ["output", "summary"])
def test_a_file_of_the_runner_that_is_a_folder_costs_itself_alone(
    files: Files, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    path: Path = getattr(files, lost)
    path.unlink()
    path.mkdir()
    delivery = Runner(files.environ).deliver(partly_failed(), settings_of())
    log = capsys.readouterr().out
    assert any("could not be written" in line for line in commands(log, "error"))
    assert exit_status(delivery, settings_of(), Interruption()) == 1
    if lost == "summary":
        assert files.outputs()["result"] == "partial"
    else:
        assert files.summary.read_text().startswith("## ❌")


@pytest.mark.parametrize(
    ("report", "given", "signal", "expected"),
    [
        (all_good(1), {}, None, 1),
        (all_good(1), {"fail-on-error": "false"}, None, 0),
        (all_failed(1), {}, None, 1),
        (replace(all_good(1), cancelled=True), {}, 15, 143),
    ],
)
def test_a_report_that_could_not_be_written_fails_a_step_that_is_green_otherwise(
    files: Files, report: Report, given: dict[str, str], signal: int | None, expected: int
) -> None:
    given_settings = settings_of(**{"report-file": "/proc/no/push.json"}, **given)
    interruption = Interruption()
    interruption.signal = signal
    delivery = Runner(files.environ).deliver(report, given_settings)
    assert exit_status(delivery, given_settings, interruption) == expected
    assert files.outputs()["report"] == ""
    assert files.outputs()["result"] == report.result


@pytest.mark.parametrize("broken", ["action.summary", "action.outputs", "delivery.to_json"])
def test_an_internal_error_in_a_result_costs_that_result_alone(
    files: Files,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(f"ghcr_push.fronts.{broken}", fail)
    environ = files.environ | {
        "INPUT_TAGS": "",
        "INPUT_ALLOW-EMPTY": "true",
        "INPUT_REPORT-FILE": "push.json",
    }
    status = main(Interruption(), environ)
    log = capsys.readouterr().out
    assert 'raise KeyError("planted")' in log
    assert "could not be written: KeyError: 'planted'" in log
    assert "Nothing to push" in log
    assert (status == 0) == (broken != "delivery.to_json")
    assert files.summary.read_text().startswith("## ✅") == (broken != "action.summary")
    assert ("result" in files.outputs()) == (broken != "action.outputs")
    assert (files.workspace / "push.json").exists() == (broken != "delivery.to_json")


def test_nothing_is_written_into_the_workspace_unless_it_is_asked_for(files: Files) -> None:
    Runner(files.environ).deliver(partly_failed(), settings_of())
    assert list(files.workspace.iterdir()) == []
    assert files.outputs()["report"] == ""


def test_the_report_is_written_where_it_is_asked_for(files: Files) -> None:
    given = settings_of(**{"report-file": "deep/down/push.json"})
    Runner(files.environ).deliver(all_good(1), given)
    assert [path.name for path in files.workspace.rglob("*")] == ["deep", "down", "push.json"]
    assert files.outputs()["report"] == "deep/down/push.json"
    assert json.loads((files.workspace / "deep/down/push.json").read_bytes())


def test_a_summary_that_is_not_wanted_is_not_written(files: Files) -> None:
    Runner(files.environ).deliver(all_good(1), settings_of(summary="false"))
    assert files.summary.read_text() == ""
    assert files.outputs()["result"] == "success"


def test_a_summary_stands_below_what_was_there(files: Files) -> None:
    files.summary.write_text("# before\n")
    Runner(files.environ).deliver(all_good(1), settings_of())
    assert files.summary.read_text().startswith("# before\n")
    assert "## ✅" in files.summary.read_text()


@pytest.mark.parametrize("report", [all_failed(40), hostile_run(), partly_failed()])
def test_a_runner_sees_no_command_that_is_not_ours(
    files: Files, capsys: pytest.CaptureFixture[str], report: Report
) -> None:
    Runner(files.environ).deliver(report, settings_of())
    log = capsys.readouterr().out
    assert {obeyed(line) for line in lines_of(log)} <= {"", "error", "warning", "group", "endgroup"}
    assert 1 <= len(commands(log, "error")) <= MOST_ANNOTATIONS
    assert len(commands(log, "warning")) <= 1
    for line in commands(log, "error"):
        assert line.startswith("::error title=")


# -- during the run ---------------------------------------------------------------------------


def test_engine_output_is_a_group_that_it_cannot_leave(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = [f"::{name}::x" for name in sorted(COMMANDS)] + ["##[endgroup]", "a\n::endgroup::"]
    Runner(files.environ).show(EngineSaid(target("1"), tuple(hostile)))
    lines = lines_of(capsys.readouterr().out)
    assert obeyed(lines[0]) == "group"
    assert lines[-2:] == ["::endgroup::", ""]
    assert len(lines) == len(hostile) + 3
    assert not any(obeyed(line) for line in lines[1:-2])


def test_a_line_begins_with_the_time(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    Runner(files.environ).show(Ended(pushed(target("1"))))
    printed = capsys.readouterr().out
    assert printed.lstrip()[0].isdigit()
    assert " s  ✓ ghcr.io/acme/app:1 pushed" in printed


def test_notices_are_annotations_at_most_ten(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = Runner(files.environ)
    for number in range(12):
        runner.show(Noticed(f"notice {number} ##[error]"))
    log = capsys.readouterr().out
    assert len(commands(log, "notice")) == MOST_ANNOTATIONS
    assert [f"notice {number} " in log for number in range(12)] == [True] * 12
    assert {obeyed(line) for line in lines_of(log)} == {"", "notice"}


@pytest.mark.parametrize("wanted", ["true", "false"])
def test_notices_about_the_inputs_come_first_of_all(
    files: Files, capsys: pytest.CaptureFixture[str], wanted: str
) -> None:
    environ = files.environ | {
        "INPUT_IMAGE": "GHCR.io/Acme/App",
        "INPUT_TAGS": "1",
        "INPUT_DRY-RUN": "true",
        "INPUT_SUMMARY": wanted,
        "PATH": "",
    }
    main(Interruption(), environ)
    lines = lines_of(capsys.readouterr().out)
    assert lines[0].startswith("::notice::image 'GHCR.io/Acme/App' was lowered to")


def test_notices_are_shown_with_bad_input(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"INPUT_IMAGE": "ghcr.io/Acme/app", "INPUT_TAGS": "1", "INPUT_DRYRUN": "true"}
    assert main(Interruption(), files.environ | given) == BAD_INPUT
    log = capsys.readouterr().out
    assert log.startswith("::notice::image 'ghcr.io/Acme/app' was lowered to")
    (error,) = commands(log, "error")
    assert "'dryrun' is no input; the nearest is `dry-run`." in error


def test_secrets_are_masked_where_there_is_a_runner(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    Runner(files.environ).mask(["one", "two"])
    assert lines_of(capsys.readouterr().out) == ["::add-mask::one", "::add-mask::two", ""]


@pytest.mark.parametrize("secret", ["two\nlines", "100% sure", "a\r\nb"])
def test_no_line_of_a_secret_is_printed_plainly(
    files: Files, capsys: pytest.CaptureFixture[str], secret: str
) -> None:
    Runner(files.environ).mask([secret])
    assert len(lines_of(capsys.readouterr().out)) == 2


# -- bad input --------------------------------------------------------------------------------


def test_every_problem_is_reported_and_ten_are_annotated(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = [
        Problem(input=f"input-{number}", value="::error::x", sentence="is wrong")
        for number in range(14)
    ]
    Runner(files.environ).refuse(InputError(problems))
    log = capsys.readouterr().out
    assert len(commands(log, "error")) == MOST_ANNOTATIONS
    assert all(f"input-{number}: " in log for number in range(14))
    assert files.outputs()["result"] == "failure"
    assert files.outputs()["pushed"] == "[]"
    assert all(f"input-{number}" in files.summary.read_text() for number in range(14))


def test_main_refuses_what_cannot_be_read(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    environ = files.environ | {"INPUT_TAGS": "", "INPUT_MAX-PARALLEL": "0"}
    assert main(Interruption(), environ) == BAD_INPUT
    log = capsys.readouterr().out
    assert "tags is empty" in log
    assert "max-parallel: '0'" in log
    assert files.outputs()["result"] == "failure"


def test_main_has_nothing_to_do_where_that_is_allowed(files: Files) -> None:
    environ = files.environ | {"INPUT_TAGS": "", "INPUT_ALLOW-EMPTY": "true"}
    assert main(Interruption(), environ) == 0
    assert files.outputs()["result"] == "success"
    assert "Nothing to push" in files.summary.read_text()


def test_a_report_says_whether_the_run_was_cancelled_not_when_a_signal_came() -> None:
    late = Interruption()
    late.signal = 15
    ended, cancelled = all_good(1), replace(all_good(1), cancelled=True)
    assert exit_status(Delivery(ended, "", (), ()), settings_of(), late) == 0
    assert exit_status(Delivery(cancelled, "", (), ()), settings_of(), late) == 143


def test_unneeded_modules_are_not_loaded() -> None:
    code = (
        "import sys; import ghcr_push.fronts.action; print(*sys.modules); "
        "import requests; print(requests.get)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded, function = done.stdout.splitlines()
    assert "actions_toolkit.core" in loaded.split()
    slow = {"requests", "urllib3", "click", "rich", "pydantic", "python_on_whales", "trio"}
    assert not slow & set(loaded.split())
    assert function.startswith("<function get")

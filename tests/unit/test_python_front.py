"""``ghcr_push.push`` as a Python program calls it: keywords, mistakes, reports."""

import asyncio
import inspect
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

import ghcr_push
from ghcr_push.fronts import python
from ghcr_push.fronts.python import Inputs
from ghcr_push.planning.inputs import INPUTS
from ghcr_push.planning.settings import Settings

TAG = "ghcr.io/acme/app:1"


@dataclass
class BuiltImage:
    """The result of ``docker.build`` of python-on-whales, as far as needed here."""

    id: str


def settings_of(**inputs: object) -> Settings:
    return python._settings([TAG], inputs)  # type: ignore[arg-type] # mistakes are tried, too


def planned(**inputs: object) -> ghcr_push.PushReport:
    """Make a dry run, which needs neither an engine nor a registry."""
    return ghcr_push.push([TAG], dry_run=True, **inputs)  # type: ignore[arg-type]


def test_there_is_a_typed_keyword_for_every_input() -> None:
    names = {each.name.replace("-", "_") for each in INPUTS}
    assert set(Inputs.__annotations__) | {"tags"} >= names


@pytest.mark.parametrize("wrong", ["dryrun", "max_paralel", "retries", "quiet"])
def test_a_name_that_is_no_input_is_refused(wrong: str) -> None:
    with pytest.raises(TypeError, match=wrong):
        ghcr_push.push([TAG], **{wrong: True})  # type: ignore[arg-type]


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(TypeError, match="did you mean 'dry_run'"):
        ghcr_push.push([TAG], dryrun=True)  # type: ignore[call-arg]


def test_lists_numbers_durations_and_images_are_taken_as_they_are() -> None:
    settings = settings_of(
        source=BuiltImage("sha256:" + "a" * 64),
        mount_from=["ghcr.io/acme/base", "ghcr.io/acme/tools"],
        protect=("v*", "release-*"),
        max_parallel=9,
        timeout=90,
        backoff_max=timedelta(minutes=2),
        spool_size=1 << 30,
        verify=False,
        report_file=Path("out/report.json"),
    )
    assert [target.source.image for target in settings.targets] == ["sha256:" + "a" * 64]
    assert [str(each) for each in settings.mount_from] == [
        "ghcr.io/acme/base",
        "ghcr.io/acme/tools",
    ]
    assert settings.protect == ("v*", "release-*")
    assert (settings.max_parallel, settings.timeout, settings.backoff_max) == (9, 90.0, 120.0)
    assert (settings.spool_size, settings.verify) == (1 << 30, False)
    assert settings.report_file == "out/report.json"


def test_credentials_of_more_registries_are_mappings() -> None:
    login = {"registry": "registry.example", "username": "ann", "password": "p: #x"}
    assert [each.password for each in settings_of(registry_auth=[login]).logins] == ["p: #x"]


def test_none_means_the_default() -> None:
    assert settings_of(timeout=None, image=None) == settings_of()


def test_targets_that_are_no_text_are_refused() -> None:
    with pytest.raises(TypeError, match="None is neither"):
        ghcr_push.push(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "inputs",
    [
        {"annotations": {"a": "hunter2"}},
        {"registry_auth": {"registry": "ghcr.io", "password": "hunter2"}},
        {"password": b"hunter2"},
    ],
)
def test_mappings_and_bytes_are_refused_without_their_content(inputs: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"of type (dict|bytes) is neither text") as refused:
        ghcr_push.push([TAG], **inputs)  # type: ignore[arg-type]
    assert "hunter2" not in str(refused.value)


def test_a_mapping_of_targets_is_refused() -> None:
    with pytest.raises(TypeError, match="of type dict is neither text"):
        ghcr_push.push({TAG: "app"})


def test_bad_inputs_are_refused_all_at_once() -> None:
    with pytest.raises(ghcr_push.InputError) as refused:
        planned(max_parallel=0, timeout="soon")
    assert "max_parallel" in str(refused.value)
    assert "timeout" in str(refused.value)


def test_a_running_loop_is_sent_to_the_coroutine() -> None:
    async def block() -> None:
        ghcr_push.push([TAG], dry_run=True)

    with pytest.raises(RuntimeError, match="await push_async"):
        asyncio.run(block())


def test_the_package_shows_what_it_offers() -> None:
    assert dir(ghcr_push) == sorted(ghcr_push.__all__)
    assert all(getattr(ghcr_push, name) is not None for name in ghcr_push.__all__)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, ghcr_push; print('anyio' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_report_answers_what_a_script_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no docker command: the image cannot be found
    report = ghcr_push.push([TAG, "ghcr.io/acme/app:2"], transport="direct", token="")
    assert not report.ok
    assert [result.reference for result in report] == [TAG, "ghcr.io/acme/app:2"]
    assert report.failed == tuple(report)
    assert report.retried == ()
    assert report.cause == "engine"
    assert json.loads(report.to_json())["result"] == "failure"
    with pytest.raises(ghcr_push.PushFailed, match="2 of 2 targets not pushed") as failed:
        report.raise_for_failure()
    assert failed.value.report is report


def test_check_raises_as_docker_push_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ghcr_push.PushFailed):
        asyncio.run(ghcr_push.push_async([TAG], check=True, transport="direct", token=""))


def test_a_report_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    path = tmp_path / "push.json"
    report = ghcr_push.push([TAG], transport="direct", token="", report_file=path)
    assert path.read_text() == report.to_json()


def test_a_report_file_that_cannot_be_written_costs_no_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    report = ghcr_push.push([TAG], transport="direct", token="", report_file="/proc/no/push.json")
    assert len(report.failed) == 1
    assert report.notices[-1].startswith("/proc/no/push.json could not be written: ")


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"max_parallel": 99}, "max_parallel: '99' is not"),
        ({"username": "ann"}, "username: 'ann' has no `password`; give both or neither.$"),
        ({"backoff_initial": "soon", "timeout": "x"}, "backoff_initial: 'soon'.*\ntimeout: 'x'"),
    ],
)
def test_bad_input_is_reported_with_the_names_of_keywords(
    inputs: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ghcr_push.InputError, match=sentence):
        settings_of(**inputs)


def test_an_empty_list_is_reported_with_pythons_names() -> None:
    with pytest.raises(
        ghcr_push.InputError, match="set `allow_empty=True` to accept that"
    ) as caught:
        ghcr_push.push([])
    assert "action" not in str(caught.value)


def test_the_exception_gives_advice_with_pythons_names() -> None:
    with pytest.raises(ghcr_push.PushFailed) as caught:
        ghcr_push.push([TAG], source="oci-layout:/nonexistent", check=True)
    assert "the `platform`, and that it was written completely" in str(caught.value)
    assert str(caught.value).startswith("1 of 1 target not pushed\n")


@pytest.mark.parametrize("function", [ghcr_push.push, ghcr_push.push_async])
def test_help_and_tab_know_every_input(function: object) -> None:
    parameters = inspect.signature(function).parameters  # type: ignore[arg-type]
    assert set(parameters) == {"targets", "check", "observer", *Inputs.__annotations__}


def test_events_are_distinguishable() -> None:
    seen: list[ghcr_push.Event] = []
    ghcr_push.push([TAG], source="oci-layout:/nonexistent", observer=seen.append)
    assert [type(event) for event in seen] == [ghcr_push.events.Started, ghcr_push.events.Ended]

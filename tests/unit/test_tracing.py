"""The debug log: a line for every request and command, internal errors with their traceback."""

import asyncio
import logging
import os
from pathlib import Path

import anyio
import httpx2
import pytest
from tests.support.commands import lines_of, obeyed

from ghcr_push import app, credentials, tracing
from ghcr_push.credentials import Credential
from ghcr_push.credentials.helpers import ask_helper
from ghcr_push.engine.output import output_of
from ghcr_push.failures import PushError
from ghcr_push.fronts.log import logged
from ghcr_push.model import Kind, Outcome
from ghcr_push.planning.settings import read_settings
from ghcr_push.pushing.events import Event, Observer
from ghcr_push.references import Repository
from ghcr_push.registry.client import RegistryClient
from ghcr_push.reporting.records import Report
from ghcr_push.signals import Interruption

IMAGE = Repository("ghcr.io", "acme/app")
SETTINGS = read_settings({"tags": "ghcr.io/acme/app:1", "transport": "direct"})


def lines(caplog: pytest.LogCaptureFixture, logger: str) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == f"ghcr_push.{logger}"]


# -- requests ---------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_every_request_is_a_line_with_what_it_is_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if "Authorization" not in request.headers and request.url.path != "/token":
            challenge = 'Bearer realm="https://ghcr.io/token",service="ghcr.io"'
            return httpx2.Response(401, headers={"WWW-Authenticate": challenge})
        if request.url.path == "/token":
            return httpx2.Response(200, json={"token": "t0ken"})
        return httpx2.Response(404, content=b"nothing")

    caplog.set_level(logging.DEBUG)
    login = Credential(username="octocat", password="s3cret")
    transport = httpx2.MockTransport(answer)
    async with RegistryClient({"ghcr.io": login}, transport=transport) as client:
        assert await client.head(IMAGE, "1.0") is None
    printed_lines = lines(caplog, "requests")
    assert [line.partition(", ")[0] for line in printed_lines[:3]] == [
        "GET https://ghcr.io/v2/",
        "GET https://ghcr.io/token?service=ghcr.io&scope=repository:acme/app:pull,push",
        "HEAD https://ghcr.io/v2/acme/app/manifests/1.0",
    ]
    assert all(line.endswith(" s (ghcr.io/acme/app:1.0)") for line in printed_lines)
    assert ", 404, 0 B out, " in printed_lines[2]
    for secret in ("s3cret", "t0ken", "b2N0b2NhdDpzM2NyZXQ=", "octocat"):
        assert secret not in caplog.text


@pytest.mark.anyio
async def test_a_request_without_an_answer_is_a_line_that_says_how_it_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("late")

    caplog.set_level(logging.DEBUG)
    async with RegistryClient({}, transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(PushError):
            await client.head(IMAGE, "1.0")
    assert ", failed: ReadTimeout, 0 B out, 0 B in, " in lines(caplog, "requests")[0]


@pytest.mark.anyio
async def test_a_request_that_was_cut_off_is_a_line_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with anyio.move_on_after(0), tracing.request("PUT", "https://ghcr.io/v2/x") as made:
        made.sent = 1_000_000
        await anyio.sleep_forever()
    assert lines(caplog, "requests")[0].startswith(
        "PUT https://ghcr.io/v2/x, cut off, 1,000,000 B out, 0 B in, "
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@r.example/x?digest=sha256:a#f", "https://r.example/x?digest=sha256:a"),
        (
            "https://r.example/up/1?_state=abc&digest=d",
            "https://r.example/up/1?_state=***&digest=d",
        ),
        (
            "https://s3.example/b?X-Amz-Signature=s&X-Amz-Date=",
            "https://s3.example/b?X-Amz-Signature=***&X-Amz-Date=***",
        ),
        ("https://r.example/v2/", "https://r.example/v2/"),
    ],
)
def test_only_known_parameters_of_a_query_are_shown(url: str, shown: str) -> None:
    assert tracing.shown(url) == shown


@pytest.mark.anyio
async def test_a_command_is_a_line_with_its_exit_status(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with output_of(["sh", "-c", "exit 3"], os.environ) as output:
        await anyio.to_thread.run_sync(output.complaint)
    (line,) = lines(caplog, "commands")
    assert line.startswith("sh -c exit 3, ended with status 3, ")


def test_a_credential_helper_is_a_line_without_what_it_gave(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    helper = tmp_path / "docker-credential-x"
    helper.write_text("""#!/bin/sh\necho '{"Username": "u", "Secret": "s3cret"}'\n""")
    helper.chmod(0o755)
    caplog.set_level(logging.DEBUG)
    given = ask_helper("x", "ghcr.io", {"PATH": f"{tmp_path}:/bin"}, seconds=10)
    assert given == Credential(username="u", password="s3cret")
    (line,) = lines(caplog, "commands")
    assert line.startswith(f"{helper} get, ended with status 0, ")
    assert line.endswith(" s (ghcr.io)")
    assert "s3cret" not in caplog.text


def test_log_lines_that_are_not_shown_are_not_built(caplog: pytest.LogCaptureFixture) -> None:
    with tracing.request("GET", "not even an address: http://[") as made:
        made.status = 200
    assert caplog.records == []


# -- internal errors --------------------------------------------------------------------------


class BugError(Exception):
    """An internal error."""


def pushed(observer: Observer) -> Report:
    interruption = Interruption()
    return asyncio.run(
        app.push(SETTINGS, environ={"PATH": ""}, observer=observer, interruption=interruption)
    )


def broken_run(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Report:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(credentials, "resolve_for_job", fail)
    return pushed(lambda _: None)


def test_an_internal_error_that_ends_the_run_has_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    report = broken_run(monkeypatch, ExceptionGroup("some", [BugError("deep"), KeyError("down")]))
    (result,) = report.targets
    assert result.outcome is Outcome.FAILED
    assert result.failure is not None
    assert result.failure.kind is Kind.INTERNAL
    assert result.failure.message == "BugError: deep; KeyError: 'down'"
    assert "Traceback" in caplog.text
    assert "in broken_run" not in result.failure.message
    assert "raise error" in caplog.text


def test_an_error_of_the_machine_is_no_internal_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    report = broken_run(monkeypatch, ExceptionGroup("some", [OSError(28, "No space left")]))
    failure = report.targets[0].failure
    assert failure is not None
    assert failure.kind is not Kind.INTERNAL
    assert "Traceback" not in caplog.text


def test_only_the_first_error_of_an_observer_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        raise BugError("in the log")

    report = pushed(observe)
    assert report.targets[0].outcome is Outcome.FAILED
    assert len(seen) > 0
    (record,) = [each for each in caplog.records if each.name == "ghcr_push.faults"]
    assert "BugError: in the log" in record.getMessage()
    assert record.exc_info is not None


def test_a_closed_log_is_no_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    def observe(_: Event) -> None:
        raise BrokenPipeError

    pushed(observe)
    assert caplog.records == []


# -- where it goes ----------------------------------------------------------------------------


def raised(text: str) -> Exception:
    with pytest.raises(BugError) as caught:
        raise BugError(text)
    return caught.value


@pytest.fixture
def printed() -> list[str]:
    return []


def test_a_traceback_is_printed_once_without_runner_commands(printed: list[str]) -> None:
    bug = raised("##[error]x\n::error::y")
    with logged(fault=printed.append, secrets=["hunter2", "hunter22"]):
        tracing.fault("first hunter22", bug)
        tracing.fault("second", bug)
        tracing.fault("third", raised("another"))
    assert sum("Traceback" in line for line in printed) == 2
    assert "  | (the traceback is the same as one above)" in printed
    assert printed[0].startswith("first ***: BugError: ")
    assert "hunter" not in "".join(printed)
    assert {obeyed(line) for line in lines_of("\n".join(printed))} == {""}


def test_details_are_printed_where_they_are_wanted_and_only_then(printed: list[str]) -> None:
    details: list[str] = []
    with logged(fault=printed.append), tracing.request("GET", "https://ghcr.io/v2/"):
        pass
    with (
        logged(fault=printed.append, detail=details.append),
        tracing.request("GET", "https://ghcr.io/v2/"),
    ):
        pass
    with tracing.request("GET", "https://ghcr.io/v2/"):
        pass
    tracing.fault("after the run", raised("x"))
    assert printed == []
    assert details[0].startswith("ghcr-push ")
    assert [line.partition(",")[0] for line in details[1:]] == ["GET https://ghcr.io/v2/"]


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    def refuse(_: str) -> None:
        raise BrokenPipeError

    with logged(fault=refuse):
        tracing.fault("where", raised("x"))

"""A job with debug logging: the log has the whole run and no secret."""

import re
from collections import Counter

import pytest
from tests.support.cases import World
from tests.support.commands import lines_of
from tests.support.front import Answer, Auth, Behaviour, Rule, Step, User, on

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import Manifest
from ghcr_push.references import Repository
from ghcr_push.registry.client import RegistryClient

SECRETS = ("s3cret-password", "b2N0b2NhdDpzM2NyZXQtcGFzc3dvcmQ=")  # and as Basic has it
LOGIN = {"username": "octocat", "password": SECRETS[0]}
DEBUG = {"RUNNER_DEBUG": "1"}


@pytest.fixture
def guarded(world: World) -> World:
    users = {"octocat": User(password=SECRETS[0])}
    world.front.set(
        Behaviour(
            auth=Auth(mode="token", users=users),
            rules=(Rule(match=on(Step.MANIFEST_PUT), answer=Answer(status=503), first=1),),
        )
    )
    return world


def debug_lines(log: str) -> list[str]:
    return [line.removeprefix("::debug::") for line in lines_of(log) if line.startswith("::debug")]


def test_every_request_is_a_line(guarded: World) -> None:
    address = guarded.front.address
    names = ("acme/app:1", "acme/app:2")
    inputs = {"tags": "\n".join(f"{address}/{name}" for name in names), "source": "app:1"}
    end = guarded.run({**inputs, "registry": address, **LOGIN}, DEBUG)
    assert end.outcomes == dict.fromkeys(names, "pushed")
    logged = Counter(
        (match[1], int(match[2]))
        for line in debug_lines(end.log)
        if (match := re.search(r" s  ([A-Z]+) https?://\S+, (\d{3}), [\d,]+ B out, ", line))
    )
    seen = Counter((entry.method, entry.status) for entry in guarded.front.log())
    assert logged == seen
    assert logged["PUT", 503] == 1
    # each names its subject: a tag, or a blob by its digest
    for line in debug_lines(end.log):
        if " PUT " in line or "PATCH" in line:
            assert re.search(rf"\({address}/acme/app(:[12]|@sha256:[0-9a-f]{{64}})\)$", line), line


@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_every_docker_command_is_a_line(world: World, transport: str) -> None:
    assert world.docker is not None
    tags = f"{world.front.address}/acme/app:1"
    inputs = {"tags": tags, "source": "app:1", "transport": transport}
    end = world.run(inputs, DEBUG)
    assert end.status == 0
    command = re.compile(r" s  docker --config \S+ (.+?), ended(?: with status \d)?, [\d.]+ s$")
    logged = [match[1] for line in debug_lines(end.log) if (match := command.search(line))]
    # python-on-whales inspects an image by itself before it pushes it
    assert set(logged) == {call for call in world.docker.calls if call in logged}
    assert {call.split()[1] for call in logged} == {call.split()[1] for call in world.docker.calls}
    assert len(world.docker.calls) - len(logged) == (transport == "engine")


def test_no_secret_is_in_it(guarded: World) -> None:
    inputs = {"tags": f"{guarded.front.address}/acme/app:1", "source": "app:1", **LOGIN}
    end = guarded.run({**inputs, "registry": guarded.front.address}, DEBUG)
    assert end.status == 0
    log = "\n".join(line for line in lines_of(end.log) if not line.startswith("::add-mask::"))
    for secret in (*SECRETS, "Bearer", "Authorization"):
        assert secret not in log
    assert not re.search(r"_state=(?!\*\*\*)", log)


def test_without_it_the_log_stays_as_short_as_it_is(world: World) -> None:
    end = world.push("acme/app:1")
    assert end.status == 0
    assert debug_lines(end.log) == []
    assert "HEAD" not in end.log


def test_an_internal_error_is_in_the_log_with_its_traceback(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RegistryClient.put

    async def put(
        self: RegistryClient, repository: Repository, reference: str, manifest: Manifest
    ) -> None:
        if reference == "1":
            raise KeyError("planted")
        await real(self, repository, reference, manifest)

    monkeypatch.setattr(RegistryClient, "put", put)
    end = world.push("acme/app:1", "acme/app:2")
    assert end.outcomes == {"acme/app:1": "failed", "acme/app:2": "pushed"}
    assert end.failure("acme/app:1")["kind"] == "internal"
    assert end.failure("acme/app:1")["message"] == "KeyError: 'planted'"
    trace = end.log[end.log.index("Traceback") :]
    assert 'raise KeyError("planted")' in trace


def test_an_unrecognised_failure_is_logged_completely(world: World) -> None:
    odd = Answer(status=418, body="I am a teapot")
    world.front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_PUT), answer=odd),)))
    end = world.run(
        {"tags": f"{world.front.address}/acme/app:1", "source": "app:1", "max-attempts": "1"},
        DEBUG,
    )
    assert end.failure("acme/app:1")["kind"] == "unknown"
    (line,) = {line for line in debug_lines(end.log) if "not recognised" in line}
    assert "HTTP 418" in line
    assert "I am a teapot" in line


def test_an_exception_group_is_classified_by_its_errors(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = PushError(ErrorInfo(origin=Origin.REGISTRY, status=503, message="busy"))

    async def put(*_: object) -> None:
        raise ExceptionGroup("a task group", [ExceptionGroup("within another", [refused])])

    monkeypatch.setattr(RegistryClient, "put", put)
    end = world.push("acme/app:1")
    assert end.failure("acme/app:1")["kind"] == "server-error"
    assert end.failure("acme/app:1")["message"] == "busy"
    assert "Traceback" not in end.log

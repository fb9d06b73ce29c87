"""Credentials: each goes only to its own registry, and leaves no trace."""

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from tests.support.engines import Engine
from tests.support.front import Auth, Behaviour, Front, Step, User, running_front
from tests.support.outcomes import outcomes, prove
from tests.support.processes import command_lines, wait_until
from tests.support.registry import Registry, running_registry
from tests.support.runner import Job
from tests.support.runner import Step as StepOfJob

TOKEN = "ghs_the-token-of-the-job"
PASSWORD = "the:pass@word of octo-cat"
HUBOT = "hubot's"
LOGIN = Auth(mode="token", users={"octocat": User(password=PASSWORD)})


@pytest.fixture(scope="module", autouse=True)
def image(classic: Engine) -> None:
    classic.make_image("small", layers=2)


def basic(username: str, password: str) -> str:
    return b64encode(f"{username}:{password}".encode()).decode()


def tags(front: Front) -> str:
    return "\n".join(f"small => {front.address}/acme/app:{tag}" for tag in ("1", "2", "3"))


def check_pushed(step: StepOfJob, registry: Registry) -> None:
    assert step.status == 0, step.log
    assert set(outcomes(step).values()) == {"pushed"}
    prove(step, registry.address)


def write_docker_config(folder: Path, *fronts: Front) -> None:
    folder.mkdir(parents=True)
    auths = {front.address: {"auth": basic("octocat", PASSWORD)} for front in fronts}
    (folder / "config.json").write_text(json.dumps({"auths": auths}))


@pytest.mark.parametrize("mode", ["token", "basic"])
@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_a_registry_that_is_not_github_s_gets_none_of_the_token(
    job: Job, front: Front, mode: str, transport: str
) -> None:
    """The registry requests credentials and gets none, for any request."""
    front.set(Behaviour(auth=Auth.model_validate({"mode": mode, "users": LOGIN.users})))
    step = job.run({"tags": tags(front), "token": TOKEN, "transport": transport})
    assert step.status == 1, step.log
    assert set(outcomes(step).values()) == {"failed"}
    assert front.credentials() == {}
    assert front.stats().count(status=401) > 1


@pytest.mark.parametrize("mode", ["token", "basic"])
@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_a_login_is_for_its_registry(
    job: Job, front: Front, registry: Registry, mode: str, transport: str
) -> None:
    front.set(Behaviour(auth=Auth.model_validate({"mode": mode, "users": LOGIN.users})))
    login = {"registry": front.address, "username": "octocat", "password": PASSWORD}
    step = job.run({"tags": tags(front), "token": TOKEN, "transport": transport} | login)
    check_pushed(step, registry)
    seen = {header for headers in front.credentials().values() for header in headers}
    assert f"Basic {basic('octocat', PASSWORD)}" in seen
    assert not any(basic("octocat", TOKEN) in header or TOKEN in header for header in seen)


@pytest.fixture
def second() -> Iterator[Front]:
    with running_registry() as registry, running_front(registry.address) as front:
        yield front


def test_two_logins_stay_apart(job: Job, front: Front, second: Front) -> None:
    front.set(Behaviour(auth=LOGIN))
    second.set(Behaviour(auth=Auth(mode="basic", users={"hubot": User(password=HUBOT)})))
    logins = (
        f"- {{registry: '{front.address}', username: octocat, password: '{PASSWORD}'}}\n"
        f"- registry: '{second.address}'\n  username: hubot\n  password: \"{HUBOT}\"\n"
    )
    step = job.run({"tags": f"{tags(front)}\n{tags(second)}", "registry-auth": logins})
    assert step.status == 0, step.log
    assert set(outcomes(step).values()) == {"pushed"}
    there = {header for headers in second.credentials().values() for header in headers}
    assert there == {f"Basic {basic('hubot', HUBOT)}"}
    here = {header for headers in front.credentials().values() for header in headers}
    assert f"Basic {basic('octocat', PASSWORD)}" in here
    assert not here & there


@pytest.mark.parametrize("place", ["HOME", "DOCKER_CONFIG"])
def test_the_docker_configuration_of_the_job_is_used(
    job: Job, front: Front, registry: Registry, place: str
) -> None:
    """Like the one that docker/login-action leaves in the home that the runner mounts."""
    front.set(Behaviour(auth=LOGIN))
    folder = {"HOME": "home/.docker", "DOCKER_CONFIG": "runner_temp/config"}[place]
    write_docker_config(job.folder / folder, front)
    environ = {} if place == "HOME" else {"DOCKER_CONFIG": f"/github/{folder}"}
    step = job.run({"tags": tags(front), "token": TOKEN}, environ=environ)
    check_pushed(step, registry)


def test_a_login_stands_in_place_of_the_docker_configuration(
    job: Job, front: Front, registry: Registry
) -> None:
    front.set(Behaviour(auth=Auth(mode="token", users={"hubot": User(password=HUBOT)})))
    write_docker_config(job.folder / "home/.docker", front)
    login = {"registry": front.address, "username": "hubot", "password": HUBOT}
    step = job.run({"tags": tags(front)} | login)
    check_pushed(step, registry)


def test_a_credential_helper_that_is_not_there_is_named(
    job: Job, front: Front, registry: Registry
) -> None:
    folder = job.folder / "home/.docker"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"credsStore": "desktop"}))
    step = job.run({"tags": tags(front)})
    check_pushed(step, registry)
    assert "docker-credential-desktop" in step.log
    assert any("docker-credential-desktop" in notice for notice in step.report["notices"])


@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_no_secret_is_seen_anywhere(
    job: Job, front: Front, registry: Registry, transport: str
) -> None:
    """Not in a command line, the log, the container's description, or remaining files."""
    front.set(Behaviour(auth=LOGIN, delays={Step.UPLOAD_PUT: 0.3, Step.MANIFEST_PUT: 0.5}))
    mark = token_hex(8)
    login = {"registry": front.address, "username": "octocat", "password": PASSWORD}
    inputs = {"tags": tags(front), "token": TOKEN, "transport": transport} | login
    running = job.start(inputs, options=["--env", f"E2E_RUN={mark}"])
    seen: list[str] = []
    wait_until(lambda: any(command_lines(mark)))
    # a runner passes inputs in its environment
    shown = "{{json .Args}} {{json .HostConfig}} {{json .Mounts}} {{json .Config.Labels}}"
    description = job.engine.docker("inspect", "--format", shown, running.name)
    while not front.stats().count(Step.MANIFEST_PUT):
        seen += command_lines(mark)
        time.sleep(0.01)
    step = running.wait()
    check_pushed(step, registry)
    secrets = [TOKEN, PASSWORD, basic("octocat", PASSWORD), basic("octocat", TOKEN)]
    bearers = [h for headers in front.credentials().values() for h in headers if "Bearer" in h]
    secrets += [bearer.removeprefix("Bearer ") for bearer in bearers]
    # a runner does not print these lines
    log = [line for line in step.log.splitlines() if not line.startswith("::add-mask::")]
    left = [path for path in job.folder.rglob("*") if path.is_file()]
    texts = [*seen, description, *log, *(path.read_text(errors="replace") for path in left)]
    assert any("entrypoint.py" in line for line in seen)
    assert len(left) >= 3
    assert [text for text in texts for secret in secrets if secret in text] == []
    for secret in (TOKEN, PASSWORD):
        assert f"::add-mask::{secret}" in step.log


def test_secrets_are_not_printed_where_no_runner_hides_them(
    job: Job, front: Front, registry: Registry
) -> None:
    front.set(Behaviour(auth=LOGIN))
    login = {"registry": front.address, "username": "octocat", "password": PASSWORD}
    step = job.run({"tags": tags(front)} | login, environ={"GITHUB_ACTIONS": ""})
    check_pushed(step, registry)
    assert PASSWORD not in step.log

"""Credentials go to their registry and to our docker commands, and into no notice."""

import json
import subprocess
from base64 import b64encode
from pathlib import Path
from secrets import token_hex
from textwrap import wrap

from tests.support.cases import QUICK, End, World, run_action
from tests.support.engines import running_engine
from tests.support.front import Behaviour
from tests.support.front.behaviour import Auth, User
from tests.support.registry import running_registry

USER, SECRET = "octocat", "s3cret-of-forty-characters-and-then-some-more"
CLOSED = Behaviour(auth=Auth(mode="basic", users={USER: User(password=SECRET)}))


def packed(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


def config(registry: str, user: str = USER, password: str = SECRET) -> str:
    return json.dumps({"auths": {registry: {"auth": packed(user, password)}}})


def written(folder: Path, text: str) -> dict[str, str]:
    """Write a Docker configuration and return the variable that names it."""
    folder.mkdir()
    (folder / "config.json").write_text(text)
    return {"DOCKER_CONFIG": str(folder)}


def shown_by(end: End) -> str:
    """Return the output of a run, without the commands that make the runner mask secrets."""
    log = [line for line in end.log.splitlines() if not line.startswith("::add-mask::")]
    return "\n".join([*log, end.summary, json.dumps(end.report), str(end.outputs)])


def pushes(world: World, environ: dict[str, str], **inputs: str) -> str:
    tags = f"{world.front.address}/acme/app:1"
    given = {name.replace("_", "-"): value for name, value in inputs.items()}
    end = world.run({"tags": tags, "source": "app:1", **given}, environ)
    shown = shown_by(end)
    assert SECRET not in shown
    assert packed(USER, SECRET)[:24] not in shown
    return end.outcomes["acme/app:1"]


def test_credentials_in_wrapped_lines_are_read(world: World, tmp_path: Path) -> None:
    world.front.set(CLOSED)
    lines = "\n ".join(["", *wrap(packed(USER, SECRET), 20), ""])
    text = json.dumps({"auths": {world.front.address: {"auth": lines}}})
    assert pushes(world, written(tmp_path / "config", text)) == "pushed"


def test_the_variables_credentials_are_used_where_they_are_all_there_is(world: World) -> None:
    world.front.set(CLOSED)
    environ = {"DOCKER_AUTH_CONFIG": config(world.front.address)}
    assert pushes(world, environ) == "pushed"
    assert world.docker is not None
    assert world.docker.logins == {world.front.address: f"{USER}:{SECRET}"}


def test_the_configuration_file_comes_before_the_variable(world: World, tmp_path: Path) -> None:
    world.front.set(CLOSED)
    file = written(tmp_path / "config", config(world.front.address))
    stale = {"DOCKER_AUTH_CONFIG": config(world.front.address, "old", "gone")}
    assert pushes(world, {**file, **stale}) == "pushed"


def test_the_inputs_come_before_the_variable(world: World) -> None:
    world.front.set(CLOSED)
    stale = {"DOCKER_AUTH_CONFIG": config(world.front.address, "old", "gone")}
    inputs = {"registry": world.front.address, "username": USER, "password": SECRET}
    assert pushes(world, stale, **inputs) == "pushed"


def test_our_docker_commands_do_not_see_the_variable(world: World) -> None:
    """Docker 28.3 would read it first."""
    stale = {"DOCKER_AUTH_CONFIG": config(world.front.address, "old", "gone"), "KEPT": "1"}
    inputs = {"registry": world.front.address, "username": USER, "password": SECRET}
    assert pushes(world, stale, transport="engine", **inputs) == "pushed"
    assert pushes(world, stale, transport="direct", **inputs) == "unchanged"
    assert world.docker is not None
    assert {call.partition(" --")[0] for call in world.docker.calls} >= {"image inspect"}
    assert "KEPT" in world.docker.variables
    assert "DOCKER_AUTH_CONFIG" not in world.docker.variables
    assert world.docker.logins == {world.front.address: f"{USER}:{SECRET}"}


def test_an_unreadable_variable_is_reported_without_its_content(world: World) -> None:
    end = world.run(
        {"tags": f"{world.front.address}/acme/app:1", "source": "app:1"},
        {"DOCKER_AUTH_CONFIG": f'{{"auths": {packed(USER, SECRET)}'},
    )
    assert end.outcomes == {"acme/app:1": "pushed"}
    (notice,) = end.report["notices"]
    assert "DOCKER_AUTH_CONFIG is not a Docker configuration in JSON" in notice
    assert packed(USER, SECRET)[:12] not in shown_by(end)


def test_a_real_docker_that_reads_the_variable_first_pushes_as_the_inputs_say(
    tmp_path: Path,
) -> None:
    """Docker 28.5 is refused with a stale variable although its configuration is right."""
    with (
        running_engine(f"variable-{token_hex(3)}", release="sid") as engine,
        running_registry((USER, SECRET)) as registry,
    ):
        engine.make_image("small", layers=1)
        name = f"{registry.address}/acme/app:1"
        stale = {"DOCKER_AUTH_CONFIG": config(registry.address, "old", "gone")}
        environ = {**engine.environ, **stale}
        written(tmp_path / "config", config(registry.address))
        plain = ["docker", "--config", str(tmp_path / "config"), "push", name]
        subprocess.run(["docker", "tag", "small", name], env=environ, check=True)
        refused = subprocess.run(plain, env=environ, check=False, capture_output=True)
        assert b"unauthorized" in refused.stderr
        inputs = {
            "tags": name,
            "source": "small",
            "transport": "engine",
            "registry": registry.address,
            "username": USER,
            "password": SECRET,
        }
        end = run_action(tmp_path / "run", {**QUICK, **inputs}, environ)
        assert end.status == 0, end.log
        assert end.outcomes == {name: "pushed"}


# --- the registry of the job's token

SERVER = {"GITHUB_SERVER_URL": "https://git.example"}
JOB = "ghs_token-of-the-server"


def dry(world: World, tag: str, environ: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return what docker is given as logins for a push to `tag`, and the notices."""
    inputs = {"tags": tag, "source": "app:1", "dry-run": "true", "token": JOB}
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9"}  # the tags are read, but not from out there
    end = world.run(inputs, {**nowhere, **environ})
    assert JOB not in shown_by(end)
    assert world.docker is not None
    notices = [each for each in end.report["notices"] if "could not be read" not in each]
    return world.docker.logins, notices


def test_the_token_of_an_enterprise_server_is_for_its_own_registry(world: World) -> None:
    logins, notices = dry(world, "containers.git.example/acme/app:1", SERVER)
    assert logins == {"containers.git.example": f"octocat:{JOB}"}
    assert notices == []


def test_the_token_of_an_enterprise_server_is_not_shown_to_ghcr(
    world: World, tmp_path: Path
) -> None:
    file = written(tmp_path / "config", config("ghcr.io"))
    logins, notices = dry(world, "ghcr.io/acme/app:1", {**SERVER, **file})
    assert logins == {"ghcr.io": f"{USER}:{SECRET}"}
    assert notices == []


def test_ghcr_without_credentials_on_an_enterprise_server_is_reported(world: World) -> None:
    logins, notices = dry(world, "ghcr.io/acme/app:1", SERVER)
    assert logins == {}
    (notice,) = notices
    assert "No credentials are used for ghcr.io" in notice


def test_the_token_is_for_ghcr_on_github_itself(world: World, tmp_path: Path) -> None:
    file = written(tmp_path / "config", config("ghcr.io"))
    for environ in ({}, {"GITHUB_SERVER_URL": "https://github.com"}):
        logins, _ = dry(world, "ghcr.io/acme/app:1", {**environ, **file})
        assert logins == {"ghcr.io": f"octocat:{JOB}"}
    logins, _ = dry(world, "quay.io/acme/app:1", {})
    assert logins == {}


def test_a_server_without_a_name_gets_no_token_shown_anywhere(world: World) -> None:
    for address in ("git.example", "https://", "https://[x"):
        logins, _ = dry(world, "ghcr.io/acme/app:1", {"GITHUB_SERVER_URL": address})
        assert logins == {}

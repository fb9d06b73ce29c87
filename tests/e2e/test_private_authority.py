"""A registry with a private certificate authority, from inside the action's container."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.support.engines import Engine
from tests.support.front import Auth, Behaviour, Front, User, running_front
from tests.support.outcomes import outcomes
from tests.support.registry import Registry
from tests.support.runner import Job, Step
from tests.support.tls import Authority

HERE = ("--add-host", "registry.test:127.0.0.1", "--add-host", "login.test:127.0.0.1")
USERS = {"octocat": User(password="s3cret-password")}


@pytest.fixture(scope="module", autouse=True)
def image(classic: Engine) -> None:
    classic.make_image("small", layers=2)


@pytest.fixture
def private(registry: Registry, tmp_path: Path) -> Iterator[tuple[Front, Authority]]:
    """Yield a registry whose authority lacks key usage and key identifiers."""
    authority = Authority(tmp_path, bare=True)
    with running_front(registry.address, tls=authority.server()) as front:
        yield front, authority


def named(front: Front, host: str = "registry.test") -> str:
    """Return an address of ``front`` that is not loopback, where any certificate is accepted."""
    return f"{host}:{front.address.rpartition(':')[2]}"


def push(
    job: Job,
    front: Front,
    environ: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Step:
    usual = {
        "tags": f"{named(front)}/acme/app:1",
        "source": "small",
        "transport": "direct",
        "max-attempts": "2",
    }
    return job.run(usual | dict(inputs or {}), environ=environ, options=HERE)


@pytest.mark.parametrize("file", ["ca.pem", "/home/runner/work/app/app/ca.pem"])
def test_an_authority_in_the_workspace_is_trusted_as_docker_and_curl_take_it(
    job: Job, private: tuple[Front, Authority], file: str
) -> None:
    front, authority = private
    workspace = job.folder / "workspace"
    workspace.mkdir(parents=True)
    (workspace / "ca.pem").write_bytes(authority.file.read_bytes())
    step = push(job, front, {"SSL_CERT_FILE": file})
    assert step.status == 0, step.log
    assert set(outcomes(step).values()) == {"pushed"}


def test_without_it_the_log_says_how_to_name_it(job: Job, private: tuple[Front, Authority]) -> None:
    step = push(job, private[0])
    assert step.status == 1, step.log
    assert "SSL_CERT_FILE" in step.log


@pytest.mark.parametrize(
    ("host", "outcome"), [("registry.test", "pushed"), ("login.test", "failed")]
)
def test_an_insecure_registry_makes_no_token_service_elsewhere_insecure(
    job: Job, private: tuple[Front, Authority], host: str, outcome: str
) -> None:
    front = private[0]
    auth = Auth(mode="token", users=USERS, realm=f"https://{named(front, host)}/token")
    front.set(Behaviour(auth=auth, locations="relative"))
    inputs = {
        "registry": named(front),
        "username": "octocat",
        "password": USERS["octocat"].password,
        "insecure-registries": named(front),
    }
    step = push(job, front, inputs=inputs)
    assert set(outcomes(step).values()) == {outcome}, step.log
    assert ("token" in front.credentials()) is (outcome == "pushed")
    assert ("certificate" in step.log) is (outcome == "failed"), step.log

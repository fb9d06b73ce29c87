"""A registry with a private certificate authority, from inside the action's container."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engines import Engine
from tests.support.front import Front, running_front
from tests.support.outcomes import outcomes
from tests.support.registry import Registry
from tests.support.runner import Job, Step
from tests.support.tls import Authority

HERE = ("--add-host", "registry.test:127.0.0.1")


@pytest.fixture(scope="module", autouse=True)
def image(classic: Engine) -> None:
    classic.make_image("small", layers=2)


@pytest.fixture
def private(registry: Registry, tmp_path: Path) -> Iterator[tuple[Front, Authority]]:
    """Yield a registry whose authority lacks key usage and key identifiers."""
    authority = Authority(tmp_path, bare=True)
    with running_front(registry.address, tls=authority.server()) as front:
        yield front, authority


def push(job: Job, front: Front, **environ: str) -> Step:
    port = front.address.rpartition(":")[2]
    inputs = {
        "tags": f"registry.test:{port}/acme/app:1",
        "source": "small",
        "transport": "direct",
        "max-attempts": "2",
    }
    return job.run(inputs, environ=environ, options=HERE)


@pytest.mark.parametrize("named", ["ca.pem", "/home/runner/work/app/app/ca.pem"])
def test_an_authority_in_the_workspace_is_trusted_as_docker_and_curl_take_it(
    job: Job, private: tuple[Front, Authority], named: str
) -> None:
    front, authority = private
    workspace = job.folder / "workspace"
    workspace.mkdir(parents=True)
    (workspace / "ca.pem").write_bytes(authority.file.read_bytes())
    step = push(job, front, SSL_CERT_FILE=named)
    assert step.status == 0, step.log
    assert set(outcomes(step).values()) == {"pushed"}


def test_without_it_the_log_says_how_to_name_it(job: Job, private: tuple[Front, Authority]) -> None:
    step = push(job, private[0])
    assert step.status == 1, step.log
    assert "SSL_CERT_FILE" in step.log

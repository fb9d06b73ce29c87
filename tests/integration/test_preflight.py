"""The preflight with real parts: one reset connection changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from tests.support.engines import Engine, running_engine
from tests.support.front import Answer, Behaviour, Front, Rule, running_front
from tests.support.outcomes import held
from tests.support.registry import Registry, running_registry

from ghcr_push import push
from ghcr_push.model import Outcome, Step
from ghcr_push.reporting.records import Report

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", params=["classic", "containerd"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with running_engine(f"pf-{request.param}-{token_hex(3)}", store=request.param) as engine:
        engine.make_image("small", layers=2)
        yield engine


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with running_registry() as registry:
        yield registry


@pytest.fixture
def front(registry: Registry) -> Iterator[Front]:
    with running_front(registry.address) as front:
        yield front


@pytest.fixture
def twenty(
    engine: Engine, front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> list[str]:
    """Push twenty tags of a new repository, with the engine in the environment."""
    for name in ("DOCKER_HOST", "PATH"):
        monkeypatch.setenv(name, engine.environ[name])
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    repository = f"{front.address}/acme/{token_hex(4)}"
    return [f"{repository}:1.{number}" for number in range(20)]


def steps_of(report: Report) -> set[Step]:
    return {attempt.step for result in report.targets for attempt in result.attempts}


@pytest.mark.parametrize("connections", [1, 2])
def test_the_first_connections_reset_and_no_tag_goes_by_docker_push(
    twenty: list[str], front: Front, registry: Registry, connections: int
) -> None:
    reset = Rule(answer=Answer(connection="reset"), first=connections)
    front.set(Behaviour(rules=(reset,)))

    report = push(twenty, source="small", transport="auto")

    assert [result.outcome for result in report.targets] == [Outcome.PUSHED] * 20
    assert Step.PUSH not in steps_of(report)
    assert not any("docker push" in notice for notice in report.notices)
    for result in report.targets:
        assert held(registry.address, result.reference) == result.digest

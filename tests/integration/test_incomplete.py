"""An index that the engine has only in part: the result does not depend on its size."""

from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from tests.support.engines import Engine, running_engine
from tests.support.front import Front, Step, running_front
from tests.support.loadable import Loadable, archive_of_index, file, layer_of
from tests.support.outcomes import held
from tests.support.registry import Registry

import ghcr_push.pushing.engine_first
from ghcr_push import push
from ghcr_push.model import Kind, Outcome
from ghcr_push.model import Step as OurStep

pytestmark = pytest.mark.timeout(300)

PLATFORMS = ("amd64", "arm64", "s390x")
SIZES = {"small": 1 << 40, "large": 1}
"""Thresholds of a large image in bytes, below and above this one's size."""

Pull = Callable[..., str]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(f"inc-{token_hex(3)}", release="sid", store="containerd") as engine:
        yield engine


@pytest.fixture
def pulled(engine: Engine, registry: Registry) -> Iterator[Pull]:
    """Push an index of three platforms, and pull some of them into an engine without any."""
    name = f"{registry.address}/acme/{token_hex(4)}:1"
    images = [
        Loadable(layers=(layer_of(file("of", f"{name} {each}".encode())),), architecture=each)
        for each in PLATFORMS
    ]
    archive, _ = archive_of_index("whole:1", images)
    engine.docker("load", "--quiet", stdin=archive)
    engine.docker("tag", "whole:1", name)
    engine.docker("push", "--quiet", name)
    engine.docker("image", "rm", "--force", "whole:1", name)

    def pull(*platforms: str) -> str:
        for each in platforms:
            engine.docker("pull", "--quiet", "--platform", f"linux/{each}", name)
        return name

    yield pull
    engine.docker("image", "rm", "--force", name)


@pytest.fixture
def _environment(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DOCKER_HOST", "PATH"):
        monkeypatch.setenv(name, engine.environ[name])
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("size", SIZES)
def test_several_platforms_but_not_all_are_refused_and_nothing_is_published(
    pulled: Pull, front: Front, registry: Registry, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr(ghcr_push.pushing.engine_first, "QUICKER_FROM", SIZES[size])
    source, target = pulled("amd64", "arm64"), f"{front.address}/acme/{token_hex(4)}:1"
    [result] = push([target], source=source).targets
    assert result.outcome is Outcome.FAILED
    assert result.failure is not None
    assert result.failure.kind is Kind.CONTENT_MISSING
    assert "docker pull --platform" in result.failure.advice
    assert held(registry.address, target) is None
    assert front.stats().count(Step.MANIFEST_PUT) == 0


@pytest.mark.usefixtures("_environment")
def test_the_only_available_platform_is_pushed_and_reported_for_any_size(
    pulled: Pull, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, digests = pulled("amd64"), set()
    for large in SIZES.values():
        monkeypatch.setattr(ghcr_push.pushing.engine_first, "QUICKER_FROM", large)
        with running_front(registry.address) as front:
            target = f"{front.address}/acme/{token_hex(4)}:1"
            report = push([target], source=source)
            [result] = report.targets
            assert result.outcome is Outcome.PUSHED, result.failure
            assert OurStep.PUSH not in {attempt.step for attempt in result.attempts}
            assert any("only linux/amd64 is in the engine" in each for each in report.notices)
            digests.add(held(registry.address, target))
    assert len(digests) == 1

"""The action's built image on real engines: each engine started once, when a test first asks."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex

import pytest
from tests.support.engines import Engine, running_engine
from tests.support.front import Front, running_front
from tests.support.registry import Registry, running_registry
from tests.support.runner import ACTION_IMAGE, Job, build_action_image

BASES = ("python:3.13-slim", "act-runner:local", "docker:cli")
STORES = (("trixie", "classic"), ("trixie", "containerd"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests in this folder enough time to start engines without a cache."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(600))


class Engines:
    """Engines that hold the action's image; built in the first one, copied to the others."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: dict[tuple[str, str], Engine] = {}

    def get(self, release: str, store: str) -> Engine:
        """Return the engine of that Debian release and image store."""
        if (release, store) not in self._running:
            name = f"e2e-{release}-{store}-{token_hex(3)}"
            first = next(iter(self._running.values()), None)
            engine = self._stack.enter_context(
                running_engine(name, release=release, store=store, images=() if first else BASES)
            )
            if first is None:
                build_action_image(engine)
            else:
                carry_image(first, engine)
            self._running[release, store] = engine
        return self._running[release, store]


def carry_image(here: Engine, there: Engine) -> None:
    """Copy the action's image from one engine to another."""
    save = ["docker", "save", ACTION_IMAGE]
    load = ["docker", "load", "--quiet"]
    with subprocess.Popen(save, env=dict(here.environ), stdout=subprocess.PIPE) as saving:
        subprocess.run(
            load, env=dict(there.environ), stdin=saving.stdout, capture_output=True, check=True
        )


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    with ExitStack() as stack:
        yield Engines(stack)


@pytest.fixture(scope="session")
def classic(engines: Engines) -> Engine:
    return engines.get("trixie", "classic")


@pytest.fixture(scope="session")
def containerd(engines: Engines) -> Engine:
    return engines.get("trixie", "containerd")


@pytest.fixture(scope="session", params=STORES, ids="-".join)
def either(engines: Engines, request: pytest.FixtureRequest) -> Engine:
    """Yield an engine with the one image store, then with the other."""
    return engines.get(*request.param)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with running_registry() as registry:
        yield registry


@pytest.fixture
def front(registry: Registry) -> Iterator[Front]:
    with running_front(registry.address) as front:
        yield front


@pytest.fixture
def job(tmp_path: Path, classic: Engine) -> Job:
    return Job(tmp_path, classic)

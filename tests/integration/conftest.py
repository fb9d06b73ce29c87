"""Shared fixtures: a real registry, a front before it, and a world in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cases import World, running_world
from tests.support.front import Front, running_front
from tests.support.processes import wait_until
from tests.support.registry import Registry, running_registry


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as production does."""
    return "asyncio"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """Yield a real registry, empty at a module's first test."""
    with running_registry() as registry:
        yield registry


@pytest.fixture
def front(registry: Registry) -> Iterator[Front]:
    """Yield a front without faults before the registry; neither may have an internal error."""
    with running_front(registry.address) as front:
        yield front
        # the front sees a moment later that a client went away
        wait_until(lambda: front.stats().writes_now == 0)
        stats = front.stats()
        assert (stats.front_errors, stats.registry_errors) == (0, 0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Yield a registry in memory behind a front, and an engine that has `app:1`."""
    with running_world(tmp_path) as world:
        yield world

"""Parts that tests share: a real registry, a front before it, and a world in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cases import World, running_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a registry in memory behind a front, and an engine that has `app:1`."""
    with running_world(tmp_path) as world:
        yield world

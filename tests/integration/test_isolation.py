"""A real engine and a real registry, beside a registry that is dead in one of three ways."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from secrets import token_hex

import pytest
from tests.support.cases import closed_address
from tests.support.engines import Engine, running_engine
from tests.support.front import Answer, Behaviour, Front, Rule, Step, oci_error, running_front
from tests.support.memory import MemoryRegistry
from tests.support.outcomes import held
from tests.support.registry import Registry
from tests.support.runner import Job

pytestmark = pytest.mark.timeout(300)

TAGS = 6
LAYERS, LAYER = 4, 2_000_000
SPACE = "3MB"
"""Temporary space for one and a half layers; each image has four."""

SLOW = Behaviour(takes={Step.UPLOAD_PUT: 0.4, Step.MANIFEST_PUT: 0.4})
"""Like a distant registry, so that not all of the time is that of the engine and the processors."""

LONGER, LATER = 1.2, 1.0


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(f"iso-{token_hex(3)}") as engine:
        for number in range(3):
            engine.make_image(f"image:{number}", layers=LAYERS, size=LAYER, seed=number)
        yield engine


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Yield the address of a registry that answers everything so."""
    with running_front(MemoryRegistry(), Behaviour(rules=(Rule(answer=answer),))) as front:
        yield front.address


def dead(way: str) -> AbstractContextManager[str]:
    """Yield the address of a registry that is dead in this way."""
    match way:
        case "refuses connections":
            return closed_address()
        case "answers 503":
            return answering(oci_error(503, "UNAVAILABLE", "Service Unavailable"))
        case _:
            return answering(Answer(connection="hang"))


def pushed_in(
    folder: Path, engine: Engine, front: Front, registry: Registry, *others: str, timeout: int
) -> float:
    """Push one image to the healthy registry, and others elsewhere; return when the first is done.

    In seconds from the start of the run. The dead come first in the list.
    """
    name = f"isolated/{token_hex(4)}"
    healthy = [f"image:0 => {front.address}/{name}:{tag}" for tag in range(TAGS)]
    inputs = {
        "tags": "\n".join([*others, *healthy]),
        "transport": "direct",
        "spool-size": SPACE,
        "timeout": f"{timeout}s",
    }
    front.set(SLOW)
    front.reset()
    step = Job(folder, engine).run_here(inputs)
    for tag in range(TAGS):
        assert held(registry.address, f"{front.address}/{name}:{tag}"), step.log
    assert set(step.listed("pushed")) == {line.partition(" => ")[2] for line in healthy}, step.log
    return max(entry.t + entry.seconds for entry in front.log() if entry.repository == name)


@pytest.fixture(scope="module")
def alone(
    engine: Engine,
    module_front: Front,
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> float:
    """Return the seconds for the healthy registry's tags alone."""
    folder = tmp_path_factory.mktemp("alone")
    return pushed_in(folder, engine, module_front, registry, timeout=60)


@pytest.fixture(scope="module")
def module_front(registry: Registry) -> Iterator[Front]:
    with running_front(registry.address) as front:
        yield front


@pytest.mark.parametrize("way", ["refuses connections", "answers 503", "never answers"])
def test_a_dead_registry_delays_no_healthy_one(
    tmp_path: Path, engine: Engine, module_front: Front, registry: Registry, alone: float, way: str
) -> None:
    with dead(way) as address:
        others = [f"image:{number} => {address}/acme/app:{number}" for number in (1, 2)]
        seconds = pushed_in(
            tmp_path, engine, module_front, registry, *others, timeout=int(alone) + 15
        )

    assert seconds <= LONGER * alone + LATER, f"alone it took {alone:.1f} s"

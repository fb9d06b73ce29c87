"""The demo where no Docker Engine can run."""

from pathlib import Path

from scripts.demo import BEHAVIOUR, push_layouts
from tests.support.front import running_front
from tests.support.memory import MemoryRegistry


def test_layouts_take_the_place_of_an_engine(tmp_path: Path) -> None:
    with running_front(MemoryRegistry(), BEHAVIOUR, seed=2) as front:
        step = push_layouts(tmp_path, front.address)
        stats = front.stats()
    assert step.status == 0, step.log
    assert len(step.listed("pushed")) == 20
    assert step.listed("retried")
    assert stats.refused_writes
    assert step.summary

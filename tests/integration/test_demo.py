"""The demo where no Docker Engine can run."""

from pathlib import Path

from scripts.demo import BEHAVIOUR, REFUSALS, push_layouts
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


def test_some_tags_fail_where_that_is_asked_for(tmp_path: Path) -> None:
    behaviour = BEHAVIOUR.model_copy(update={"rules": REFUSALS})
    with running_front(MemoryRegistry(), behaviour, seed=2) as front:
        step = push_layouts(tmp_path, front.address, failing=True)
    assert step.status == 1, step.log
    assert len(step.listed("failed")) == 4
    assert len(step.listed("pushed")) == 19
    for kind in ("tag-refused (400)", "denied (403)"):
        assert f"**{kind}** · " in step.summary

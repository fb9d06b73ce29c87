"""Long queues: the work and the memory for a target do not grow with the number of targets."""

import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

import ghcr_push
from ghcr_push.model import LANDED
from ghcr_push.reporting.annotations import annotations
from ghcr_push.reporting.build import build
from ghcr_push.reporting.outputs import BUDGET, outputs
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.report import to_json
from ghcr_push.reporting.summary import MOST_BYTES, summary
from tests.simulation.defaults import default_run
from tests.simulation.end_promises import looks_are_fresh
from tests.simulation.evidence import read_in_slot
from tests.simulation.play import Played, play
from tests.simulation.promises import broken_promises
from tests.simulation.scenario import Conditions, Outage

PACKAGE = next(iter(ghcr_push.__path__))
FEW, MANY = 100, 1000
TROUBLE = Conditions(
    limits=((float("-inf"), 2),),
    faults=0.05,
    outages=(Outage(begins=20.0, ends=80.0, writes_only=False, connection=False),),
)


def long_run(tags: int, *, direct: bool) -> Played:
    run = default_run(1, TROUBLE, direct=direct, groups=(tags,))
    played = play(replace(run, timeout=100_000.0))
    assert all(result.outcome in LANDED for result in played.results)
    return played


def report_of(played: Played) -> Report:
    return build(
        played.results,
        started_at="2024-01-01T00:00:00.000Z",
        duration=(played.ended or 0.0) - played.start,
        cancelled=False,
        max_parallel=played.scenario.max_parallel,
        limit_changes=played.changes,
        holds=played.holds,
    )


def rendered(report: Report) -> dict[str, str]:
    """Render the report of a run for all readers."""
    to_json(report)
    annotations(report)
    return {"summary": summary(report), **outputs(report, "report.json")}


def steps(work: Callable[[], Any]) -> int:
    """Count the executed lines of the package, each turn of a loop again."""
    count = 0

    def line(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, _event: str, _argument: object) -> Any:
        return line if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def peak(work: Callable[[], Any]) -> int:
    """Return the peak of allocated bytes during ``work``."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("direct", [True, False])
def test_the_work_and_the_requests_for_a_target_do_not_grow_with_the_queue(direct: bool) -> None:
    played: list[Played] = []
    few = steps(lambda: played.append(long_run(FEW, direct=direct))) / FEW
    many = steps(lambda: played.append(long_run(MANY, direct=direct))) / MANY

    assert many < 1.1 * few
    asked_by_few, asked_by_many = (len(run.log) / len(run.results) for run in played)
    assert asked_by_many < 1.1 * asked_by_few
    assert asked_by_many < 4  # a read, a write, a read-back, the failures, and few second reads


def test_the_memory_for_a_target_does_not_grow_with_the_queue() -> None:
    few = peak(lambda: long_run(FEW, direct=True)) / FEW
    many = peak(lambda: long_run(MANY, direct=True)) / MANY

    assert many < 1.1 * few


def test_the_report_of_a_long_run_keeps_its_size_and_takes_linear_time() -> None:
    played = long_run(MANY, direct=True)
    whole = report_of(played)
    part = replace(whole, targets=whole.targets[:FEW])

    few = steps(lambda: rendered(part)) / FEW
    many = steps(lambda: rendered(whole)) / MANY
    assert many < 1.1 * few

    # as many as ever: ten thousand
    reported = rendered(replace(whole, targets=whole.targets * 10))
    assert len(reported.pop("summary").encode()) <= MOST_BYTES
    assert sum(len(name) + len(value) for name, value in reported.items()) <= BUDGET


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    "conditions",
    [
        Conditions(limits=((float("-inf"), 1),)),
        Conditions(limits=((float("-inf"), 64),), bucket=(1.0, 30)),
        Conditions(limits=((float("-inf"), 64),), secondary=(40, 45.0)),
    ],
    ids=["one at a time", "one a second", "penalties"],
)
def test_looks_stay_fresh_in_a_long_queue_though_few_are_repeated(
    conditions: Conditions, direct: bool
) -> None:
    """Of three hundred tags, those that wait for long have not been read yet."""
    played = play(
        replace(default_run(1, conditions, direct=direct, groups=(300,)), timeout=100_000.0)
    )

    assert not broken_promises(played, [looks_are_fresh])
    writes = [r for r in played.log if r.writes and r.tags]
    assert len(writes) >= 300
    repeated = sum(read_in_slot(played, write) is not None for write in writes)
    assert repeated < 0.2 * len(writes)

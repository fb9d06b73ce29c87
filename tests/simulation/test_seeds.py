"""Thousands of seeds of mixed faults break no promise."""

import subprocess
import sys

import pytest

from tests.simulation.__main__ import CHUNK, REPLAY, findings, fingerprint
from tests.simulation.play import play
from tests.simulation.scenario import DIRECT, scenario

SEEDS, DIRECT_SEEDS = 1750, 750

ONCE_BROKEN = (
    *(3088, 4432, 6372 + DIRECT, 7128, 8696, 8732),
    *(DIRECT + seed for seed in (680, 1745, 3545, 4592, 5105, 5373, 407556, 1007054)),
    *(331591, 505670, 636970, *(DIRECT + seed for seed in (300083, 300468, 1000201, 1020388))),
    *(DIRECT + 1030686, DIRECT + 1031751),
    *(DIRECT + seed for seed in (3000971, 3002340, 3004483, 3004816, 3009497, 3012364)),
    *(DIRECT + seed for seed in (4204203, 4223757, 4225047, 4228256, 4234069, 5013343)),
    *(DIRECT + 2503000, 20001409, 20003860, 22007306, 23006299),
)
"""Further seeds, each of which once showed a bug of the queue or of a check."""


@pytest.mark.parametrize(
    "first", [*range(0, SEEDS, CHUNK), *range(DIRECT, DIRECT + DIRECT_SEEDS, CHUNK)]
)
def test_no_promise_is_broken(first: int) -> None:
    broken = [f"{REPLAY} {seed}: {'; '.join(what)}" for seed, what in findings(first, CHUNK)]

    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("seed", ONCE_BROKEN)
def test_a_seed_that_once_broke_a_promise_keeps_them(seed: int) -> None:
    assert list(findings(seed, 1)) == []


@pytest.mark.parametrize("seed", [*range(20), *range(DIRECT, DIRECT + 10)])
def test_a_seed_is_played_the_same_way_again(seed: int) -> None:
    assert fingerprint(play(scenario(seed))) == fingerprint(play(scenario(seed)))


def test_another_process_replays_a_seed_to_the_last_wait() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "12"],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "src:."},
        ).stdout
        for seed in ("1", "2")
    ]

    assert outputs[0] == outputs[1]
    assert fingerprint(play(scenario(12))) in outputs[0]

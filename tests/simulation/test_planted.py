"""Proof that the suite can fail: faults planted in the queue, each caught by its promise."""

import pytest

from tests.simulation import planted_content, planted_reach, planted_slots, planted_targets
from tests.simulation.play import play
from tests.simulation.promises import CHECKS, broken_promises
from tests.simulation.scenario import DIRECT, scenario

SEEDS = 1500
"""Seeds among which a planted fault must show; most do within a few."""

PLANTED = {
    **{name: (0, *fault) for name, fault in planted_slots.FAULTS.items()},
    **{name: (0, *fault) for name, fault in planted_targets.FAULTS.items()},
    **{name: (DIRECT, *fault) for name, fault in planted_content.FAULTS.items()},
    **{name: (DIRECT, *fault) for name, fault in planted_reach.FAULTS.items()},
}
"""By name: the first seed, the check that must find it, and how it is planted."""


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start, check, skip, plant = PLANTED[fault]
    plant(monkeypatch)
    only = [each for each in CHECKS if each.__name__ == check]

    caught = (
        seed
        for seed in range(start + skip, start + SEEDS)
        if any(
            broken.startswith(f"{check}:") for broken in broken_promises(play(scenario(seed)), only)
        )
    )

    assert next(caught, None) is not None, f"{check} does not find {fault}"

"""Faults planted in the queue, each caught by its promise: the suite can fail."""

import pytest

from tests.simulation import (
    planted_content,
    planted_isolation,
    planted_reach,
    planted_slots,
    planted_targets,
)
from tests.simulation.isolation import ISOLATED, broken_beside_the_dead
from tests.simulation.play import play
from tests.simulation.promises import CHECKS, broken_promises
from tests.simulation.scenario import DIRECT, scenario

SEEDS = 1500
"""Number of seeds within which a planted fault must show; most do within a few."""

PLANTED = {
    **{name: (0, *fault) for name, fault in planted_slots.FAULTS.items()},
    **{name: (0, *fault) for name, fault in planted_targets.FAULTS.items()},
    **{name: (DIRECT, *fault) for name, fault in planted_content.FAULTS.items()},
    **{name: (ISOLATED, *fault) for name, fault in planted_isolation.FAULTS.items()},
    **{name: (DIRECT, *fault) for name, fault in planted_reach.FAULTS.items()},
}
"""By name: the first seed, the check that must find it, and how it is planted."""


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start, check, skip, plant = PLANTED[fault]
    plant(monkeypatch)
    caught = (
        seed
        for seed in range(start + skip, start + SEEDS)
        if any(broken.startswith(f"{check}:") for broken in _broken(seed, check))
    )

    assert next(caught, None) is not None, f"{check} does not find {fault}"


def _broken(seed: int, check: str) -> list[str]:
    """Play a seed and apply one check, if that is a check of a single run."""
    if seed >= ISOLATED:
        return broken_beside_the_dead(seed)
    only = [each for each in CHECKS if each.__name__ == check]
    return broken_promises(play(scenario(seed)), only)

"""A registry that is dead in one of three ways holds up no healthy one of the same run."""

import pytest

from tests.simulation.isolation import ISOLATED, broken_beside_the_dead

SEEDS = 150


@pytest.mark.parametrize("first", range(ISOLATED, ISOLATED + SEEDS, 30))
def test_a_healthy_registry_is_not_held_up(first: int) -> None:
    seeds = range(first, first + 30)
    broken = [f"{seed}: {what}" for seed in seeds for what in broken_beside_the_dead(seed)]

    assert not broken, "\n".join(broken)

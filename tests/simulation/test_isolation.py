"""A dead registry, in one of three ways, delays no healthy one of the same run."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ghcr_push.pushing import progress, readings
from ghcr_push.pushing.pressure.global_limit import GlobalLimit, Share
from tests.simulation.isolation import DEAD, HEALTHY, ISOLATED, broken_beside_the_dead, isolated
from tests.simulation.play import play

SEEDS = 150


@pytest.mark.parametrize("first", range(ISOLATED, ISOLATED + SEEDS, 30))
def test_a_healthy_registry_is_not_held_up(first: int) -> None:
    seeds = range(first, first + 30)
    broken = [f"{seed}: {what}" for seed in seeds for what in broken_beside_the_dead(seed)]

    assert not broken, "\n".join(broken)


def nobody_gives_way(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(readings.Readings, "_make_way", lambda _: None)


def no_place_is_kept(patch: pytest.MonkeyPatch) -> None:
    def has_slot(global_limit: GlobalLimit, _: Share) -> bool:
        return sum(each.slots for each in global_limit._shares) < global_limit._most

    patch.setattr(GlobalLimit, "has_slot_for", has_slot)


def silence_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(progress, "QUIET", 1000.0)


@pytest.mark.parametrize("plant", [nobody_gives_way, no_place_is_kept, silence_is_not_noticed])
def test_a_planted_fault_is_caught(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(broken_beside_the_dead(seed) for seed in range(ISOLATED, ISOLATED + SEEDS))


@pytest.mark.parametrize("seed", range(ISOLATED, ISOLATED + 30))
def test_no_image_is_read_for_a_registry_that_never_answered(seed: int) -> None:
    scenario = isolated(seed)
    conditions = replace(scenario.conditions[DEAD], silent_from=0.0, outages=())
    played = play(replace(scenario, conditions={**scenario.conditions, DEAD: conditions}))

    groups = scenario.plan.groups
    wanted = {group.source for group in groups if group.repository.registry == HEALTHY}
    assert {reading.source for reading in played.world.readings} <= wanted

"""No target starves, and no slot is idle while a target could use it."""

from itertools import pairwise

import pytest

from ghcr_push.model import Outcome
from ghcr_push.pushing.pressure.retry import SPARE_SHARE, UNCOUNTED_SPREAD
from tests.simulation.defaults import default_run
from tests.simulation.play import Played, play
from tests.simulation.promises import broken_promises
from tests.simulation.scenario import Conditions

WRITE_AT_MOST = 0.43 * 1.25 + 0.1
"""Maximum seconds of a manifest write of the modelled world, with its reads."""

FIRST_FLOOR = 0.25
"""Minimum seconds of the first wait: half of the default `backoff-initial`."""


def under_load(seed: int, *, capacity: int, faults: float = 0.0, tags: int = 60) -> Played:
    conditions = Conditions(limits=((float("-inf"), capacity),), faults=faults)
    return play(default_run(seed, conditions, direct=True, groups=(tags,)))


def seconds_in_line(played: Played) -> list[float]:
    """Return how long each write of a tag, but its first, waited after its back-off was over."""
    waits = []
    for result in played.results:
        for one, two in pairwise(result.attempts):
            waits.append(two.started - one.started - one.seconds - one.wait)
    return waits


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_a_unit_after_its_back_off_waits_only_for_those_before_it(
    capacity: int,
) -> None:
    for seed in range(4):
        played = under_load(seed, capacity=capacity, faults=0.1)

        assert not broken_promises(played)
        assert all(result.outcome is Outcome.PUSHED for result in played.results)
        line = seconds_in_line(played)
        assert line
        # at worst everybody else writes once before it, and each of them once more without effect
        assert max(line) <= 2 * len(played.results) * WRITE_AT_MOST


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_a_registry_under_load_is_never_idle_for_the_sake_of_a_back_off(capacity: int) -> None:
    """Refusals that are due to the limit or to a trial wait only a moment, not a back-off."""
    for seed in range(15):
        played = under_load(seed, capacity=capacity)

        writes = [r for r in played.log if r.writes]
        until = first = min(r.began for r in writes if r.operation == "put")
        idle = 0.0
        for write in writes:
            idle += max(0.0, write.began - until) if write.began >= first else 0.0
            until = max(until, write.ended)
        assert idle < 0.03 * (until - first)
        waits = [a.wait for result in played.results for a in result.attempts if a.failure]
        assert max(waits) <= UNCOUNTED_SPREAD


def test_the_last_to_wait_goes_on_soon_after_the_floor_of_its_wait() -> None:
    """No other target could use the slot."""
    waits = []
    for seed in range(40):
        played = under_load(seed, capacity=8, faults=0.2, tags=1)
        (result,) = played.results
        failed = [each for each in result.attempts if each.failure is not None]
        waits += [each.wait for each in failed[:1] if each.limit > 1]
    assert waits
    assert min(waits) >= FIRST_FLOOR * SPARE_SHARE
    assert max(waits) <= 2 * FIRST_FLOOR * SPARE_SHARE

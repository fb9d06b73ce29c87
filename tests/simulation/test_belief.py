"""The limit's belief against modelled registries, and faults planted in it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import pytest
from bench.limits import Case, measure

from ghcr_push.pushing.pressure import limit
from ghcr_push.pushing.pressure.limit import AdaptiveLimit, Burst, Write

SEEDS = range(12)


def time_and_refusals(case: Case) -> tuple[float, float]:
    """Return the time as a multiple of the oracle's, and the refusals; nothing may be lost."""
    time, refused, lost = measure("shipped", case, SEEDS, strict=False)
    assert lost == 0
    return time, refused


def finds_the_capacity() -> bool:
    time, refused = time_and_refusals(Case(100, 16, 3, 3))
    return time < 1.05 and refused < 24


def attributes_random_faults_to_chance() -> bool:
    time, _ = time_and_refusals(Case(100, 8, 8, 8, faults=0.1))
    return time < 1.2


def notices_a_higher_capacity() -> bool:
    time, _ = time_and_refusals(Case(100, 8, 1, 8))
    return time < 1.25


def notices_a_lower_capacity() -> bool:
    time, refused = time_and_refusals(Case(100, 8, 8, 3))
    return time < 1.05 and refused < 16


def attributes_late_random_faults_to_chance() -> bool:
    endings = [True] * 300 + [number % 3 > 0 for number in range(150)]
    return min(limits_after(endings, AdaptiveLimit(8))) >= 6


def limits_after(endings: Iterable[bool], registry: AdaptiveLimit) -> Iterator[int]:
    """Keep the limit full, accept or refuse the oldest write in turn, and yield each limit."""
    running = deque[Write]()
    for taken in endings:
        while len(running) < registry.value:
            running.append(registry.began())
        write = running.popleft()
        registry.accepted(write) if taken else registry.refused(write)
        registry.finished(write)
        yield registry.value


def stays_at_one_in_a_crowd() -> bool:
    registry = AdaptiveLimit(8)
    highest = 0
    for number in range(60):
        write = registry.began()
        registry.accepted(write) if number % 3 == 0 else registry.refused(write)
        registry.finished(write)
        highest = max(highest, registry.value + registry.trial_due if number >= 10 else 0)
    return highest == 1


PROMISES = (
    finds_the_capacity,
    attributes_random_faults_to_chance,
    notices_a_higher_capacity,
    notices_a_lower_capacity,
    attributes_late_random_faults_to_chance,
    stays_at_one_in_a_crowd,
)


@pytest.mark.parametrize("promise", PROMISES)
def test_the_limit_is_near_the_best_that_can_be_known(promise: Callable[[], bool]) -> None:
    assert promise()


# -- faults to plant ------------------------------------------------------------------------------


def evidence_forgotten(patch: pytest.MonkeyPatch) -> None:
    def settle(self: AdaptiveLimit) -> None:
        self._bursts = [burst for burst in self._bursts if burst.running]

    patch.setattr(AdaptiveLimit, "_settle", settle)


def evidence_counted_twice(patch: pytest.MonkeyPatch) -> None:
    weighed = limit._weighed

    def twice(table: limit.Table, bursts: list[Burst]) -> limit.Table:
        return weighed(table, [*bursts, *bursts])

    patch.setattr(limit, "_weighed", twice)


def drift_for_the_better_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limit, "BETTER", 0.0)


def drift_for_the_worse_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limit, "WORSE", 0.0)


def drift_of_chance_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limit, "OTHER_FAULTS", 0.0)


def social_cost_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limit, "CROWD_GAIN", 0.5)


@pytest.mark.parametrize(
    ("plant", "promise"),
    [
        (evidence_forgotten, finds_the_capacity),
        (evidence_counted_twice, attributes_random_faults_to_chance),
        (drift_for_the_better_off, notices_a_higher_capacity),
        (drift_for_the_worse_off, notices_a_lower_capacity),
        (drift_of_chance_off, attributes_late_random_faults_to_chance),
        (social_cost_off, stays_at_one_in_a_crowd),
    ],
)
def test_a_fault_planted_in_the_belief_is_caught(
    plant: Callable[[pytest.MonkeyPatch], None],
    promise: Callable[[], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    assert not promise()

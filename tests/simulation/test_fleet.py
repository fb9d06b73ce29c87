"""Ten runners of the real queue with one registry: each keeps its promises, and all tags land."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from bench.fleet.contenders import OURS, Runner, play, runners_of
from bench.fleet.measuring import measure
from bench.fleet.registry import Setting, SharedRegistry

from ghcr_push.model import LANDED
from tests.simulation.promises import broken_promises

CROWDED = Setting(writes=4, requests=(600, 30), reads=None, abuse=10**9, penalty=0.0)
"""Accepts four writes at once, and ten requests a second of all runners together."""


def pushed(setting: Setting, seed: int) -> tuple[SharedRegistry, Sequence[Runner]]:
    shared = SharedRegistry(setting)
    runners = runners_of(10, seed, shared, tags=(10, 40))
    play(OURS, runners, seed)
    return shared, runners


@pytest.mark.parametrize("seed", range(3))
def test_all_lands_and_no_promise_is_broken(seed: int) -> None:
    _, runners = pushed(CROWDED, seed)

    broken = [what for runner in runners for what in broken_promises(runner.played)]
    results = [result for runner in runners for result in runner.played.results]

    assert not broken, "\n".join(broken)
    assert len(results) == sum(runner.tags for runner in runners)
    assert all(result.outcome in LANDED for result in results)
    assert sum(runner.landed for runner in runners) == len(results)


def test_the_runners_share_one_registry() -> None:
    shared, runners = pushed(replace(CROWDED, abuse=20, penalty=90.0), 0)
    answers = {request.answer for runner in runners for request in runner.played.log}
    writes = [r for runner in runners for r in runner.played.log if r.writes and r.good]
    changes = sorted([(w.began, 1) for w in writes] + [(w.ended, -1) for w in writes])
    in_flight = peak = 0
    for _, change in changes:
        in_flight += change
        peak = max(peak, in_flight)

    assert peak == CROWDED.writes
    assert answers == {"ok", "broken", "throttled", "secondary"}
    assert shared.penalties


@pytest.mark.parametrize("runners", [30, 100])
def test_many_runners_lose_nothing_within_twice_the_perfect_time(runners: int) -> None:
    """Thirty use all of the capacity without a throttle; a hundred reach the secondary limit."""
    fleet = measure(OURS, "ghcr", runners, 0, float("inf"))

    assert fleet.landed == fleet.tags
    assert fleet.seconds <= 2 * fleet.perfect

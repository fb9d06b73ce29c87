"""Throttles of the whole client: the penalty of a secondary limit, and bursts over a rate limit."""

from itertools import pairwise

import pytest

from ghcr_push.model import Kind, Outcome
from ghcr_push.pushing.pressure.holds import (
    HOLD_FIRST,
    HOLD_SPREAD,
    SPACING,
)
from ghcr_push.pushing.pressure.retry import BURST_FLOOR, BURST_SPREAD
from tests.simulation.defaults import default_run
from tests.simulation.evidence import HAIR
from tests.simulation.play import Played, play
from tests.simulation.promises import broken_promises
from tests.simulation.scenario import Conditions

FREE = ((float("-inf"), 64),)
TRANSPORTS = {"direct": True, "engine": False}


def penalised(seed: int, *, direct: bool, penalty: float, names_waits: bool = False) -> Played:
    """Push 60 tags to a registry that allows 40 writes a minute."""
    conditions = Conditions(limits=FREE, secondary=(40, penalty), names_waits=names_waits)
    return play(default_run(seed, conditions, direct=direct, groups=(30, 30)))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("names_waits", [False, True])
def test_everything_lands_after_a_penalty_in_which_a_minute_sees_one_probe(
    transport: str, names_waits: bool
) -> None:
    for seed in range(4):
        played = penalised(
            seed, direct=TRANSPORTS[transport], penalty=200.0, names_waits=names_waits
        )

        assert not broken_promises(played)
        assert all(result.outcome is Outcome.PUSHED for result in played.results)
        refused = [r for r in played.log if r.answer == "secondary"]
        first = min(refused, key=lambda request: request.ended)
        probes = [r for r in refused if r.began > first.ended]
        assert probes
        assert all(probe.level == 1 for probe in probes)
        starts = [first.ended, *(probe.began for probe in probes)]
        assert all(two - one >= HOLD_FIRST for one, two in pairwise(starts))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_hold_grows_by_half_while_the_penalty_lasts(transport: str) -> None:
    for seed in range(4):
        played = penalised(seed, direct=TRANSPORTS[transport], penalty=900.0)

        seconds = [hold.seconds for hold in played.holds][:5]
        for hold, floor in zip(seconds, (60.0, 90.0, 135.0, 202.5, 300.0), strict=True):
            assert floor <= hold <= floor + HOLD_SPREAD


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_queue_resumes_at_limit_one_with_spaced_starts(transport: str) -> None:
    for seed in range(4):
        played = penalised(seed, direct=TRANSPORTS[transport], penalty=45.0)

        assert any(c.new == 1 and c.reason.startswith("secondary-limit") for c in played.changes)
        (hold, *_) = played.holds
        resumed = played.start + hold.at + hold.seconds
        starts = [r for r in played.log if r.writes and r.began >= resumed]
        assert starts
        assert starts[0].level == 1
        apart = [two.began - one.began for one, two in pairwise(starts)]
        assert min(apart) >= SPACING - HAIR


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_burst_over_the_allowance_costs_a_moment_and_no_fault(transport: str) -> None:
    for seed in range(4):
        conditions = Conditions(limits=FREE, bucket=(10.0, 30))
        played = play(
            default_run(seed, conditions, direct=TRANSPORTS[transport], groups=(40,)),
        )

        assert not broken_promises(played)
        assert all(result.outcome is Outcome.PUSHED for result in played.results)
        throttled = [
            attempt
            for result in played.results
            for attempt in result.all_attempts
            if attempt.failure is not None
        ]
        assert throttled
        for attempt in throttled:
            assert attempt.failure is not None
            assert attempt.failure.kind is Kind.THROTTLED
            assert not attempt.failure.counts
        first = [attempt.wait for attempt in throttled if attempt.number == 1]
        assert all(BURST_FLOOR <= wait <= BURST_FLOOR + BURST_SPREAD for wait in first)
        assert not played.holds

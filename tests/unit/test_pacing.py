"""How the pause between starts follows refusals and successes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.pushing.pressure.pacing import (
    GAIN_KEPT,
    GAIN_OF_READS,
    GAIN_OF_WRITES,
    LONGEST_PAUSES,
    PAUSE_FIRST,
    PAUSE_THROTTLED,
    Pacing,
)


def after_limits(number: int) -> Pacing:
    """Return the pacing of a run after so many secondary limits."""
    pacing = Pacing(GAIN_OF_WRITES)
    for _ in range(number):
        pacing.throttled(again=False)
    return pacing


@pytest.mark.parametrize("limits", range(4))
@given(steps=st.lists(st.sampled_from(["refused", "accepted", "again"]), max_size=200))
def test_a_pause_stays_within_its_bounds(limits: int, steps: list[str]) -> None:
    pacing = after_limits(limits)
    longest = LONGEST_PAUSES[min(limits, 2)]
    for step in steps:
        before = pacing.pause
        match step:
            case "accepted":
                pacing.accepted()
                ended = not pacing.pause and before < PAUSE_FIRST
                assert ended or pacing.pause <= before
            case "refused":
                pacing.refused()
                assert pacing.pause == max(PAUSE_FIRST, min(2 * before, longest))
            case "again":
                pacing.throttled(again=True)
                assert max(PAUSE_THROTTLED, min(2 * before, longest)) == pacing.pause


@pytest.mark.parametrize("limits", range(4))
@pytest.mark.parametrize("pause", [1.0, 4.0, 8.0])
def test_a_success_adds_starts_per_second_and_fewer_after_each_limit(
    limits: int, pause: float
) -> None:
    pacing = after_limits(limits)
    pacing.pause = pause
    for number in range(1, 4):
        before = pacing.pause
        pacing.accepted()
        gained = 1 / pacing.pause - 1 / before
        assert gained == pytest.approx(GAIN_OF_WRITES * GAIN_KEPT[min(limits, 2)] * number)


@pytest.mark.parametrize(("limits", "pause", "successes"), [(0, 4.0, 3), (1, 8.0, 3), (2, 36.0, 4)])
def test_a_refusal_now_and_then_keeps_the_pause_that_a_fleet_needs(
    limits: int, pause: float, successes: int
) -> None:
    """Repeat one refusal and so many successes: the pause stays about the same."""
    pacing = after_limits(limits)
    pacing.pause = pause
    for _ in range(20):
        pacing.refused()
        for _ in range(successes):
            pacing.accepted()
    assert pause / 2 < pacing.pause < pause * 2


def test_a_secondary_limit_that_continues_counts_once() -> None:
    pacing = after_limits(1)
    for _ in range(5):
        pacing.throttled(again=True)
    assert pacing.pause == LONGEST_PAUSES[1]


@pytest.mark.parametrize("gain", [GAIN_OF_READS, GAIN_OF_WRITES])
@pytest.mark.parametrize("limits", range(3))
def test_successes_end_the_longest_pause(gain: float, limits: int) -> None:
    pacing = after_limits(limits)
    pacing.gain = gain
    pacing.pause = LONGEST_PAUSES[limits]
    seconds = 0.0
    while pacing.pause:
        seconds += pacing.pause
        pacing.accepted()
    assert seconds <= (60, 180, 1200)[limits]

"""How the pause between starts follows refusals and successes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.pushing.pressure.pacing import (
    CAREFUL_GAIN,
    CAREFUL_LAST,
    GAIN_OF_READS,
    GAIN_OF_WRITES,
    PAUSE_FIRST,
    PAUSE_LAST,
    PAUSE_THROTTLED,
    Pacing,
)


def after_limits(number: int) -> Pacing:
    """Return the pacing of a run that has met so many secondary limits."""
    pacing = Pacing(GAIN_OF_WRITES)
    for _ in range(number):
        pacing.throttled(again=False)
    return pacing


@pytest.mark.parametrize("limits", range(4))
@given(steps=st.lists(st.sampled_from(["refused", "taken", "again"]), max_size=200))
def test_a_pause_stays_within_its_bounds(limits: int, steps: list[str]) -> None:
    pacing = after_limits(limits)
    careful = limits > 1
    longest, most = (CAREFUL_LAST, CAREFUL_GAIN) if careful else (PAUSE_LAST, float("inf"))
    for step in steps:
        before = pacing.pause
        match step:
            case "taken":
                pacing.taken()
                ended = not pacing.pause and before < PAUSE_FIRST
                assert ended or before / most <= pacing.pause <= before
            case "refused":
                pacing.refused()
                assert pacing.pause == max(PAUSE_FIRST, min(2 * before, longest))
            case "again":
                pacing.throttled(again=True)
                assert max(PAUSE_THROTTLED, min(2 * before, longest)) == pacing.pause


def test_one_refusal_in_four_keeps_a_pause_of_forty_seconds_after_a_second_limit() -> None:
    pacing = after_limits(2)
    pacing.pause = 40.0
    pacing.refused()
    for _ in range(4):
        pacing.taken()
    assert pacing.pause == pytest.approx(40.0, rel=0.1)


def test_a_limit_that_goes_on_counts_once() -> None:
    pacing = after_limits(1)
    for _ in range(5):
        pacing.throttled(again=True)
    assert pacing.pause == PAUSE_LAST


@pytest.mark.parametrize("gain", [GAIN_OF_READS, GAIN_OF_WRITES])
@pytest.mark.parametrize("limits", [0, 2])
def test_successes_end_the_longest_pause(gain: float, limits: int) -> None:
    pacing = after_limits(limits)
    pacing.gain = gain
    pacing.pause = CAREFUL_LAST
    successes = 0
    while pacing.pause:
        pacing.taken()
        successes += 1
    assert successes <= 60

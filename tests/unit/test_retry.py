"""How long a unit waits, and when it gives up."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from ghcr_push.model import Failure, Kind
from ghcr_push.pushing.pressure.retry import (
    BURST_FLOOR,
    BURST_SPREAD,
    SLOWER,
    SPARE_LONGEST,
    SPARE_SHARE,
    UNCOUNTED_SPREAD,
    AttemptError,
    Backoff,
    FailureCount,
)

BROKEN = Failure(kind=Kind.SERVER_ERROR, message="500", advice="", retryable=True, pressure=True)
THROTTLED = replace(BROKEN, kind=Kind.THROTTLED, counts=False)


class Least(Random):
    """Draws the least of each range."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return a


def policy(
    *, now: float = 0.0, deadline: float = float("inf"), attempts: int = 8, seed: int = 1
) -> Backoff:
    return Backoff(
        initial=2.0,
        maximum=60.0,
        max_attempts=attempts,
        random=Random(seed),
        clock=lambda: now,
        deadline=deadline,
    )


def counted(failed: AttemptError, times: int) -> FailureCount:
    count = FailureCount()
    for _ in range(times):
        count.add(failed)
    return count


kinds = st.sampled_from([kind for kind in Kind if kind is not Kind.THROTTLED])
waits = st.one_of(st.none(), st.floats(0, 10_000))


@given(kind=kinds, asked=waits, times=st.integers(1, 2000))
def test_a_charged_failure_waits_longer_each_time_with_a_floor(
    kind: Kind, asked: float | None, times: int
) -> None:
    failed = AttemptError(replace(BROKEN, kind=kind, asked_wait=asked), counts=True)

    wait = policy().wait(failed, counted(failed, times))

    grown = min(60.0, 2.0 * SLOWER.get(kind, 1.0) * 2.0 ** min(times - 1, 40))
    least = max(asked or 0.0, grown / 2)
    assert least <= wait <= least + grown / 2


@given(
    kind=kinds,
    asked=waits,
    times=st.integers(1, 9),
    seed=st.integers(0, 50),
    initial=st.sampled_from([0.1, 0.5, 2.0, 30.0]),
)
def test_waits_are_shorter_where_a_slot_is_spare_short_ones_most(
    kind: Kind, asked: float | None, times: int, seed: int, initial: float
) -> None:
    failed = AttemptError(replace(BROKEN, kind=kind, asked_wait=asked), counts=True)

    backoff = replace(policy(seed=seed), initial=initial)
    wait = backoff.wait(failed, counted(failed, times), spare=True)

    grown = min(60.0, initial * SLOWER.get(kind, 1.0) * 2.0 ** (times - 1))
    hasty = grown <= SPARE_LONGEST and kind not in SLOWER
    least = max(asked or 0.0, grown / 2 * (SPARE_SHARE if hasty else 1.0))
    assert least <= wait <= least + SPARE_SHARE * grown / 2


def test_eight_attempts_last_half_a_minute_also_where_a_slot_is_spare() -> None:
    failed = AttemptError(BROKEN, counts=True)
    shortest = Backoff(initial=0.5, maximum=60.0, max_attempts=8, random=Least())

    waits = [shortest.wait(failed, counted(failed, times), spare=True) for times in range(1, 8)]

    assert sum(waits) >= 30


@given(asked=waits, times=st.integers(1, 5))
def test_a_refusal_that_costs_nothing_waits_a_moment(asked: float | None, times: int) -> None:
    failed = AttemptError(replace(BROKEN, asked_wait=asked), counts=False)

    wait = policy().wait(failed, counted(failed, times))

    assert (asked or 0.0) <= wait <= (asked or 0.0) + UNCOUNTED_SPREAD


@given(asked=st.floats(0, 100), spent=st.booleans(), times=st.integers(1, 50))
def test_consecutive_throttles_wait_longer_whether_or_not_they_count(
    asked: float, spent: bool, times: int
) -> None:
    failed = AttemptError(replace(THROTTLED, asked_wait=asked), counts=spent)

    wait = policy().wait(failed, counted(failed, times))

    least = max(asked, BURST_FLOOR * 2.0 ** min(times - 1, 5))
    assert least <= wait <= least + BURST_SPREAD


def test_another_failure_between_ends_a_row_of_throttles() -> None:
    throttled = AttemptError(replace(THROTTLED, asked_wait=0.01), counts=False)
    count = counted(throttled, 5)
    count.add(AttemptError(BROKEN, counts=True))
    count.add(throttled)

    assert policy().wait(throttled, count) <= BURST_FLOOR + BURST_SPREAD


def test_writes_wait_for_the_end_of_a_hold_before_their_slot() -> None:
    failed = AttemptError(replace(BROKEN, holds=True, asked_wait=60.0), counts=True)

    assert policy().wait(failed, counted(failed, 1)) == 0.0


@pytest.mark.parametrize(
    ("failure", "spent", "times", "ends"),
    [
        (BROKEN, True, 7, False),
        (BROKEN, True, 8, True),
        (BROKEN, False, 100, False),
        (replace(BROKEN, retryable=False), True, 1, True),
        (replace(BROKEN, retryable=False), False, 1, True),
        (replace(BROKEN, cap=3), True, 2, False),
        (replace(BROKEN, cap=3), True, 3, True),
        (replace(BROKEN, cap=3), False, 30, False),
    ],
)
def test_it_gives_up(failure: Failure, spent: bool, times: int, ends: bool) -> None:
    failed = AttemptError(failure, counts=spent)

    assert policy().gives_up(failed, counted(failed, times), 1.0) is ends


def test_a_cap_counts_its_own_kind_only() -> None:
    count = counted(AttemptError(BROKEN, counts=True), 5)
    odd = AttemptError(replace(BROKEN, kind=Kind.UNKNOWN, cap=4), counts=True)
    count.add(odd)

    assert not policy().gives_up(odd, count, 1.0)


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    failed = AttemptError(BROKEN, counts=True)

    assert policy(now=99.0, deadline=100.0).gives_up(failed, counted(failed, 1), 1.5)
    assert not policy(now=99.0, deadline=100.0).gives_up(failed, counted(failed, 1), 0.5)


def test_no_attempt_follows_the_last_and_each_wait_is_reported() -> None:
    began: list[float] = []
    waits: list[float] = []

    async def attempt() -> None:
        began.append(trio.current_time())
        raise AttemptError(BROKEN, counts=True)

    failed = _run(attempt, waits, attempts=4)

    assert failed is not None
    assert failed.failure is BROKEN
    gaps = [later - one for one, later in pairwise(began)]
    assert gaps == pytest.approx(waits)
    assert len(began) == 4


def test_other_errors_than_a_failed_attempt_are_raised() -> None:
    async def attempt() -> None:
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        _run(attempt, [], attempts=4)


def _run(
    attempt: Callable[[], Awaitable[None]], waits: list[float], *, attempts: int
) -> AttemptError | None:
    async def run() -> AttemptError | None:
        backoff = replace(policy(attempts=attempts), clock=trio.current_time)
        try:
            await backoff.run(
                attempt, FailureCount(), lambda _, wait: waits.append(wait), lambda: False
            )
        except AttemptError as failed:
            return failed
        return None

    return trio.run(run, clock=MockClock(autojump_threshold=0))

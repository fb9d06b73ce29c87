"""The arithmetic of the limit: what each ending of a write does to it."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.pushing.limit import (
    CREDIT_FOR_ONE,
    MOST_PATIENCE,
    OUTAGE_AFTER,
    PATIENCE,
    AdaptiveLimit,
    FixedLimit,
    Limit,
    Place,
)
from ghcr_push.pushing.pace import PAUSE_FIRST, PAUSE_THROTTLED


class Flow:
    """Writes in flight under a limit, as a gate would start them."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.running: list[Place] = []

    def start(self, count: int = 1) -> list[Place]:
        places = []
        for _ in range(count):
            place = self.limit.began(len(self.running) + 1)
            self.running.append(place)
            places.append(place)
        return places

    def fill(self) -> list[Place]:
        return self.start(self.limit.allowed - len(self.running))

    def take(self, place: Place) -> None:
        self.limit.succeeded(place)
        self.leave(place)

    def refuse(self, place: Place) -> bool:
        owed = self.limit.pressed(place)
        self.leave(place)
        return owed

    def leave(self, place: Place) -> None:
        self.running.remove(place)
        self.limit.ended(place)

    def take_in_turn(self, count: int) -> None:
        for _ in range(count):
            self.fill()
            self.take(self.running[0])


def test_it_begins_at_the_ceiling() -> None:
    assert AdaptiveLimit(ceiling=8).value == 8


@pytest.mark.parametrize("borne", range(1, 8))
@given(data=st.data())
def test_a_burst_that_is_partly_refused_tells_the_level_in_any_order(
    borne: int, data: st.DataObject
) -> None:
    flow = Flow(AdaptiveLimit(ceiling=8))
    places = data.draw(st.permutations(flow.fill()))

    owed = [flow.refuse(place) for place in places[borne:]]

    assert flow.limit.value == borne
    assert all(owed)


def test_a_refusal_that_began_before_the_cut_says_nothing_more() -> None:
    flow = Flow(AdaptiveLimit(ceiling=4))
    flow.fill()
    flow.leave(flow.running[0])
    (blamed,) = flow.fill()  # a burst of its own, at full use
    flow.leave(flow.running[0])
    (beside,) = flow.fill()

    assert flow.refuse(blamed)
    assert flow.limit.value == 3
    assert flow.refuse(beside), "it is owed to the limit as well"
    assert flow.limit.value == 3


def test_a_write_that_was_alone_lowers_nothing() -> None:
    flow = Flow(AdaptiveLimit(ceiling=8))

    owed = [flow.refuse(flow.start()[0]) for _ in range(2)]

    assert flow.limit.value == 8
    assert owed == [False, False]


def test_lone_failures_one_after_the_other_are_an_outage_until_one_is_taken() -> None:
    flow = Flow(AdaptiveLimit(ceiling=8))
    for _ in range(OUTAGE_AFTER):
        assert not flow.limit.outage
        flow.refuse(flow.start()[0])

    assert flow.limit.outage
    flow.take(flow.start()[0])
    assert not flow.limit.outage


def test_failures_side_by_side_are_one_failure_to_a_fixed_limit() -> None:
    flow = Flow(FixedLimit(value=4))

    for place in flow.start(4):
        flow.refuse(place)

    assert not flow.limit.outage
    assert flow.limit.value == 4


def test_it_returns_to_the_level_that_failed_by_a_single_probe() -> None:
    flow = Flow(AdaptiveLimit(ceiling=8))
    places = flow.fill()
    for place in places[3:]:
        flow.refuse(place)

    flow.take_in_turn(PATIENCE + 3)  # three were in flight before the cut, and prove nothing

    assert (flow.limit.value, flow.limit.allowed) == (3, 4)
    flow.fill()
    assert (flow.limit.value, flow.limit.allowed) == (3, 3), "one probe, and no second beside it"


def _probing(ceiling: int = 8) -> tuple[Flow, Place]:
    flow = Flow(AdaptiveLimit(ceiling=ceiling))
    for place in flow.fill()[3:]:
        flow.refuse(place)
    flow.take_in_turn(PATIENCE + 3)
    flow.fill()
    return flow, flow.running[-1]


def test_a_probe_that_is_refused_costs_nothing_and_is_not_repeated_at_once() -> None:
    flow, probe = _probing()

    assert flow.refuse(probe)
    assert (flow.limit.value, flow.limit.allowed) == (3, 3)
    flow.take_in_turn(2 * PATIENCE - 1)
    assert flow.limit.allowed == 3
    flow.take_in_turn(1)
    assert flow.limit.allowed == 4


def test_probes_that_are_refused_grow_rare_but_never_end() -> None:
    flow, probe = _probing()
    taken = []
    for _ in range(4):
        flow.refuse(probe)
        taken.append(0)
        while flow.limit.allowed == 3:
            flow.take_in_turn(1)
            taken[-1] += 1
        flow.fill()
        probe = flow.running[-1]

    assert taken == [2 * PATIENCE, MOST_PATIENCE, MOST_PATIENCE, MOST_PATIENCE]


def test_a_refusal_beside_the_probe_is_owed_to_it_whichever_the_registry_met_first() -> None:
    flow = Flow(AdaptiveLimit(ceiling=2))
    met_first, met_second = flow.start(2)
    flow.refuse(met_second)
    flow.take(met_first)
    flow.take_in_turn(PATIENCE)
    assert flow.limit.allowed == 2

    within, probe = flow.fill()
    assert flow.refuse(within)
    flow.take(probe)

    assert (flow.limit.value, flow.limit.allowed) == (1, 1)


def test_a_probe_that_is_taken_opens_the_way_up() -> None:
    flow, probe = _probing()

    flow.take(probe)
    assert flow.limit.value == 4
    flow.take_in_turn(40)
    assert flow.limit.value == 8


def test_a_level_that_is_borne_is_not_left_for_one_fault() -> None:
    flow = Flow(AdaptiveLimit(ceiling=4))
    flow.take_in_turn(CREDIT_FOR_ONE + 4)

    assert not flow.refuse(flow.fill()[0]), "the write is charged, the limit stays"
    assert flow.limit.value == 4


def test_it_falls_faster_while_nothing_is_taken() -> None:
    flow = Flow(AdaptiveLimit(ceiling=16))
    flow.refuse(flow.fill()[0])
    assert flow.limit.value == 15
    for place in list(flow.running):
        flow.leave(place)

    flow.refuse(flow.fill()[0])

    assert flow.limit.value == 7


def test_a_hang_of_long_ago_says_nothing_of_now() -> None:
    flow = Flow(AdaptiveLimit(ceiling=4))
    (hanging, *_) = flow.fill()
    for _ in range(20):
        flow.take(flow.running[-1])
        flow.fill()

    flow.refuse(hanging)

    assert flow.limit.value == 4


def test_a_throttle_lets_it_begin_anew_at_one() -> None:
    flow = Flow(AdaptiveLimit(ceiling=4))
    before = flow.fill()

    flow.limit.throttled()
    for place in before:
        flow.take(place)

    assert flow.limit.value == 1
    assert flow.limit.pause == PAUSE_THROTTLED
    flow.take_in_turn(30)
    assert flow.limit.pause == 0
    assert flow.limit.value == 4


# -- a pace below one at a time ------------------------------------------------------------------


def throttled() -> Flow:
    """Return a flow that a throttle has just sent down to one in flight."""
    flow = Flow(AdaptiveLimit(ceiling=8))
    flow.limit.throttled()
    return flow


def test_a_refusal_after_a_throttle_doubles_the_pause_and_successes_end_it() -> None:
    flow = throttled()
    seen = [flow.limit.pause]
    assert seen == [PAUSE_THROTTLED]
    for _ in range(2):
        flow.take_in_turn(1)
        assert not flow.refuse(flow.start()[0])
        seen.append(flow.limit.pause)
    assert seen == sorted(set(seen))

    flow.take_in_turn(40)
    assert flow.limit.pause == 0


def test_refusals_without_a_throttle_keep_no_pause() -> None:
    flow = Flow(AdaptiveLimit(ceiling=1))
    for _ in range(4):
        flow.take_in_turn(1)
        flow.refuse(flow.start()[0])
    assert flow.limit.pause == 0


def test_requests_that_come_too_fast_begin_a_pause_at_one_in_flight() -> None:
    flow = Flow(AdaptiveLimit(ceiling=2))
    flow.limit.hurried()
    assert flow.limit.pause == 0
    flow.refuse(flow.fill()[0])
    assert flow.limit.value == 1
    flow.limit.hurried()
    assert flow.limit.pause == PAUSE_FIRST


@pytest.mark.parametrize("begun", [False, True], ids=["due", "begun"])
def test_a_pause_forgets_the_probe_that_was_due_or_begun(begun: bool) -> None:
    flow = Flow(AdaptiveLimit(ceiling=2))
    flow.refuse(flow.fill()[0])
    while flow.limit.allowed == 1:
        flow.take_in_turn(1)
    if begun:
        flow.fill()
    flow.limit.hurried()

    assert flow.limit.allowed == 1
    flow.fill()
    while flow.running:
        flow.take(flow.running[-1])
    assert flow.limit.value == 1


def test_an_outage_leaves_the_pause_that_it_found() -> None:
    flow = throttled()
    flow.refuse(flow.start()[0])
    flow.take_in_turn(1)
    before = flow.limit.pause

    for _ in range(OUTAGE_AFTER):
        flow.refuse(flow.start()[0])

    assert flow.limit.outage
    assert flow.limit.pause == before


def test_an_outage_brings_back_no_pause_that_was_over() -> None:
    flow = throttled()
    flow.refuse(flow.start()[0])
    flow.take_in_turn(40)
    for place in list(flow.running):
        flow.take(place)
    assert flow.limit.value > 1

    for _ in range(OUTAGE_AFTER):
        flow.refuse(flow.start()[0])

    assert flow.limit.outage
    assert flow.limit.pause == 0


def test_the_limit_does_not_grow_before_the_pause_is_over() -> None:
    flow = throttled()
    while flow.limit.pause:
        assert flow.limit.value == 1
        flow.take_in_turn(1)
    flow.take_in_turn(PATIENCE + 2)
    assert flow.limit.value > 1


def test_a_probe_answers_for_what_is_refused_while_it_is_in_flight() -> None:
    flow = Flow(AdaptiveLimit(ceiling=4))
    flow.refuse(flow.fill()[-1])  # three are borne
    while flow.limit.allowed == 3:
        flow.take_in_turn(1)
    earlier = flow.running[0]
    *_, probe = flow.fill()
    assert len(flow.running) == 4

    assert flow.refuse(earlier)  # by its second request, as an upload has
    flow.take(probe)

    assert flow.limit.value == 3


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "take", "refuse", "refuse", "hurry", "throttle"]),
        st.integers(0, 63),
    )
)


def played(ceiling: int, steps: list[tuple[str, int]]) -> Iterator[Flow]:
    """Yield a flow at its start, and after each of the steps that can be taken."""
    flow = Flow(AdaptiveLimit(ceiling=ceiling))
    yield flow
    for step, which in steps:
        if step == "start" and len(flow.running) < flow.limit.allowed:
            flow.start()
        elif flow.running and step == "take":
            flow.take(flow.running[which % len(flow.running)])
        elif flow.running and step in {"refuse", "hurry"}:
            flow.refuse(flow.running[which % len(flow.running)])
            if step == "hurry":
                flow.limit.hurried()
        elif step == "throttle":
            flow.limit.throttled()
        yield flow


@given(ceiling=st.integers(1, 64), steps=STEPS)
def test_whatever_happens_it_stays_between_one_and_the_ceiling(
    ceiling: int, steps: list[tuple[str, int]]
) -> None:
    for flow in played(ceiling, steps):
        assert 1 <= flow.limit.value <= flow.limit.allowed <= ceiling


@given(ceiling=st.integers(1, 8), steps=STEPS)
def test_whatever_happened_a_pause_is_of_lone_writes_and_ends_as_they_are_taken(
    ceiling: int, steps: list[tuple[str, int]]
) -> None:
    for flow in played(ceiling, steps):
        assert not flow.limit.pause or flow.limit.value == 1
    for place in list(flow.running):
        flow.take(place)
    for _ in range(40):
        flow.take(flow.start()[0])
    assert flow.limit.pause == 0

"""The arithmetic of the limit: the effect of each ending of a write."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isclose, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghcr_push.pushing.pressure import limit as module
from ghcr_push.pushing.pressure.limit import AdaptiveLimit, Limit, Write


class Flow:
    """Writes in flight under a limit, as a limiter would start them."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.running: list[Write] = []

    @property
    def allowed(self) -> int:
        return self.limit.value + self.limit.trial_due

    def start(self, count: int = 1) -> list[Write]:
        writes = []
        for _ in range(count):
            write = self.limit.began()
            self.running.append(write)
            writes.append(write)
        return writes

    def fill(self) -> list[Write]:
        return self.start(self.allowed - len(self.running))

    def accept(self, write: Write) -> None:
        self.limit.accepted(write)
        self.leave(write)

    def refuse(self, write: Write) -> bool:
        due_to_limit = self.limit.refused(write)
        self.leave(write)
        return due_to_limit

    def leave(self, write: Write) -> None:
        self.running.remove(write)
        self.limit.finished(write)

    def accept_in_turn(self, count: int) -> None:
        for _ in range(count):
            self.fill()
            self.accept(self.running[0])

    def until_a_trial(self, most: int = 400) -> int:
        """Accept writes until a trial is due; return how many."""
        for count in range(most):
            if self.limit.trial_due:
                return count
            self.accept_in_turn(1)
        raise AssertionError("no trial is ever due")


def fallen(capacity: int, ceiling: int = 8) -> Flow:
    """Return a flow after a burst of which only ``capacity`` writes were accepted."""
    flow = Flow(AdaptiveLimit(ceiling))
    writes = flow.fill()
    for write in writes[capacity:]:
        flow.refuse(write)
    for write in writes[:capacity]:
        flow.accept(write)
    return flow


@pytest.mark.parametrize("ceiling", [1, 4, 8, 64])
def test_it_begins_at_the_ceiling(ceiling: int) -> None:
    limit = AdaptiveLimit(ceiling)
    assert limit.value == ceiling
    assert not limit.trial_due


@pytest.mark.parametrize("capacity", range(1, 8))
@given(data=st.data())
@settings(max_examples=20)
def test_a_partly_refused_burst_shows_the_capacity_in_any_order(
    capacity: int, data: st.DataObject
) -> None:
    flow = Flow(AdaptiveLimit(8))
    writes = data.draw(st.permutations(flow.fill()))

    due_to_limit = [flow.refuse(write) for write in writes[capacity:]]
    for write in writes[:capacity]:
        flow.accept(write)

    assert flow.limit.value == capacity
    assert all(due_to_limit)


def test_writes_in_refusal_count_only_if_they_use_capacity() -> None:
    flow = Flow(AdaptiveLimit(16))
    writes = flow.fill()
    for write in writes[:3]:
        flow.accept(write)
    for write in flow.start(3):
        flow.accept(write)  # beside thirteen writes in refusal: so those use no capacity

    for write in writes[3:]:
        assert flow.refuse(write)
    assert flow.limit.value == 3


def test_a_refused_lone_write_lowers_nothing_and_counts() -> None:
    flow = Flow(AdaptiveLimit(8))

    assert not flow.refuse(flow.start()[0])
    assert flow.limit.value >= 7
    flow.accept_in_turn(1)
    assert flow.limit.value == 8


def test_failures_that_come_now_and_then_are_chance_and_leave_the_limit() -> None:
    flow = Flow(AdaptiveLimit(8))
    due_to_limit = []
    for _ in range(20):
        flow.accept_in_turn(9)
        flow.fill()
        due_to_limit.append(flow.refuse(flow.running[0]))

    assert flow.limit.value >= 7
    assert not any(due_to_limit[5:])


def test_the_limit_stays_one_if_half_of_all_lone_writes_fail() -> None:
    flow = Flow(AdaptiveLimit(8))
    for _ in range(12):
        flow.accept(flow.start()[0])
        flow.refuse(flow.start()[0])
        flow.refuse(flow.start()[0])

    assert flow.limit.value == 1
    assert not flow.limit.trial_due


def test_a_higher_level_is_tried_by_one_write_at_a_time() -> None:
    flow = fallen(3)
    assert flow.limit.value == 3
    flow.until_a_trial()

    flow.fill()
    assert (len(flow.running), flow.limit.value, flow.limit.trial_due) == (4, 3, False)


def test_a_refused_trial_is_due_to_the_limit_and_not_repeated_at_once() -> None:
    flow = fallen(3)
    for _ in range(3):
        flow.until_a_trial()
        flow.fill()
        assert flow.refuse(flow.running[-1])
        assert flow.limit.value == 3
        assert flow.until_a_trial() > 10


def test_an_accepted_trial_raises_the_limit() -> None:
    flow = fallen(3)
    flow.until_a_trial()
    flow.accept_in_turn(40)
    assert flow.limit.value == 8


def test_trials_grow_rare_where_a_refusal_takes_long() -> None:
    def accepted_between(while_refused: int) -> int:
        flow = fallen(3)
        for _ in range(4):
            flow.until_a_trial()
            flow.fill()
            *_, trial = flow.running
            for _ in range(while_refused):
                flow.accept(next(write for write in flow.running if write is not trial))
                flow.start(flow.limit.value - len(flow.running))
            flow.refuse(trial)
        return while_refused + flow.until_a_trial()

    assert accepted_between(30) > 1.5 * accepted_between(1)


def test_a_write_without_a_recorded_ending_is_no_evidence() -> None:
    flow = Flow(AdaptiveLimit(4))
    for _ in range(20):
        flow.fill()
        flow.leave(flow.running[0])
    assert flow.limit.value == 4


@pytest.mark.parametrize("capacity", [1, 2, 3, 5])
def test_a_falling_capacity_lowers_the_limit_within_a_few_refusals(
    capacity: int,
) -> None:
    flow = Flow(AdaptiveLimit(8))
    flow.accept_in_turn(200)
    refused = 0
    for _ in range(12):
        flow.fill()
        for write in flow.running[capacity:]:
            flow.refuse(write)
            refused += 1
        for write in list(flow.running):
            flow.accept(write)
    assert flow.limit.value == capacity
    assert refused < 16


def test_a_throttle_resets_the_limit_to_one_and_forgets_earlier_writes() -> None:
    flow = Flow(AdaptiveLimit(4))
    before = flow.fill()

    flow.limit.met_secondary_limit()
    for write in before:
        flow.accept(write)

    assert flow.limit.value == 1
    assert not flow.limit.trial_due
    flow.accept_in_turn(200)
    assert flow.limit.value == 4


def test_a_fixed_limit_stays() -> None:
    flow = Flow(Limit(4))
    for write in flow.fill():
        assert not flow.refuse(write)
    flow.limit.met_secondary_limit()
    flow.accept_in_turn(3)
    assert flow.limit.value == 4
    assert not flow.limit.trial_due


# -- the belief against its definition -----------------------------------------------------------


@dataclass(eq=False)
class PastWrite:
    """A write in the definition: the writes ``beside`` its burst, and those in it (``with_it``)."""

    beside: list["PastWrite"]
    with_it: list["PastWrite"]
    ending: str = ""


@dataclass
class Definition:
    """The belief by its definition, computed from the whole history at every ending."""

    ceiling: int
    running: list[PastWrite] = field(default_factory=list)
    bursts: list[list[PastWrite]] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    """Bursts in the order in which they were settled."""
    going_on: bool = False

    def began(self) -> PastWrite:
        if not self.going_on:
            self.bursts.append([])
            self.going_on = True
        burst = self.bursts[-1]
        beside = [other for other in self.running if other not in burst]
        past = PastWrite(burst[0].beside if burst else beside, burst)
        burst.append(past)
        self.running.append(past)
        return past

    def ended(self, past: PastWrite, ending: str) -> None:
        past.ending = ending
        self.running.remove(past)
        self.going_on = False
        for number, burst in enumerate(self.bursts):
            if number not in self.settled and all(t.ending for t in (*burst, *burst[0].beside)):
                self.settled.append(number)

    def belief(self) -> dict[tuple[bool, float, int], float]:
        levels = range(1, self.ceiling + 1)
        other = (1 - 0.7) / max(self.ceiling - 1, 1)
        shares = dict(
            zip((0.002, 0.05, 0.12, 0.25, 0.5), (0.75, 0.12, 0.07, 0.04, 0.02), strict=True)
        )
        weights = {
            (room, share, level): likely / 2 * (0.7 if level == self.ceiling else other)
            for room in (False, True)
            for share, likely in shares.items()
            for level in levels
        }
        for number in self.settled:
            burst = self.bursts[number]
            past = sum(write.ending in {"accepted", "refused"} for write in burst)
            if not past:
                continue
            weights = {key: value * likelihood(burst, *key) for key, value in weights.items()}
            weights = drifted(weights, past, shares, levels)
        for number, burst in enumerate(self.bursts):
            if number not in self.settled:
                weights = {key: value * likelihood(burst, *key) for key, value in weights.items()}
        whole = sum(weights.values())
        return {key: value / whole for key, value in weights.items()}


def likelihood(burst: list[PastWrite], room: bool, share: float, level: int) -> float:
    def count(writes: list[PastWrite], *endings: str) -> int:
        return sum(write.ending in endings for write in writes)

    beside = burst[0].beside
    least = count([*burst, *beside], "accepted") + (count(beside, "refused") if room else 0)
    most = len(burst) - count(burst, "refused") + len(beside)
    most -= 0 if room else count(beside, "refused")
    return prod(
        ((1 - share) * (1 if level >= least else 0.02))
        if write.ending == "accepted"
        else (1 if level <= most else share)
        for write in burst
        if write.ending in {"accepted", "refused"}
    )


def drifted(
    weights: dict[tuple[bool, float, int], float],
    writes: int,
    shares: dict[float, float],
    levels: range,
) -> dict[tuple[bool, float, int], float]:
    better, worse, other = (
        1 - (1 - rate) ** writes for rate in (module.BETTER, module.WORSE, module.OTHER_FAULTS)
    )
    whole = sum(weights.values())
    mixed = {
        (room, share, level): (1 - other) * value / whole
        + other
        * shares[share]
        / 2
        * sum(weights[r, s, level] for r in (False, True) for s in shares)
        / whole
        for (room, share, level), value in weights.items()
    }
    return {
        (room, share, level): (1 - better - worse) * value
        + better * sum(mixed[room, share, k] / (levels[-1] - k + 1) for k in levels if k <= level)
        + worse * sum(mixed[room, share, k] / k for k in levels if k >= level)
        for (room, share, level), value in mixed.items()
    }


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "start", "accept", "accept", "refuse", "leave"]),
        st.integers(0, 63),
    ),
    max_size=40,
)


@given(ceiling=st.integers(1, 6), steps=STEPS)
@settings(max_examples=150, deadline=None)
def test_the_belief_is_what_its_definition_says_of_the_whole_history(
    ceiling: int, steps: list[tuple[str, int]]
) -> None:
    limit, definition = AdaptiveLimit(ceiling), Definition(ceiling)
    running: list[tuple[Write, PastWrite]] = []
    for step, which in steps:
        if step == "start" and len(running) < limit.value + limit.trial_due:
            running.append((limit.began(), definition.began()))
        elif running and step != "start":
            write, past = running.pop(which % len(running))
            if step == "accept":
                limit.accepted(write)
            elif step == "refuse":
                limit.refused(write)
            limit.finished(write)
            definition.ended(past, {"accept": "accepted", "refuse": "refused"}.get(step, "unknown"))
    whole = sum(map(sum, limit._belief))
    for (room, share, level), value in definition.belief().items():
        row = module.FAULTS.index(share) + room * len(module.FAULTS)
        assert isclose(limit._belief[row][level - 1] / whole, value, rel_tol=1e-6, abs_tol=1e-9)


def played(ceiling: int, steps: list[tuple[str, int]]) -> Iterator[Flow]:
    """Yield a flow at its start, and after each possible step."""
    flow = Flow(AdaptiveLimit(ceiling))
    yield flow
    for step, which in steps:
        if step == "start" and len(flow.running) < flow.allowed:
            flow.start()
        elif flow.running and step == "accept":
            flow.accept(flow.running[which % len(flow.running)])
        elif flow.running and step == "refuse":
            flow.refuse(flow.running[which % len(flow.running)])
        elif step == "leave":
            flow.limit.met_secondary_limit()
        yield flow


@given(ceiling=st.integers(1, 64), steps=STEPS)
@settings(deadline=None)
def test_the_limit_stays_between_one_and_the_ceiling(
    ceiling: int, steps: list[tuple[str, int]]
) -> None:
    for flow in played(ceiling, steps):
        assert 1 <= flow.limit.value <= flow.allowed <= ceiling

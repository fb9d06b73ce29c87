"""Outages with the default inputs: survived, or ended by the deadline."""

from dataclasses import replace
from itertools import pairwise

import pytest

from ghcr_push.model import LANDED, Kind, Outcome
from ghcr_push.pushing.pressure.outage import PROBE_LAST
from ghcr_push.pushing.pressure.reachability import ADVICE_UNCONNECTED, LONGEST_UNCONNECTED
from tests.simulation.defaults import REGISTRY, default_run, default_seconds
from tests.simulation.evidence import GRACE
from tests.simulation.play import Played, play
from tests.simulation.promises import broken_promises
from tests.simulation.records import Request
from tests.simulation.scenario import Conditions, Outage, Scenario, digest_of

KINDS = {
    "5xx": {"writes_only": False, "connection": False},
    "refused": {"writes_only": False, "connection": True},
    "writes 5xx": {"writes_only": True, "connection": False},
    "writes refused": {"writes_only": True, "connection": True},
}
TRANSPORTS = {"direct": True, "engine": False}
BEGINNINGS = (0.0, 0.3, 1.0, 3.0)
"""Seconds into the run: before anything, during the upload of content, during that of tags."""

REFUSED = "refused"
"""From the first moment on, this looks like a mistyped port, which is given up."""

SETTLED = 150.0
"""Seconds of outage after which the time between probes no longer grows."""


def outage_conditions(begins: float, length: float, kind: str) -> Conditions:
    outage = Outage(begins=begins, ends=begins + length, **KINDS[kind])
    return Conditions(limits=((float("-inf"), 64),), outages=(outage,))


def writes_within(played: Played, begins: float, ends: float) -> list[Request]:
    return [r for r in played.log if r.writes and begins <= r.began - played.start < ends]


def assert_all_landed(played: Played) -> None:
    assert not broken_promises(played)
    assert all(result.outcome is Outcome.PUSHED for result in played.results), [
        (str(result.target), result.failure) for result in played.results if result.failure
    ]


@pytest.mark.parametrize("length", [90.0, 600.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("groups", [(1, 5, 5), (1,)], ids=str)
def test_an_outage_of_minutes_loses_nothing(
    length: float, kind: str, transport: str, groups: tuple[int, ...]
) -> None:
    for seed, begins in enumerate(BEGINNINGS):
        if kind == REFUSED and not begins:
            continue
        conditions = outage_conditions(begins, length, kind)
        run = default_run(seed, conditions, direct=TRANSPORTS[transport], groups=groups)
        played = play(run)

        assert_all_landed(played)
        resumed = (played.ended or 0.0) - played.start - begins - length
        assert resumed < 1.25 * PROBE_LAST + 20


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("groups", [(1, 5, 5), (1,)], ids=str)
def test_a_port_that_refuses_from_the_first_moment_on_is_given_up_after_a_minute(
    transport: str, groups: tuple[int, ...]
) -> None:
    conditions = outage_conditions(0.0, 7200.0, REFUSED)
    played = play(default_run(7, conditions, direct=TRANSPORTS[transport], groups=groups))

    assert not broken_promises(played)
    assert (
        LONGEST_UNCONNECTED
        <= (played.ended or 0.0) - played.start
        < LONGEST_UNCONNECTED + 1.5 * PROBE_LAST
    )
    for result in played.results:
        assert result.failure is not None
        assert (result.failure.kind, result.failure.retryable) == (Kind.NETWORK, False)
        assert result.failure.advice == ADVICE_UNCONNECTED


@pytest.mark.parametrize("length", [10.0, 40.0])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_registry_that_comes_up_within_a_minute_loses_nothing(
    length: float, transport: str
) -> None:
    for seed in range(4):
        conditions = outage_conditions(0.0, length, REFUSED)
        run = default_run(seed, conditions, direct=TRANSPORTS[transport], groups=(1, 5, 5))
        assert_all_landed(play(run))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_outage_of_hours_ends_at_the_deadline_with_a_true_report(
    kind: str, transport: str
) -> None:
    # from the first moment on, one that refuses connections is given up: ``reachability``
    for seed, begins in enumerate(BEGINNINGS[1:]):
        conditions = outage_conditions(begins, 7200.0, kind)
        run = default_run(seed, conditions, direct=TRANSPORTS[transport], groups=(5, 5, 5))
        played = play(run)

        assert not broken_promises(played)
        timeout = default_seconds("timeout")
        assert timeout <= (played.ended or 0.0) - played.start <= timeout + GRACE
        for result in played.results:
            if result.outcome in LANDED:
                assert result.verified
                continue
            assert result.failure is not None
            # a probe whose wait would pass the deadline fails with its own cause
            assert result.failure.kind is Kind.DEADLINE or result.failure.retryable
            # an untried target with another cause than the deadline failed with its content
            tried = result.all_attempts != () or result.failure.kind is not Kind.DEADLINE
            assert result.outcome is (Outcome.FAILED if tried else Outcome.SKIPPED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_probes_are_single_and_as_far_apart_as_they_get(kind: str, transport: str) -> None:
    for seed, begins in enumerate(BEGINNINGS):
        conditions = outage_conditions(begins, 600.0, kind)
        played = play(default_run(seed, conditions, direct=TRANSPORTS[transport]))
        ends = begins + 600.0

        probes = writes_within(played, begins + SETTLED, ends)
        assert all(two.began > one.ended for one, two in pairwise(probes))
        assert all(two.began - one.began > 0.75 * PROBE_LAST for one, two in pairwise(probes))
        requests = [r for r in played.log if begins + SETTLED <= r.began - played.start < ends]
        # a probe is a write with a read before it and one after it
        assert len(requests) <= 3 * (1 + (600.0 - SETTLED) / (0.75 * PROBE_LAST))


def waiting_for_one_layer(seed: int, *, begins: float, direct: bool = True) -> Scenario:
    """Let six images wait for the layer that they share while the registry accepts no writes."""
    run = default_run(
        seed,
        outage_conditions(begins, 600.0, "writes 5xx"),
        direct=direct,
        groups=(1, 1, 1, 2, 2, 5),
        shared_layer=True,
    )
    seconds = {**dict.fromkeys(run.transfer.seconds, 0.1), digest_of(20_000): 8.0}
    return replace(run, transfer=replace(run.transfer, seconds=seconds))


@pytest.mark.parametrize("begins", [2.0, 4.0, 6.0, 8.5])
def test_an_outage_while_all_wait_for_one_shared_layer_loses_nothing(begins: float) -> None:
    for seed in range(5):
        played = play(waiting_for_one_layer(seed, begins=begins))

        assert_all_landed(played)
        assert played.scenario.conditions[REGISTRY].outages[0].writes_only

"""Registries that only the engine reaches, and that come up in the first minute of the run."""

from dataclasses import replace

import pytest

from ghcr_push.model import Outcome
from tests.simulation.defaults import REGISTRY, default_run
from tests.simulation.play import Played, play
from tests.simulation.promises import broken_promises
from tests.simulation.scenario import Conditions, Outage


def played(length: float, *, beyond: bool, direct: bool = True, seed: int = 0) -> Played:
    """Play a run that starts in an outage of so many seconds for all clients."""
    outage = Outage(begins=-1.0, ends=length, writes_only=False, connection=True)
    conditions = Conditions(limits=((float("-inf"), 64),), outages=(outage,))
    run = default_run(seed, conditions, direct=direct, groups=(5, 5))
    return play(replace(run, beyond_reach=frozenset({REGISTRY} if beyond else ())))


@pytest.mark.parametrize("length", [10.0, 40.0])
@pytest.mark.parametrize("direct", [True, False])
def test_the_engine_pushes_to_a_registry_that_comes_up_for_it_alone(
    length: float, direct: bool
) -> None:
    for seed in range(4):
        end = played(length, beyond=True, direct=direct, seed=seed)

        assert not broken_promises(end)
        assert {result.outcome for result in end.results} == {Outcome.PUSHED}
        assert end.reach.only_engine(REGISTRY)
        assert (end.ended or 0.0) - end.start < length + 120


@pytest.mark.parametrize("length", [10.0, 40.0])
def test_our_process_pushes_to_a_registry_that_comes_up_for_all(length: float) -> None:
    for seed in range(4):
        end = played(length, beyond=False, seed=seed)

        assert not broken_promises(end)
        assert {result.outcome for result in end.results} == {Outcome.PUSHED}
        assert not any(request.operation == "push" for request in end.log)

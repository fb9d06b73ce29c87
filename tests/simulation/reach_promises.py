"""Promises for who pushes: our process if it reaches the registry, else the engine."""

from collections.abc import Iterator

from tests.simulation.evidence import HAIR, Check, by_registry
from tests.simulation.play import Played


def our_process_pushes_where_it_can(played: Played) -> Iterator[str]:
    """Check that the engine does not push because of resets at first, nor because of outages."""
    for registry in played.scenario.conditions:
        beyond = registry in played.scenario.beyond_reach
        if played.reach.only_engine(registry) and not beyond:
            yield f"{registry} was left to the engine although our process reaches it"
    if len(played.notices) != sum(map(played.reach.only_engine, played.scenario.conditions)):
        yield f"unexpected notices: {played.notices}"


def the_engine_pushes_what_only_it_reaches(played: Played) -> Iterator[str]:
    """Check that the engine pushes if it was answered three times in a row and we never."""
    for registry in played.scenario.beyond_reach & played.scenario.conditions.keys():
        asked = played.world.preflight_of(registry)
        answers = [r.good for r in asked if r.operation == "engine-head"]
        if answers[:3] == [True] * 3 and not played.reach.only_engine(registry):
            yield f"{registry} answered only the engine, and was not left to it"


def no_registry_waits_for_another(played: Played) -> Iterator[str]:
    """Check that the push to a registry begins as soon as it has answered our process."""
    if not played.scenario.direct:  # a docker push waits for a slot of `max-parallel`
        return
    for registry, requests in by_registry(played).items():
        answered = [
            r.ended
            for r in played.world.preflight_of(registry)
            if r.operation == "head" and r.answer not in {"unreachable", "none"}
        ]
        if answered and requests and requests[0].began > min(answered) + HAIR:
            yield f"{registry} answered at {min(answered):.3f}, asked at {requests[0].began:.3f}"


REACH_CHECKS: tuple[Check, ...] = (
    our_process_pushes_where_it_can,
    the_engine_pushes_what_only_it_reaches,
    no_registry_waits_for_another,
)

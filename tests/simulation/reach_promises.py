"""What is promised of who pushes: our process where it reaches the registry, else the engine."""

from collections.abc import Iterator

from tests.simulation.evidence import HAIR, Check, by_registry
from tests.simulation.play import Played


def our_process_pushes_where_it_can(played: Played) -> Iterator[str]:
    """Leave nothing to the engine for connections that are reset at first, nor in outages."""
    for registry in played.scenario.weather:
        beyond = registry in played.scenario.beyond_reach
        if played.reach.only_engine(registry) and not beyond:
            yield f"{registry} was left to the engine, and our process reaches it"
    if len(played.notices) != sum(map(played.reach.only_engine, played.scenario.weather)):
        yield f"told {played.notices}"


def the_unreached_are_left_to_the_engine(played: Played) -> Iterator[str]:
    """Push by the engine where that was answered three times in a row, and we never."""
    for registry in played.scenario.beyond_reach & played.scenario.weather.keys():
        asked = played.world.preflight_of(registry)
        answers = [r.good for r in asked if r.operation == "engine-head"]
        if answers[:3] == [True] * 3 and not played.reach.only_engine(registry):
            yield f"{registry} answered the engine alone, and was not left to it"


def nobody_waits_for_another_registry(played: Played) -> Iterator[str]:
    """Begin with each registry as soon as it has answered our process."""
    if not played.scenario.direct:  # a docker push waits for a place among all registries' writes
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
    the_unreached_are_left_to_the_engine,
    nobody_waits_for_another_registry,
)

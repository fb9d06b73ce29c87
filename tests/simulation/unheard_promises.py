"""What is promised of a registry that never answers: it is given up, and soon."""

from collections.abc import Iterator

from ghcr_push.model import Outcome
from ghcr_push.pushing.pressure.probes import PROBE_LAST
from ghcr_push.pushing.pressure.reachability import UNHEARD
from ghcr_push.pushing.reads import READ_TIMEOUT
from tests.simulation.evidence import Check, by_registry
from tests.simulation.play import Played

LATEST = UNHEARD + 1.25 * PROBE_LAST + READ_TIMEOUT
"""Seconds until the first probe that comes after the time of silence is over."""


def unheard_registries_are_given_up(played: Played) -> Iterator[str]:
    for registry, requests in by_registry(played).items():
        silent = all(request.answer in {"unreachable", "none"} for request in requests)
        if registry in played.scenario.beyond_reach:  # it answers the engine alone
            continue
        first = min(request.ended for request in requests)
        asked = [r for r in requests if r.began > first + LATEST]
        if silent and asked:
            yield f"{registry} is silent, and was asked {len(asked)} times after {LATEST:g} s"
        failures = [
            result.failure
            for result in played.results
            if result.target.reference.repository.registry == registry
            and result.outcome is Outcome.FAILED
            and result.failure is not None
            and "has not answered once" in result.failure.message
        ]
        if failures and not silent:
            yield f"{registry} was given up as silent, and had answered"
        for failure in failures:
            if failure.retryable or "port" not in failure.advice:
                yield f"{registry} was given up without good advice"


UNHEARD_CHECKS: tuple[Check, ...] = (unheard_registries_are_given_up,)

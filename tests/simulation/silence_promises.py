"""Promises for a registry that never answers: it is given up soon."""

from collections.abc import Iterator

from ghcr_push.model import Kind, Outcome
from ghcr_push.pushing.pressure.outage import PROBE_LAST
from ghcr_push.pushing.pressure.reachability import LONGEST_SILENCE, LONGEST_UNCONNECTED
from ghcr_push.pushing.reads import READ_TIMEOUT
from tests.simulation.evidence import Check, by_registry
from tests.simulation.play import Played

UNTIL_ASKED = 1.25 * PROBE_LAST + READ_TIMEOUT
"""Seconds until the first probe after the longest silence."""

UNREACHABLE = frozenset({"unreachable"})
SILENT = UNREACHABLE | {"none", "silent"}
"""Endings of requests without an answer; the first is that of a port that nothing listens at."""


def silent_registries_are_given_up(played: Played) -> Iterator[str]:
    for registry, requests in by_registry(played).items():
        silent = all(request.answer in SILENT for request in requests)
        if registry in played.scenario.beyond_reach:  # it answers the engine alone
            continue
        first = min(request.ended for request in requests)
        for answers, longest in ((UNREACHABLE, LONGEST_UNCONNECTED), (SILENT, LONGEST_SILENCE)):
            latest = first + longest + UNTIL_ASKED
            asked = [r for r in requests if r.began > latest]
            until = [r for r in requests if r.ended <= latest]
            if asked and all(r.answer in answers for r in until):
                yield f"{registry} was still asked after {latest - first:g} s of silence"
        failures = [
            result.failure
            for result in played.results
            if result.target.reference.repository.registry == registry
            and result.outcome is Outcome.FAILED
            and result.failure is not None
            and result.failure.kind is not Kind.HELD_BACK  # quotes what failed elsewhere
            and "has not answered once" in result.failure.message
        ]
        if failures and not silent:
            yield f"{registry} was given up as silent although it had answered"
        last = max(request.ended for request in requests)
        if failures and last < first + LONGEST_UNCONNECTED:
            yield f"{registry} was given up after {last - first:g} s of silence"
        for failure in failures:
            if failure.retryable or "port" not in failure.advice:
                yield f"{registry} was given up without advice on the port"


SILENCE_CHECKS: tuple[Check, ...] = (silent_registries_are_given_up,)

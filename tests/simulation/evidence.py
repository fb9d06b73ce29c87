"""What both sides tell of a run: its results and events, and the log of the modelled world."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from ghcr_push.model import Attempt, Failure, Target, TargetResult
from ghcr_push.pushing.events import Ended
from ghcr_push.references import TagReference
from tests.simulation.play import Played
from tests.simulation.world import CLEAN_UP, Request, Version

HAIR = 1e-6
GRACE = 2.0 + CLEAN_UP + 0.1
"""Seconds that a run may take to end after it was told to."""

PERMANENT = {"denied", "tag-refused", "bug"}
Check = Callable[[Played], Iterator[str]]


def requests_of(played: Played, reference: TagReference) -> list[Request]:
    """Return the requests that name a tag."""
    return [
        request
        for request in played.log
        if request.repository == reference.repository and reference.tag in request.tags
    ]


def writes_of(played: Played, reference: TagReference) -> list[Request]:
    """Return those that write it."""
    return [r for r in requests_of(played, reference) if r.writes and not r.void]


def reads_of(played: Played, reference: TagReference) -> list[Request]:
    """Return those that look at it."""
    return [r for r in requests_of(played, reference) if r.operation in {"head", "engine-head"}]


def versions_of(played: Played, reference: TagReference) -> list[Version]:
    """Return what it named."""
    return played.world.history.get(reference, [])


def ended_at(played: Played) -> dict[Target, float]:
    """Return when each target ended."""
    return {event.result.target: at for at, event in played.events if isinstance(event, Ended)}


def by_registry(played: Played) -> dict[str, list[Request]]:
    """Return all requests, by registry."""
    grouped = defaultdict(list)
    for request in played.log:
        grouped[request.repository.registry].append(request)
    return grouped


def failures_of(result: TargetResult) -> Iterator[tuple[Attempt, Failure]]:
    """Return the attempts that failed, and why."""
    return ((a, a.failure) for a in result.attempts if a.failure is not None)


def surely_charged(
    played: Played, registry: str, writes: list[Request], attempt: Attempt, failure: Failure
) -> bool:
    """Say whether no rule lets the attempt go free: the registry had just taken another's.

    ``writes`` are those of the unit.
    """
    began = played.start + attempt.started
    at = began + attempt.seconds
    for write in writes:
        if abs(write.began - began) < HAIR and not write.good:
            at = write.ended
            if played.scenario.adaptive and may_be_owed(played, attempt, write):
                return False
    if not failure.charged:
        return False
    known = sorted(
        (r for r in played.log if r.repository.registry == registry and r.ended < at - HAIR),
        key=lambda request: request.ended,
    )
    # what is asked before a push is no push: that it is answered well speaks for nothing
    written = [r.good for r in known if r.writes and r.operation != "ask"][-2:]
    read = [r.good for r in known if not r.writes][-2:]
    return any(written) and any(read)


def may_be_owed(played: Played, attempt: Attempt, write: Request) -> bool:
    """Say whether the limit may be to blame: it moved meanwhile, or the write was a probe."""
    changes = (c.at + played.start for c in played.changes)
    moved = any(write.began - HAIR <= at <= write.ended + HAIR for at in changes)
    level = max(r.level for r in played.log if abs(r.began - write.began) < HAIR)
    # a protected tag that is read in its slot counts for the queue and not for the registry
    return moved or level > attempt.limit or bool(played.scenario.protect)


def was_charged(played: Played, target: Target, attempt: Attempt, failure: Failure) -> bool:
    """Say so of an attempt of a target."""
    registry = target.reference.repository.registry
    return surely_charged(played, registry, writes_of(played, target.reference), attempt, failure)

"""Queries on a finished run: its results and events, and the log of the modelled world."""

from collections import defaultdict
from collections.abc import Callable, Iterator

from ghcr_push.model import Attempt, Failure, Target, TargetResult
from ghcr_push.pushing.events import Ended
from ghcr_push.pushing.reads import LOOK_STAYS_TRUE
from ghcr_push.references import TagReference
from tests.simulation.play import Played
from tests.simulation.records import Request, Version
from tests.simulation.world import CLEAN_UP

HAIR = 1e-6
"""Seconds by which two sums of the same times may differ."""

GRACE = 2.0 + CLEAN_UP + 0.1
"""Seconds that a run may take to end after a cancel or its deadline."""

HEADS = {"head", "engine-head"}
PERMANENT = {"denied", "tag-refused", "bug"}
Check = Callable[[Played], Iterator[str]]


def requests_of(played: Played, reference: TagReference) -> list[Request]:
    """Return the requests that name a tag."""
    return list(played.naming(reference.repository, reference.tag))


def writes_of(played: Played, reference: TagReference) -> list[Request]:
    """Return the writes of a tag."""
    return [r for r in requests_of(played, reference) if r.writes]


def reads_of(played: Played, reference: TagReference) -> list[Request]:
    """Return the reads of a tag."""
    return [r for r in requests_of(played, reference) if r.operation in HEADS]


def later(played: Played, request: Request) -> Iterator[Request]:
    """Yield the registry's requests that began when the end of ``request`` was known.

    Yields none if the run had to end by then.
    """
    for other in played.log[request.known :]:
        there = other.repository.registry == request.repository.registry
        if there and other.began < played.broken_off - HAIR:
            yield other


def versions_of(played: Played, reference: TagReference) -> list[Version]:
    """Return the manifests that a tag named, in order of time."""
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


def limits_at(played: Played, registry: str, at: float) -> set[int]:
    """Return the values of the limit at a moment; several if it changed at that moment."""
    values = {played.scenario.max_parallel}
    for change in played.changes:
        when = change.at + played.start
        if change.registry == registry and when <= at + HAIR:
            values = {*values, change.new} if when >= at - HAIR else {change.new}
    return values


def read_in_slot(played: Played, write: Request) -> Request | None:
    """Return the read in the slot of a write, right before it, if there was one.

    A protected tag always has one; other tags and blobs have one if their last read is too old.
    """
    name = next(iter(write.tags), write.digest) or ""
    reads = (
        r
        for r in played.naming(write.repository, name)
        if not r.writes and abs(r.ended - write.began) < HAIR and may_be_in_slot(played, r)
    )
    return max(reads, key=lambda read: read.ended, default=None)


def may_be_in_slot(played: Played, read: Request) -> bool:
    """Return whether a read may be one in a slot, right before its write.

    These are reads of protected tags, and of tags and blobs whose last read is too old.
    """
    if read.operation in HEADS and played.scenario.protects(read.tags[0]):
        return True
    return read.operation in {*HEADS, "has-blob"} and any(
        r.operation == read.operation and r.ended <= read.began - LOOK_STAYS_TRUE + HAIR
        for r in played.naming(read.repository, read.tags[0])
    )


def failures_of(result: TargetResult) -> Iterator[tuple[Attempt, Failure]]:
    """Return the attempts that failed, and why."""
    return ((a, a.failure) for a in result.attempts if a.failure is not None)


def surely_counts(
    played: Played, registry: str, writes: list[Request], attempt: Attempt, failure: Failure
) -> bool:
    """Return whether the attempt must count: the registry had just accepted another write.

    ``writes`` are those of the unit.
    """
    began = played.start + attempt.started
    at = began + attempt.seconds
    for write in writes:
        if abs(write.began - began) < HAIR and not write.good:
            at = write.ended
            if played.scenario.adaptive and may_be_due_to_the_limit(played, write):
                return False
    if not failure.counts:
        return False
    known = sorted(
        (r for r in played.log if r.repository.registry == registry and r.ended < at - HAIR),
        key=lambda request: request.ended,
    )
    if failure.holds:  # the first of them is the whole client's fault
        before = [r.ended for r in known if r.answer == "secondary" and r.ended < began - HAIR]
        return bool(before) and not any(r.good and r.writes and r.ended > before[-1] for r in known)
    # a check for permission is no push: its success says nothing about writes
    written = [r.good for r in known if r.writes and not (r.operation == "ask" and r.good)][-2:]
    read = [r.good for r in known if not r.writes][-2:]
    return any(written) and any(read)


def may_be_due_to_the_limit(played: Played, write: Request) -> bool:
    """Return whether the limit may be the cause: other slots were held during the write."""
    slots = [slot for slot in played.slots if slot.registry == write.repository.registry]
    own = next(
        slot
        for slot in slots
        if slot.begins < write.began + HAIR and abs(slot.ends - write.ended) < HAIR
    )
    return any(
        slot.begins <= own.ends and slot.ends >= own.begins for slot in slots if slot is not own
    )


def surely_counts_for_target(
    played: Played, target: Target, attempt: Attempt, failure: Failure
) -> bool:
    """Return ``surely_counts`` for an attempt of a target."""
    registry = target.reference.repository.registry
    return surely_counts(played, registry, writes_of(played, target.reference), attempt, failure)

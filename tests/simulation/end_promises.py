"""Promises for the end of a run, for the recorded attempts, and for ``docker push``."""

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

from ghcr_push.model import Group, Outcome, Step, TargetResult
from ghcr_push.pushing.events import Ended
from ghcr_push.pushing.reads import LOOK_STAYS_TRUE
from tests.simulation.evidence import (
    GRACE,
    HAIR,
    HEADS,
    Check,
    limits_at,
    read_in_slot,
    requests_of,
    writes_of,
)
from tests.simulation.play import Played

# -- the end of a run -----------------------------------------------------------------------


def the_end_is_obeyed(played: Played) -> Iterator[str]:
    """After the end only one read begins of each tag whose write was in flight."""
    end, ended = played.broken_off, played.ended or 0.0
    if ended > end + GRACE:
        yield f"the run ended {ended - end:.3f} s after a cancel or its deadline"
    looks: Counter[object] = Counter()
    for request in played.log:
        if request.began <= end + HAIR:
            continue
        if request.operation not in HEADS or request.began > end + HAIR + GRACE:
            yield f"a {request.operation} began after the end"
        looks[request.repository, request.tags] += 1
    yield from (f"{tag} was looked at {n} times after the end" for tag, n in looks.items() if n > 1)


def fail_fast_is_obeyed(played: Played) -> Iterator[str]:
    if not played.scenario.fail_fast:
        return
    first = first_failure(played)
    for result in played.results:
        writes = writes_of(played, result.target.reference)
        tries = [a.started + a.seconds + played.start for a in result.attempts]
        tries += [a.started + played.start for a in result.content_attempts]
        if writes and writes[0].began > first + HAIR and min(tries) > first + HAIR:
            yield f"{result.target} was started after another had failed"


def first_failure(played: Played) -> float:
    """Return when the first target failed; infinity if none did."""
    failed = (
        at
        for at, event in played.events
        if isinstance(event, Ended) and event.result.outcome is Outcome.FAILED
    )
    return min(failed, default=float("inf"))


def protected_tags_stay(played: Played) -> Iterator[str]:
    for target in played.scenario.plan.targets:
        if not played.scenario.protects(target.reference.tag):
            continue
        for write in writes_of(played, target.reference):
            read = read_in_slot(played, write)
            fresh = read is not None and read.good and abs(read.ended - write.began) < HAIR
            if not fresh or read is None or read.seen not in {None, write.digest}:
                yield f"{target} is protected, and was written without a read"


def looks_are_fresh(played: Played) -> Iterator[str]:
    """No tag is written long after it was read."""
    for target in played.scenario.plan.targets:
        reads = [r for r in requests_of(played, target.reference) if not r.writes]
        for write in writes_of(played, target.reference):
            before = [r for r in reads if r.ended <= write.began + HAIR]
            if not before or not before[-1].good:
                continue
            age = write.began - before[-1].ended
            if age > LOOK_STAYS_TRUE + HAIR:
                yield f"{target} was written {age:.3f} s after it was read"


# -- recorded attempts ----------------------------------------------------------------------


def attempts_are_recorded(played: Played) -> Iterator[str]:
    """Each write is recorded as an attempt of its target, and each attempt to write is a write."""
    for result in played.results:
        writes = writes_of(played, result.target.reference)
        recorded = [
            a.started + played.start
            for a in result.attempts
            if a.step not in {Step.LOOK, Step.FETCH}
        ]
        for write in writes:
            if not any(abs(at - write.began) < HAIR for at in recorded):
                yield f"{result.target}: a write at {write.began:.3f} is in no attempt"
        for attempt in result.attempts:
            at = attempt.started + played.start
            if attempt.limit not in _limits_of(played, result, at):
                yield f"{result.target}: an attempt under an unknown limit {attempt.limit}"
            wrote = attempt.step in {Step.PUSH, Step.RETAG}
            if wrote and not any(
                abs(at - w.began) < HAIR and w.ended <= at + attempt.seconds + HAIR for w in writes
            ):
                yield f"{result.target}: an attempt to write at {at:.3f} is no write"
        yield from _retries_are_reported(result)
        landed = result.outcome is Outcome.PUSHED
        if landed and result.attempts[-1].step not in {Step.PUSH, Step.RETAG, Step.LOOK}:
            yield f"{result.target} landed by {result.attempts[-1].step}"


def _limits_of(played: Played, result: TargetResult, at: float) -> set[int]:
    """Return the limits under which an attempt may have got its slot, also for a first read."""
    registry = result.target.reference.repository.registry
    values = limits_at(played, registry, at)
    for write in writes_of(played, result.target.reference):
        if abs(write.began - at) < HAIR and (read := read_in_slot(played, write)):
            values |= limits_at(played, registry, read.began)
    return values


def _retries_are_reported(result: TargetResult) -> Iterator[str]:
    """``retried``: its own write, or the content uploaded with it, needed another attempt."""
    own = len(result.attempts) > 1
    content = any(attempt.number > 1 for attempt in result.content_attempts)
    if (own or content) and not result.retried:
        yield f"{result.target} was retried, and is not reported as retried"
    content = content or bool(result.attempts and result.content_attempts)
    if result.retried and not (own or content):
        yield f"{result.target} is reported as retried, and was not"


# -- docker push ----------------------------------------------------------------------------


def content_is_pushed_once(played: Played) -> Iterator[str]:
    pushes = [r for r in played.log if r.operation == "push"]
    uploads = Counter((r.repository, r.digest) for r in pushes if r.uploaded)
    yield from (f"{what} was pushed {count} times" for what, count in uploads.items() if count > 1)
    for one, other in permutations(pushes, 2):
        if one.repository == other.repository and one.began <= other.began < one.ended - HAIR:
            yield f"two pushes into {one.repository} at once"


def seeds_push_alone(played: Played) -> Iterator[str]:
    """One tag of an image is pushed by docker push, and the next only if it was refused as a tag.

    The first refusal may be of a tag alone, unless the repository is known to refuse all writes. If
    only the engine reaches the registry, docker push pushes all tags.
    """
    for group in played.scenario.plan.groups:
        wanted = played.scenario.digests[group.source]
        results = [r for r in played.results if r.target in group.targets]
        tag_only = sum(bool(r.failure and r.failure.tag_only) for r in results)
        pushes = [
            r
            for r in played.log
            if r.operation == "push" and (r.repository, r.digest) == (group.repository, wanted)
        ]
        pushed = {r.tags for r in pushes}
        doubted = any(r.answer == "denied" for r in pushes)
        unreached = group.repository.registry in played.scenario.beyond_reach
        if len(pushed) > 1 + tag_only + doubted and not unreached:
            yield f"{len(pushed)} tags of one image were pushed by docker push"
        if any(push.began > ended for push in pushes for ended in _refusals(played, group)):
            yield f"{group.repository} was pushed to after it had refused"


def _refusals(played: Played, group: Group) -> Iterator[float]:
    """Yield when a repository had refused a check for permission."""
    for request in played.log:
        asked = request.operation == "ask" and request.repository == group.repository
        if asked and request.answer == "denied":
            yield request.ended + HAIR


END_CHECKS: tuple[Check, ...] = (
    the_end_is_obeyed,
    fail_fast_is_obeyed,
    protected_tags_stay,
    looks_are_fresh,
    attempts_are_recorded,
    content_is_pushed_once,
    seeds_push_alone,
)

"""Promises for the number of attempts and the waits between them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ghcr_push.model import Failure, Kind, Outcome, Step, TargetResult
from ghcr_push.pushing.events import Ended
from ghcr_push.pushing.pressure.retry import (
    BURST_DOUBLINGS,
    BURST_FLOOR,
    BURST_SPREAD,
    SLOWER,
    SPARE_LONGEST,
    SPARE_SHARE,
    UNCOUNTED_SPREAD,
)
from tests.simulation.evidence import (
    HAIR,
    PERMANENT,
    Check,
    ended_at,
    failures_of,
    later,
    surely_counts_for_target,
    writes_of,
)
from tests.simulation.play import Played

# -- promise 3: retries ---------------------------------------------------------------------


def permanent_is_tried_once(played: Played) -> Iterator[str]:
    for target in played.scenario.plan.targets:
        writes = writes_of(played, target.reference)
        for number, write in enumerate(writes):
            if write.answer in PERMANENT and number + 1 < len(writes):
                yield f"{target} was written again after a permanent refusal ({write.answer})"


def transient_is_retried(played: Played) -> Iterator[str]:
    ends = ended_at(played)
    for result in played.results:
        failure = result.failure
        if result.outcome is not Outcome.FAILED or failure is None or not failure.retryable:
            continue
        own = [f for _, f in failures_of(result)]
        if failed_with_content(result):
            continue
        # a registry that is given up ends its targets at once
        if not may_give_up(played, ends[result.target] - played.start, own):
            yield f"{result.target} was given up after {len(own)} attempts: {failure.kind}"


def failed_with_content(result: TargetResult) -> bool:
    """Return whether the failure, or its last occurrence, was of its group's content.

    A broken reading of the image is reported with one of the repositories that need it.
    """
    content = [a.started for a in result.content_attempts if a.failure == result.failure]
    own = [a.started for a in result.attempts if a.failure == result.failure]
    if not own:
        return True
    return max(content, default=0.0) > max(own)


def may_give_up(played: Played, at: float, own: Sequence[Failure]) -> bool:
    """Return whether a unit with these failures may give up ``at`` seconds into the run.

    The report does not say which failures count, so all that may have counted do so here.
    """
    failure = own[-1]
    spent = [f.kind for f in own if f.counts]
    if len(spent) >= played.scenario.max_attempts:
        return True
    if failure.cap is not None and spent.count(failure.kind) >= failure.cap:
        return True
    return at + longest_wait(played, failure, len(own)) > played.scenario.timeout - HAIR


def attempts_are_capped(played: Played) -> Iterator[str]:
    for result in played.results:
        spent: dict[Kind | None, int] = defaultdict(int)
        for attempt, failure in failures_of(result):
            if played.scenario.engine_first and result.seed and attempt.number == 1:
                continue  # docker push had one attempt, and the tag's own write is another unit
            if surely_counts_for_target(played, result.target, attempt, failure):
                spent[None] += 1
                spent[failure.kind] += 1
            cap = failure.cap or played.scenario.max_attempts
            if spent[None] > played.scenario.max_attempts or spent[failure.kind] > cap:
                yield f"{result.target} was tried more often than allowed: {failure.kind}"


# -- promise 5: waits -----------------------------------------------------------------------


def waits_are_kept(played: Played) -> Iterator[str]:
    """No request for a tag begins before the wait that the last refusal of one named."""
    # a manifest is fetched for all targets of a group; after a failure the next fetches it
    for refused in (r for r in played.log if r.asked and r.operation != "get"):
        until = refused.ended + refused.asked - HAIR
        for other in later(played, refused):
            same = set(other.tags) & set(refused.tags)
            if refused.operation == "has-blob" and _failed(played, refused.ended, other.began):
                continue  # the next group that needs a blob asks again after a failure
            if {refused.operation, other.operation} == {"can-mount", "has-blob"}:
                continue  # this request is for another repository
            if same and other.repository == refused.repository and other.began < until:
                yield f"{same} came back {until - other.began:.3f} s too early"


def _failed(played: Played, begins: float, ends: float) -> bool:
    """Say whether a target failed between two moments."""
    return any(
        isinstance(event, Ended) and event.result.failure and begins - HAIR <= at <= ends + HAIR
        for at, event in played.events
    )


def attempts_follow(played: Played) -> Iterator[str]:
    """Check that attempts follow each other, each after the wait, except the last read."""
    for result in played.results:
        if result.attempts and result.attempts[0].number != 1:
            yield f"{result.target} begins with attempt {result.attempts[0].number}"
        for one, next_one in pairwise(result.attempts):
            last_look = next_one.step is Step.LOOK and next_one is result.attempts[-1]
            ended = last_look and played.start + next_one.started > played.broken_off - HAIR
            if next_one.started < one.started + one.seconds + one.wait - HAIR and not ended:
                yield f"{result.target} did not wait {one.wait} s"
            if next_one.number != one.number + 1:
                yield f"{result.target} has attempts {one.number} and {next_one.number}"
            if one.failure is None:
                yield f"{result.target} was tried again after it landed"


def jitter_has_a_floor(played: Played) -> Iterator[str]:
    """No wait is shorter than the policy says, by the failures that certainly counted."""
    for result in played.results:
        spent = throttled = 0
        for attempt, failure in failures_of(result):
            throttled = throttled + 1 if failure.kind is Kind.THROTTLED else 0
            sure = surely_counts_for_target(played, result.target, attempt, failure)
            spent += sure
            # none follows, or none of its kind: after a permanent failure of docker push, we upload
            if attempt is result.attempts[-1] or not failure.retryable:
                continue
            # an attempt that may not have counted waits only a moment
            counted = spent if sure else 0
            floor = shortest_wait(played, failure, counted, throttled)
            if attempt.wait < floor - HAIR:
                yield f"{result.target} waits {attempt.wait:.3f} s, not {floor:.3f} s"


def waits_end(played: Played) -> Iterator[str]:
    """No wait is longer than the policy says if all failures so far counted."""
    for result in played.results:
        for number, (attempt, failure) in enumerate(failures_of(result), 1):
            longest = longest_wait(played, failure, number)
            if attempt.wait > longest + HAIR:
                yield f"{result.target} waits {attempt.wait:.3f} s, not {longest:.3f} s"


def shortest_wait(played: Played, failure: Failure, spent: int, throttled: int) -> float:
    """Return the shortest wait of a failure, by how many counted; 0: this one may not count."""
    asked = failure.asked_wait or 0.0
    if failure.holds:
        return 0.0  # the whole queue is held instead
    if failure.kind is Kind.THROTTLED:
        return max(asked, BURST_FLOOR * 2.0 ** min(throttled - 1, BURST_DOUBLINGS))
    if not spent:
        return asked
    grown = _grown(played, failure, spent)
    shorter = grown <= SPARE_LONGEST and failure.kind not in SLOWER
    return max(asked, grown / 2 * (SPARE_SHARE if shorter else 1.0))


def longest_wait(played: Played, failure: Failure, failures: int) -> float:
    """Return the longest wait of a failure, with so many failures of its unit, including it."""
    asked = failure.asked_wait or 0.0
    if failure.holds:
        return 0.0
    if failure.kind is Kind.THROTTLED:
        return max(asked, BURST_FLOOR * 2.0 ** min(failures - 1, BURST_DOUBLINGS)) + BURST_SPREAD
    grown = _grown(played, failure, failures)
    return max(asked + UNCOUNTED_SPREAD, max(asked, grown / 2) + grown / 2)


def _grown(played: Played, failure: Failure, spent: int) -> float:
    first = played.scenario.backoff_initial * SLOWER.get(failure.kind, 1.0)
    return min(played.scenario.backoff_max, first * 2.0 ** (spent - 1))


RETRY_CHECKS: tuple[Check, ...] = (
    permanent_is_tried_once,
    transient_is_retried,
    attempts_are_capped,
    waits_are_kept,
    attempts_follow,
    jitter_has_a_floor,
    waits_end,
)

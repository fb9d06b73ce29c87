"""Promises for the content that we upload ourselves, checked against the modelled world."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise, permutations

from ghcr_push.model import Attempt, Group, Kind, Outcome, Source, Step, TargetResult
from ghcr_push.pushing.events import ContentDone
from ghcr_push.references import Digest, Repository
from tests.simulation.end_promises import first_failure
from tests.simulation.evidence import (
    HAIR,
    PERMANENT,
    Check,
    ended_at,
    later,
    requests_of,
    surely_counts,
)
from tests.simulation.mount_promises import MOUNT_CHECKS
from tests.simulation.play import Played
from tests.simulation.records import Reading, Request
from tests.simulation.retry_promises import (
    failed_with_content,
    longest_wait,
    may_give_up,
    shortest_wait,
)

Part = tuple[Repository, Digest]


def _groups(played: Played) -> Iterator[tuple[Group, TargetResult, list[TargetResult]]]:
    """Yield each group whose content was to be uploaded, with its seed's result and all results."""
    for group in played.scenario.plan.groups:
        results = [r for r in played.results if r.target in group.targets]
        if played.scenario.direct and results:
            yield group, _content_push(results), results


def _content_push(results: list[TargetResult]) -> TargetResult:
    """Return the target with which content was uploaded; the first one if none was."""
    return next((result for result in results if result.transfer is not None), results[0])


def _sent(played: Played) -> dict[Part, list[Request]]:
    """Return the requests that sent a part of an image, by part."""
    sent: dict[Part, list[Request]] = defaultdict(list)
    for request in played.log:
        if request.operation in {"upload", "child"} and request.digest:
            sent[request.repository, request.digest].append(request)
    return sent


def _owners(played: Played, part: Part) -> list[Group]:
    repository, digest = part
    contents = played.scenario.transfer.contents
    return [
        group
        for group in played.scenario.plan.groups
        if group.repository == repository and digest in contents[group.source].parts
    ]


def _seed_of(played: Played, group: Group) -> TargetResult:
    return _content_push([r for r in played.results if r.target in group.targets])


def tags_name_complete_images(played: Played) -> Iterator[str]:
    for group, _, results in _groups(played):
        parts = played.scenario.transfer.contents[group.source].parts
        since = [played.world.parts.get((group.repository, part), float("inf")) for part in parts]
        if group.repository.registry in played.scenario.beyond_reach:
            continue
        for result in results:
            for version in played.world.history.get(result.target.reference, []):
                if version.ours and version.at < max(since) - HAIR:
                    yield f"{result.target} was written before its image was complete"


def unchanged_images_are_complete(played: Played) -> Iterator[str]:
    """Check that an index with an unchanged tag is complete; a classic image has no known children.

    Parts that another job sends while we look cannot be distinguished.
    """
    for group, _, results in _groups(played):
        image = played.scenario.images[group.source]
        children = played.scenario.transfer.contents[group.source].children
        beyond = group.repository.registry in played.scenario.beyond_reach
        if image is None or image.digest is None or beyond:
            continue
        for result in (r for r in results if r.outcome is Outcome.UNCHANGED):
            gone = [c for c in children if (group.repository, c) not in played.world.parts]
            if gone:
                yield f"{result.target} is unchanged although {gone[0][-6:]} is missing"


def blobs_are_uploaded_once(played: Played) -> Iterator[str]:
    held = played.scenario.transfer.held
    for (repository, digest), requests in _sent(played).items():
        uploads = [r for r in requests if r.operation == "upload"]
        what = f"{digest[-6:]} in {repository}"
        broke = any(
            r.answer == "bug" and r.repository == repository and r.tags == (digest,)
            for r in played.log
        )
        if uploads and (repository, digest) in held and not broke:
            yield f"{what} was sent although the registry had it"
        for one, other in permutations(uploads, 2):
            if one.began <= other.began < one.ended - HAIR:
                yield f"{what} was sent twice at the same time"
            if one.good and other.began > one.ended - HAIR:
                yield f"{what} was sent again after it was accepted"
        for read in (r for r in played.log if r.operation in {"has-blob", "can-mount"}):
            shown = read.seen == digest and read.repository == repository and read.good
            # a group knows its own reads at once, and those of another a moment later
            after = read.ended + (HAIR if read.operation == "can-mount" else -HAIR)
            if shown and any(u.began > after for u in uploads):
                yield f"{what} was sent although a read had found it"


def everything_is_released(played: Played) -> Iterator[str]:
    kept = sum(not blob.released for blob in played.world.blobs)
    if kept:
        yield f"{kept} blobs were never released"
    if played.world.space.room.used and not kept:
        yield f"{played.world.space.room.used} bytes of temporary space were never freed"
    if any(reading.ended is None for reading in played.world.readings):
        yield "an engine is still being read"


def space_is_bounded(played: Played) -> Iterator[str]:
    transfer, highest = played.scenario.transfer, played.world.space.room.highest
    bound = max(transfer.spool, *transfer.sizes.values(), 0)
    if highest > bound:
        yield f"{highest} bytes of temporary space were in use, at most {bound} are allowed"


def images_are_read_again_for_a_reason(played: Played) -> Iterator[str]:
    """Each further reading follows one that broke, gave way, or came too early."""
    by_source = defaultdict(list)
    for reading in played.world.readings:
        by_source[reading.source].append(reading)
    for source, readings in by_source.items():
        for one, other in pairwise(readings):
            done = one.answer in {"ok", "none"}
            gave_way = done and len(played.scenario.conditions) > 1
            late = done and _came_late(played, source, one, other)
            if one.answer != "cut off" and not gave_way and not late:
                yield f"{source} was read again after {one.answer}"
        if sum(reading.answer == "cut off" for reading in readings) > played.scenario.max_attempts:
            yield f"{source} was read {len(readings)} times"


def _came_late(played: Played, source: Source, one: Reading, other: Reading) -> bool:
    """Return whether a repository looked for a blob of the image only after the first reading."""
    blobs = played.scenario.transfer.contents[source].blobs
    looks = [request for request in played.log if request.operation == "has-blob"]
    for group in played.scenario.plan.groups:
        own = [look for look in looks if look.repository == group.repository]
        firsts = [
            min((look.began for look in own if look.tags == (blob,)), default=None)
            for blob in blobs
        ]
        if group.source != source or one.began >= other.began:
            continue
        if any(first is not None and first >= other.began for first in firsts):
            return True
        seed = _seed_of(played, group)
        if seed.transfer is not None and _decided(played, group, seed, other) > one.began:
            return True  # blobs that were passed on before have to be read again
    return False


def _decided(played: Played, group: Group, seed: TargetResult, before: Reading) -> float:
    """Return when ``group`` had read its tags and tried docker push; 0 if it did neither.

    That is the end of the last such request, with the wait after it, that began before its content
    was complete and ``before`` another reading.
    """
    done = (at for at, e in played.events if isinstance(e, ContentDone) and e.seed == seed.target)
    until = min(before.began, *done, float("inf"))
    tags = {target.reference.tag for target in group.targets}
    ends = [
        r.ended + r.asked
        for r in played.log
        if r.repository == group.repository and (r.operation == "ask" or tags & set(r.tags))
        if r.began <= until
    ]
    ends += [
        played.start + attempt.started + attempt.seconds + attempt.wait
        for attempt in seed.attempts
        if played.start + attempt.started <= until
    ]
    return max(ends, default=0.0)


def units_are_capped(played: Played) -> Iterator[str]:
    for part, requests in _sent(played).items():
        owners = _owners(played, part)
        if len(owners) != 1:
            continue
        spent = 0
        seed = _seed_of(played, owners[0])
        for request in (r for r in requests if not r.good):
            attempt = _attempt_of(played, seed, request)
            if attempt is None or attempt.failure is None:
                continue
            registry = request.repository.registry
            cut_off = attempt.failure.kind is Kind.CANCELLED
            spent += not cut_off and surely_counts(
                played, registry, [request], attempt, attempt.failure
            )
            if spent > played.scenario.max_attempts:
                yield f"{part[1][-6:]} was sent more often than allowed"


def _attempt_of(played: Played, seed: TargetResult, request: Request) -> Attempt | None:
    """Find the attempt of a request by its time, since attempts do not name their unit."""
    for attempt in seed.content_attempts:
        began = attempt.started + played.start
        ended = began + attempt.seconds
        if abs(began - request.began) < HAIR and abs(ended - request.ended) < HAIR:
            return attempt
    return None


def units_wait_as_asked(played: Played) -> Iterator[str]:
    """No read or upload of a part begins before the wait that its last refusal named.

    A part of two images in one repository is a unit of each; these wait separately.
    """
    for part, requests in _sent(played).items():
        if len(_owners(played, part)) != 1:
            continue
        for refused in (r for r in requests if r.asked):
            for other in later(played, refused):
                looked = other.operation == "has-blob" and other.tags == (part[1],)
                again = other.repository == part[0] and (looked or other in requests)
                early = refused.ended + refused.asked - other.began
                if again and early > HAIR:
                    yield f"{part[1][-6:]} came back {early:.3f} s too early"


def refused_parts_are_tried_once(played: Played) -> Iterator[str]:
    for part, requests in _sent(played).items():
        last = max(requests, key=lambda request: request.began)
        ended = [r.ended for r in requests if r.answer in PERMANENT]
        if len(_owners(played, part)) == 1 and ended and last.began >= min(ended):
            yield f"{part[1][-6:]} was sent again after a permanent refusal"


def content_is_retried(played: Played) -> Iterator[str]:
    ends = ended_at(played)
    for group, seed, _ in _groups(played):
        failure = seed.failure
        if failure is None or not failure.retryable or not failed_with_content(seed):
            continue
        own = [attempt for attempt in seed.content_attempts if attempt.failure == failure]
        # attempts name no unit: as many as the last one's number are of its own
        tried = [failure] * max((attempt.number for attempt in own), default=0)
        if all(attempt.step is Step.READ for attempt in own):
            # a reading is reported with any one of the repositories that need it
            tried = [failure] * _readings_that_broke(played, group.source)
        # what is given up ends at once
        if not may_give_up(played, ends[seed.target] - played.start, tried or [failure]):
            yield f"the content of {seed.target} was given up after {len(tried)} attempts"


def _readings_that_broke(played: Played, source: Source) -> int:
    return sum(
        reading.source == source and reading.answer == "cut off"
        for reading in played.world.readings
    )


def content_waits_as_the_policy_says(played: Played) -> Iterator[str]:
    """Compare each wait with the shortest and the longest for an attempt of that number."""
    for group, seed, _ in _groups(played):
        for attempt in seed.content_attempts:
            failure = attempt.failure
            if failure is None or not failure.retryable or not attempt.wait:
                continue
            # the report does not say which attempts count; one that may not have, waits a moment
            spent, number = 0, attempt.number
            if attempt.step is Step.READ:  # each counts, whichever repository reports it
                spent = number = _waits_for_readings(played, group.source, attempt)
            shortest = shortest_wait(played, failure, spent, 1)
            longest = longest_wait(played, failure, number)
            if not shortest - HAIR <= attempt.wait <= longest + HAIR:
                yield f"the content of {seed.target} waits {attempt.wait:.3f} s"


def _waits_for_readings(played: Played, source: Source, last: Attempt) -> int:
    """Count the waits after broken readings of an image up to that after ``last``."""
    return sum(
        attempt.step is Step.READ and attempt.wait > 0.0 and attempt.started <= last.started + HAIR
        for result in played.results
        if result.target.source == source
        for attempt in result.content_attempts
    )


def content_attempts_are_recorded(played: Played) -> Iterator[str]:
    """Each request is one attempt of a seed in its repository, with the same end."""
    reported: dict[Repository, Counter[tuple[float, bool]]] = defaultdict(Counter)
    seen: dict[Repository, Counter[tuple[float, bool]]] = defaultdict(Counter)
    for group, seed, results in _groups(played):
        for attempt in seed.content_attempts:
            if attempt.step is Step.UPLOAD:
                at = round(attempt.started + played.start, 5)
                reported[group.repository][at, attempt.failure is None] += 1
        retried = any(attempt.number > 1 for attempt in seed.content_attempts)
        if retried and not seed.retried:
            yield f"the content of {seed.target} was retried, and its result does not say so"
        if any(result.content_attempts for result in results if result is not seed):
            yield f"content was uploaded with another target than {seed.target}"
        if seed.content_attempts and seed.outcome is Outcome.SKIPPED:
            yield f"{seed.target} is skipped although its content was tried"
    for (repository, _), requests in _sent(played).items():
        for request in requests:
            seen[repository][round(request.began, 5), request.good] += 1
    if reported != seen:
        missing = [list((seen[r] - reported[r]).items())[:2] for r in seen]
        invented = [list((reported[r] - seen[r]).items())[:2] for r in reported]
        yield f"attempts differ from the requests: missing {missing}, invented {invented}"


def transfers_add_up(played: Played) -> Iterator[str]:
    for group, seed, results in _groups(played):
        transfer = seed.transfer
        if transfer is None or not any(r.outcome is Outcome.PUSHED for r in results):
            continue
        pushes = (r for target in group.targets for r in requests_of(played, target.reference))
        if any(push.operation == "push" and push.image_sent for push in pushes):
            continue  # docker push had uploaded it, with its answer lost or as a second way
        blobs = played.scenario.transfer.contents[group.source].blobs
        if transfer.blobs_sent + transfer.blobs_mounted + transfer.blobs_found != len(blobs):
            yield f"{seed.target} reports other blobs than its image has: {transfer}"


def refusing_repositories_are_asked_once(played: Played) -> Iterator[str]:
    for repository in played.scenario.denied:
        if not played.scenario.direct:
            continue
        asks = [r for r in played.log if (r.repository, r.operation) == (repository, "ask")]
        refused = [r for r in asks if r.answer == "denied"]
        sent = [
            request
            for part, requests in _sent(played).items()
            for request in requests
            # a mount sends nothing, and manifests may go where no layer is missing
            if part[0] == repository and request.mount is None and request.operation == "upload"
        ]
        if len(asks) > 1:
            yield f"{repository} was asked {len(asks)} times"
        if refused and sent:
            yield f"{repository} was sent {len(sent)} blobs after it had refused"
        if asks and any(r.began < max(a.ended for a in asks) - HAIR for r in sent):
            yield f"{repository} was sent blobs before the check was answered"
        # if mounts seemed possible there was no check; blobs that waited for a slot are sent
        if not asks and len(sent) > played.scenario.max_parallel:
            yield f"{repository} was sent {len(sent)} blobs without a check"
        for result in played.results:
            there = result.target.reference.repository == repository
            if there and result.outcome is Outcome.PUSHED:
                yield f"{result.target} is pushed to a repository that refuses writes"


def content_fails_alone(played: Played) -> Iterator[str]:
    """Check that a failure of a group's content affects that group alone."""
    transfer, conditions = played.scenario.transfer, played.scenario.conditions
    for group, _, results in _groups(played):
        kinds = {result.failure.kind for result in results if result.failure}
        repository = group.repository
        if Kind.CONTENT_MISSING in kinds:
            if group.source not in transfer.unreadable:
                yield f"{group.source} is complete, and fails as incomplete"
            if any(result.outcome is Outcome.PUSHED for result in results):
                yield f"{group.source} is incomplete, and was pushed"
        if Kind.DENIED in kinds and repository not in played.scenario.denied:
            yield f"{repository} was not refused, and fails as refused"
        own = conditions[repository.registry]
        if Kind.INTERNAL in kinds and not (own.bugs or own.read_bugs):
            yield f"{group.source} fails with an internal error"


def nothing_is_begun_after_fail_fast(played: Played) -> Iterator[str]:
    if not played.scenario.fail_fast:
        return
    first = first_failure(played)
    for _, seed, _ in _groups(played):
        pushes = [a for a in seed.attempts if a.step is Step.PUSH]
        tries = [a.started + played.start for a in (*seed.content_attempts, *pushes)]
        ends = [a.started + a.seconds + played.start for a in (*seed.content_attempts, *pushes)]
        # if docker push tries first, its target may have failed before the upload
        if any(a.failure and a.started + played.start <= first for a in seed.attempts):
            continue
        begun = min((*tries, *ends), default=0.0)
        if begun > first + HAIR:
            yield f"the content of {seed.target} was begun after another target had failed"


def reading_ends_with_the_run(played: Played) -> Iterator[str]:
    for reading in played.world.readings:
        if reading.began > played.broken_off + HAIR:
            yield f"{reading.source} was read after the end"


def looks_of_content_were_made(played: Played) -> Iterator[str]:
    """Each reported read of content is a request to its repository."""
    for result in played.results:
        repository = result.target.reference.repository
        asked = [r for r in played.log if r.repository == repository]
        for attempt in (a for a in result.content_attempts if a.step is Step.LOOK):
            began = played.start + attempt.started
            ended = began + attempt.seconds
            if not any(r.began <= ended + HAIR and r.ended >= began - HAIR for r in asked):
                yield f"{result.target} reports a read at {attempt.started:.3f} that was not made"


CONTENT_CHECKS: tuple[Check, ...] = (
    looks_of_content_were_made,
    tags_name_complete_images,
    unchanged_images_are_complete,
    blobs_are_uploaded_once,
    everything_is_released,
    space_is_bounded,
    images_are_read_again_for_a_reason,
    units_are_capped,
    units_wait_as_asked,
    refused_parts_are_tried_once,
    content_is_retried,
    content_waits_as_the_policy_says,
    content_attempts_are_recorded,
    transfers_add_up,
    refusing_repositories_are_asked_once,
    content_fails_alone,
    nothing_is_begun_after_fail_fast,
    reading_ends_with_the_run,
    *MOUNT_CHECKS,
)

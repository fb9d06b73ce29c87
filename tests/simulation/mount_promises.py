"""Promises before a blob is sent: it is looked for in its repository, and mounted if possible."""

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

from ghcr_push.pushing.reads import LOOK_STAYS_TRUE
from tests.simulation.evidence import HAIR, Check
from tests.simulation.play import Played
from tests.simulation.records import Request


def _uploads(played: Played) -> Iterator[Request]:
    return (request for request in played.log if request.operation == "upload")


def blobs_are_looked_for_before_they_are_sent(played: Played) -> Iterator[str]:
    """Check that a fresh read precedes each upload; a mount needs none, since it sends nothing."""
    for upload in _uploads(played):
        if upload.mount is not None:
            continue
        looks = (
            request.ended
            for request in played.log
            if request.operation == "has-blob"
            and (request.repository, request.tags) == (upload.repository, (upload.digest,))
            and request.answer in {"ok", "bug"}  # a failed read shows nothing
            and request.ended <= upload.began + HAIR
        )
        last = max(looks, default=float("-inf"))
        if upload.began - last > LOOK_STAYS_TRUE + HAIR:
            yield f"{upload.digest} was sent {upload.began - last:.3f} s after it was looked for"


def blobs_are_mounted_from_where_they_are(played: Played) -> Iterator[str]:
    for upload in _uploads(played):
        known = [
            request
            for request in played.log
            if request.repository != upload.repository
            and request.repository.registry == upload.repository.registry
            and request.ended < upload.began - HAIR
            and request.good
            and _shows(request, upload)
        ]
        if known and upload.mount is None:
            yield f"{upload.digest} was sent although {known[0].repository} was known to hold it"
        if upload.mount is None:
            continue
        parts = played.world.parts.items()
        held_since = min(since for part, since in parts if part == (upload.mount, upload.digest))
        astray = upload.mount.registry != upload.repository.registry
        if astray or upload.mount == upload.repository or held_since > upload.began + HAIR:
            yield f"a mount of {upload.digest} was requested from {upload.mount}, which lacks it"


def _shows(request: Request, upload: Request) -> bool:
    """Return whether an answer showed the run that another repository has the uploaded blob."""
    if request.operation == "can-mount":
        return request.seen == upload.digest
    return request.operation == "upload" and request.digest == upload.digest


def blobs_are_sent_to_one_repository_first(played: Played) -> Iterator[str]:
    """No blob is sent to two repositories at once if the registry has granted every mount."""
    for registry in played.scenario.conditions:
        uploads = [u for u in _uploads(played) if u.repository.registry == registry]
        refused = min((u.began for u in uploads if u.mount and u.uploaded), default=float("inf"))
        plain = [u for u in uploads if u.mount is None and u.began < refused]
        for one, other in permutations(plain, 2):
            if one.digest == other.digest and one.began <= other.began < one.ended - HAIR:
                yield f"{one.digest} went to {one.repository} and {other.repository} at once"


def origins_are_asked_once(played: Played) -> Iterator[str]:
    asked = [request for request in played.log if request.operation == "can-mount"]
    answers = Counter((r.repository, r.tags) for r in asked if r.good)
    yield from (f"{what} was asked {count} times" for what, count in answers.items() if count > 1)
    for refused in (request for request in asked if request.answer == "denied"):
        if any(
            again.repository == refused.repository
            and _waits_since(played, again) > refused.ended + HAIR
            for again in asked
        ):
            yield f"{refused.repository} was asked again after a refusal"
    for request in asked:
        if request.repository not in played.scenario.transfer.mount_sources:
            yield f"{request.repository} was asked, and is no mount source"


def _waits_since(played: Played, asked: Request) -> float:
    """Return when a read for a mount was decided on: after the last read for the same blob."""
    looks = (
        request.ended
        for request in played.log
        if request.operation in {"has-blob", "can-mount"}
        and request.tags == asked.tags
        and request.ended <= asked.began + HAIR
    )
    return max(looks, default=0.0)


MOUNT_CHECKS: tuple[Check, ...] = (
    blobs_are_looked_for_before_they_are_sent,
    blobs_are_mounted_from_where_they_are,
    blobs_are_sent_to_one_repository_first,
    origins_are_asked_once,
)

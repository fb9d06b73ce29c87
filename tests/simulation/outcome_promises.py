"""How targets end: in exactly one outcome, for a reason that was there, landed where proved."""

from collections.abc import Iterator

from ghcr_push.model import LANDED, Kind, Outcome, TargetResult
from ghcr_push.pushing.events import Ended
from ghcr_push.references import TagReference
from tests.simulation.evidence import (
    HAIR,
    Check,
    by_registry,
    ended_at,
    reads_of,
    requests_of,
    versions_of,
    writes_of,
)
from tests.simulation.play import Played
from tests.simulation.records import Request
from tests.simulation.unheard_promises import SILENT

ENDS = frozenset({Kind.CANCELLED, Kind.DEADLINE, Kind.FAIL_FAST})

REFUSED = frozenset({"denied", "tag-refused", "throttled", "secondary", "unknown-query"})
"""Answers to a write after which the registry surely does not have it."""

CAUSES: dict[str, frozenset[Kind]] = {
    "broken": frozenset({Kind.SERVER_ERROR}),
    "down": frozenset({Kind.SERVER_ERROR, Kind.THROTTLED}),  # with a wait it reads as a throttle
    "lost": frozenset({Kind.SERVER_ERROR}),
    "unreachable": frozenset({Kind.NETWORK}),
    "silent": frozenset({Kind.TIMEOUT}),
    "cut off": frozenset({Kind.NETWORK}),
    "not whole": frozenset({Kind.CONTENT_MISSING}),
    "throttled": frozenset({Kind.THROTTLED}),
    "secondary": frozenset({Kind.SECONDARY_LIMIT}),
    "denied": frozenset({Kind.DENIED}),
    "tag-refused": frozenset({Kind.TAG_REFUSED}),
    "odd": frozenset({Kind.NOT_VISIBLE, Kind.NOT_FOUND, Kind.UNKNOWN}),
    "bug": frozenset({Kind.INTERNAL}),
    "unknown-query": frozenset(),
    "gone": frozenset({Kind.NOT_FOUND, Kind.NOT_VISIBLE}),
    "none": frozenset({Kind.TIMEOUT}),
    "ok": frozenset({Kind.NOT_VISIBLE}),  # taken, and it does not show
}
"""What a failure may be called after an answer."""


# -- promise 1: exactly one outcome ---------------------------------------------------------


def one_outcome(played: Played) -> Iterator[str]:
    targets = [result.target for result in played.results]
    if targets != list(played.scenario.plan.targets):
        yield "the results are not the plan's targets"
    told = {e.result.target: e.result for _, e in played.events if isinstance(e, Ended)}
    if sum(isinstance(e, Ended) for _, e in played.events) != len(told):
        yield "a target ended twice"
    for result in played.results:
        if told.get(result.target) != result:
            yield f"{result.target} is not told to have ended as it did"
        if result.outcome is Outcome.PLANNED:
            yield f"{result.target} is planned"
        well = result.outcome in LANDED | {Outcome.KEPT}
        if well != (result.failure is None):
            yield f"{result.target} is {result.outcome} with failure {result.failure}"
        if (result.outcome in LANDED) != (result.digest is not None):
            yield f"{result.target} is {result.outcome} with digest {result.digest}"


def tried_or_skipped(played: Played) -> Iterator[str]:
    one_failed = any(r.outcome is Outcome.FAILED for r in played.results)
    for result in played.results:
        writes = writes_of(played, result.target.reference)
        kind = result.failure.kind if result.failure else None
        tried = writes or result.all_attempts
        if result.outcome is Outcome.SKIPPED and tried:
            yield f"{result.target} is skipped, and was tried"
        if result.outcome is Outcome.SKIPPED and kind not in ENDS | {Kind.HELD_BACK}:
            yield f"{result.target} is skipped for {kind}"
        cut_off = result.outcome is Outcome.FAILED and kind in {Kind.CANCELLED, Kind.DEADLINE}
        if cut_off and not tried:
            yield f"{result.target} was cut off, and never tried"
        if kind is Kind.FAIL_FAST and result.outcome is not Outcome.SKIPPED:
            yield f"{result.target} was tried and is said to be ended by fail-fast"
        if kind is Kind.FAIL_FAST and not (played.scenario.fail_fast and one_failed):
            yield f"{result.target} was ended by fail-fast, and none had failed"
        if kind is Kind.CANCELLED and played.cancelled is None:
            yield f"{result.target} was cancelled by none"
        deadline = played.start + played.scenario.timeout
        if kind is Kind.DEADLINE and (played.ended or 0) < deadline - HAIR:
            yield f"{result.target} met a deadline that had not come"


def causes_are_its_own(played: Played) -> Iterator[str]:
    """Find each failure in what the target itself met, or the content that it waited for."""
    for result in played.results:
        kind = result.failure.kind if result.failure else None
        if kind is None or kind in ENDS | {Kind.HELD_BACK}:
            continue
        met = set(_could_be_met(played, result))
        if kind not in met:
            yield f"{result.target} fails with {kind}, and met only {sorted(met)}"


def deadlines_tell_what_kept_failing(played: Played) -> Iterator[str]:
    """Quote at the deadline how a target's last try failed, or else what its registry met."""
    for result in played.results:
        failure = result.failure
        if failure is None:
            continue
        kept = failure.kept_failing
        if kept is not None and failure.kind is not Kind.DEADLINE:
            yield f"{result.target} fails with {failure.kind}, and tells of {kept}"
        if failure.kind is not Kind.DEADLINE:
            continue
        ended = [a.failure for a in result.attempts if not (a.failure and a.failure.kind in ENDS)]
        last = ended[-1] if ended and not result.content_attempts else None
        if last is not None and (kept is not last.kind or last.message not in failure.message):
            yield f"{result.target} last failed with {last.kind}, and tells of {kept}"
        registry = result.target.reference.repository.registry
        answers = {request.answer for request in by_registry(played).get(registry, ())}
        answers |= {reading.answer for reading in played.world.readings}
        met = {kind for answer in answers for kind in CAUSES.get(answer, ())}
        met |= set(_could_be_met(played, result))
        if kept is not None and kept not in met:
            yield f"{result.target} tells of {kept}, and its registry met only {sorted(met)}"


def _could_be_met(played: Played, result: TargetResult) -> Iterator[Kind]:
    scenario, reference = played.scenario, result.target.reference
    own = requests_of(played, reference)
    for answer in {r.answer for r in (*own, *_about_content(played, result))}:
        yield from CAUSES[answer]
    for reading in played.world.readings:
        if reading.source == result.target.source and reading.answer in CAUSES:
            yield from CAUSES[reading.answer]
    yield from _given_up_with(played, reference.repository.registry)
    if scenario.images[result.target.source] is None:
        yield Kind.IMAGE_MISSING
    if reference.repository in scenario.denied:
        yield Kind.DENIED
    by_engine = scenario.engine_first or reference.repository.registry in scenario.beyond_reach
    if by_engine and result.target.source in scenario.transfer.unreadable:
        yield Kind.CONTENT_MISSING
    wanted = scenario.digests[result.target.source]
    seen = [r for r in own if r.seen not in {None, wanted}]
    if scenario.protects(reference.tag) and (seen or _is_unsure(played, result)):
        yield Kind.PROTECTED
    if _is_unsure(played, result) and result.may_have_landed:  # and so says the report
        seen = [r for r in own if r.seen is not None]
    writes = [r for r in own if r.writes]
    if writes and any(r.seen != result.before and r.ended > writes[0].began for r in seen):
        yield Kind.OVERTAKEN


def _given_up_with(played: Played, registry: str) -> Iterator[Kind]:
    """Yield the failures of a registry that never answered: for all requests to it."""
    answers = {request.answer for request in by_registry(played).get(registry, ())}
    if answers <= SILENT:
        yield from (kind for answer in answers for kind in CAUSES[answer])


def _about_content(played: Played, result: TargetResult) -> Iterator[Request]:
    """Yield the requests with which the content of the target's group was carried."""
    repository = result.target.reference.repository
    content = {"get", "has-blob", "can-mount", "ask", "upload", "child"}
    wanted = played.scenario.digests[result.target.source]
    for request in played.log:
        pushed = request.operation == "push" and request.digest == wanted
        # the seed's reads are of its content too: with docker push they are one
        seed = any(
            r.seed and r.target.source == result.target.source
            for r in played.results
            if r.target.reference.repository == repository
            and r.target.reference.tag in request.tags
        )
        if request.repository == repository and (request.operation in content or pushed or seed):
            yield request


def kept_tags_are_another_images(played: Played) -> Iterator[str]:
    """Find that a tag which was kept is protected, named another image, and was never written."""
    scenario = played.scenario
    for result in played.results:
        reference = result.target.reference
        kind = result.failure.kind if result.failure else None
        written = bool(writes_of(played, reference))
        if kind is Kind.PROTECTED and scenario.keep_protected and not written:
            yield f"{result.target} was to be kept, and failed"
        if result.outcome is not Outcome.KEPT:
            continue
        reads = [r for r in reads_of(played, reference) if r.good]
        if not (scenario.keep_protected and scenario.protects(reference.tag)) or written:
            yield f"{result.target} was kept, and might have been written"
        ours = (
            {None} if _is_unsure(played, result) else {None, scenario.digests[result.target.source]}
        )
        if not reads or reads[-1].seen in ours:
            yield f"{result.target} was kept, and named no other image"
        elif result.before != reads[-1].seen:
            yield f"{result.target} was kept, and is said to name {result.before}"


def tags_move_together(played: Played) -> Iterator[str]:
    """Where it is all or nothing, the first tag moves when no content is missing any more."""
    scenario, world = played.scenario, played.world
    puts = [request for request in played.log if request.operation == "put"]
    if not scenario.all_or_nothing:
        return
    for result in played.results:
        held_back = result.failure is not None and result.failure.kind is Kind.HELD_BACK
        if held_back and writes_of(played, result.target.reference):
            yield f"{result.target} was held back, and written"
        if held_back and all(r.failure is None for r in played.results if r is not result):
            yield f"{result.target} was held back by none"
    moved = min((put.began for put in puts), default=float("inf"))
    for group in scenario.plan.groups:
        results = [r for r in played.results if r.target in group.targets]
        if all(r.outcome in {Outcome.UNCHANGED, Outcome.KEPT} for r in results):
            continue
        parts = scenario.transfer.contents[group.source].parts
        since = (world.parts.get((group.repository, part), float("inf")) for part in parts)
        sought = [r for r in results if r.failure is None or r.failure.kind is not Kind.PROTECTED]
        if moved < float("inf") and sought and max(since, default=0.0) > moved + HAIR:
            yield f"a tag moved at {moved:.3f}, and {group.source} was not in {group.repository}"


# -- promise 2: pushed means proved ---------------------------------------------------------


def pushed_is_true(played: Played) -> Iterator[str]:
    ends = ended_at(played)
    for result in played.results:
        if result.outcome not in LANDED:
            continue
        reference = result.target.reference
        wanted = played.scenario.digests[result.target.source]
        versions = [v for v in versions_of(played, reference) if v.at <= (played.ended or 0)]
        if result.digest != wanted:
            yield f"{reference} landed with {result.digest}, not {wanted}"
        if not any(v.digest == wanted and v.at <= ends[result.target] for v in versions):
            yield f"{reference} is {result.outcome}, and the registry never had it"
        ours = any(v.ours for v in versions)
        if (result.outcome is Outcome.PUSHED) != ours and not _is_unsure(played, result):
            yield f"{reference} is {result.outcome}; written by this run: {ours}"
        yield from _is_proved(played, result, ends[result.target])


def _is_unsure(played: Played, result: TargetResult) -> bool:
    """Say whether a tag's digest says nothing of the image: it must be pushed to be compared.

    So it is where only the engine reaches the registry, and knows no digest before a push.
    """
    image = played.scenario.images[result.target.source]
    beyond = result.target.reference.repository.registry in played.scenario.beyond_reach
    return beyond and image is not None and image.digest is None


def _is_proved(played: Played, result: TargetResult, ended: float) -> Iterator[str]:
    """Hold ``verified`` against the last read of the tag, which must be later than its write."""
    reference = result.target.reference
    wanted = played.scenario.digests[result.target.source]
    reads = [r for r in reads_of(played, reference) if r.ended <= ended + HAIR]
    good = [r for r in reads if r.good]
    if result.verified:
        written = min((w.began for w in writes_of(played, reference)), default=float("-inf"))
        after = result.outcome is Outcome.UNCHANGED or (good and good[-1].began > written)
        if not good or good[-1].seen != wanted or not after:
            yield f"{reference} is verified, and its last read did not show it"
        return
    # where only the engine reaches the registry, and its read fails, the push's word is all
    beyond = reference.repository.registry in played.scenario.beyond_reach
    unreadable = beyond and bool(reads) and not reads[-1].good
    if played.scenario.verify and not unreadable:
        yield f"{reference} is {result.outcome}, unverified"


def doubt_is_told(played: Played) -> Iterator[str]:
    for result in played.results:
        if result.outcome in LANDED:
            if result.may_have_landed:
                yield f"{result.target} landed, and may have landed"
            continue
        reference = result.target.reference
        versions = versions_of(played, reference)
        if versions and versions[-1].ours and not result.may_have_landed:
            yield f"{result.target} is {result.outcome}, and the registry has it"
        sent = [w for w in writes_of(played, reference) if w.answer not in REFUSED]
        if result.may_have_landed and not sent:
            yield f"{result.target} may have landed, and was never sent"


def before_is_true(played: Played) -> Iterator[str]:
    for result in played.results:
        reference = result.target.reference
        written = min((w.began for w in writes_of(played, reference)), default=float("inf"))
        reads = [r for r in reads_of(played, reference) if r.good and r.ended <= written + HAIR]
        # a tag that is not written may be read once more by a question whether the registry answers
        last = reads[-1:] if written < float("inf") else reads
        if result.known_before and all(read.seen != result.before for read in last):
            yield f"{result.target} is said to have named {result.before}"
        if not result.known_before and result.before is not None:
            yield f"{result.target} named something, and that is not known"
        if result.outcome in LANDED and reads and not result.known_before:
            yield f"{result.target} was read before its write, and what it named is not told"


def overtaken_is_final(played: Played) -> Iterator[str]:
    for result in played.results:
        writes = writes_of(played, result.target.reference)
        for read in _thirds(played, result):
            if any(w.began > read.ended + HAIR for w in writes):
                yield f"{result.target} was overtaken, and written again"


def _thirds(played: Played, result: TargetResult) -> Iterator[Request]:
    """Yield the reads after a write that show what this run neither found nor sent."""
    reference: TagReference = result.target.reference
    wanted = played.scenario.digests[result.target.source]
    writes = writes_of(played, reference)
    image = played.scenario.images[result.target.source]
    stored = image is not None and image.digest is not None
    parts = [write.ended for write in writes if write.operation == "push" and not write.good]
    for read in reads_of(played, reference):
        if stored and any(ended <= read.began + HAIR for ended in parts):
            continue  # it may be a part of what docker push sent
        third = read.seen not in {None, result.before, wanted} and result.known_before
        if third and any(write.ended <= read.began + HAIR for write in writes):
            yield read


OUTCOME_CHECKS: tuple[Check, ...] = (
    one_outcome,
    tried_or_skipped,
    causes_are_its_own,
    deadlines_tell_what_kept_failing,
    kept_tags_are_another_images,
    tags_move_together,
    pushed_is_true,
    doubt_is_told,
    before_is_true,
    overtaken_is_final,
)

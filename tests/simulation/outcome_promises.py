"""Promises for outcomes: exactly one for each target, with its actual cause, verified if landed."""

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
from tests.simulation.silence_promises import SILENT

ENDS = frozenset({Kind.CANCELLED, Kind.DEADLINE, Kind.FAIL_FAST})

REFUSED = frozenset({"denied", "tag-refused", "throttled", "secondary", "unknown-query"})
"""Answers to a write that surely had no effect."""

CAUSES: dict[str, frozenset[Kind]] = {
    "broken": frozenset({Kind.SERVER_ERROR}),
    "down": frozenset(
        {Kind.SERVER_ERROR, Kind.THROTTLED}
    ),  # with a wait it is classified as a throttle
    "lost": frozenset({Kind.SERVER_ERROR}),
    "unreachable": frozenset({Kind.NETWORK}),
    "silent": frozenset({Kind.TIMEOUT}),
    "cut off": frozenset({Kind.NETWORK}),
    "incomplete": frozenset({Kind.CONTENT_MISSING}),
    "throttled": frozenset({Kind.THROTTLED}),
    "secondary": frozenset({Kind.SECONDARY_LIMIT}),
    "denied": frozenset({Kind.DENIED}),
    "tag-refused": frozenset({Kind.TAG_REFUSED}),
    "odd": frozenset({Kind.NOT_VISIBLE, Kind.NOT_FOUND, Kind.UNKNOWN}),
    "bug": frozenset({Kind.INTERNAL}),
    "unknown-query": frozenset(),
    "gone": frozenset({Kind.NOT_FOUND, Kind.NOT_VISIBLE}),
    "none": frozenset({Kind.TIMEOUT}),
    "ok": frozenset({Kind.NOT_VISIBLE}),  # accepted, and not visible yet
}
"""The possible kinds of a failure by the answer."""


# -- promise 1: exactly one outcome ---------------------------------------------------------


def one_outcome(played: Played) -> Iterator[str]:
    targets = [result.target for result in played.results]
    if targets != list(played.scenario.plan.targets):
        yield "the results are not the plan's targets"
    reported = {e.result.target: e.result for _, e in played.events if isinstance(e, Ended)}
    if sum(isinstance(e, Ended) for _, e in played.events) != len(reported):
        yield "a target ended twice"
    for result in played.results:
        if reported.get(result.target) != result:
            yield f"{result.target} ended otherwise than its event says"
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
            yield f"{result.target} is skipped although it was tried"
        if result.outcome is Outcome.SKIPPED and kind not in ENDS | {Kind.HELD_BACK}:
            yield f"{result.target} is skipped for {kind}"
        cut_off = result.outcome is Outcome.FAILED and kind in {Kind.CANCELLED, Kind.DEADLINE}
        if cut_off and not tried:
            yield f"{result.target} was cut off although it was never tried"
        if kind is Kind.FAIL_FAST and result.outcome is not Outcome.SKIPPED:
            yield f"{result.target} was tried, and is reported as ended by fail-fast"
        if kind is Kind.FAIL_FAST and not (played.scenario.fail_fast and one_failed):
            yield f"{result.target} was ended by fail-fast before any target had failed"
        if kind is Kind.CANCELLED and played.cancelled is None:
            yield f"{result.target} was cancelled without a cancel"
        deadline = played.start + played.scenario.timeout
        if kind is Kind.DEADLINE and (played.ended or 0) < deadline - HAIR:
            yield f"{result.target} was ended by a deadline that had not come"


def causes_are_of_the_target(played: Played) -> Iterator[str]:
    """Each failure is one of the target's own requests, or of the content that it waited for."""
    for result in played.results:
        kind = result.failure.kind if result.failure else None
        if kind is None or kind in ENDS | {Kind.HELD_BACK}:
            continue
        possible = set(_possible_kinds(played, result))
        if kind not in possible:
            yield f"{result.target} fails with {kind}, possible are only {sorted(possible)}"


def deadlines_quote_the_last_failure(played: Played) -> Iterator[str]:
    """At the deadline the failure quotes the target's last failure, or else its registry's."""
    for result in played.results:
        failure = result.failure
        if failure is None:
            continue
        kept = failure.kept_failing
        if kept is not None and failure.kind is not Kind.DEADLINE:
            yield f"{result.target} fails with {failure.kind}, and quotes {kept}"
        if failure.kind is not Kind.DEADLINE:
            continue
        ended = [a.failure for a in result.attempts if not (a.failure and a.failure.kind in ENDS)]
        last = ended[-1] if ended and not result.content_attempts else None
        if last is not None and (kept is not last.kind or last.message not in failure.message):
            yield f"{result.target} last failed with {last.kind}, and quotes {kept}"
        registry = result.target.reference.repository.registry
        answers = {request.answer for request in by_registry(played).get(registry, ())}
        answers |= {reading.answer for reading in played.world.readings}
        possible = {kind for answer in answers for kind in CAUSES.get(answer, ())}
        possible |= set(_possible_kinds(played, result))
        if kept is not None and kept not in possible:
            yield f"{result.target} quotes {kept}, possible are only {sorted(possible)}"


def _possible_kinds(played: Played, result: TargetResult) -> Iterator[Kind]:
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
    """Yield the requests that uploaded the content of the target's group."""
    repository = result.target.reference.repository
    content = {"get", "has-blob", "can-mount", "ask", "upload", "child"}
    wanted = played.scenario.digests[result.target.source]
    for request in played.log:
        pushed = request.operation == "push" and request.digest == wanted
        # the seed's reads also concern its content: docker push sends both
        seed = any(
            r.seed and r.target.source == result.target.source
            for r in played.results
            if r.target.reference.repository == repository
            and r.target.reference.tag in request.tags
        )
        if request.repository == repository and (request.operation in content or pushed or seed):
            yield request


def kept_tags_are_another_images(played: Played) -> Iterator[str]:
    """Check that a kept tag is protected, named another image, and was never written."""
    scenario = played.scenario
    for result in played.results:
        reference = result.target.reference
        kind = result.failure.kind if result.failure else None
        written = bool(writes_of(played, reference))
        if kind is Kind.PROTECTED and scenario.keep_protected and not written:
            yield f"{result.target} failed instead of being kept"
        if result.outcome is not Outcome.KEPT:
            continue
        reads = [r for r in reads_of(played, reference) if r.good]
        if not (scenario.keep_protected and scenario.protects(reference.tag)) or written:
            yield f"{result.target} was kept although it is not protected"
        ours = (
            {None} if _is_unsure(played, result) else {None, scenario.digests[result.target.source]}
        )
        if not reads or reads[-1].seen in ours:
            yield f"{result.target} was kept although it named no other image"
        elif result.before != reads[-1].seen:
            yield f"{result.target} was kept, and reported to name {result.before}"


def tags_move_together(played: Played) -> Iterator[str]:
    """With ``all-or-nothing``, the first tag is written when all content is complete."""
    scenario, world = played.scenario, played.world
    puts = [request for request in played.log if request.operation == "put"]
    if not scenario.all_or_nothing:
        return
    for result in played.results:
        held_back = result.failure is not None and result.failure.kind is Kind.HELD_BACK
        if held_back and writes_of(played, result.target.reference):
            yield f"{result.target} was held back, and still written"
        if held_back and all(r.failure is None for r in played.results if r is not result):
            yield f"{result.target} was held back without another failure"
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


# -- promise 2: pushed means verified -------------------------------------------------------


def pushed_tags_are_in_the_registry(played: Played) -> Iterator[str]:
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
            yield f"{reference} is {result.outcome} although the registry never had it"
        ours = any(v.ours for v in versions)
        if (result.outcome is Outcome.PUSHED) != ours and not _is_unsure(played, result):
            yield f"{reference} is {result.outcome}; written by this run: {ours}"
        yield from _is_verified(played, result, ends[result.target])


def _is_unsure(played: Played, result: TargetResult) -> bool:
    """Return whether the tag's digest cannot be compared with the image before a push.

    That is so if only the engine reaches the registry, and knows no digest before a push.
    """
    image = played.scenario.images[result.target.source]
    beyond = result.target.reference.repository.registry in played.scenario.beyond_reach
    return beyond and image is not None and image.digest is None


def _is_verified(played: Played, result: TargetResult, ended: float) -> Iterator[str]:
    """Compare ``verified`` with the last read of the tag, which must be later than its write."""
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
    # if only the engine reaches the registry and its read fails, the answer to the push decides
    beyond = reference.repository.registry in played.scenario.beyond_reach
    unreadable = beyond and bool(reads) and not reads[-1].good
    if played.scenario.verify and not unreadable:
        yield f"{reference} is {result.outcome}, unverified"


def uncertain_writes_are_reported(played: Played) -> Iterator[str]:
    for result in played.results:
        if result.outcome in LANDED:
            if result.may_have_landed:
                yield f"{result.target} landed, and is reported as uncertain"
            continue
        reference = result.target.reference
        versions = versions_of(played, reference)
        if versions and versions[-1].ours and not result.may_have_landed:
            yield f"{result.target} is {result.outcome} although the registry has it"
        sent = [w for w in writes_of(played, reference) if w.answer not in REFUSED]
        if result.may_have_landed and not sent:
            yield f"{result.target} is reported as uncertain, and was never sent"


def before_is_true(played: Played) -> Iterator[str]:
    for result in played.results:
        reference = result.target.reference
        written = min((w.began for w in writes_of(played, reference)), default=float("inf"))
        reads = [r for r in reads_of(played, reference) if r.good and r.ended <= written + HAIR]
        # a tag that is not written may be read once more to see whether the registry answers
        last = reads[-1:] if written < float("inf") else reads
        if result.known_before and all(read.seen != result.before for read in last):
            yield f"{result.target} is reported to have named {result.before}"
        if not result.known_before and result.before is not None:
            yield f"{result.target} named something, and the result does not say so"
        if result.outcome in LANDED and reads and not result.known_before:
            yield f"{result.target} was read before its write, and the result does not say so"


def overtaken_is_final(played: Played) -> Iterator[str]:
    for result in played.results:
        writes = writes_of(played, result.target.reference)
        for read in _thirds(played, result):
            if any(w.began > read.ended + HAIR for w in writes):
                yield f"{result.target} was overtaken, and written again"


def _thirds(played: Played, result: TargetResult) -> Iterator[Request]:
    """Yield the reads after a write that show a digest that this run neither found nor sent."""
    reference: TagReference = result.target.reference
    wanted = played.scenario.digests[result.target.source]
    writes = writes_of(played, reference)
    image = played.scenario.images[result.target.source]
    stored = image is not None and image.digest is not None
    parts = [write.ended for write in writes if write.operation == "push" and not write.good]
    for read in reads_of(played, reference):
        if stored and any(ended <= read.began + HAIR for ended in parts):
            continue  # it may be a part of the image that docker push sent
        third = read.seen not in {None, result.before, wanted} and result.known_before
        if third and any(write.ended <= read.began + HAIR for write in writes):
            yield read


OUTCOME_CHECKS: tuple[Check, ...] = (
    one_outcome,
    tried_or_skipped,
    causes_are_of_the_target,
    deadlines_quote_the_last_failure,
    kept_tags_are_another_images,
    tags_move_together,
    pushed_tags_are_in_the_registry,
    uncertain_writes_are_reported,
    before_is_true,
    overtaken_is_final,
)

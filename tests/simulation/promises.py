"""The promises of a run, each held against what the modelled world saw of it.

Every check yields a sentence for each promise that it finds broken.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise, permutations

from ghcr_push.model import (
    LANDED,
    Kind,
    LimitChange,
    Outcome,
    Step,
)
from ghcr_push.pushing.backoff import SLOWER
from ghcr_push.pushing.events import Ended, LimitChanged
from tests.simulation.content_promises import CONTENT_CHECKS
from tests.simulation.evidence import (
    GRACE,
    HAIR,
    PERMANENT,
    Check,
    by_registry,
    ended_at,
    failures_of,
    reads_of,
    requests_of,
    versions_of,
    was_charged,
    writes_of,
)
from tests.simulation.play import Played
from tests.simulation.world import Request


def broken_promises(played: Played) -> list[str]:
    """Say what the run broke, with the check that found it."""
    if played.ended is None:
        return ["ends: the run did not end"]
    if played.raised is not None:
        return [f"ends: the run raised {played.raised}"]
    return [
        f"{check.__name__}: {found}"
        for check in (*CHECKS, *CONTENT_CHECKS)
        for found in check(played)
    ]


# -- promise 1: exactly one outcome ---------------------------------------------------------


def one_outcome(played: Played) -> Iterator[str]:
    targets = [result.target for result in played.results]
    if targets != list(played.scenario.plan.targets):
        yield "the results are not the plan's targets"
    ended = [e.result.target for _, e in played.events if isinstance(e, Ended)]
    if len(ended) != len(set(ended)):
        yield "a target ended twice"
    for result in played.results:
        if result.outcome is Outcome.PLANNED:
            yield f"{result.target} is planned"
        if (result.outcome in LANDED) != (result.failure is None):
            yield f"{result.target} is {result.outcome} with failure {result.failure}"
        if (result.outcome in LANDED) != (result.digest is not None):
            yield f"{result.target} is {result.outcome} with digest {result.digest}"


def tried_or_skipped(played: Played) -> Iterator[str]:
    for result in played.results:
        writes = writes_of(played, result.target.reference)
        kind = result.failure.kind if result.failure else None
        tried = writes or result.all_attempts
        if result.outcome is Outcome.SKIPPED and tried:
            yield f"{result.target} is skipped, and was tried"
        cut_off = result.outcome is Outcome.FAILED and kind in {Kind.CANCELLED, Kind.DEADLINE}
        if cut_off and not tried:
            yield f"{result.target} was cut off, and never tried"
        if kind is Kind.FAIL_FAST and result.outcome is not Outcome.SKIPPED:
            yield f"{result.target} was tried and is said to be ended by fail-fast"
        if kind is Kind.CANCELLED and played.cancelled is None:
            yield f"{result.target} was cancelled by none"
        deadline = played.start + played.scenario.timeout
        if kind is Kind.DEADLINE and (played.ended or 0) < deadline - HAIR:
            yield f"{result.target} met a deadline that had not come"


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
        unread = played.scenario.beyond_reach or not played.scenario.verify
        if not result.verified and not unread:
            yield f"{reference} is {result.outcome}, unverified"
        if result.verified and not any(
            r.seen == wanted and r.good and r.ended <= ends[result.target] + HAIR
            for r in reads_of(played, reference)
        ):
            yield f"{reference} is verified, and no read showed it"
        ours = any(v.ours for v in versions)
        # a push through the engine of an image without a known digest is sent to be compared
        unsure = reference.repository.registry in played.scenario.beyond_reach
        if (result.outcome is Outcome.PUSHED) != ours and not unsure:
            yield f"{reference} is {result.outcome}; written by this run: {ours}"


def doubt_is_told(played: Played) -> Iterator[str]:
    for result in played.results:
        if result.outcome in LANDED:
            continue
        versions = versions_of(played, result.target.reference)
        if versions and versions[-1].ours and not result.may_have_landed:
            yield f"{result.target} is {result.outcome}, and the registry has it"


def before_is_true(played: Played) -> Iterator[str]:
    for result in played.results:
        reference = result.target.reference
        written = min((w.began for w in writes_of(played, reference)), default=float("inf"))
        reads = [r for r in reads_of(played, reference) if r.good and r.ended <= written + HAIR]
        if result.known_before and (not reads or reads[-1].seen != result.before):
            yield f"{result.target} is said to have named {result.before}"
        if not result.known_before and result.before is not None:
            yield f"{result.target} named something, and that is not known"


def overtaken_is_final(played: Played) -> Iterator[str]:
    for result in played.results:
        wanted = played.scenario.digests[result.target.source]
        writes = writes_of(played, result.target.reference)
        for read in reads_of(played, result.target.reference):
            third = read.seen not in {None, result.before, wanted} and result.known_before
            earlier = [write for write in writes if write.ended <= read.began + HAIR]
            if third and earlier and any(w.began > read.ended + HAIR for w in writes):
                yield f"{result.target} was overtaken, and written again"


# -- promise 3: retries ---------------------------------------------------------------------


def permanent_is_tried_once(played: Played) -> Iterator[str]:
    for target in played.scenario.plan.targets:
        writes = writes_of(played, target.reference)
        for number, write in enumerate(writes):
            if write.answer in PERMANENT and number + 1 < len(writes):
                yield f"{target} was refused for good ({write.answer}), and written again"


def transient_is_retried(played: Played) -> Iterator[str]:
    for result in played.results:
        failure = result.failure
        if result.outcome is not Outcome.FAILED or failure is None or not failure.retryable:
            continue
        own = [f for _, f in failures_of(result)]
        if not own:  # it fell with its group's content
            continue
        same = sum(f.kind is failure.kind for f in own)
        enough = len(own) >= played.scenario.max_attempts or same >= (failure.cap or 10**9)
        # the longest that a next wait could have been
        longest = max(90.0, (failure.wait or 0) + 35)
        last = result.attempts[-1]
        late = last.started + last.seconds + longest > played.scenario.timeout
        if not enough and not late:
            yield f"{result.target} was given up after {len(own)} attempts: {failure.kind}"


def attempts_are_capped(played: Played) -> Iterator[str]:
    for result in played.results:
        charged: dict[Kind | None, int] = defaultdict(int)
        for attempt, failure in failures_of(result):
            if was_charged(played, result.target, attempt, failure):
                charged[None] += 1
                charged[failure.kind] += 1
            cap = failure.cap or played.scenario.max_attempts
            if charged[None] > played.scenario.max_attempts or charged[failure.kind] > cap:
                yield f"{result.target} was tried more often than it may: {failure.kind}"


# -- promise 4: slots -----------------------------------------------------------------------


def max_parallel_is_kept(played: Played) -> Iterator[str]:
    changes = sorted(
        [(r.began, 1) for r in played.log if r.writes]
        + [(r.ended, -1) for r in played.log if r.writes]
    )
    in_flight = 0
    for at, change in changes:
        in_flight += change
        if in_flight > played.scenario.max_parallel:
            yield f"{in_flight} writes in flight at {at:.3f}"


def slots_are_used(played: Played) -> Iterator[str]:
    yield from played.unquiet[:3]


def limit_is_obeyed(played: Played) -> Iterator[str]:
    for registry, requests in by_registry(played).items():
        changes = [c for c in played.changes if c.registry == registry]
        yield from _follows(played, changes, requests)
        for write in (r for r in requests if r.writes):
            until = write.began - played.start + HAIR
            allowed = [played.scenario.max_parallel, *(c.new for c in changes if c.at <= until)][-1]
            recent = [c.old for c in changes if abs(c.at - until) < 2 * HAIR]
            if write.level > max([allowed, *recent]) + 1:  # one may be a probe
                yield f"a write began as number {write.level} under limit {allowed}"


def _follows(played: Played, changes: list[LimitChange], requests: list[Request]) -> Iterator[str]:
    """Hold the changes of a limit against each other and against what the registry refused."""
    value = played.scenario.max_parallel
    for change in changes:
        if change.old != value or not 1 <= change.new <= played.scenario.max_parallel:
            yield f"the limit jumps: {change}"
        value = change.new
        at = change.at + played.start
        if change.new < change.old and not _is_deserved(change, at, requests, played):
            yield f"the limit fell for nothing that says so: {change}"
    told = [e.change for _, e in played.events if isinstance(e, LimitChanged)]
    if [c for c in told if c in changes] != changes:
        yield "the changes of the limit are not those that were told"


def _is_deserved(change: LimitChange, at: float, requests: list[Request], played: Played) -> bool:
    """Say whether a write failed just then, and so many beside it that no more are borne."""
    spare = played.scenario.max_parallel if played.scenario.protect else 0
    writes = [r for r in requests if r.writes]
    for failed in (r for r in writes if abs(r.ended - at) < HAIR and not r.good):
        quiet = max((w.ended for w in writes if w.ended <= failed.began + HAIR), default=0.0)
        noise = min(w.ended for w in writes if w.ended > failed.began + HAIR)
        burst = [w for w in writes if quiet - HAIR <= w.began < noise - HAIR]
        refused = [w for w in writes if not w.good and failed.began < w.ended <= at + HAIR]
        shown = max(w.level for w in burst) - len(refused) - spare
        before = [c.at for c in played.changes if c.new < c.old and c.at < change.at]
        cut = played.start + max(before or [0])
        # that a question is answered well speaks for no write
        taken = [w for w in writes if w.good and w.operation != "ask" and w.began + HAIR >= cut]
        if before and not any(w.ended <= at + HAIR for w in taken):
            shown = min(shown, change.old // 2)
        if change.new >= shown:
            return True
    return any(r.answer == "secondary" and abs(r.ended - at) < HAIR for r in requests)


# -- promise 5: waits -----------------------------------------------------------------------


def waits_are_kept(played: Played) -> Iterator[str]:
    for target in played.scenario.plan.targets:
        requests = requests_of(played, target.reference)
        for refused in requests:
            until = min(refused.ended + refused.asked, played.broken_off) - HAIR
            for later in requests:
                if refused.ended + HAIR < later.began < until:
                    yield f"{target} came back {until - later.began:.3f} s too early"


def attempts_follow(played: Played) -> Iterator[str]:
    for result in played.results:
        for one, next_one in pairwise(result.attempts):
            if next_one.started < one.started + one.seconds + one.wait - HAIR:
                yield f"{result.target} did not wait {one.wait} s"
            if next_one.number != one.number + 1:
                yield f"{result.target} has attempts {one.number} and {next_one.number}"
            if one.failure is None:
                yield f"{result.target} was tried again after it landed"


def jitter_has_a_floor(played: Played) -> Iterator[str]:
    for result in played.results:
        charged = 0
        for attempt, failure in failures_of(result):
            if failure.holds or failure.kind is Kind.THROTTLED or attempt is result.attempts[-1]:
                continue
            if not was_charged(played, result.target, attempt, failure):
                continue
            charged += 1
            first = played.scenario.backoff_initial * SLOWER.get(failure.kind, 1.0)
            floor = min(60.0, first * 2.0 ** (charged - 1)) / 2
            if attempt.wait < floor - HAIR:
                yield f"{result.target} waits {attempt.wait:.3f} s, not {floor:.3f} s"


def holds_are_shared(played: Played) -> Iterator[str]:
    for requests in by_registry(played).values():
        for refused in requests:
            if refused.answer == "secondary":
                # what was under way when another was refused prolongs the hold if it is asked to
                others = (r for r in requests if r.answer == "secondary")
                first = not any(refused.began < r.ended < refused.ended for r in others)
                length = max(60.0 if first else 0.0, refused.asked)
            elif refused.answer == "throttled" and refused.asked >= 1:
                length = refused.asked
            else:
                continue
            until = min(refused.ended + length, played.broken_off) - HAIR
            for later in requests:
                if refused.ended + HAIR < later.began < until:
                    into = later.began - refused.ended
                    yield f"a {later.operation} began {into:.3f} s into a hold"


def throttled_starts_are_spaced(played: Played) -> Iterator[str]:
    for requests in by_registry(played).values():
        first = min((r.ended for r in requests if r.answer == "secondary"), default=None)
        if first is None:
            continue
        starts = sorted({r.began for r in requests if r.writes and r.began > first})
        for one, next_one in pairwise(starts):
            if next_one - one < 1 - HAIR and not played.scenario.protect:
                yield f"writes began {next_one - one:.3f} s apart after a secondary limit"


# -- promises 6 and 7, and what is promised of single inputs --------------------------------


def content_goes_up_once(played: Played) -> Iterator[str]:
    pushes = [r for r in played.log if r.operation == "push"]
    uploads = Counter((r.repository, r.digest) for r in pushes if r.uploaded)
    yield from (f"{what} went up {count} times" for what, count in uploads.items() if count > 1)
    for one, other in permutations(pushes, 2):
        if one.repository == other.repository and one.began <= other.began < one.ended - HAIR:
            yield f"two pushes into {one.repository} at once"


def seeds_push_alone(played: Played) -> Iterator[str]:
    for group in played.scenario.plan.groups:
        wanted = played.scenario.digests[group.source]
        results = [r for r in played.results if r.target in group.targets]
        about_tag = any(r.failure and r.failure.about_tag for r in results)
        pushed = {
            r.tags
            for r in played.log
            if r.operation == "push" and (r.repository, r.digest) == (group.repository, wanted)
        }
        unreached = group.repository.registry in played.scenario.beyond_reach
        if len(pushed) > 1 and not about_tag and not unreached:
            yield f"{len(pushed)} tags of one image went up by docker push"


def the_end_is_obeyed(played: Played) -> Iterator[str]:
    told, ended = played.broken_off, played.ended or 0.0
    if ended > told + GRACE:
        yield f"the run ended {ended - told:.3f} s after it was told to"
    for request in played.log:
        if request.began > told + HAIR and (request.writes or request.began > told + GRACE):
            yield f"a {request.operation} began after the end"
    if not played.scenario.fail_fast:
        return
    first = min(
        (
            at
            for at, e in played.events
            if isinstance(e, Ended) and e.result.outcome is Outcome.FAILED
        ),
        default=float("inf"),
    )
    for result in played.results:
        writes = writes_of(played, result.target.reference)
        tries = [a.started + a.seconds + played.start for a in result.attempts]
        tries += [a.started + played.start for a in result.content_attempts]
        if writes and writes[0].began > first + HAIR and min(tries) > first + HAIR:
            yield f"{result.target} was started after another had failed"


def protected_tags_stay(played: Played) -> Iterator[str]:
    for target in played.scenario.plan.targets:
        if not played.scenario.protect or not target.reference.tag.startswith("v"):
            continue
        for write in writes_of(played, target.reference):
            reads = [
                r
                for r in reads_of(played, target.reference)
                if r.good and abs(r.ended - write.began) < HAIR
            ]
            if write.operation == "batch" or not reads or reads[-1].seen is not None:
                yield f"{target} is protected, and was written unseen"


def attempts_are_recorded(played: Played) -> Iterator[str]:
    for result in played.results:
        recorded = [
            a.started + played.start
            for a in result.attempts
            if a.step not in {Step.LOOK, Step.FETCH}
        ]
        for write in writes_of(played, result.target.reference):
            if not any(abs(at - write.began) < HAIR for at in recorded):
                yield f"{result.target}: a write at {write.began:.3f} is in no attempt"
        for attempt in result.attempts:
            if not 1 <= attempt.limit <= played.scenario.max_parallel:
                yield f"{result.target}: an attempt under limit {attempt.limit}"
        if len(result.attempts) > 1 and not result.retried:
            yield f"{result.target} was retried, and is not said to be"
        landed = result.outcome is Outcome.PUSHED
        if landed and result.attempts[-1].step not in {Step.PUSH, Step.RETAG, Step.LOOK}:
            yield f"{result.target} landed by {result.attempts[-1].step}"


def outages_are_probed(played: Played) -> Iterator[str]:
    for registry, requests in by_registry(played).items():
        for outage in played.scenario.weather[registry].outages:
            begins = played.start + max(outage.begins, 0.0) + 150
            ends = min(played.start + outage.ends, played.broken_off)
            within = [r for r in requests if begins <= r.began < ends]
            # a read, a write and a read-back go with each probe
            most = 6 + 3 * (ends - begins) / 40
            unlike = outage.writes_only or played.scenario.weather[registry].hangs
            if unlike or ends <= begins:
                continue
            if len(within) > most:
                yield f"{len(within)} requests within {ends - begins:.0f} s of outage"


def plain_troubles_lose_nothing(played: Played) -> Iterator[str]:
    """Where load and outages of at most ten minutes are all that is wrong, everything lands."""
    defaults = played.scenario.max_attempts == 8 and played.scenario.timeout == 1800.0
    plain = all(
        not (
            w.faults or w.read_faults or w.bursts or w.lost or w.late or w.hangs or w.odd or w.bugs
        )
        and not (w.secondary or w.bucket or played.scenario.carriage.breaks)
        and all(outage.ends <= 620 for outage in w.outages)
        for w in played.scenario.weather.values()
    )
    if not (defaults and plain and played.scenario.backoff_initial == 2.0):
        return
    for result in played.results:
        failure = result.failure
        if failure is not None and (failure.retryable or failure.kind is Kind.DEADLINE):
            yield f"{result.target} was lost to {failure.kind}"


CHECKS: tuple[Check, ...] = (
    one_outcome,
    tried_or_skipped,
    pushed_is_true,
    doubt_is_told,
    before_is_true,
    overtaken_is_final,
    permanent_is_tried_once,
    transient_is_retried,
    attempts_are_capped,
    max_parallel_is_kept,
    slots_are_used,
    limit_is_obeyed,
    waits_are_kept,
    attempts_follow,
    jitter_has_a_floor,
    holds_are_shared,
    throttled_starts_are_spaced,
    content_goes_up_once,
    seeds_push_alone,
    the_end_is_obeyed,
    protected_tags_stay,
    attempts_are_recorded,
    outages_are_probed,
    plain_troubles_lose_nothing,
)

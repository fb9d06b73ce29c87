"""How much is in flight at once, and what the whole queue of a registry waits for."""

from collections.abc import Iterator
from itertools import accumulate, pairwise

from ghcr_push.model import Hold, Kind, LimitChange
from ghcr_push.pushing.pressure.limiter import (
    READS_PER_WRITE,
    SHARED_FROM,
    SHORTEST,
    SPACING_AFTER_THROTTLE,
    THROTTLE_FIRST,
    THROTTLE_GROWTH,
    THROTTLE_LAST,
    THROTTLE_SPREAD,
)
from ghcr_push.pushing.pressure.outage import (
    OUTAGE_AFTER,
    PROBE_FIRST,
    PROBE_LAST,
    SHARE_OF_SILENCE,
)
from ghcr_push.pushing.reads import READ_TIMEOUT
from tests.simulation.evidence import (
    HAIR,
    PERMANENT,
    Check,
    by_registry,
    later,
    limits_at,
    may_be_in_slot,
)
from tests.simulation.play import Played
from tests.simulation.records import HeldSlot, Request
from tests.simulation.scenario import Weather

# -- promise 4: slots -----------------------------------------------------------------------


def max_parallel_is_kept(played: Played) -> Iterator[str]:
    slots = [(slot.begins, slot.ends) for slot in played.slots]
    writes = [(write.began, write.ended) for write in played.log if write.writes]
    for what, spans in (("slots", slots), ("writes", writes)):
        most = _most_at_once(spans)
        if most > played.scenario.max_parallel:
            yield f"{most} {what} at once"


def _most_at_once(spans: list[tuple[float, float]]) -> int:
    changes = sorted([(begins, 1) for begins, _ in spans] + [(ends, -1) for _, ends in spans])
    return max(accumulate(change for _, change in changes), default=0)


def reads_are_bounded(played: Played) -> Iterator[str]:
    """No read begins beyond twice the limit, but for those that a slot or the end allows."""
    for registry, requests in by_registry(played).items():
        reads = [r for r in requests if not r.writes]
        for read in reads:
            if read.began >= played.broken_off - HAIR or may_be_in_slot(played, read):
                continue
            beside = [r for r in reads if r.began <= read.began < r.ended - HAIR]
            in_slots = sum(may_be_in_slot(played, r) for r in beside)
            most = READS_PER_WRITE * max(limits_at(played, registry, read.began))
            if len(beside) - in_slots > most:
                yield f"{len(beside)} reads in flight at {read.began:.3f}, not {most}"


def slots_are_used(played: Played) -> Iterator[str]:
    yield from played.unquiet[:3]


def limit_is_obeyed(played: Played) -> Iterator[str]:
    """No slot is given beyond the limit but to trials, one at a time, which grow rare."""
    for registry, requests in by_registry(played).items():
        writes = [r for r in requests if r.writes]
        for write in writes:
            allowed = max(limits_at(played, registry, write.began))
            if write.level > allowed + 1:
                yield f"a write began as number {write.level} under limit {allowed}"
        slots = [slot for slot in played.slots if slot.registry == registry]
        trials: list[HeldSlot] = []
        for slot in slots:
            allowed = max(limits_at(played, registry, slot.begins))
            if slot.level > allowed + 1:
                yield f"slot {slot.level} was given under limit {allowed}"
            if slot.level <= allowed or _in_use_with(slot, slots) <= allowed:
                continue
            if not played.scenario.adaptive:
                yield f"a trial under a fixed limit at {slot.begins:.3f}"
            if any(_is_under_way(trial, slot.begins, slots) for trial in trials):
                yield f"a second trial began at {slot.begins:.3f}"
            trials.append(slot)
        borne = sum(w.good for w in writes)
        refused = sum(_was_refused(trial, writes) for trial in trials)
        if refused > 3 + borne / FEWEST:
            yield f"{refused} trials were refused while {borne} writes were taken"


def _in_use_with(slot: HeldSlot, slots: list[HeldSlot]) -> int:
    """Count the slots in use when ``slot`` was given, without those that were left that moment."""
    before = (each.begins < slot.begins - HAIR < each.ends - 2 * HAIR for each in slots)
    beside = (abs(each.begins - slot.begins) < HAIR and each.level < slot.level for each in slots)
    return sum(before) + sum(beside) + 1


def _is_under_way(trial: HeldSlot, at: float, slots: list[HeldSlot]) -> bool:
    """Say whether a trial that began before lasts: of slots given at one moment any may be it."""
    beside = (slot for slot in slots if abs(slot.begins - trial.begins) < HAIR)
    return trial.begins < at - HAIR and all(slot.ends > at + HAIR for slot in beside)


def _was_refused(slot: HeldSlot, writes: list[Request]) -> bool:
    """Say whether the write in a slot was, for what may be pressure: it ended with it."""
    return any(
        not w.good
        and w.answer not in PERMANENT
        and w.began >= slot.begins - HAIR
        and abs(w.ended - slot.ends) < HAIR
        for w in writes
    )


FEWEST = 3
"""Writes taken, at least, for each trial that is refused, but for the first few."""


def limit_moves_for_a_reason(played: Played) -> Iterator[str]:
    """Hold the changes of a limit against each other and against what the registry answered."""
    for registry, requests in by_registry(played).items():
        changes = [c for c in played.changes if c.registry == registry]
        value = played.scenario.max_parallel
        for change in changes:
            if change.old != value or not 1 <= change.new <= played.scenario.max_parallel:
                yield f"the limit jumps: {change}"
            if not played.scenario.adaptive:
                yield f"a fixed limit moves: {change}"
            value = change.new
            if change.new < change.old and not _fall_is_deserved(change, requests, played):
                yield f"the limit fell for nothing that says so: {change}"
            if change.new > change.old and not _rise_is_deserved(change, requests, played):
                yield f"the limit rose for nothing that says so: {change}"


def _rise_is_deserved(change: LimitChange, requests: list[Request], played: Played) -> bool:
    """Say whether it rose as a write was taken, or from one as an outage ended a pause.

    That a question is answered well speaks for no write; that it is refused, against them.
    """
    at = change.at + played.start
    written = [
        r
        for r in requests
        if r.writes and not (r.operation == "ask" and r.good) and r.ended <= at + HAIR
    ]
    if any(r.good and abs(r.ended - at) < HAIR for r in written):
        return True
    last = sorted(written, key=lambda request: request.ended)[-OUTAGE_AFTER:]
    down = len(last) == OUTAGE_AFTER and not any(r.good for r in last)
    return change.old == 1 and down and abs(last[-1].ended - at) < HAIR


def _fall_is_deserved(change: LimitChange, requests: list[Request], played: Played) -> bool:
    """Say whether it fell as a write failed, for a reason that has to do with how much is sent."""
    at = change.at + played.start
    failed = (r for r in requests if r.writes and not r.good and abs(r.ended - at) < HAIR)
    return any(r.answer not in PERMANENT for r in failed)


# -- promise 5: waits that are shared -------------------------------------------------------


def holds_are_shared(played: Played) -> Iterator[str]:
    """Nothing begins sooner than a throttle of the whole client asked, be it not in words.

    A secondary limit asks for a minute, doubled each time that a probe meets it again.
    """
    for registry, requests in by_registry(played).items():
        untold = [hold for hold in played.holds if hold.registry == registry]
        for refused, length in _throttles(requests):
            for other in later(played, refused):
                into = other.began - refused.ended
                # a read that was let in at the same moment may not know of it; a write looks
                if into < length - HAIR and (other.writes or into > HAIR):
                    yield f"a {other.operation} began {into:.3f} s into a hold of {length:g} s"
            untold = [hold for hold in untold if not _is_of(hold, refused, length, played)]
        yield from (f"the queue was held for nothing: {hold}" for hold in untold)


def _throttles(requests: list[Request]) -> Iterator[tuple[Request, float]]:
    """Yield the answers that hold the whole queue, and for how long they do at least."""
    ends, again = float("-inf"), 0
    for request in sorted(requests, key=lambda request: (request.ended, request.known)):
        fresh = request.began >= ends - HAIR
        if request.good and request.writes and request.operation != "ask" and fresh:
            again = 0
        length = request.asked
        if request.answer == "secondary" and fresh:
            length = max(length, min(THROTTLE_FIRST * THROTTLE_GROWTH**again, THROTTLE_LAST))
            again += 1
        elif not _names_throttle(request) or length < SHARED_FROM:
            # what was under way when another was refused prolongs the hold if it is asked to
            continue
        ends = max(ends, request.ended + length)
        yield request, length


def _names_throttle(refused: Request) -> bool:
    """Say whether a wait that an answer names is the whole client's: in docker's words any is."""
    docker = refused.operation in {"push", "engine-head"}
    return refused.answer in {"secondary", "throttled"} or (refused.answer == "down" and docker)


def _is_of(hold: Hold, refused: Request, length: float, played: Played) -> bool:
    """Say whether ``hold`` is what a refusal called for, give or take the jitter."""
    then = abs(hold.at + played.start - refused.ended) < HAIR
    spread = THROTTLE_SPREAD if refused.answer == "secondary" else 0.0
    return then and length - HAIR <= hold.seconds <= length + spread + HAIR


def throttled_starts_are_spaced(played: Played) -> Iterator[str]:
    """After a secondary limit no two writes begin within a second."""
    for requests in by_registry(played).values():
        first = min((r.ended for r in requests if r.answer == "secondary"), default=float("inf"))
        starts = sorted(r.began for r in requests if r.writes and r.began > first)
        for one, next_one in pairwise(starts):
            if next_one - one < SPACING_AFTER_THROTTLE - HAIR:
                yield f"writes began {next_one - one:.3f} s apart after a secondary limit"


# -- outages --------------------------------------------------------------------------------


def outages_are_probed(played: Played) -> Iterator[str]:
    """Once reads fail one after the other, there are single probes, and they are spaced."""
    for registry, requests in by_registry(played).items():
        for outage in played.scenario.weather[registry].outages:
            if outage.writes_only:  # which of the units fail alone is for its own test to say
                continue
            begins, ends = played.start + outage.begins, played.start + outage.ends
            met = [r for r in requests if begins <= r.began and r.ended < ends]
            # what was let through before it began may be taken in the midst of it
            taken = max((r.ended for r in requests if r.good and r.ended < ends), default=0.0)
            known = _silence_known([r for r in met if r.began > taken])
            if known is None:
                continue
            ends = min(ends, played.broken_off)
            within = [r for r in requests if known + HAIR < r.began < ends - HAIR]
            probes = _most_probes(ends - known)
            # with a probe goes one read and one write, and the write is read back
            if len(within) > 3 * probes:
                yield f"{len(within)} requests within {ends - known:.0f} s of an outage"
            for request in within:
                beside = [r for r in within if r.began <= request.began < r.ended - HAIR]
                # one slot and one place to read, and what is read in the slot is no write
                if sum(r.writes for r in beside) > 1 or len(beside) > 2:
                    yield f"{len(beside)} requests at once in an outage"


def _silence_known(requests: list[Request]) -> float | None:
    """Return when so many reads had failed, each begun when the one before was known."""
    failures, known = 0, float("-inf")
    # a read without an answer that ended sooner was broken off by us, which says nothing
    cut = [r for r in requests if r.answer == "none" and r.ended - r.began < READ_TIMEOUT - HAIR]
    reads = [r for r in requests if not r.writes and r not in cut]
    for read in sorted(reads, key=lambda r: (r.ended, r.known)):
        if read.began >= known:
            failures, known = failures + 1, read.ended
        if failures == OUTAGE_AFTER:
            return read.ended
    return None


def _most_probes(seconds: float) -> int:
    """Say how many probes fit into an outage of that length, the jitter being the shortest."""
    probes, lasted = 1, 0.0
    while lasted < seconds:
        wait = min(max(SHARE_OF_SILENCE * lasted, PROBE_FIRST), PROBE_LAST)
        probes, lasted = probes + 1, lasted + SHORTEST * wait
    return probes


def plain_troubles_lose_nothing(played: Played) -> Iterator[str]:
    """Where load and outages of at most ten minutes are all that is wrong, everything lands."""
    defaults = played.scenario.max_attempts == 8 and played.scenario.timeout == 1800.0
    plain = all(
        not (
            w.faults or w.read_faults or w.bursts or w.lost or w.late or w.hangs or w.odd or w.bugs
        )
        and not (w.secondary or played.scenario.transfer.breaks)
        and all(outage.ends <= 620 for outage in w.outages)
        and w.silent_from == float("inf")
        and not _is_overloaded_by_order(played, w)
        for w in played.scenario.weather.values()
    )
    if not (defaults and plain and played.scenario.backoff_initial == 0.5):
        return
    for result in played.results:
        failure = result.failure
        if failure is not None and (failure.retryable or failure.kind is Kind.DEADLINE):
            yield f"{result.target} was lost to {failure.kind}"


def _is_overloaded_by_order(played: Played, weather: Weather) -> bool:
    """Return whether ``adaptive: false`` keeps more writes in flight than the registry accepts.

    They refuse each other then, and chance decides which one succeeds.
    """
    borne = min(limit for _, limit in weather.limits)
    return not played.scenario.adaptive and played.scenario.max_parallel > borne


PRESSURE_CHECKS: tuple[Check, ...] = (
    max_parallel_is_kept,
    reads_are_bounded,
    slots_are_used,
    limit_is_obeyed,
    limit_moves_for_a_reason,
    holds_are_shared,
    throttled_starts_are_spaced,
    outages_are_probed,
    plain_troubles_lose_nothing,
)

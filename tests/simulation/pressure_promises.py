"""Promises for the number of writes in flight, and for the waits of a registry's whole queue."""

from collections.abc import Iterator
from itertools import accumulate, pairwise

from ghcr_push.model import Hold, Kind, LimitChange
from ghcr_push.pushing.pressure.holds import (
    HOLD_FIRST,
    HOLD_GROWTH,
    HOLD_LAST,
    HOLD_SPREAD,
    SHARED_FROM,
    SPACING,
)
from ghcr_push.pushing.pressure.limiter import READS_PER_WRITE
from ghcr_push.pushing.pressure.outage import (
    OUTAGE_AFTER,
    PROBE_FIRST,
    PROBE_LAST,
    SHARE_OF_SILENCE,
)
from ghcr_push.pushing.pressure.timers import SHORTEST
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
from tests.simulation.scenario import Conditions

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
    """No read begins beyond twice the limit, except those in a slot or at the end of the run."""
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
    yield from played.wrong_while_idle[:3]


def limit_is_obeyed(played: Played) -> Iterator[str]:
    """Slots beyond the limit are trials, one at a time, and become rare."""
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
        accepted = sum(w.good for w in writes)
        refused = sum(_was_refused(trial, writes) for trial in trials)
        if refused > 3 + accepted / FEWEST:
            yield f"{refused} trials were refused while {accepted} writes were accepted"


def _in_use_with(slot: HeldSlot, slots: list[HeldSlot]) -> int:
    """Count the slots in use when ``slot`` was given, without those that were left that moment."""
    before = (each.begins < slot.begins - HAIR < each.ends - 2 * HAIR for each in slots)
    beside = (abs(each.begins - slot.begins) < HAIR and each.level < slot.level for each in slots)
    return sum(before) + sum(beside) + 1


def _is_under_way(trial: HeldSlot, at: float, slots: list[HeldSlot]) -> bool:
    """Return whether an earlier trial lasts; any of several slots given at once may be it."""
    beside = (slot for slot in slots if abs(slot.begins - trial.begins) < HAIR)
    return trial.begins < at - HAIR and all(slot.ends > at + HAIR for slot in beside)


def _was_refused(slot: HeldSlot, writes: list[Request]) -> bool:
    """Return whether the write in a slot was refused by what may be overload."""
    return any(
        not w.good
        and w.answer not in PERMANENT
        and w.began >= slot.begins - HAIR
        and abs(w.ended - slot.ends) < HAIR
        for w in writes
    )


FEWEST = 3
"""Minimum accepted writes for each refused trial, after the first few."""


def limit_moves_for_a_reason(played: Played) -> Iterator[str]:
    """Compare the changes of a limit with each other and with the registry's answers."""
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
                yield f"the limit fell without a reason: {change}"
            if change.new > change.old and not _rise_is_deserved(change, requests, played):
                yield f"the limit rose without a reason: {change}"


def _rise_is_deserved(change: LimitChange, requests: list[Request], played: Played) -> bool:
    """Return whether it rose when a write was accepted, or from one when an outage ended a pause.

    The success of a check for permission is no reason to rise; its refusal is one to fall.
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
    """Return whether it fell when a write failed, in a way that may be due to overload."""
    at = change.at + played.start
    failed = (r for r in requests if r.writes and not r.good and abs(r.ended - at) < HAIR)
    return any(r.answer not in PERMANENT for r in failed)


# -- promise 5: waits that are shared -------------------------------------------------------


def holds_are_shared(played: Played) -> Iterator[str]:
    """Nothing begins before the end of a hold, also if the throttle named no wait.

    A secondary limit holds the queue for a minute, and longer each time that a probe gets it again.
    """
    for registry, requests in by_registry(played).items():
        unexplained = [hold for hold in played.holds if hold.registry == registry]
        for refused, length in _throttles(requests):
            for other in later(played, refused):
                into = other.began - refused.ended
                # a read that was admitted at the same moment may not know of it; a write checks
                if into < length - HAIR and (other.writes or into > HAIR):
                    yield f"a {other.operation} began {into:.3f} s into a hold of {length:g} s"
            unexplained = [
                hold for hold in unexplained if not _is_of(hold, refused, length, played)
            ]
        yield from (f"the queue was held without a reason: {hold}" for hold in unexplained)


def _throttles(requests: list[Request]) -> Iterator[tuple[Request, float]]:
    """Yield the answers that hold the whole queue, with the minimum length of the hold."""
    ends, again = float("-inf"), 0
    for request in sorted(requests, key=lambda request: (request.ended, request.known)):
        fresh = request.began >= ends - HAIR
        if request.good and request.writes and request.operation != "ask" and fresh:
            again = 0
        length = request.asked
        if request.answer == "secondary" and fresh:
            length = max(length, min(HOLD_FIRST * HOLD_GROWTH**again, HOLD_LAST))
            again += 1
        elif not _names_throttle(request) or length < SHARED_FROM:
            # a request in flight during a refusal prolongs the hold if its answer names a wait
            continue
        ends = max(ends, request.ended + length)
        yield request, length


def _names_throttle(refused: Request) -> bool:
    """Return whether a named wait concerns the whole client; in docker's output each one does."""
    docker = refused.operation in {"push", "engine-head"}
    return refused.answer in {"secondary", "throttled"} or (refused.answer == "down" and docker)


def _is_of(hold: Hold, refused: Request, length: float, played: Played) -> bool:
    """Return whether ``hold`` is due to a refusal, within the jitter."""
    then = abs(hold.at + played.start - refused.ended) < HAIR
    spread = HOLD_SPREAD if refused.answer == "secondary" else 0.0
    return then and length - HAIR <= hold.seconds <= length + spread + HAIR


def throttled_starts_are_spaced(played: Played) -> Iterator[str]:
    """After a secondary limit no two writes begin within a second."""
    for requests in by_registry(played).values():
        first = min((r.ended for r in requests if r.answer == "secondary"), default=float("inf"))
        starts = sorted(r.began for r in requests if r.writes and r.began > first)
        for one, next_one in pairwise(starts):
            if next_one - one < SPACING - HAIR:
                yield f"writes began {next_one - one:.3f} s apart after a secondary limit"


# -- outages --------------------------------------------------------------------------------


def outages_are_probed(played: Played) -> Iterator[str]:
    """Once reads fail one after the other, single spaced probes are sent."""
    for registry, requests in by_registry(played).items():
        for outage in played.scenario.conditions[registry].outages:
            if outage.writes_only:  # units that fail alone have a separate test
                continue
            begins, ends = played.start + outage.begins, played.start + outage.ends
            within_it = [r for r in requests if begins <= r.began and r.ended < ends]
            # a request that was admitted before the outage may succeed during it
            taken = max((r.ended for r in requests if r.good and r.ended < ends), default=0.0)
            known = _silence_known([r for r in within_it if r.began > taken])
            if known is None:
                continue
            ends = min(ends, played.broken_off)
            within = [r for r in requests if known + HAIR < r.began < ends - HAIR]
            probes = _most_probes(ends - known)
            # a probe is one read and one write, and the write is read back
            if len(within) > 3 * probes:
                yield f"{len(within)} requests within {ends - known:.0f} s of an outage"
            for request in within:
                beside = [r for r in within if r.began <= request.began < r.ended - HAIR]
                # one slot for a write and one for a read; a read in the write's slot is no write
                if sum(r.writes for r in beside) > 1 or len(beside) > 2:
                    yield f"{len(beside)} requests at once in an outage"


def _silence_known(requests: list[Request]) -> float | None:
    """Return when enough reads had failed, each begun when the failure before was known."""
    failures, known = 0, float("-inf")
    # an unanswered read that ended sooner was cancelled by us, which shows nothing
    cut = [r for r in requests if r.answer == "none" and r.ended - r.began < READ_TIMEOUT - HAIR]
    reads = [r for r in requests if not r.writes and r not in cut]
    for read in sorted(reads, key=lambda r: (r.ended, r.known)):
        if read.began >= known:
            failures, known = failures + 1, read.ended
        if failures == OUTAGE_AFTER:
            return read.ended
    return None


def _most_probes(seconds: float) -> int:
    """Return the maximum number of probes in an outage of that length, with the shortest jitter."""
    probes, lasted = 1, 0.0
    while lasted < seconds:
        wait = min(max(SHARE_OF_SILENCE * lasted, PROBE_FIRST), PROBE_LAST)
        probes, lasted = probes + 1, lasted + SHORTEST * wait
    return probes


def load_and_short_outages_lose_nothing(played: Played) -> Iterator[str]:
    """Everything lands if overload and outages of at most ten minutes are the only faults."""
    defaults = played.scenario.max_attempts == 8 and played.scenario.timeout == 1800.0
    plain = all(
        not (
            w.faults or w.read_faults or w.bursts or w.lost or w.late or w.hangs or w.odd or w.bugs
        )
        and not (w.secondary or played.scenario.transfer.breaks)
        and all(outage.ends <= 620 for outage in w.outages)
        and w.silent_from == float("inf")
        and not _is_overloaded_by_order(played, w)
        for w in played.scenario.conditions.values()
    )
    if not (defaults and plain and played.scenario.backoff_initial == 0.5):
        return
    for result in played.results:
        failure = result.failure
        if failure is not None and (failure.retryable or failure.kind is Kind.DEADLINE):
            yield f"{result.target} was lost to {failure.kind}"


def _is_overloaded_by_order(played: Played, conditions: Conditions) -> bool:
    """Return whether ``adaptive: false`` keeps more writes in flight than the registry accepts.

    Then the writes exclude each other, and chance decides which one succeeds.
    """
    capacity = min(limit for _, limit in conditions.limits)
    return not played.scenario.adaptive and played.scenario.max_parallel > capacity


PRESSURE_CHECKS: tuple[Check, ...] = (
    max_parallel_is_kept,
    reads_are_bounded,
    slots_are_used,
    limit_is_obeyed,
    limit_moves_for_a_reason,
    holds_are_shared,
    throttled_starts_are_spaced,
    outages_are_probed,
    load_and_short_outages_lose_nothing,
)

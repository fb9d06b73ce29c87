"""Slots for writes within a registry's limit, for reads, and holds of the whole queue."""

from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from random import Random

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ghcr_push.model import Failure, Kind, LimitChange
from ghcr_push.pushing.events import LimitChanged, Noticed, Observer
from ghcr_push.pushing.pressure.global_limit import FifoQueue, GlobalLimit, Waiter
from ghcr_push.pushing.pressure.limit import Limit, Write
from ghcr_push.pushing.pressure.outage import Outage
from ghcr_push.pushing.pressure.pacing import GAIN_OF_READS, GAIN_OF_WRITES, Pacing
from ghcr_push.pushing.pressure.pauses import Pauses
from ghcr_push.pushing.pressure.reachability import SILENT
from ghcr_push.pushing.pressure.window import Window

READS_PER_WRITE = 2
"""Maximum number of reads in flight, as a multiple of the limit on writes."""

SPACING_AFTER_THROTTLE = 1.0
"""Seconds between starts after a secondary limit, for the rest of the run, as GitHub advises."""

THROTTLE_FIRST, THROTTLE_LAST, THROTTLE_SPREAD = 60.0, 300.0, 15.0
"""Seconds that a secondary limit holds the queue: at first, at most, and additional jitter."""

THROTTLE_GROWTH = 1.5
"""Factor of the next hold if the limit still lasts: exponential, as GitHub advises. With 2, a
hundred runners in ``ghcr`` wait 4 % longer for the same end of it (``docs/fleet.md``)."""

SHARED_FROM = 1.0
"""Seconds from which the wait in a 429 holds the whole queue; shorter ones concern a burst."""

OUTBREAK = 10.0
"""Seconds within which the broken connection of a second unit is a sign of overload."""

SHORTEST, LONGEST = 0.75, 1.25
"""Bounds of the jitter on a pause between starts or probes, as multiples of the pause."""

LOOK_LEAD = 0.5
"""Seconds before a start from which the next targets may read their tags."""

TIMER_GRACE = 0.001
"""Seconds added to timers: rounding and asyncio's clock may end a sleep slightly early."""


@dataclass(slots=True)
class Slot:
    """A slot for one write: call ``begin``, then one method for its ending, before leaving it."""

    limiter: "Limiter"
    unit: Hashable
    write: Write
    order: int
    level: int
    """The number in flight when it was given out, itself included."""
    began: float
    limit: int
    begun: bool = False

    @property
    def open(self) -> bool:
        """Whether the write may begin: a hold or a lower limit may have come since."""
        return self.limiter.may_begin_in(self)

    def begin(self) -> bool:
        """Begin the write if it may; return whether it did. The next start is spaced from now."""
        self.begun = self.open
        if self.begun:
            self.limiter.note_start()
        return self.begun

    def succeeded(self) -> None:
        """Record that the registry accepted the write."""
        self.limiter.learn_success(self)

    def answered(self) -> None:
        """Record an answer that does not show whether the registry accepts pushes."""
        self.limiter.learn_answer()

    def failed(self, failure: Failure) -> bool:
        """Record that the write failed; return whether that costs the unit an attempt."""
        return self.limiter.learn_failure(self, failure)


@dataclass(frozen=True, slots=True)
class ReadSlot:
    """A slot for one read: call one method for its ending."""

    limiter: "Limiter"
    order: int
    began: float

    def succeeded(self) -> None:
        """Record that the registry answered."""
        self.limiter.learn_read_success()

    def failed(self, failure: Failure) -> bool:
        """Record that the read failed; return whether that costs the unit an attempt."""
        return self.limiter.learn_read_failure(self, failure)


class Limiter:
    """Gives out the slots of one registry; a request that waits holds none.

    Not thread-safe: one event loop. ``tasks`` runs the timers that end holds.
    """

    def __init__(
        self,
        registry: str,
        *,
        limit: Limit,
        global_limit: GlobalLimit,
        tasks: TaskGroup,
        observer: Observer,
        random: Random,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self.registry = registry
        self.pauses = Pauses(registry, tasks, observer, clock)
        self._limit = limit
        self._tasks = tasks
        self._observer = observer
        self._random = random
        self._clock = clock
        self._writes = FifoQueue()
        self._reads = FifoQueue()
        self.window = Window(lambda: self._writers_soon)
        self.outage = Outage(registry, clock, self._after, self._went_down, self.pauses.came_back)
        self._broken: tuple[Hashable, float] | None = None
        self._closed_until = float("-inf")
        self._next_start = float("-inf")
        self._begun = 0
        """Slots in which the write has begun; in the others the tag is read again."""
        self._next_read = float("-inf")
        self._pace = Pacing(GAIN_OF_WRITES)
        self._pace_before = 0.0
        """The pause when the last failures in a row began."""
        self._read_pace = Pacing(GAIN_OF_READS)
        self._reads_slowed = float("-inf")
        self._spacing = 0.0
        self._throttles = 0
        self.share = global_limit.join(self.admit, lambda: self.wants_more)

    @property
    def limit(self) -> int:
        """Writes allowed in flight now; one if they have to be spaced."""
        return 1 if self._pace.pause else self._limit.value

    @property
    def wants_more(self) -> bool:
        """Whether a write waits that the limit would admit."""
        return bool(self._writes.waiting) and self._writes.inside < self.limit

    @property
    def busy(self) -> bool:
        """Whether a request is in flight."""
        return self._writes.inside + self._reads.inside > 0

    @property
    def blocked(self) -> bool:
        """Whether nothing can be written now: in an outage, or while the registry asked to wait."""
        return self.outage.lasts or self._clock() < self._closed_until

    @property
    def current_failure(self) -> Failure | None:
        """How requests fail while nothing can be written; None if something can."""
        return self.outage.last_failure if self.blocked else None

    @property
    def spare(self) -> bool:
        """Whether a slot is free, no write waits for it, and writes need not be spaced."""
        free = self._writes.inside < self.limit and not self._queued
        return free and not self._pace.pause and not self.outage.lasts

    @property
    def _queued(self) -> int:
        """The number of waiting writes, including those that have not read their tag yet."""
        return len(self._writes.waiting) + self.window.waiting

    @property
    def _writers_soon(self) -> int:
        """The number of waiting targets that may read their tags now, because a start is near."""
        starts = max(self._closed_until, self._next_start)
        if self.outage.lasts:
            starts = max(starts, self.outage.next_probe)
        if self._clock() < starts - LOOK_LEAD:
            return 0
        return 1 if self._is_spaced else self.limit

    @property
    def _is_spaced(self) -> bool:
        """Whether writes have to be spaced."""
        return bool(self._pace.pause or self._spacing)

    @asynccontextmanager
    async def write(self, unit: Hashable) -> AsyncIterator[Slot]:
        """Wait for a slot and hold it for the length of one write of ``unit``."""
        level = await self._enter(self._writes)
        write, order = self._limit.began(), self.outage.writes.began()
        slot = Slot(self, unit, write, order, level, self._clock(), self.limit)
        try:
            yield slot
        finally:
            self._begun -= slot.begun
            self._limit.finished(write)
            self._leave(self._writes)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSlot]:
        """Wait for a slot for a read; reads obey holds and outages, but not the limit on writes."""
        await self._enter(self._reads)
        try:
            yield self.reading()
        finally:
            self._leave(self._reads)

    def reading(self) -> ReadSlot:
        """Begin a read at once, for a caller that holds a slot already."""
        return ReadSlot(self, self.outage.reads.began(), self._clock())

    def may_begin_in(self, slot: Slot) -> bool:
        """Return whether the write in ``slot`` may still begin."""
        fits = self._writes.inside <= self.limit or self.limit >= slot.limit
        return self._clock() >= self._closed_until and fits

    def note_start(self) -> None:
        """Record that a write begins now: if writes are spaced, the next one has to wait."""
        self._begun += 1
        self._next_start = self._after(self._pace.pause, self._spacing)

    def hold(self, seconds: float, reason: str) -> None:
        """Let nothing start for ``seconds`` from now."""
        until = self._clock() + seconds
        if until <= self._closed_until:
            return
        self._closed_until = until
        self.pauses.held(seconds, reason)
        self._tasks.start_soon(self._admit_at, until)

    def admit(self) -> None:
        """Admit all requests that may start now."""
        self.window.admit()
        now = self._clock()
        down = self.outage.lasts
        if now < self._closed_until or (down and now < self.outage.next_probe):
            return
        reads, slots = READS_PER_WRITE * self.limit, self.limit
        # with fewer waiting a trial costs more than it could gain
        if self._queued > slots and not self._pace.pause:
            slots += self._limit.trial_due
        if down:
            reads = slots = 1
        while self._reads.waiting and self._reads.inside < reads and now >= self._next_read:
            self._reads.admit()
            self._next_read = self._after(self._read_pace.pause)
        while self._writes.waiting and self._writes.inside < slots:
            unbegun = self._begun < self._writes.inside
            early = now < self._next_start or (self._is_spaced and unbegun)
            if early or not self.share.take():
                return
            self._writes.admit()
            if not self.wants_more:
                self.share.global_limit.offer_round()

    def _went_down(self, failure: Failure) -> None:
        """Report an outage, and admit waiting requests once a single unit is known as its cause."""
        self.pauses.went_down(failure)
        if self.outage.unit_blamed_from > self._clock():
            self._tasks.start_soon(self._admit_at, self.outage.unit_blamed_from)

    def _after(self, pause: float, least: float = 0.0) -> float:
        """Return when ``pause``, with jitter, is over, and have waiting requests admitted then."""
        seconds = max(least, pause * self._random.uniform(SHORTEST, LONGEST))
        if not seconds:
            return float("-inf")
        # read once: a timer set before the returned time would admit nothing
        until = self._clock() + seconds
        self._tasks.start_soon(self._admit_at, until)
        if seconds > LOOK_LEAD:
            self._tasks.start_soon(self._admit_at, until - LOOK_LEAD)
        return until

    # -- endings: the caller leaves its slot next, which admits others -------------------------

    def learn_success(self, slot: Slot) -> None:
        """Record an accepted write, which ends an outage."""
        if slot.began >= self._closed_until:
            self._throttles = 0
        self.share.answers = True
        with self._watching("writes succeed"):
            self._pace.accepted()
            self._limit.accepted(slot.write)
        self.outage.write_accepted(slot.unit)

    def learn_answer(self) -> None:
        """Record an answer to a write that says nothing about other writes."""
        self.share.answers = True
        self.outage.answered()

    def learn_failure(self, slot: Slot, failure: Failure) -> bool:
        """Record how a write failed; return whether it costs the unit an attempt."""
        self.share.answers = failure.kind not in SILENT
        self.outage.failed(failure)
        self._obey(slot.began, failure)
        if failure.holds:
            return self._hold_counts(failure)
        alone = self._is_alone(slot)
        if not self._is_pressure(slot, failure, alone=alone):
            return failure.counts
        beside = None if self._limit.fixed else self._writes.inside - 1
        self.outage.write_failed(slot.unit, slot.order, in_flight=beside)
        with self._watching(_reason(failure)):
            limit_too_high = self._limit.refused(slot.write)
            self._slow_down(failure, alone=alone)
        return self._counts(failure) and not limit_too_high

    def _is_alone(self, slot: Slot) -> bool:
        """Return whether no other write was in flight during one that has ended now."""
        return slot.level == 1 and slot.order == self.outage.writes.begun

    def _slow_down(self, failure: Failure, *, alone: bool) -> None:
        """Write one at a time, with a pause, after a 429; lengthen the pause after a refusal.

        Refusals without a 429 may be random faults, which no pause makes fewer. If no write is
        accepted at all, that is an outage, whose probes are spaced separately.
        """
        if self._limit.fixed:
            return
        begins = failure.kind is Kind.THROTTLED and not self._pace.pause
        if alone and self.outage.writes.failures == 1:
            self._pace_before = self._pace.pause
        if alone and self.outage.writes.lasting:
            self._pace.pause = self._pace_before
        elif begins or (alone and self._pace.pause):
            self._pace.refused()
        if self._pace.pause:  # it begins now
            self._next_start = self._after(self._pace.pause, self._spacing)

    def learn_read_success(self) -> None:
        """Record that a read was answered."""
        self._read_pace.accepted()
        self.outage.answered()

    def learn_read_failure(self, reading: ReadSlot, failure: Failure) -> bool:
        """Record how a read failed; return whether it costs the unit an attempt."""
        self.outage.failed(failure)
        self._obey(reading.began, failure)
        if failure.holds:
            return self._hold_counts(failure)
        if not (failure.pressure or failure.kind is Kind.NETWORK):
            return failure.counts
        if failure.kind is Kind.THROTTLED and reading.began >= self._reads_slowed:
            self._reads_slowed = self._clock()
            self._read_pace.refused()
            self._next_read = self._after(self._read_pace.pause)
        self.outage.reads.failed(reading.order)
        return self._counts(failure)

    def _hold_counts(self, failure: Failure) -> bool:
        """Return whether a hold counts: the first one concerns the whole client, not this unit."""
        return failure.counts and self._throttles > 1

    def _is_pressure(self, slot: Slot, failure: Failure, *, alone: bool) -> bool:
        """Return whether a failure is a sign of overload.

        A broken connection is one if that of another unit broke just before. That of a lone write
        cannot lower the limit, but several in a row are an outage, so it counts as well. A lone
        write whose kind has its own cap was answered: it is neither.
        """
        if failure.cap is not None and alone:
            return False
        if failure.kind is not Kind.NETWORK:
            return failure.pressure
        last, self._broken = self._broken, (slot.unit, self._clock())
        if alone:
            return True
        return last is not None and last[0] != slot.unit and self._clock() - last[1] <= OUTBREAK

    def _counts(self, failure: Failure) -> bool:
        """Return whether a failure counts; in an outage it only sets the time of the next probe."""
        if not self.outage.lasts:
            return failure.counts
        self.outage.probe_failed(failure)
        return False

    def _obey(self, began: float, failure: Failure) -> None:
        """Hold the queue as the registry asks; requests from before a hold do not prolong it."""
        asked = failure.asked_wait or 0.0
        if failure.holds and began >= self._closed_until:
            floor = min(THROTTLE_FIRST * THROTTLE_GROWTH**self._throttles, THROTTLE_LAST)
            again = self._throttles > 0
            self._throttles += 1
            if not self._spacing:
                self._notice("is rate limiting us: from now on writes begin seconds apart")
            self._spacing = SPACING_AFTER_THROTTLE
            asked = max(asked, floor) + self._random.uniform(0, THROTTLE_SPREAD)
            self.hold(asked, _reason(failure))
            with self._watching(_reason(failure)):
                self._limit.throttled()
                if not self._limit.fixed:
                    self._pace.throttled(again=again)
        elif failure.holds or (failure.kind is Kind.THROTTLED and asked >= SHARED_FROM):
            self.hold(asked, _reason(failure))

    def _notice(self, sentence: str) -> None:
        self._observer(Noticed(f"{self.registry} {sentence}"))

    @contextmanager
    def _watching(self, reason: str) -> Iterator[None]:
        """Record a change of the limit made inside."""
        old = self.limit
        yield
        if self.limit == old:
            return
        change = LimitChange(
            at=self._clock(),
            registry=self.registry,
            old=old,
            new=self.limit,
            reason=reason,
        )
        self._observer(LimitChanged(change))

    # -- coming and going ---------------------------------------------------------------------

    async def _admit_at(self, time: float) -> None:
        """Call ``admit`` just after ``time``."""
        await anyio.sleep(time - self._clock() + TIMER_GRACE)
        self.admit()

    async def _enter(self, queue: FifoQueue) -> int:
        """Wait to be admitted to ``queue``; return the number inside then."""
        waiter = Waiter()
        queue.waiting[waiter] = None
        self.admit()
        try:
            await waiter.admitted.wait()
            # on asyncio a wait may return although the run was cancelled meanwhile
            await anyio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            if waiter.admitted.is_set():
                self._leave(queue)
            else:
                del queue.waiting[waiter]
                self.share.global_limit.offer_round()
            raise
        return waiter.level

    def _leave(self, queue: FifoQueue) -> None:
        queue.inside -= 1
        if queue is self._writes:
            self.share.give_back()
        else:
            self.admit()


def _reason(failure: Failure) -> str:
    return f"{failure.kind} ({failure.status})" if failure.status else str(failure.kind)

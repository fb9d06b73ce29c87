"""Slots for writes within a registry's limit, and for reads."""

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import anyio
from anyio.abc import TaskGroup

from ghcr_push.model import Failure, Kind
from ghcr_push.pushing.events import Observer
from ghcr_push.pushing.pressure.global_limit import GlobalLimit
from ghcr_push.pushing.pressure.holds import Holds
from ghcr_push.pushing.pressure.limit import Limit, Write
from ghcr_push.pushing.pressure.outage import Outage
from ghcr_push.pushing.pressure.pacing import ReadPace, WritePace
from ghcr_push.pushing.pressure.queues import FifoQueue, Window
from ghcr_push.pushing.pressure.reachability import SILENT
from ghcr_push.pushing.pressure.timers import LOOK_LEAD, Timers

READS_PER_WRITE = 2
"""Maximum number of reads in flight, as a multiple of the limit on writes."""


@dataclass(slots=True)
class Slot:
    """A slot for one write: call ``begin``, then one method for its ending, before leaving it."""

    limiter: "Limiter"
    unit: Hashable
    write: Write
    order: int
    """Its number among all writes to the registry."""
    level: int
    """The number in flight when it was given out, itself included."""
    given: float
    """When it was given out."""
    limit: int
    """The limit then."""
    begun: bool = False

    @property
    def open(self) -> bool:
        """Whether the write may begin: a hold or a lower limit may have come since."""
        limit = self.limiter.limit
        fits = self.limiter.writes.inside <= limit or limit >= self.limit
        return fits and not self.limiter.holds.lasts

    def begin(self) -> bool:
        """Begin the write if it may; return whether it did. The next start is spaced from now."""
        self.begun = self.open
        if self.begun:
            self.limiter.write_pace.began()
        return self.begun

    def succeeded(self) -> None:
        """Record that the registry accepted the write, which ends an outage."""
        self.limiter.share.answers = True
        self.limiter.holds.write_accepted(self.given)
        self.limiter.write_pace.accepted(self.write)
        self.limiter.outage.write_accepted(self.unit)

    def answered(self) -> None:
        """Record an answer that does not show whether the registry accepts pushes."""
        self.limiter.share.answers = True
        self.limiter.outage.answered()

    def failed(self, failure: Failure) -> bool:
        """Record that the write failed; return whether that costs the unit an attempt."""
        self.limiter.share.answers = failure.kind not in SILENT
        self.limiter.note_failure(self.given, failure)
        if failure.holds:
            return self.limiter.holds.counts(failure)
        outage, pace = self.limiter.outage, self.limiter.write_pace
        # no other write was in flight during this one
        alone = self.level == 1 and self.order == outage.writes.begun
        if not self._shows_overload(failure, alone=alone):
            return failure.counts
        beside = None if pace.base_limit.fixed else self.limiter.writes.inside - 1
        outage.write_failed(self.unit, self.order, in_flight=beside)
        limit_too_high = pace.refused(self.write, failure, outage.writes, alone=alone)
        return outage.counts(failure) and not limit_too_high

    def _shows_overload(self, failure: Failure, *, alone: bool) -> bool:
        """Return whether a failure is a sign of overload.

        A broken connection is one if that of another unit broke just before. That of a lone write
        cannot lower the limit, but several in a row are an outage, so it counts as well. A lone
        write whose kind has its own cap was answered: it is neither.
        """
        if failure.cap is not None and alone:
            return False
        if failure.kind is not Kind.NETWORK:
            return failure.pressure
        outage = self.limiter.outage
        return outage.units.broke(self.unit, outage.clock()) or alone


@dataclass(frozen=True, slots=True)
class ReadSlot:
    """A slot for one read: call one method for its ending."""

    limiter: "Limiter"
    order: int
    given: float

    def succeeded(self) -> None:
        """Record that the registry answered."""
        self.limiter.read_pace.accepted()
        self.limiter.outage.answered()

    def failed(self, failure: Failure) -> bool:
        """Record that the read failed; return whether it costs the unit an attempt."""
        self.limiter.note_failure(self.given, failure)
        if failure.holds:
            return self.limiter.holds.counts(failure)
        if not (failure.pressure or failure.kind is Kind.NETWORK):
            return failure.counts
        if failure.kind is Kind.THROTTLED:
            self.limiter.read_pace.throttled(self.given)
        self.limiter.outage.reads.failed(self.order)
        return self.limiter.outage.counts(failure)


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
        timers = Timers(tasks, random, clock, self.admit)
        self.registry = registry
        self.outage = Outage(registry, timers, observer)
        self.holds = Holds(registry, timers, observer)
        self.read_pace = ReadPace(timers)
        self.write_pace = WritePace(registry, limit, self.holds, timers, observer)
        self.share = global_limit.join(self.admit, lambda: self.wants_more)
        self.window = Window(lambda: self._writers_soon)
        self.reads = FifoQueue(self.admit, self.admit, global_limit.offer_round)
        self.writes = FifoQueue(self.admit, self.share.give_back, global_limit.offer_round)
        self._clock = clock

    @property
    def limit(self) -> int:
        """Writes allowed in flight now; one while there is a pause between them."""
        return self.write_pace.limit

    @property
    def wants_more(self) -> bool:
        """Whether a write waits that the limit would admit."""
        return bool(self.writes.waiting) and self.writes.inside < self.limit

    @property
    def busy(self) -> bool:
        """Whether a request is in flight."""
        return self.writes.inside + self.reads.inside > 0

    @property
    def blocked(self) -> bool:
        """Whether nothing can be written now: in an outage, or while the registry asked to wait."""
        return self.outage.lasts or self.holds.lasts

    @property
    def current_failure(self) -> Failure | None:
        """How requests fail while nothing can be written; None if something can."""
        return self.outage.last_failure if self.blocked else None

    @property
    def spare(self) -> bool:
        """Whether a slot is free, no write waits for it, and there is no pause and no outage."""
        free = self.writes.inside < self.limit and not self._queued
        return free and not self.write_pace.pause and not self.outage.lasts

    @property
    def _queued(self) -> int:
        """The number of waiting writes, including those that have not read their tag yet."""
        return len(self.writes.waiting) + len(self.window.waiting)

    @property
    def _writers_soon(self) -> int:
        """The number of waiting targets that may read their tags now, because a start is near."""
        starts = max(self.holds.until, self.write_pace.next_start)
        if self.outage.lasts:
            starts = max(starts, self.outage.next_probe)
        if self._clock() < starts - LOOK_LEAD:
            return 0
        return 1 if self.write_pace.spaced else self.limit

    @asynccontextmanager
    async def write(self, unit: Hashable) -> AsyncIterator[Slot]:
        """Wait for a slot and hold it for the length of one write of ``unit``."""
        async with self.writes.enter() as waiter:
            write, order = self.write_pace.base_limit.began(), self.outage.writes.began()
            slot = Slot(self, unit, write, order, waiter.level, self._clock(), waiter.limit)
            try:
                yield slot
            finally:
                self.write_pace.begun -= slot.begun
                self.write_pace.base_limit.finished(write)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSlot]:
        """Wait for a slot for a read; reads obey holds and outages, but not the limit on writes."""
        async with self.reads.enter():
            yield self.reading()

    def reading(self) -> ReadSlot:
        """Begin a read at once, for a caller that holds a slot already."""
        return ReadSlot(self, self.outage.reads.began(), self._clock())

    def note_failure(self, given: float, failure: Failure) -> None:
        """Record how a request failed whose slot was ``given`` out then, and hold if asked to."""
        self.outage.failed(failure)
        if self.holds.obey(given, failure):
            self.write_pace.met_secondary_limit(failure)

    def admit(self) -> None:
        """Admit all requests that may start now."""
        self.window.admit()
        now = self._clock()
        down = self.outage.lasts
        if self.holds.lasts or (down and now < self.outage.next_probe):
            return
        reads, slots = READS_PER_WRITE * self.limit, self.limit
        # with fewer waiting a trial costs more than it could gain
        if self._queued > slots and not self.write_pace.pause:
            slots += self.write_pace.base_limit.trial_due
        if down:
            reads = slots = 1
        while self.reads.waiting and self.reads.inside < reads and now >= self.read_pace.next_start:
            self.reads.admit_first()
            self.read_pace.began()
        while self.writes.waiting and self.writes.inside < slots:
            unbegun = self.write_pace.begun < self.writes.inside
            early = now < self.write_pace.next_start or (self.write_pace.spaced and unbegun)
            if early or not self.share.take():
                return
            self.writes.admit_first().limit = self.limit
            if not self.wants_more:
                self.share.global_limit.offer_round()

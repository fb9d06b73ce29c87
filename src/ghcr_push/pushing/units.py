"""The units of a group's content: each is tried in separate slots, recorded, and retried."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from ghcr_push.model import Failure, Kind, Step, Target
from ghcr_push.pushing.context import NotStartedError, RunContext, ours
from ghcr_push.pushing.journal import ContentLog, Journal
from ghcr_push.pushing.pressure.limiter import Limiter, Slot
from ghcr_push.pushing.pressure.retry import AttemptError, FailureCount
from ghcr_push.pushing.reads import Reader, answered
from ghcr_push.pushing.registry_state import RegistryState
from ghcr_push.references import Digest, Repository

T = TypeVar("T")


async def _unseen() -> None:
    """Skip the read: the write is needed in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What the units of one content share: it is uploaded with ``seed``, to its repository.

    ``may_begin`` says whether a write may start now; ``log`` has the attempts.
    """

    seed: Target
    context: RunContext
    registry_state: RegistryState
    may_begin: Callable[[], bool]
    log: ContentLog

    @property
    def repository(self) -> Repository:
        """The target repository."""
        return self.seed.reference.repository

    @property
    def limiter(self) -> Limiter:
        """The limiter of its registry."""
        return self.registry_state.limiter

    @property
    def reader(self) -> Reader:
        """Reads of the repository."""
        return Reader(self.context, self.limiter, self.repository)


class Unit:
    """A reading, a blob or a manifest, and its attempts so far; ``blob`` if it is one."""

    def __init__(self, units: Units, blob: Digest | None = None) -> None:
        self.journal = Journal(units.context.clock)
        self._units = units
        self._blob = blob
        self._failure_count = FailureCount()
        self._retried_from = float("-inf")
        """The time before which it is not retried, even if the waiting task was cancelled."""
        units.log.units.append(self.journal)

    async def send(
        self,
        digest: Digest,
        request: Callable[[], Awaitable[T]],
        look_again: Callable[[], Awaitable[T | None]] = _unseen,
        source_wait: Callable[[], float] = lambda: 0.0,
    ) -> T:
        """Write once, in a slot, unless ``look_again``, called in it, finds that it is done.

        ``digest`` is that of the written manifest or blob, or of a written list's subject.
        ``source_wait`` returns the seconds for which the source asked to wait, outside of a slot.
        """
        units = self._units
        while True:
            if seconds := source_wait():
                await anyio.sleep(seconds)
            async with units.limiter.write((units.repository, digest)) as slot:
                found = await look_again() if slot.open else None
                if found is not None:
                    return found
                if not units.may_begin():
                    raise NotStartedError
                if not source_wait() and slot.begin():
                    return await self._write(request, slot)

    async def _write(self, request: Callable[[], Awaitable[T]], slot: Slot) -> T:
        """Write once, in the slot, and learn from the result."""
        units, context = self._units, self._units.context
        self.journal.send(Step.UPLOAD, slot.limit)
        units.log.begun = True
        began = context.clock()
        try:
            result = await answered(request(), within=context.attempt_timeout)
        except Exception as error:  # an internal error, too, fails this unit alone
            failure = context.classify(error, units.repository)
            counts = slot.failed(failure)
            self.record(failure)
            raise AttemptError(failure, counts=counts) from error
        else:
            slot.succeeded()
            context.accepted.add(units.repository)
            self.record(None)
            return result
        finally:
            units.log.count(seconds_sending=context.clock() - began)
            if self.journal.step is not None:
                self.record(ours(Kind.CANCELLED, "interrupted"))

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Attempt until it is done; raise the last ``AttemptError`` if the policy gives up."""
        units, context = self._units, self._units.context
        await anyio.sleep(max(0.0, self._retried_from - context.clock()))

        def before_wait(failed: AttemptError, seconds: float) -> None:
            self._retried_from = context.clock() + seconds
            context.report_wait(
                units.seed, self.journal, failed, self._failure_count, seconds, self._blob
            )

        return await context.backoff.run(
            attempt, self._failure_count, before_wait, lambda: units.limiter.spare
        )

    async def read(self, step: Step, do: Callable[[], Awaitable[T]]) -> T:
        """Return what ``do`` gives; record the attempt that its ``AttemptError`` ends."""
        try:
            return await do()
        except AttemptError as failed:
            self.open(step)
            self.record_first(failed.failure)
            raise

    def open(self, step: Step) -> None:
        """Start an attempt."""
        self.journal.open(step, self._units.limiter.limit)

    def record_first(self, failure: Failure) -> None:
        """Record a failure before any write, unless it came after the end: nothing was tried."""
        if not self._units.may_begin():
            raise NotStartedError
        self.record(failure)

    def record_success(self) -> None:
        """Record that the current attempt succeeded, if one failed before; if not, forget it."""
        if self.journal.attempts:
            self.record(None)
        else:
            self.journal.drop()

    def record(self, failure: Failure | None) -> None:
        """Record the current attempt, and that something was tried."""
        self._units.log.begun = True
        self.journal.close(failure)

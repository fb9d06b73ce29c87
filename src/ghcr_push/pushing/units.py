"""The units of a group's content: each is tried in separate slots, recorded, and retried."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from ghcr_push.model import Failure, Kind, Step, Target
from ghcr_push.pushing.context import NotStartedError, RunContext, ours
from ghcr_push.pushing.journal import ContentLog, Journal
from ghcr_push.pushing.pressure.limiter import Limiter, Slot
from ghcr_push.pushing.pressure.retry import AttemptError, Tries
from ghcr_push.pushing.reads import Reader, answered
from ghcr_push.references import Digest

T = TypeVar("T")


@dataclass(slots=True)
class Unit:
    """A reading, a blob or a manifest, and its attempts so far."""

    journal: Journal
    blob: Digest | None = None
    tries: Tries = field(default_factory=Tries)
    rests_until: float = float("-inf")
    """The time before which it is not retried, even if the waiting task was cancelled meanwhile."""


async def _unseen() -> None:
    """Skip the read: the write is needed in any case."""


def _no_rest() -> float:
    """Return the seconds to wait for a source that is at hand."""
    return 0.0


class Units:
    """Tries the units of the content of ``seed``; ``log`` has the attempts.

    ``may_begin`` says whether a write may start now.
    """

    def __init__(
        self,
        seed: Target,
        *,
        context: RunContext,
        limiter: Limiter,
        may_begin: Callable[[], bool],
        log: ContentLog,
    ) -> None:
        self.repository = seed.reference.repository
        self.reader = Reader(context, limiter, self.repository)
        self._seed = seed
        self._context = context
        self._limiter = limiter
        self._may_begin = may_begin
        self._log = log

    def new(self, blob: Digest | None = None) -> Unit:
        """Create a unit, of ``blob`` if it is one, without attempts."""
        journal = Journal(self._context.clock)
        self._log.units.append(journal)
        return Unit(journal, blob)

    async def send(
        self,
        digest: Digest,
        request: Callable[[], Awaitable[T]],
        journal: Journal,
        look_again: Callable[[], Awaitable[T | None]] = _unseen,
        rest: Callable[[], float] = _no_rest,
    ) -> T:
        """Write once, in a slot, unless ``look_again``, called in it, finds that it is done.

        ``digest`` is that of the written manifest or blob, or of a written list's subject.
        ``rest`` gives the seconds that its source asked for: they pass without a slot.
        """
        while True:
            if seconds := rest():
                await anyio.sleep(seconds)
            async with self._limiter.write((self.repository, digest)) as slot:
                found = await look_again() if slot.open else None
                if found is not None:
                    return found
                if not self._may_begin():
                    raise NotStartedError
                if not rest() and slot.begin():
                    return await self._write(request, journal, slot)

    async def _write(self, request: Callable[[], Awaitable[T]], journal: Journal, slot: Slot) -> T:
        """Write once, in the slot, and learn from the result."""
        journal.send(Step.UPLOAD, slot.limit)
        self._log.begun = True
        began = self._context.clock()
        try:
            result = await answered(request(), within=self._context.attempt_timeout)
        except Exception as error:  # an internal error, too, fails this unit alone
            failure = self.judge(error)
            counts = slot.failed(failure)
            self.record(journal, failure)
            raise AttemptError(failure, counts=counts) from error
        else:
            slot.succeeded()
            self._context.accepted.add(self.repository)
            self.record(journal, None)
            return result
        finally:
            self._log.count(seconds_sending=self._context.clock() - began)
            if journal.step is not None:
                self.record(journal, ours(Kind.CANCELLED, "interrupted"))

    async def persist(self, unit: Unit, attempt: Callable[[], Awaitable[T]]) -> T:
        """Attempt until it is done; raise the last ``AttemptError`` if the policy gives up."""
        clock = self._context.clock
        await anyio.sleep(max(0.0, unit.rests_until - clock()))

        def before_wait(failed: AttemptError, seconds: float) -> None:
            unit.rests_until = clock() + seconds
            self._context.tell_wait(
                self._seed, unit.journal, failed, unit.tries, seconds, unit.blob
            )

        return await self._context.backoff.run(
            attempt, unit.tries, before_wait, lambda: self._limiter.spare
        )

    def judge(self, error: Exception) -> Failure:
        """Classify the error of one attempt."""
        return self._context.judge(error, self.repository)

    async def read(self, step: Step, journal: Journal, do: Callable[[], Awaitable[T]]) -> T:
        """Return what ``do`` gives; record the attempt that its ``AttemptError`` ends."""
        try:
            return await do()
        except AttemptError as failed:
            journal.open(step, self._limiter.limit)
            self.record_first(journal, failed.failure)
            raise

    def record_first(self, journal: Journal, failure: Failure) -> None:
        """Record a failure before any write, unless it came after the end: nothing was tried."""
        if not self._may_begin():
            raise NotStartedError
        self.record(journal, failure)

    def record(self, journal: Journal, failure: Failure | None) -> None:
        """Record the current attempt, and that something was tried."""
        self._log.begun = True
        journal.close(failure)

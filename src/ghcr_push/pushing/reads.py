"""Reads: limited in number and time, classified, and reported to the limiter; one attempt each."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from ghcr_push.failures import Origin, PushError
from ghcr_push.model import Kind
from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.pressure.limiter import Limiter, ReadSlot
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.references import Repository

T = TypeVar("T")

LOOK_STAYS_TRUE: Final = 1.0
"""Seconds for which a read stays valid. After a longer wait, for a slot or a back-off, another job
may have written: one more read in the slot costs less than a useless write or a wrong report."""

LAG_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Minimum seconds between reads while a registry shows the old tag: 30 s, GHCR's worst lag."""

READ_TIMEOUT: Final = 30.0
"""Time limit in seconds of a read without an answer, whatever the adapter does."""


class Reader:
    """Reads of one repository; each raises ``AttemptError`` if it fails."""

    def __init__(self, context: RunContext, limiter: Limiter, repository: Repository) -> None:
        self._context = context
        self._limiter = limiter
        self._repository = repository

    async def in_turn(self, request: Callable[[], Awaitable[T]]) -> T:
        """Wait for a slot for reads, then return the result of ``request``."""
        async with self._limiter.read() as slot:
            return await self.ask(request, slot)

    async def at_once(self, request: Callable[[], Awaitable[T]]) -> T:
        """Return the result of ``request`` without waiting, for the holder of a slot."""
        try:
            return await self.ask(request, self._limiter.reading())
        finally:
            self._limiter.admit()  # the answer may have ended an outage

    async def ask(self, request: Callable[[], Awaitable[T]], slot: ReadSlot) -> T:
        """Return the result of ``request``, made in ``slot``."""
        if given_up := self._limiter.outage.given_up:
            raise AttemptError(given_up, counts=True)
        try:
            result = await answered(request(), within=READ_TIMEOUT)
        except Exception as error:  # an internal error, too, fails this read alone
            failure = self._context.classify(error, self._repository)
            counts = slot.failed(failure)
            given_up = self._limiter.outage.given_up
            raise AttemptError(given_up or failure, counts=counts) from error
        slot.succeeded()
        return result


async def answered(request: Awaitable[T], *, within: float) -> T:
    """Return the result of ``request``; cancel it after ``within`` seconds.

    Raises its error, or ``PushError`` of kind ``timeout``.
    """
    try:
        with anyio.fail_after(within):
            return await request
    except TimeoutError as error:
        message = f"timed out after {within:g} s"
        raise PushError.of(Origin.RUN, message, Kind.TIMEOUT) from error

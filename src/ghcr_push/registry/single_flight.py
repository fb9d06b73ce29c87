"""One call for many callers who need its result at the same time."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio

from ghcr_push.failures import ErrorInfo, PushError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Flight(Generic[Value]):
    """A call in progress; once ``ended``, its result or error, or neither if it was cancelled."""

    ended: anyio.Event = field(default_factory=anyio.Event)
    brought: tuple[Value] | None = None
    failure: ErrorInfo | None = None


class SingleFlight(Generic[Key, Value]):
    """Runs at most one call per key at a time; callers that come meanwhile share its result.

    A failure is shared too: many tasks that wait for one token have seen one failure. If the task
    that runs the call is cancelled, one of the waiting tasks runs its own.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, _Flight[Value]] = {}

    async def join(self, key: Key, call: Callable[[], Awaitable[Value]]) -> Value:
        """Return the result of ``call``, or of the same call by another task."""
        while (flight := self._flights.get(key)) is not None:
            await flight.ended.wait()
            if flight.failure is not None:
                raise PushError(flight.failure)
            if flight.brought is not None:
                return flight.brought[0]
        return await self._fly(key, call)

    async def _fly(self, key: Key, call: Callable[[], Awaitable[Value]]) -> Value:
        flight = self._flights[key] = _Flight()
        try:
            value = await call()
        except PushError as error:
            flight.failure = error.evidence
            raise
        else:
            flight.brought = (value,)
            return value
        finally:
            del self._flights[key]
            flight.ended.set()

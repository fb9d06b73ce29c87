"""Records the slots that the queue gives out."""

from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

import anyio

from ghcr_push.pushing.pressure.limiter import Limiter, Slot
from tests.simulation.records import HeldSlot

SLOTS: ContextVar[list[HeldSlot]] = ContextVar("SLOTS")
"""Where the slots of a task's queue are recorded; many queues may run in one loop."""


@contextmanager
def noted() -> Iterator[None]:
    """Record every slot that is given out inside in the ``SLOTS`` of the task that gets it."""
    original = Limiter.write

    @asynccontextmanager
    async def write(self: Limiter, unit: Hashable) -> AsyncIterator[Slot]:
        async with original(self, unit) as slot:
            held = HeldSlot(self.registry, anyio.current_time(), slot.level)
            SLOTS.get().append(held)
            try:
                yield slot
            finally:
                held.ends = anyio.current_time()

    Limiter.write = write  # type: ignore[method-assign] # as long as the run lasts
    try:
        yield
    finally:
        Limiter.write = original  # type: ignore[method-assign]

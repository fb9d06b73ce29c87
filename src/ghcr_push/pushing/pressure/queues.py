"""The queues of one registry: first come, first served."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel


@dataclass(slots=True, eq=False)
class Waiter:
    """An entry of the queue."""

    admitted: anyio.Event = field(default_factory=anyio.Event)
    level: int = 0
    """The number inside at its admission, itself included."""
    limit: int = 0
    """The limit that admitted it, if it waits for a write: it may fall before the task goes on."""


@dataclass(slots=True, eq=False)
class FifoQueue:
    """A first-in, first-out queue, and the number of those admitted.

    ``came`` is called when one begins to wait, ``left`` when one that was admitted leaves, and
    ``gave_up`` when a waiting one is cancelled.
    """

    came: Callable[[], object]
    left: Callable[[], object]
    gave_up: Callable[[], object]
    inside: int = 0
    waiting: OrderedDict[Waiter, None] = field(default_factory=OrderedDict)

    def admit_first(self) -> Waiter:
        """Admit the first in the queue, and return it."""
        waiter, _ = self.waiting.popitem(last=False)
        self.inside += 1
        waiter.level = self.inside
        waiter.admitted.set()
        return waiter

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[Waiter]:
        """Wait to be admitted, and leave with the end of the block."""
        waiter = Waiter()
        self.waiting[waiter] = None
        self.came()
        try:
            await waiter.admitted.wait()
            # on asyncio a wait may return although the run was cancelled meanwhile
            await anyio.lowlevel.checkpoint_if_cancelled()
            yield waiter
        finally:
            if waiter.admitted.is_set():
                self.inside -= 1
                self.left()
            else:
                del self.waiting[waiter]
                self.gave_up()


class Window(FifoQueue):
    """The targets between reading their tag and writing it: as many at a time as ``most`` returns.

    If a target reads its tag and then waits long for a slot, another job may have moved the tag
    before it is written. So a target reads its tag only when its turn is near.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        super().__init__(came=self.admit, left=self.admit, gave_up=lambda: None)
        self._most = most

    def admit(self) -> None:
        """Admit as many as ``most`` allows now."""
        while self.waiting and self.inside < self._most():
            self.admit_first()

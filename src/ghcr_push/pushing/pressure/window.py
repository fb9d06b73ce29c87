"""How many targets of a registry may be between reading their tag and writing it.

If a target reads its tag and then waits long for a slot, another job may have moved the tag before
it is written. So a target reads its tag only when its turn is near.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel


class Window:
    """Admits, first come first served, as many at a time as ``most`` returns."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._inside = 0
        self._waiting: deque[anyio.Event] = deque()

    @property
    def waiting(self) -> int:
        """The number that wait to be admitted."""
        return len(self._waiting)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Wait to be admitted; the end of the block admits others."""
        turn = anyio.Event()
        self._waiting.append(turn)
        self.admit()
        try:
            await turn.wait()
            await anyio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            if turn.is_set():
                self._leave()
            else:
                self._waiting.remove(turn)
            raise
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        self.admit()

    def admit(self) -> None:
        """Admit as many as ``most`` allows now."""
        while self._waiting and self._inside < self._most():
            self._inside += 1
            self._waiting.popleft().set()

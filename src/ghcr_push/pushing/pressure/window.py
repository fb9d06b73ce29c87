"""How many targets of a registry may be on their way from reading their tag to writing it.

A look at a tag that then waits long for a slot is old when the tag is written: another job may
have moved it meanwhile. So those whose turn is far off have not looked yet.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel


class Window:
    """Lets in, first come first served, as many at a time as ``most`` says then."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._inside = 0
        self._waiting: deque[anyio.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many wait to be let in."""
        return len(self._waiting)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Wait to be let in; the end of the block lets in others."""
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
        """Let in whom ``most`` allows now."""
        while self._waiting and self._inside < self._most():
            self._inside += 1
            self._waiting.popleft().set()

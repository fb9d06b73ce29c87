"""Reads a blob ahead of its upload, so that neither waits for the other."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self

import anyio

from ghcr_push.background import background

MOST: Final = 4 << 20
"""Bytes to read ahead, plus at most one chunk: evens out the two connections."""


@asynccontextmanager
async def read_ahead(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield ``chunks``, read ahead in a separate task while the block runs; closes them at its end.

    An error while reading is raised after the bytes that were read before it.
    """
    buffer = _Buffer()
    async with background() as tasks:
        tasks.start_soon(buffer.fill, chunks)
        yield buffer


class _Buffer:
    """Chunks between reader and sender."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._end: Exception | None = None
        self._changed = anyio.Event()

    async def fill(self, chunks: AsyncIterator[bytes]) -> None:
        """Take all ``chunks`` as space allows; close them."""
        try:
            async for chunk in chunks:
                self._chunks.append(chunk)
                self._held += len(chunk)
                self._notify()
                while self._held >= MOST:
                    await self._changed.wait()
            self._end = StopAsyncIteration()
        except Exception as error:  # noqa: BLE001 - raised when the chunks are read
            self._end = error
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        self._notify()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self._end is not None:
                raise self._end
            await self._changed.wait()
        chunk = self._chunks.popleft()
        self._held -= len(chunk)
        self._notify()
        return chunk

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

"""The bytes of a blob that a thread reads piece by piece."""

from collections.abc import Callable
from typing import Self

from anyio import to_thread


class Pieces:
    """The pieces from ``start`` to ``end``, each read with ``read``.

    Not a generator, since those must be closed if not read to the end.
    """

    def __init__(self, read: Callable[[int], bytes], start: int, end: int) -> None:
        self._read = read
        self._place = start
        self._end = end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._place >= self._end:
            raise StopAsyncIteration
        piece = await to_thread.run_sync(self._read, self._place)
        self._place += len(piece)
        return piece

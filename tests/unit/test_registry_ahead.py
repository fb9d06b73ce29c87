"""Bytes read ahead of their upload: how many, in which order, and with errors."""

from collections.abc import AsyncGenerator

import anyio
import anyio.lowlevel
import pytest

from ghcr_push.registry.ahead import MOST, read_ahead

pytestmark = pytest.mark.anyio

CHUNK = bytes(MOST // 4)


class Source:
    """Yields ``chunks``, then raises ``error`` if there is one."""

    def __init__(self, chunks: int, error: Exception | None = None) -> None:
        self.given = 0
        self.closed = False
        self._chunks = chunks
        self._error = error

    async def chunks(self) -> AsyncGenerator[bytes]:
        try:
            for _ in range(self._chunks):
                await anyio.lowlevel.checkpoint()
                self.given += 1
                yield CHUNK
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


async def test_reads_ahead_while_the_consumer_waits_up_to_the_limit() -> None:
    source = Source(100)
    async with read_ahead(source.chunks()) as chunks:
        await anyio.wait_all_tasks_blocked()
        assert source.given == 4
        assert await anext(chunks) == CHUNK
        await anyio.wait_all_tasks_blocked()
        assert source.given == 5
        assert sum([1 async for _ in chunks]) == 99
    assert source.closed


async def test_an_unfinished_stream_is_closed() -> None:
    source = Source(100)
    kept = source.chunks()  # Python would close a dropped generator at some time
    async with read_ahead(kept) as chunks:
        await anext(chunks)
        await anyio.wait_all_tasks_blocked()
    assert source.closed
    assert source.given < 100


async def test_an_error_comes_after_the_bytes_before_it_and_as_it_was() -> None:
    source = Source(2, ValueError("broken"))
    async with read_ahead(source.chunks()) as chunks:
        assert [await anext(chunks), await anext(chunks)] == [CHUNK, CHUNK]
        with pytest.raises(ValueError, match="broken"):
            await anext(chunks)


async def test_an_error_of_the_sender_ends_the_reading_and_is_raised_as_it_was() -> None:
    source = Source(100)
    with pytest.raises(ValueError, match="refused"):
        async with read_ahead(source.chunks()):
            raise ValueError("refused")
    assert source.closed


async def test_cancelling_the_sender_stops_the_reader() -> None:
    source = Source(100)
    with anyio.move_on_after(0.0):
        async with read_ahead(source.chunks()) as chunks:
            async for _ in chunks:
                await anyio.sleep_forever()
    assert source.closed

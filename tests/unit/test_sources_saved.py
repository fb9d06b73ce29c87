"""The reader of saved images: order, back-pressure, cancelling."""

import os
import threading
from collections.abc import Callable

import anyio
import pytest
from anyio import to_thread
from tests.support.saved import (
    Choppy,
    Stored,
    classic_image,
    layer,
    reading_of_classic,
    reading_of_stored,
    saved_as_layout,
)

from ghcr_push.failures import PushError
from ghcr_push.pushing.ports import Blob
from ghcr_push.sources.compressor import CpuMeter
from ghcr_push.sources.saved import SavedImages
from ghcr_push.sources.spool import Spool

pytestmark = pytest.mark.anyio

LAYERS = [layer(1), layer(2), layer(3)]


class Pipe:
    """A reader of what the test writes; blocks like a pipe."""

    def __init__(self) -> None:
        self.end, self.start = os.pipe()

    def readinto(self, buffer: memoryview, /) -> int:
        return os.readv(self.end, [buffer])

    def close(self) -> None:
        os.close(self.start)


async def until(ready: Callable[[], bool]) -> None:
    """Wait for a thread that was left behind."""
    with anyio.fail_after(10):
        while not ready():
            await anyio.sleep(0.001)


async def drained(saved: SavedImages) -> None:
    async for blob in saved:
        blob.release()


async def test_the_image_is_known_after_the_last_blob() -> None:
    reader = Choppy(saved_as_layout(LAYERS))
    async with reading_of_classic(reader, classic_image(LAYERS), Spool()) as saved:
        with pytest.raises(RuntimeError):
            _ = saved.image
        async for blob in saved:
            blob.release()
        assert len(saved.image.manifests) == 1


async def test_reads_no_further_than_it_is_asked_to() -> None:
    spool, reader = Spool(), Choppy(saved_as_layout(LAYERS), [512])
    async with reading_of_classic(reader, classic_image(LAYERS), spool) as saved:
        async for blob in saved:
            read = reader._reads
            await anyio.lowlevel.checkpoint()
            assert reader._reads == read
            blob.release()
    assert spool.room.used == 0


async def test_time_in_compression_is_that_of_all_threads() -> None:
    clock = iter((10.0, 13.0, 20.0, 24.0))
    meter = CpuMeter(lambda: next(clock))
    for _ in range(2):
        assert meter.run(str, 1) == "1"
    assert meter.seconds == 7


async def test_time_in_compression_is_shown_if_there_is_any() -> None:
    reader = Choppy(saved_as_layout(LAYERS))
    async with reading_of_classic(reader, classic_image(LAYERS), Spool()) as saved:
        assert saved.seconds_compressing == 0
        await drained(saved)
        assert saved.seconds_compressing > 0
    stored = Stored("linux/amd64")
    async with reading_of_stored(Choppy(stored.saved()), [stored.index], Spool()) as saved:
        await drained(saved)
        assert saved.seconds_compressing == 0


async def test_a_full_spool_holds_up_the_reader_until_a_blob_is_released() -> None:
    spool = Spool(budget=4000)
    reader = Choppy(saved_as_layout(LAYERS))
    async with (
        reading_of_classic(reader, classic_image(LAYERS), spool) as saved,
        anyio.create_task_group() as tasks,
    ):

        async def release_later(blob: Blob) -> None:
            await anyio.lowlevel.checkpoint()
            blob.release()

        async for blob in saved:
            tasks.start_soon(release_later, blob)
    assert spool.room.highest <= 4000
    assert spool.room.used == 0


async def test_a_reader_that_is_closed_early_frees_all_space() -> None:
    spool = Spool()
    reader = Choppy(saved_as_layout(LAYERS))
    async with reading_of_classic(reader, classic_image(LAYERS), spool) as saved:
        async for blob in saved:
            blob.release()
            break
    assert spool.room.used == 0


async def test_cancelling_does_not_wait_for_a_silent_engine() -> None:
    spool, pipe = Spool(), Pipe()
    archive = saved_as_layout(LAYERS)
    os.write(pipe.start, archive[: len(archive) // 2])
    async with reading_of_classic(pipe, classic_image(LAYERS), spool) as saved:
        with anyio.move_on_after(0.2) as scope:
            async for blob in saved:
                blob.release()
        assert scope.cancelled_caught
    pipe.close()  # like the end of the writing process
    await until(lambda: not spool.room.used)


async def test_cancelling_ends_a_wait_for_space() -> None:
    spool = Spool(budget=1)
    held: list[Blob] = []
    reader = Choppy(saved_as_layout(LAYERS))
    async with reading_of_classic(reader, classic_image(LAYERS), spool) as saved:
        held.append(await anext(saved))
        with anyio.move_on_after(0.2):
            held.append(await anext(saved))
    await until(lambda: spool.room.used <= sum(blob.size for blob in held))
    assert len(held) == 1
    held[0].release()
    assert spool.room.used == 0


async def test_a_failure_ends_it_and_frees_all_space() -> None:
    spool = Spool()
    reader = Choppy(saved_as_layout(LAYERS)[:-2000])
    async with reading_of_classic(reader, classic_image(LAYERS), spool) as saved:
        with pytest.raises(PushError):
            await drained(saved)
    assert spool.room.used == 0


async def test_asks_for_the_complaint_in_a_thread() -> None:
    threads: list[int] = []

    def complaint() -> str:
        threads.append(threading.get_ident())
        return "the engine went away"

    async with reading_of_classic(
        Choppy(b""), classic_image(LAYERS), Spool(), complaint=complaint
    ) as saved:
        with pytest.raises(PushError, match="went away"):
            await anext(saved)
    assert threads
    assert threads != [threading.get_ident()]


async def test_other_work_goes_on_while_it_reads() -> None:
    pipe, ticks = Pipe(), 0
    archive = saved_as_layout(LAYERS)
    async with (
        reading_of_classic(pipe, classic_image(LAYERS), Spool()) as saved,
        anyio.create_task_group() as tasks,
    ):

        async def write_slowly() -> None:
            nonlocal ticks
            for start in range(0, len(archive), 4096):
                await to_thread.run_sync(os.write, pipe.start, archive[start : start + 4096])
                ticks += 1
            pipe.close()

        tasks.start_soon(write_slowly)
        async for blob in saved:
            blob.release()
    assert ticks == -(-len(archive) // 4096)

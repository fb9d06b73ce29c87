"""Temporary space: its bound, waiting for it, freeing it."""

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from tests.support.saved import digest_of, released

from ghcr_push.failures import PushError, classify
from ghcr_push.model import Kind
from ghcr_push.sources.spool import Spool, SpooledBlob, Stopped

pytestmark = pytest.mark.anyio
RUNNING = threading.Event()


def spooled(spool: Spool, content: bytes, most: int | None = None) -> SpooledBlob:
    file = spool.file("sha256", RUNNING, most)
    file.write(content)
    return file.finished()


async def test_reads_a_blob_again_and_from_any_place() -> None:
    content = os.urandom(700_000)
    with released(spooled(Spool(), content)) as blob:
        assert (blob.size, blob.digest) == (len(content), digest_of(content))
        for start in (0, 0, 1, 262_144, 699_999, 700_000):
            read = b"".join([chunk async for chunk in blob.chunks(start)])
            assert read == content[start:]


def test_leaves_no_name_on_the_disk(tmp_path: Path) -> None:
    with released(spooled(Spool(folder=tmp_path), b"content")):
        assert list(tmp_path.iterdir()) == []


def test_frees_space_once() -> None:
    spool = Spool()
    blob = spooled(spool, b"12345")
    assert spool.room.used == 5
    blob.release()
    blob.release()
    assert (spool.room.used, spool.room.highest) == (0, 5)


def test_frees_the_space_of_an_unfinished_blob() -> None:
    spool = Spool()
    file = spool.file("sha256", RUNNING)
    file.write(b"12345")
    file.discarded()
    assert spool.room.used == 0


async def test_a_released_blob_cannot_be_read() -> None:
    blob = spooled(Spool(), b"12345")
    blob.release()
    with pytest.raises(ValueError, match="released"):
        [_ async for _ in blob.chunks()]


def test_a_blob_larger_than_the_budget_goes_through_alone() -> None:
    spool = Spool(budget=3)
    with released(spooled(spool, b"12345")) as blob:
        assert blob.size == 5


def test_a_writer_waits_until_a_blob_is_released() -> None:
    spool = Spool(budget=8)
    first = spooled(spool, b"12345")
    written = threading.Event()

    def write() -> None:
        with released(spooled(spool, b"6789")):
            written.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not written.is_set()
    first.release()
    thread.join(10)
    assert written.is_set()
    assert spool.room.highest <= 8


def test_a_waiting_writer_stops_on_request() -> None:
    spool, stopping, stopped = Spool(budget=8), threading.Event(), threading.Event()
    first = spooled(spool, b"12345")

    def write() -> None:
        file = spool.file("sha256", stopping)
        try:
            file.write(b"6789")
        except Stopped:
            file.discarded()
            stopped.set()

    thread = threading.Thread(target=write)
    thread.start()
    stopping.set()
    spool.wake()
    thread.join(10)
    assert stopped.is_set()
    first.release()
    assert spool.room.used == 0


def in_threads(writers: Sequence[Callable[[], object]]) -> None:
    """Run all ``writers`` in parallel until they have ended."""
    threads = [threading.Thread(target=writer) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("known", [True, False], ids=["sizes known", "sizes unknown"])
@pytest.mark.parametrize(
    "sizes",
    [[[40], [40]], [[40, 3], [5, 5, 40], [1, 9, 30]], [[4, 4, 4]] * 6, [[10, 10]] * 3],
    ids=str,
)
def test_any_number_of_writers_keeps_within_the_budget_or_the_largest_blob(
    sizes: list[list[int]],
    known: bool,
) -> None:
    spool = Spool(budget=10_000)

    def write(thousands: list[int]) -> None:
        for size in thousands:
            file = spool.file("sha256", RUNNING, size * 1000 if known else None)
            for _ in range(size * 10):
                file.write(bytes(100))
            file.finished().release()

    in_threads([partial(write, each) for each in sizes])
    assert spool.room.used == 0
    assert spool.room.highest <= max(10_000, 1000 * max(map(max, sizes)))


def test_a_blob_smaller_than_reserved_frees_the_difference_at_once() -> None:
    spool = Spool(budget=10)
    first = spooled(spool, b"123", most=10)
    with released(first), released(spooled(spool, b"4567", most=7)) as second:
        assert second.size == 4


class Looked(threading.Event):
    """An event that is never set; ``seen`` is set when a waiting writer has checked it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def is_set(self) -> bool:
        self.seen.set()
        return False


def test_a_blob_larger_than_the_budget_is_not_held_up_by_smaller_ones_that_keep_coming() -> None:
    spool, stopping = Spool(budget=10), Looked()
    ended: list[str] = []
    held = spooled(spool, b"123", most=3)
    file = spool.file("sha256", stopping)
    file.write(b"12345")
    stopping.seen.clear()

    def write_large() -> None:
        file.write(b"1234567")
        ended.append("large")
        file.finished().release()

    def write_small() -> None:
        stopping.seen.wait(20)  # from now on the large one waits until it is alone
        small = spool.file("sha256", RUNNING, 2)
        ended.append("small")
        small.discarded()

    def release() -> None:
        stopping.seen.wait(20)
        held.release()

    in_threads([write_large, write_small, release])
    assert ended == ["large", "small"]
    assert spool.room.highest == 12


def test_a_discarded_blob_frees_its_reservation() -> None:
    spool = Spool(budget=10)
    spool.file("sha256", RUNNING, 10).discarded()
    spooled(spool, b"1234567890", most=10).release()
    assert (spool.room.used, spool.room.highest) == (0, 10)


def test_a_full_disk_is_said_to_be_full() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    spool = Spool()
    file = spool.file("sha256", RUNNING)
    os.dup2(os.open(full, os.O_WRONLY), file._file.fileno())
    with pytest.raises(PushError) as raised:
        file.write(b"12345")
    assert classify(raised.value.evidence).kind is Kind.DISK_FULL
    reason = os.strerror(errno.ENOSPC).lower()
    assert f"temporary space in {tempfile.gettempdir()}: {reason}" in str(raised.value)
    file.discarded()


def test_a_folder_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(PushError, match=f"temporary space in {folder}: no such file"):
        Spool(folder=folder).file("sha256", RUNNING)

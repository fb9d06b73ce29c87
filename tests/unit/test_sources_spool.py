"""Temporary space: bounded, waited for, given back."""

import errno
import os
import threading
from pathlib import Path

import pytest
from tests.support.saved import digest_of

from ghcr_push.failures import PushError, classify
from ghcr_push.model import Kind
from ghcr_push.sources.spool import Spool, SpooledBlob, Stopped

pytestmark = pytest.mark.anyio
RUNNING = threading.Event()


def spooled(spool: Spool, content: bytes) -> SpooledBlob:
    file = spool.file("sha256", RUNNING)
    file.write(content)
    return file.finished()


async def test_reads_a_blob_again_and_from_any_place() -> None:
    content = os.urandom(700_000)
    with spooled(Spool(), content) as blob:
        assert (blob.size, blob.digest) == (len(content), digest_of(content))
        for start in (0, 0, 1, 262_144, 699_999, 700_000):
            read = b"".join([chunk async for chunk in blob.chunks(start)])
            assert read == content[start:]


def test_leaves_no_name_on_the_disk(tmp_path: Path) -> None:
    with spooled(Spool(folder=tmp_path), b"content"):
        assert list(tmp_path.iterdir()) == []


def test_gives_space_back_once() -> None:
    spool = Spool()
    blob = spooled(spool, b"12345")
    assert spool.used == 5
    blob.release()
    blob.release()
    assert (spool.used, spool.highest) == (0, 5)


def test_gives_back_the_space_of_a_blob_that_was_not_finished() -> None:
    spool = Spool()
    file = spool.file("sha256", RUNNING)
    file.write(b"12345")
    file.discarded()
    assert spool.used == 0


async def test_a_released_blob_cannot_be_read() -> None:
    blob = spooled(Spool(), b"12345")
    blob.release()
    with pytest.raises(ValueError, match="released"):
        [_ async for _ in blob.chunks()]


def test_a_blob_larger_than_the_budget_goes_through_alone() -> None:
    spool = Spool(budget=3)
    with spooled(spool, b"12345") as blob:
        assert blob.size == 5


def test_a_writer_waits_until_a_blob_is_released() -> None:
    spool = Spool(budget=8)
    first = spooled(spool, b"12345")
    written = threading.Event()

    def write() -> None:
        with spooled(spool, b"6789"):
            written.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert not written.is_set()
    first.release()
    thread.join(10)
    assert written.is_set()
    assert spool.highest <= 8


def test_a_writer_that_waits_gives_up_when_it_is_told_to() -> None:
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
    assert spool.used == 0


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
    assert os.strerror(errno.ENOSPC).lower() in str(raised.value)
    file.discarded()


def test_a_folder_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(PushError, match="temporary space: no such file"):
        Spool(folder=tmp_path / "none").file("sha256", RUNNING)

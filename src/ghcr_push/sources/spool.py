"""Temporary space, limited in bytes, between the reading of a source and its uploads."""

import errno
import hashlib
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ghcr_push.failures import Origin, PushError
from ghcr_push.model import Kind
from ghcr_push.references import Digest
from ghcr_push.sources.disk import reason
from ghcr_push.sources.pieces import Pieces

DEFAULT_BUDGET: Final = 2 << 30
"""Bytes. A hosted runner's disk has 14 GB free, most of which the job needs."""

_CHUNK: Final = 1 << 18
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def temporary_folder(environ: Mapping[str, str]) -> Path | None:
    """Return the folder for private temporary files; None for the usual one.

    If /tmp is not writable, Python uses the working folder. In a container action this is the
    workspace, which later steps publish.
    """
    temporary = environ.get("RUNNER_TEMP")
    fell_back = Path(tempfile.gettempdir()) == Path.cwd()
    return Path(temporary) if temporary and fell_back else None


class SpooledBlob:
    """A blob in temporary space, readable any number of times; ``release`` frees its space.

    ``diff_id`` is the digest of a layer's uncompressed bytes, if we compressed it.
    """

    registry = None

    def __init__(
        self, spool: "Spool", file: IO[bytes], digest: Digest, size: int, diff_id: Digest | None
    ) -> None:
        self.digest = digest
        self.size = size
        self.diff_id = diff_id
        self._spool = spool
        self._file: IO[bytes] | None = file

    def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Return the bytes from ``start`` on, in pieces; each call starts a new pass."""
        return Pieces(self.read, start, self.size)

    def read(self, start: int) -> bytes:
        """Return a piece from ``start`` on; blocks."""
        if self._file is None:
            raise ValueError(f"the blob {self.digest} was released")
        try:
            chunk = os.pread(self._file.fileno(), _CHUNK, start)
        except OSError as error:
            raise self._spool.failed(error) from error
        if not chunk:
            raise self._spool.failed(OSError(errno.EIO, "what was written is not there"))
        return chunk

    def release(self) -> None:
        """Free the space; the blob cannot be read any more. Safe to repeat."""
        if self._file is not None:
            self._file.close()
            self._file = None
            with self._spool.freeing() as room:
                room.give_back(self.size)


class SpoolFile:
    """A blob that is being written and hashed; ends as ``finished`` or ``discarded``."""

    def __init__(
        self, spool: "Spool", file: IO[bytes], algorithm: str, claim: "Claim", stop: threading.Event
    ) -> None:
        self._spool = spool
        self._file = file
        self._claim = claim
        self._stop = stop
        self._hash = hashlib.new(algorithm)

    def write(self, content: bytes | bytearray) -> None:
        """Add ``content`` when there is space; raise ``PushError`` if the disk is full."""
        self._spool.take(self._claim, len(content), self._stop)
        self._hash.update(content)
        left = memoryview(content)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._spool.failed(error) from error

    def finished(self, diff_id: Digest | None = None) -> SpooledBlob:
        """Return the blob; its claim shrinks to its size."""
        with self._spool.freeing() as room:
            room.settle(self._claim)
        digest = Digest(f"{self._hash.name}:{self._hash.hexdigest()}")
        return SpooledBlob(self._spool, self._file, digest, self._claim.used, diff_id)

    def discarded(self) -> None:
        """Drop the written bytes."""
        self._file.close()
        with self._spool.freeing() as room:
            room.drop(self._claim)


@dataclass(slots=True, eq=False)
class Claim:
    """The claim of one blob that is being written: ``most`` bytes, None if unknown."""

    most: int | None
    used: int = 0


class Room:
    """Bytes in use of ``budget``, and which writers may take more; no clock, no lock, no files.

    A writer whose maximum size fits into the free space reserves that much and never waits again.
    One writer at a time may continue without a reservation: it takes the free space, then waits
    until all other space is freed, and exceeds the budget only when it is alone. So with any number
    of writers, the space in use is at most ``budget`` or the largest blob, whichever is more.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._reserved = 0
        """Bytes of finished blobs and of reservations."""
        self._unbounded: Claim | None = None
        """The one writer without a reservation."""
        self._waits = False
        """Whether it waits for all other space to be freed: no new reservations meanwhile."""
        self.used = 0
        """Bytes in use."""
        self.highest = 0
        """The largest number of bytes in use at any time."""

    def may_begin(self, claim: Claim) -> bool:
        """Return whether ``claim`` fits, or may continue without a reservation."""
        return self._may_reserve(claim) or self._unbounded is None

    def begin(self, claim: Claim) -> None:
        """Start a writer for which ``may_begin`` is true."""
        if self._may_reserve(claim):
            self._reserved += claim.most or 0
        else:
            self._unbounded = claim

    def want(self, claim: Claim, size: int) -> None:
        """Record that the writer of ``claim`` needs ``size`` more bytes."""
        if claim is self._unbounded:
            self._waits = not self._fits(size)

    def may_take(self, claim: Claim, size: int) -> bool:
        """Return whether it may have them now."""
        return claim is not self._unbounded or not self._reserved or self._fits(size)

    def take(self, claim: Claim, size: int) -> None:
        """Give them to the writer."""
        self.done_waiting(claim)
        claim.used += size
        self.used += size
        self.highest = max(self.highest, self.used)

    def done_waiting(self, claim: Claim) -> None:
        """Record that the writer of ``claim`` no longer waits."""
        if claim is self._unbounded:
            self._waits = False

    def settle(self, claim: Claim) -> None:
        """Reduce a finished blob's claim to its size."""
        self._end(claim)
        self._reserved += claim.used

    def drop(self, claim: Claim) -> None:
        """Free the space of a blob that was never finished."""
        self._end(claim)
        self.used -= claim.used

    def give_back(self, size: int) -> None:
        """Free the space of a finished blob."""
        self._reserved -= size
        self.used -= size

    def _may_reserve(self, claim: Claim) -> bool:
        return claim.most is not None and not self._waits and self._fits(claim.most)

    def _fits(self, size: int) -> bool:
        taken = self._reserved + (self._unbounded.used if self._unbounded else 0)
        return taken + size <= self._budget

    def _end(self, claim: Claim) -> None:
        if claim is self._unbounded:
            self._unbounded = None
        else:
            self._reserved -= claim.most or 0


class Spool:
    """Unnamed temporary files in ``folder``, of ``budget`` bytes in total (see ``Room``).

    Unnamed files vanish with the process, however it ends.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET, folder: Path | None = None) -> None:
        self._folder = folder
        self.room = Room(budget)
        self._waiting: set[threading.Event] = set()
        """The events that stop waiting writers."""
        self._changed = threading.Condition()

    def file(self, algorithm: str, stopping: threading.Event, most: int | None = None) -> SpoolFile:
        """Start a blob of at most ``most`` bytes with a digest by ``algorithm``, once it may.

        Its writer stops when ``stopping`` is set and ``wake`` was called.
        """
        claim = Claim(most)
        with self._changed:
            self._wait(stopping, lambda: self.room.may_begin(claim))
            self.room.begin(claim)
        try:
            file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115 - the blob closes it
        except OSError as error:
            with self.freeing() as room:
                room.drop(claim)
            raise self.failed(error) from error
        return SpoolFile(self, file, algorithm, claim, stopping)

    def failed(self, error: OSError) -> PushError:
        """Return the failure of a file in this space; it names the folder, so the disk."""
        kind = Kind.DISK_FULL if error.errno in _FULL else None
        folder = self._folder or tempfile.gettempdir()
        return PushError.of(Origin.RUN, f"temporary space in {folder}: {reason(error)}", kind)

    def wake(self) -> None:
        """Make waiting writers check their ``stopping``."""
        with self._changed:
            self._changed.notify_all()

    def take(self, claim: Claim, size: int, stopping: threading.Event) -> None:
        """Wait for ``size`` more bytes for ``claim`` and take them."""
        with self._changed:
            self.room.want(claim, size)
            try:
                self._wait(stopping, lambda: self.room.may_take(claim, size))
            finally:
                self.room.done_waiting(claim)
            self.room.take(claim, size)

    def _wait(self, stopping: threading.Event, there_is_room: Callable[[], bool]) -> None:
        """Wait until ``there_is_room``; raise ``Stopped`` if the writer is to stop."""
        while not stopping.is_set() and not there_is_room():
            self._waiting.add(stopping)
            self._changed.wait()
            self._waiting.discard(stopping)
        if stopping.is_set():
            raise Stopped

    def is_awaited_by(self, stopping: threading.Event) -> bool:
        """Return whether the writer of ``stopping`` waits for space."""
        return stopping in self._waiting

    @contextmanager
    def freeing(self) -> Iterator[Room]:
        """Yield the room, to free space of it; waiting writers look again at the block's end."""
        with self._changed:
            yield self.room
            self._changed.notify_all()


class Stopped(Exception):  # noqa: N818 - no error: the rest is not wanted
    """The reader is gone; ends the writing thread."""

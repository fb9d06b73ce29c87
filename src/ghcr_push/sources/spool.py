"""Temporary space, bounded in bytes, between a source that is read and what becomes of it."""

import errno
import hashlib
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import Kind
from ghcr_push.references import Digest
from ghcr_push.sources.pieces import Pieces

DEFAULT_BUDGET: Final = 2 << 30
"""Bytes. A hosted runner's disk has 14 GB free, most of which belongs to the job."""

_CHUNK: Final = 1 << 18
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def temporary_folder(environ: Mapping[str, str]) -> Path | None:
    """Say where private temporary files go; None: where temporary files go anyhow.

    Where /tmp cannot be written, Python falls back on the working folder, which is the workspace
    in a container action, and that is what later steps publish.
    """
    temporary = environ.get("RUNNER_TEMP")
    fell_back = Path(tempfile.gettempdir()) == Path.cwd()
    return Path(temporary) if temporary and fell_back else None


class SpooledBlob:
    """A blob in temporary space, to be read as often as it takes; ``release`` gives its space back.

    ``diff_id`` is the digest of a layer's uncompressed bytes, where we compressed it. A context
    manager: the end of the block releases it.
    """

    def __init__(
        self, spool: "Spool", file: IO[bytes], digest: Digest, size: int, diff_id: Digest | None
    ) -> None:
        self.digest = digest
        self.size = size
        self.diff_id = diff_id
        self._spool = spool
        self._file: IO[bytes] | None = file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Return the bytes from ``start`` on, in pieces; every call begins anew."""
        return Pieces(self.read, start, self.size)

    def read(self, start: int) -> bytes:
        """Return a piece from ``start`` on; blocks."""
        if self._file is None:
            raise ValueError(f"the blob {self.digest} was released")
        try:
            chunk = os.pread(self._file.fileno(), _CHUNK, start)
        except OSError as error:
            raise _failed(error) from error
        if not chunk:
            raise _failed(OSError(errno.EIO, "what was written is not there"))
        return chunk

    def release(self) -> None:
        """Give the space back; it cannot be read any more. Again is harmless."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._spool.give_back(self.size)


class SpoolFile:
    """A blob that is being written, hashed as it is; ends as ``finished`` or ``discarded``."""

    def __init__(
        self, spool: "Spool", file: IO[bytes], algorithm: str, claim: "Claim", stop: threading.Event
    ) -> None:
        self._spool = spool
        self._file = file
        self._claim = claim
        self._stop = stop
        self._hash = hashlib.new(algorithm)

    def write(self, content: bytes | bytearray) -> None:
        """Add ``content``, once there is room; raise ``PushError`` where the disk is full."""
        self._spool.take(self._claim, len(content), self._stop)
        self._hash.update(content)
        left = memoryview(content)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _failed(error) from error

    @property
    def digest(self) -> Digest:
        """The digest of what is written so far."""
        return Digest(f"{self._hash.name}:{self._hash.hexdigest()}")

    def finished(self, diff_id: Digest | None = None) -> SpooledBlob:
        """Return the blob; it takes no more space from now on than it has bytes."""
        self._spool.settle(self._claim)
        return SpooledBlob(self._spool, self._file, self.digest, self._claim.used, diff_id)

    def discarded(self) -> None:
        """Drop what was written."""
        self._file.close()
        self._spool.drop(self._claim)


@dataclass(slots=True, eq=False)
class Claim:
    """What one blob that is being written may take: ``most`` bytes, None if that is not known."""

    most: int | None
    used: int = 0


class Room:
    """What is in use of ``budget`` bytes, and who may take more; no clock, no lock, no files.

    A writer whose largest size fits into what is left reserves that much and never waits again. One
    writer at a time may go on without a reservation: it takes what is left, then waits until all
    else is given back, and passes beyond the budget only when it is alone. So however many write,
    what is in use is never more than ``budget`` or the largest blob, whichever is more.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._reserved = 0
        """Bytes of finished blobs, and those that writers have reserved."""
        self._unbounded: Claim | None = None
        """The one writer without a reservation."""
        self._waits = False
        """Whether it waits for all else to be given back: nothing new is reserved meanwhile."""
        self.used = 0
        self.highest = 0

    def may_begin(self, claim: Claim) -> bool:
        """Say whether ``claim`` fits, or may go on without a reservation."""
        return self._may_reserve(claim) or self._unbounded is None

    def begin(self, claim: Claim) -> None:
        """Let a writer begin that may."""
        if self._may_reserve(claim):
            self._reserved += claim.most or 0
        else:
            self._unbounded = claim

    def want(self, claim: Claim, size: int) -> None:
        """Note that the writer of ``claim`` asks for ``size`` more bytes."""
        if claim is self._unbounded:
            self._waits = not self._fits(size)

    def may_take(self, claim: Claim, size: int) -> bool:
        """Say whether it may have them now."""
        return claim is not self._unbounded or not self._reserved or self._fits(size)

    def take(self, claim: Claim, size: int) -> None:
        """Let it have them."""
        self.done_waiting(claim)
        claim.used += size
        self.used += size
        self.highest = max(self.highest, self.used)

    def done_waiting(self, claim: Claim) -> None:
        """Note that the writer of ``claim`` asks for nothing any more."""
        if claim is self._unbounded:
            self._waits = False

    def settle(self, claim: Claim) -> None:
        """Keep of a finished blob's claim what it takes."""
        self._end(claim)
        self._reserved += claim.used

    def drop(self, claim: Claim) -> None:
        """Take back the room of a blob that was never finished."""
        self._end(claim)
        self.used -= claim.used

    def give_back(self, size: int) -> None:
        """Take back the room of a finished blob."""
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
    """Temporary files without a name in ``folder``, of ``budget`` bytes together (see ``Room``).

    Files without a name are gone with the process, however it ends.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET, folder: Path | None = None) -> None:
        self._folder = folder
        self._room = Room(budget)
        self._waiting: set[threading.Event] = set()
        """What would stop each writer that waits."""
        self._changed = threading.Condition()

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._room.used

    @property
    def highest(self) -> int:
        """The most bytes that were ever in use."""
        return self._room.highest

    def file(self, algorithm: str, stopping: threading.Event, most: int | None = None) -> SpoolFile:
        """Begin a blob of at most ``most`` bytes whose digest is by ``algorithm``, once it may.

        Its writer gives up once ``stopping`` is set and ``wake`` was called.
        """
        claim = self._begin(Claim(most), stopping)
        try:
            file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115 - the blob's
        except OSError as error:
            self.drop(claim)
            raise _failed(error) from error
        return SpoolFile(self, file, algorithm, claim, stopping)

    def wake(self) -> None:
        """Have waiting writers look at their ``stopping``."""
        with self._changed:
            self._changed.notify_all()

    def _begin(self, claim: Claim, stopping: threading.Event) -> Claim:
        with self._changed:
            self._wait(stopping, lambda: self._room.may_begin(claim))
            self._room.begin(claim)
        return claim

    def take(self, claim: Claim, size: int, stopping: threading.Event) -> None:
        """Wait for room for ``size`` more bytes of ``claim`` and take it."""
        with self._changed:
            self._room.want(claim, size)
            try:
                self._wait(stopping, lambda: self._room.may_take(claim, size))
            finally:
                self._room.done_waiting(claim)
            self._room.take(claim, size)

    def _wait(self, stopping: threading.Event, there_is_room: Callable[[], bool]) -> None:
        """Wait until ``there_is_room``; raise ``Stopped`` where the writer is told to stop."""
        while not stopping.is_set() and not there_is_room():
            self._waiting.add(stopping)
            self._changed.wait()
            self._waiting.discard(stopping)
        if stopping.is_set():
            raise Stopped

    def is_awaited_by(self, stopping: threading.Event) -> bool:
        """Say whether the writer that ``stopping`` stops waits for room."""
        return stopping in self._waiting

    def settle(self, claim: Claim) -> None:
        """Keep of a finished blob's claim what it takes."""
        with self._changed:
            self._room.settle(claim)
            self._changed.notify_all()

    def drop(self, claim: Claim) -> None:
        """Take back the room of a blob that was never finished."""
        with self._changed:
            self._room.drop(claim)
            self._changed.notify_all()

    def give_back(self, size: int) -> None:
        """Take back the room of a finished blob."""
        with self._changed:
            self._room.give_back(size)
            self._changed.notify_all()


class Stopped(Exception):  # noqa: N818 - no error: nobody wants the rest
    """Nobody reads any more; ends the writing thread."""


def _failed(error: OSError) -> PushError:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    kind = Kind.DISK_FULL if error.errno in _FULL else None
    return PushError(
        ErrorInfo(origin=Origin.RUN, message=f"temporary space: {reason}", kind=kind),
    )

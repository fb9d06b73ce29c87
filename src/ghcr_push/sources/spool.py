"""Temporary space between an engine that writes and a registry that reads, bounded in bytes."""

import errno
import hashlib
import os
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Final, Self

from anyio import to_thread

from ghcr_push.failures import Evidence, Origin, PushError
from ghcr_push.model import Kind
from ghcr_push.references import Digest

DEFAULT_BUDGET: Final = 2 << 30
"""Bytes. A hosted runner's disk has 14 GB free, most of which belongs to the job."""

_CHUNK: Final = 1 << 18
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
        return _Chunks(self, start)

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


class _Chunks:
    """The pieces of a blob; no generator, for those must be closed where they are left early."""

    def __init__(self, blob: SpooledBlob, start: int) -> None:
        self._blob = blob
        self._place = start

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._place >= self._blob.size:
            raise StopAsyncIteration
        chunk = await to_thread.run_sync(self._blob.read, self._place)
        self._place += len(chunk)
        return chunk


class SpoolFile:
    """A blob that is being written, hashed as it is; ends as ``finished`` or ``discarded``."""

    def __init__(
        self, spool: "Spool", file: IO[bytes], algorithm: str, stopping: threading.Event
    ) -> None:
        self._spool = spool
        self._file = file
        self._stopping = stopping
        self._hash = hashlib.new(algorithm)
        self._size = 0

    def write(self, content: bytes | bytearray) -> None:
        """Add ``content``, once there is room; raise ``PushError`` where the disk is full."""
        self._spool.take(len(content), self._stopping)
        self._size += len(content)
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
        """Return the blob; it counts as held by a reader from now on."""
        blob = SpooledBlob(self._spool, self._file, self.digest, self._size, diff_id)
        self._spool.hand_over()
        return blob

    def discarded(self) -> None:
        """Drop what was written."""
        self._file.close()
        self._spool.drop(self._size)


class Spool:
    """Temporary files without a name in ``folder``, of ``budget`` bytes together.

    A writer waits while there is no room and some blob is held that may be released. Where all
    space is the blob's own that is being written, it goes on: what is held is never more than
    ``budget`` or the largest blob, whichever is more. Files without a name are gone with the
    process, however it ends.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET, folder: Path | None = None) -> None:
        self._budget = budget
        self._folder = folder
        self._used = 0
        self._held = 0
        self._highest = 0
        self._changed = threading.Condition()

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._used

    @property
    def highest(self) -> int:
        """The most bytes that were ever in use."""
        return self._highest

    def file(self, algorithm: str, stopping: threading.Event) -> SpoolFile:
        """Begin a blob whose digest is by ``algorithm``.

        Its writer gives up once ``stopping`` is set and ``wake`` was called.
        """
        try:
            file = tempfile.TemporaryFile(buffering=0, dir=self._folder)  # noqa: SIM115 - the blob's
        except OSError as error:
            raise _failed(error) from error
        return SpoolFile(self, file, algorithm, stopping)

    def wake(self) -> None:
        """Have waiting writers look at their ``stopping``."""
        with self._changed:
            self._changed.notify_all()

    def take(self, size: int, stopping: threading.Event) -> None:
        """Wait for room for ``size`` bytes and take it."""

        def there_is_room() -> bool:
            return stopping.is_set() or not self._held or self._used + size <= self._budget

        with self._changed:
            self._changed.wait_for(there_is_room)
            if stopping.is_set():
                raise Stopped
            self._used += size
            self._highest = max(self._highest, self._used)

    def hand_over(self) -> None:
        """Count one more blob that a reader holds."""
        with self._changed:
            self._held += 1

    def give_back(self, size: int) -> None:
        """Take back the room of a blob that a reader held."""
        with self._changed:
            self._held -= 1
            self._used -= size
            self._changed.notify_all()

    def drop(self, size: int) -> None:
        """Take back the room of a blob that was never finished."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()


class Stopped(Exception):  # noqa: N818 - no error: nobody wants the rest
    """Nobody reads any more; ends the writing thread."""


def _failed(error: OSError) -> PushError:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    kind = Kind.DISK_FULL if error.errno in _FULL else None
    return PushError(
        Evidence(origin=Origin.RUN, message=f"temporary space: {reason}", kind=kind),
    )

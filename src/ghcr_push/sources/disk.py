"""Content in files, and blobs that are read from them in place, any number of times."""

import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ghcr_push.failures import Origin, PushError
from ghcr_push.model import LARGEST_MANIFEST, Kind
from ghcr_push.references import Digest
from ghcr_push.sources.pieces import Pieces

_PIECE: Final = 1 << 20

_MOST_ALIKE: Final = 5
"""Maximum number of names that are proposed for a missing source."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of bytes in a file on disk."""

    path: Path
    start: int
    size: int


class Files(Protocol):
    """Named regular files: those in a folder, or those in an archive. Raises ``PushError``."""

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None if it does not exist."""

    def content(self, name: str, most: int = LARGEST_MANIFEST) -> bytes | None:
        """Return the content of a file of at most ``most`` bytes; None if it does not exist."""

    def names(self) -> list[str]:
        """Return some names, for an error about a missing one."""


def unusable(what: str) -> PushError:
    """Return the permanent failure of a missing, damaged or ambiguous source."""
    return PushError.of(Origin.RUN, what, Kind.SOURCE_INVALID)


def absent(path: Path, is_alike: Callable[[Path], bool]) -> PushError:
    """Return the failure of a missing source; it names what is alike in the same folder."""
    there: list[str] = []
    with suppress(OSError):
        there = sorted(each.name for each in path.parent.iterdir() if is_alike(each))
    more = f" and {len(there) - _MOST_ALIKE} more" if len(there) > _MOST_ALIKE else ""
    hint = f"; its folder has {', '.join(there[:_MOST_ALIKE])}{more}" if there else ""
    if "$" in str(path) or "~" in path.parts:
        hint = "; shell variables and ~ are not expanded here"
    return unusable(f"{path} is not there{hint}")


def _is_layout(path: Path) -> bool:
    return (path / "index.json").is_file()


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise the failure of a source that cannot be read instead of an ``OSError`` in the block."""
    try:
        yield
    except OSError as error:
        raise unusable(f"{path} cannot be read: {reason(error)}") from error


class Folder:
    """The files in a folder; links are followed, only regular files are read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def extent(self, name: str) -> Extent | None:
        """Return the position of a file; a FIFO or device is rejected."""
        path = self._path / name
        with readable(path):
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        if not stat.S_ISREG(found.st_mode):
            raise unusable(f"{path} is not a regular file")
        return Extent(path, 0, found.st_size)

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes."""
        extent = self.extent(name)
        return extent.size if extent else None

    def content(self, name: str, most: int = LARGEST_MANIFEST) -> bytes | None:
        """Return the content of a small file."""
        extent = self.extent(name)
        return read_small(extent, name, most) if extent else None

    def names(self) -> list[str]:
        """Return the names in the folder itself."""
        with readable(self._path):
            try:
                return sorted(each.name for each in self._path.iterdir())
            except FileNotFoundError as error:
                raise absent(self._path, _is_layout) from error
            except NotADirectoryError as error:
                raise unusable(
                    f"{self._path} is a file; write oci-archive: or docker-archive: for an archive"
                ) from error


def read_small(extent: Extent, name: str, most: int) -> bytes:
    """Return an extent of at most ``most`` bytes; raise ``PushError`` if it has more."""
    if extent.size > most:
        what = "" if str(extent.path).endswith(name) else f" of {name}"
        size = f"{extent.size:,} bytes{what}, more than the {most:,} that are read"
        raise unusable(f"{extent.path} has {size}")
    with readable(extent.path), extent.path.open("rb") as file:
        file.seek(extent.start)
        raw = file.read(extent.size)
    if len(raw) != extent.size:
        raise unusable(f"{extent.path} ends within {name}")
    return raw


class DiskBlob:
    """A blob in a file on disk; ``release`` closes the file.

    A pass from its first byte to its last verifies the digest before it yields the last piece, so
    that no damaged blob is ever uploaded completely.
    """

    registry = None

    def __init__(self, digest: Digest, extent: Extent) -> None:
        self.digest = digest
        self.size = extent.size
        self.path = extent.path
        self._start = extent.start
        self._file: int | None = None

    def release(self) -> None:
        """Close the file; reading the blob again opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Return the bytes from ``start`` on, in pieces; each call starts a new pass."""
        check = RunningDigest(self.digest, self.size) if start == 0 else None

        def read(place: int) -> bytes:
            piece = self.read(place)
            if check is not None and not check.takes(piece):
                raise self.other()
            return piece

        return Pieces(read, start, self.size)

    def read(self, start: int) -> bytes:
        """Return a piece from ``start`` on; blocks. Raises ``PushError``."""
        with readable(self.path):
            if self._file is None:
                self._file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            piece = os.pread(self._file, min(_PIECE, self.size - start), self._start + start)
        if not piece:
            raise unusable(f"{self.path} ends within {self.digest}")
        return piece

    def other(self) -> PushError:
        """Return the error for bytes that do not match the digest."""
        return unusable(f"{self.path} has other bytes under {self.digest}")


class RunningDigest:
    """Verifies the bytes of a blob that is read from its first byte to its last."""

    def __init__(self, digest: Digest, size: int) -> None:
        self._digest = digest
        self._left = size
        self._hash = hashlib.new(digest.partition(":")[0])

    def takes(self, piece: bytes | bytearray) -> bool:
        """Add a piece; False if it is the last one and the digest differs."""
        self._hash.update(piece)
        self._left -= len(piece)
        return self._left > 0 or f"{self._hash.name}:{self._hash.hexdigest()}" == self._digest


def reason(error: OSError) -> str:
    """Return the system's reason in a few words."""
    return os.strerror(error.errno).lower() if error.errno else str(error)

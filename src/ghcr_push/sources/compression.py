"""Compressed files, decompressed as a stream while they are read."""

import gzip
import sys
import zlib
from collections.abc import Callable
from io import BufferedIOBase
from typing import IO, Final, cast

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60)))
"""RFC 8878: a frame, or a skippable frame, which pzstd writes first."""

_UNREAD: Final = {b"\xfd7zXZ": "xz"} | {b"BZh%d1A" % level: "bzip2" for level in range(1, 10)}
"""Compressions that are recognised but not supported; a plain tar starts with any file's name."""

LONGEST_SIGN: Final = 6
"""Number of first bytes needed to recognise all of them."""

Unpack = Callable[[IO[bytes]], IO[bytes]]


def unpacker(first: bytes) -> Unpack | None:
    """Return the reader for a file that starts with ``first``; None if it is not compressed.

    The reader raises ``ValueError`` if the file is truncated or damaged. Zstandard takes up to 128
    MiB of memory, for the largest window that its library allows by default.
    """
    if first.startswith(_GZIP):
        return _gunzip
    return _unzstd if is_zstd(first) else None


def unreadable(first: bytes) -> str | None:
    """Say that a file that starts with ``first`` has a compression that is not supported."""
    for sign, name in _UNREAD.items():
        if first.startswith(sign):
            return f"is compressed by {name}; write it plain, with gzip or zstd"
    return None


def is_zstd(first: bytes) -> bool:
    """Return whether a file that starts with ``first`` is compressed by Zstandard."""
    return first.startswith(_ZSTD)


def is_compressed(first: bytes | bytearray) -> bool:
    """Return whether a file that starts with ``first`` has a supported compression."""
    return unpacker(bytes(first[:LONGEST_SIGN])) is not None


class _Unpacked:
    """The decompressed bytes of a file; raises ``ValueError`` for errors of the library."""

    def __init__(self, file: BufferedIOBase, damage: tuple[type[Exception], ...]) -> None:
        self._file = file
        self._damage = damage

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except self._damage as error:
            raise ValueError(str(error)) from error


def _gunzip(file: IO[bytes]) -> IO[bytes]:
    return _read_only(gzip.GzipFile(fileobj=file), EOFError, zlib.error, gzip.BadGzipFile)


def _unzstd(file: IO[bytes]) -> IO[bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - few files need it
    else:
        from backports import zstd  # noqa: PLC0415 - same
    return _read_only(zstd.ZstdFile(file), EOFError, zstd.ZstdError)


def _read_only(file: BufferedIOBase, *damage: type[Exception]) -> IO[bytes]:
    return cast("IO[bytes]", _Unpacked(file, damage))  # of a stream only ``read`` is called

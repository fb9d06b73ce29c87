"""Compressed files, unpacked as they are read from front to back and never as a whole."""

import gzip
import sys
import zlib
from collections.abc import Callable
from typing import IO, Final, cast

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60)))
"""RFC 8878: a frame, or one that is skipped, such as pzstd writes first."""

UNREAD: Final = {b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
"""Compressions that are known by their first bytes, and not read."""

LONGEST_SIGN: Final = 6
"""First bytes by which all of them are told."""

Unpack = Callable[[IO[bytes]], IO[bytes]]


def unpacker(first: bytes) -> Unpack | None:
    """Return what reads a file that begins with ``first``; None where it is not compressed.

    What it returns raises ``ValueError`` where the file is cut off or damaged. Zstandard takes up
    to 128 MiB of memory, by the largest window that its library allows unasked.
    """
    if first.startswith(_GZIP):
        return _gunzip
    return _unzstd if first.startswith(_ZSTD) else None


def is_compressed(first: bytes | bytearray) -> bool:
    """Say whether a file that begins with ``first`` is compressed by what is read here."""
    return unpacker(bytes(first[:LONGEST_SIGN])) is not None


class _Unpacked:
    """The bytes inside of a compressed file, whose library's errors become ``ValueError``."""

    def __init__(self, file: IO[bytes], damage: tuple[type[Exception], ...]) -> None:
        self._file = file
        self._damage = damage

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except self._damage as error:
            raise ValueError(str(error)) from error


def _gunzip(file: IO[bytes]) -> IO[bytes]:
    unpacked = cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    return cast("IO[bytes]", _Unpacked(unpacked, (EOFError, zlib.error, gzip.BadGzipFile)))


def _unzstd(file: IO[bytes]) -> IO[bytes]:
    if sys.version_info >= (3, 14):  # imported only for a file that needs it
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415
    unpacked = cast("IO[bytes]", zstd.ZstdFile(file))
    return cast("IO[bytes]", _Unpacked(unpacked, (EOFError, zstd.ZstdError)))

"""A tar archive read once from front to back, as an engine writes it into a pipe.

The standard library's own stream mode takes a damaged archive for one that ends: what the engine
says in the middle of it would be lost.
"""

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from ghcr_push.failures import ErrorInfo, Origin, PushError

_BLOCK: Final = tarfile.BLOCKSIZE
_SKIPPED_AT_ONCE: Final = 1 << 20
_LONGEST_EXTENSION: Final = 1 << 20
"""Bytes of a pax or GNU header that are read: names, where engines need kilobytes at most."""

_TAIL: Final = 4096
"""Bytes kept of what came last, to find the engine's words in; its messages are shorter."""

# moby, daemon/pkg/streamformatter: what an engine adds to a stream in which it fails
_ERROR: Final = re.compile(rb'\{"errorDetail":\{.*\}', re.DOTALL)


class ByteReader(Protocol):
    """Blocking binary input, such as a pipe; every read may bring less than asked for."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the front of ``buffer`` and say how much; 0 at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of the archive; ``size`` is its bytes."""

    name: str
    size: int


class TarStream:
    """The files of an archive, one after the other; what is not read of one is passed over.

    ``complaint`` is asked, when the stream breaks off, what its writer has to say for itself.
    Every method raises ``PushError`` where the archive is cut off or damaged.
    """

    def __init__(self, reader: ByteReader, complaint: Callable[[], str] = str) -> None:
        self._reader = reader
        self._complaint = complaint
        self._left = 0
        self._padding = 0
        self._tail = b""

    def entries(self) -> Iterator[Entry]:
        """Yield the regular files; read to the end of the stream after the last one."""
        name: str | None = None
        size: int | None = None
        while True:
            self._pass_over()
            header = self._exactly(_BLOCK)
            if not any(header):
                self._drain()
                return
            info = self._parsed(header)
            match info.type:
                case tarfile.XHDTYPE | tarfile.SOLARIS_XHDTYPE:
                    records = self._pax(info.size)
                    name = records.get("path", name)
                    size = int(records["size"]) if "size" in records else size
                    continue
                case tarfile.GNUTYPE_LONGNAME:
                    name = _text(self._extension(info.size).rstrip(b"\0"))
                    continue
                case tarfile.XGLTYPE | tarfile.GNUTYPE_LONGLINK:
                    self._begin(info.size)
                    continue
            if info.type in tarfile.REGULAR_TYPES:
                entry = Entry(name=name or info.name, size=info.size if size is None else size)
                self._begin(entry.size)
                yield entry
            name = size = None

    def pieces(self, most: int) -> Iterator[bytearray]:
        """Yield the rest of the file at hand in pieces of ``most`` bytes, the last may be less.

        Where the cuts are does not depend on what sizes the stream arrives in.
        """
        while self._left:
            piece = bytearray(min(most, self._left))
            self._fill(memoryview(piece))
            self._left -= len(piece)
            yield piece

    def content(self) -> bytes:
        """Return the rest of the file at hand, for files that are known to be small."""
        return b"".join(self.pieces(max(1, self._left)))

    # -- blocks -----------------------------------------------------------------------------

    def _begin(self, size: int) -> None:
        self._left, self._padding = size, -size % _BLOCK

    def _pass_over(self) -> None:
        for _ in self.pieces(_SKIPPED_AT_ONCE):
            pass
        if self._padding:
            self._exactly(self._padding)
            self._padding = 0

    def _extension(self, size: int) -> bytes:
        if size > _LONGEST_EXTENSION:
            raise self.broken("a header of it is too long")
        self._begin(size)
        return self.content()

    def _pax(self, size: int) -> dict[str, str]:
        r"""Read records ``LENGTH KEY=VALUE\n`` (POSIX.1-2001, pax extended header)."""
        text, records = self._extension(size), {}
        while text:
            length, space, _ = text.partition(b" ")
            if not length.isdigit() or not space or not 0 < int(length) <= len(text):
                raise self.broken("a header of it is damaged")
            record, text = text[: int(length)], text[int(length) :]
            key, _, value = record[len(length) + 1 : -1].partition(b"=")
            records[_text(key)] = _text(value)
        if not records.get("size", "0").isdecimal():
            raise self.broken("a header of it is damaged")
        return records

    def _parsed(self, header: bytearray) -> tarfile.TarInfo:
        try:
            return tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            self._drain()
            raise self.broken("a header of it is damaged") from error

    def _exactly(self, size: int) -> bytearray:
        block = bytearray(size)
        self._fill(memoryview(block))
        return block

    def _fill(self, buffer: memoryview) -> None:
        filled = 0
        while filled < len(buffer):
            count = self._read(buffer[filled:])
            if not count:
                self._tail += bytes(buffer[:filled][-_TAIL:])
                raise self.broken("it ends too early")
            filled += count
        self._tail = bytes(buffer[-_TAIL:]) if filled >= _TAIL else self._tail + bytes(buffer)
        self._tail = self._tail[-_TAIL:]

    def _drain(self) -> None:
        """Read on to the end, so that the writer can end well; keep the last of it."""
        rest = memoryview(bytearray(_SKIPPED_AT_ONCE))
        while count := self._read(rest):
            self._tail = (self._tail + bytes(rest[:count][-_TAIL:]))[-2 * _TAIL :]

    def _read(self, buffer: memoryview) -> int:
        try:
            return self._reader.readinto(buffer) or 0
        except (OSError, ValueError) as error:  # ValueError: closed by the one who gave up
            raise self.broken(str(error)) from error

    # -- failures ---------------------------------------------------------------------------

    def broken(self, how: str) -> PushError:
        """Return the error for a stream that is not whole, in the engine's own words if it has any.

        Those words are in the stream itself (an engine that fails in mid-stream adds an object
        with its error to the archive), or in what the writer printed.
        """
        words = _engine_error(self._tail) or self._complaint().strip()
        if words:
            return PushError(ErrorInfo(origin=Origin.STORE, message=words))
        message = f"the saved image is not whole: {how}"
        return PushError(ErrorInfo(origin=Origin.STORE, message=message))


def _engine_error(tail: bytes) -> str:
    found = _ERROR.search(tail)
    if found is None:
        return ""
    try:
        told, _ = json.JSONDecoder().raw_decode(found[0].decode(errors="replace"))
        return str(told["errorDetail"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")

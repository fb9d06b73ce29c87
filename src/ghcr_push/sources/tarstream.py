"""A tar archive read once from start to end, as an engine writes it to a pipe.

The standard library's stream mode treats a damaged archive as ended, and so loses an engine's error
text in the middle of it.
"""

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from ghcr_push.failures import Origin, PushError
from ghcr_push.sources.images import incomplete

_BLOCK: Final = tarfile.BLOCKSIZE
_SKIPPED_AT_ONCE: Final = 1 << 20
_LONGEST_EXTENSION: Final = 1 << 20
"""Maximum bytes of a pax or GNU header, for names; engines need a few kilobytes."""

_TAIL: Final = 4096
"""Bytes kept from the end of the stream, to find the engine's error; its messages are shorter."""

# moby, daemon/pkg/streamformatter: the error object that an engine adds to a failed stream
_ERROR: Final = re.compile(rb'\{"errorDetail":\{.*\}', re.DOTALL)


class ByteReader(Protocol):
    """Blocking binary input, such as a pipe; a read may return less than requested."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the start of ``buffer`` and return the number of bytes; 0 at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of the archive; ``size`` is in bytes."""

    name: str
    size: int


class TarStream:
    """The files of an archive, one after the other; unread parts of a file are skipped.

    If the stream breaks off, ``complaint`` returns the error output of its writer. Every method
    raises ``PushError`` if the archive is truncated or damaged.
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
        """Yield the rest of the current file in pieces of ``most`` bytes, the last may be smaller.

        The cuts do not depend on the sizes in which the stream arrives.
        """
        while self._left:
            piece = bytearray(min(most, self._left))
            self._fill(memoryview(piece))
            self._left -= len(piece)
            yield piece

    def content(self) -> bytes:
        """Return the rest of the current file; only for small files."""
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
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            self._drain()
            raise self.broken("a header of it is damaged") from error
        if info.size < 0:
            self._drain()
            raise self.broken("a file in it has a negative size")
        return info

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
        """Read to the end, so that the writer can exit normally; keep the last bytes."""
        rest = memoryview(bytearray(_SKIPPED_AT_ONCE))
        while count := self._read(rest):
            self._tail = (self._tail + bytes(rest[:count][-_TAIL:]))[-2 * _TAIL :]

    def _read(self, buffer: memoryview) -> int:
        try:
            return self._reader.readinto(buffer) or 0
        except (OSError, ValueError) as error:  # ValueError: closed by a reader that gave up
            raise self.broken(str(error)) from error

    # -- failures ---------------------------------------------------------------------------

    def broken(self, how: str) -> PushError:
        """Return the error for an incomplete stream, in the engine's own words if there are any.

        They are in the stream itself (an engine that fails in mid-stream adds an object with its
        error to the archive), or in the writer's error output.
        """
        words = _engine_error(self._tail) or self._complaint().strip()
        return PushError.of(Origin.STORE, words) if words else incomplete(how)


def _engine_error(tail: bytes) -> str:
    found = _ERROR.search(tail)
    if found is None:
        return ""
    try:
        line, _ = json.JSONDecoder().raw_decode(found[0].decode(errors="replace"))
        return str(line["errorDetail"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")

"""A pseudo-terminal and its screen: as much of a terminal as bars need."""

import fcntl
import os
import re
import struct
import termios
import threading
from contextlib import suppress

COLUMNS, ROWS = 100, 40

_PIECE = re.compile(r"\x1b\[(?P<number>\??[0-9;]*)(?P<order>[A-Za-z])|(?P<end>\r?\n)|(?P<back>\r)")


class Terminal:
    """A terminal with a reader; programs write to ``fd``."""

    def __init__(self) -> None:
        self._watched, self.fd = os.openpty()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._parts: list[bytes] = []
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        with os.fdopen(self._watched, "rb", buffering=0) as watched, suppress(OSError):
            while part := watched.read(1 << 16):  # EIO once no program can write any more
                self._parts.append(part)

    def closed(self) -> str:
        """Close our end; return everything written once no program has it open."""
        os.close(self.fd)
        self._watcher.join()
        return b"".join(self._parts).decode()


def screen(text: str) -> list[str]:
    """Return the lines on the screen after ``text`` was written, without colours.

    Knows what bars use: cursor up, erase line, carriage return; the cursor and colours it skips.
    """
    lines, row, column, place = [""], 0, 0, 0

    def put(written: str) -> None:
        nonlocal column
        line = lines[row].ljust(column)
        lines[row] = line[:column] + written + line[column + len(written) :]
        column += len(written)

    for piece in _PIECE.finditer(text):
        put(text[place : piece.start()])
        place = piece.end()
        if piece["end"]:
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif piece["back"]:
            column = 0
        elif piece["order"] == "A":
            row -= int(piece["number"] or 1)
        elif piece["order"] == "K":
            lines[row] = ""
        elif piece["order"] not in "mhl":
            raise ValueError(f"this terminal does not know {piece[0]!r}")
    put(text[place:])
    return lines

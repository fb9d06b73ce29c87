"""Processes of this machine, including those in containers, from /proc."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def processes(program: str, *, having: str) -> Iterator[int]:
    """Yield the IDs of processes that run ``program`` with ``having`` in their environment."""
    for folder in PROC.iterdir():
        with suppress(OSError):
            if (
                folder.name.isdecimal()
                and program.encode() in (folder / "cmdline").read_bytes().split(b"\0")
                and having.encode() in (folder / "environ").read_bytes()
            ):
                yield int(folder.name)


def handles(pid: int, number: signal.Signals) -> bool:
    """Return whether the process has a handler for the signal ``number``."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "SigCgt":
                return bool(int(value, 16) >> (number - 1) & 1)
    return False


def command_lines(having: str) -> Iterator[str]:
    """Yield the command lines of other processes with ``having`` in their environment."""
    for folder in PROC.iterdir():
        with suppress(OSError):
            if (
                folder.name.isdecimal()
                and int(folder.name) != os.getpid()
                and having.encode() in (folder / "environ").read_bytes()
            ):
                yield (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()


def wait_until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Check every few milliseconds until ``condition`` holds; raise if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.005)

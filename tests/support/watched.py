"""Runs a command and measures its peak of memory and its writes to disks."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_WATCHED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_maxrss, usage.ru_oublock, end="")
sys.exit(status)
"""
"""Runs a command and adds its cost; for a direct child the system would include our own."""

_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Watched:
    """How a command ended. `memory` is its peak in KiB, `written` its bytes to disks."""

    status: int
    out: str
    log: str
    memory: int
    written: int


def watched(command: Sequence[str], environ: Mapping[str, str]) -> Watched:
    """Run a command to its end."""
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, *command],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    out, taken = done.stdout.rsplit("\n", maxsplit=1)
    memory, blocks = map(int, taken.split())
    return Watched(
        status=done.returncode,
        out=out,
        log=done.stderr,
        memory=memory,
        written=blocks * _BLOCK,
    )

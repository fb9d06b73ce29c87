"""A command whose output is a byte stream, and that is always cleaned up."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from io import FileIO
from tempfile import TemporaryFile
from typing import IO, Final, cast

import anyio
from anyio import to_thread

from ghcr_push import tracing
from ghcr_push.engine.command import not_started
from ghcr_push.sources.tarstream import ByteReader

_LAST_WORDS: Final = 2.0
"""Seconds for a command whose output ended early to exit and report its error."""

_MOST_WORDS: Final = 16 * 1024

_GONE: Final = 5.0
"""Seconds for a killed process to exit; one that takes longer is stuck in the kernel."""


class CommandOutput:
    """Output of a running command: ``reader`` is its standard output, ``complaint`` its errors."""

    def __init__(
        self, process: subprocess.Popen[bytes], errors: IO[bytes], reader: ByteReader
    ) -> None:
        self.reader = reader
        self._process = process
        self._errors = errors

    def complaint(self) -> str:
        """Wait a moment for the command to exit, and return its error output; blocks."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS)
        words = os.pread(self._errors.fileno(), _MOST_WORDS, 0)
        return words.decode(errors="replace").strip()


@asynccontextmanager
async def output_of(
    command: Sequence[str], environ: Mapping[str, str]
) -> AsyncIterator[CommandOutput]:
    """Run ``command`` while the block runs; kill its whole process group when the block ends.

    Its exit status is ignored: only the output itself shows whether it is complete.
    """
    # a file takes any amount of error output without a reader
    with TemporaryFile(buffering=0) as errors, tracing.command(command) as run:
        process = _started(command, environ, errors)
        reader = cast("FileIO", process.stdout)  # the type of an unbuffered pipe
        try:
            yield CommandOutput(process, errors, reader)
        finally:
            with suppress(ProcessLookupError):
                if process.returncode is None:  # otherwise another process may have the number
                    os.killpg(process.pid, signal.SIGKILL)
            with anyio.CancelScope(shield=True), suppress(subprocess.TimeoutExpired):
                run.status = await to_thread.run_sync(process.wait, _GONE)
            reader.close()


def _started(
    command: Sequence[str], environ: Mapping[str, str], errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - the command is the engine's client, no shell
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,
            start_new_session=True,
            pipesize=1 << 20,
        )
    except OSError as error:
        raise not_started(error) from error

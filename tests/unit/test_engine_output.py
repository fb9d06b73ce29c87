"""A command's output is complete, with its error output, and no process remains."""

import os
import select
import signal
import sys
from contextlib import suppress
from typing import IO, cast

import anyio
import pytest

from ghcr_push.engine.output import CommandOutput, output_of
from ghcr_push.failures import PushError, classify
from ghcr_push.model import Kind

pytestmark = pytest.mark.anyio


def everything(output: CommandOutput) -> bytes:
    buffer, read = bytearray(1000), b""
    while count := output.reader.readinto(memoryview(buffer)):
        read += buffer[:count]
    return read


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


async def test_gives_all_that_a_command_writes() -> None:
    async with output_of(python("print('x' * 99_999)"), os.environ) as output:
        assert everything(output) == b"x" * 99_999 + b"\n"


async def test_returns_the_error_output_of_a_command_of_any_size() -> None:
    text = "import sys; sys.stderr.write('first\\n' + 'y' * 999_999); sys.exit(3)"
    async with output_of(python(text), os.environ) as output:
        assert everything(output) == b""
        assert output.complaint().startswith("first\nyyy")
        assert len(output.complaint()) < 20_000


async def test_ends_the_command_and_its_children_with_the_block() -> None:
    numbers: set[int] = set()
    while len(numbers) < 2:
        # on a busy machine a forked process once printed nothing: then another is started
        async with output_of(python(FORKED), os.environ) as output:
            numbers = numbers_printed(output)
    with anyio.fail_after(10):
        while any(alive(number) for number in numbers):
            await anyio.sleep(0.01)


FORKED = "import os; os.fork(); print(os.getpid(), flush=True); os.read(os.pipe()[0], 1)"


def numbers_printed(output: CommandOutput) -> set[int]:
    """Return the numbers that a process and its fork tell, as far as they do so within 20 s."""
    numbers: set[int] = set()
    buffer = bytearray(100)
    pipe = cast("IO[bytes]", output.reader)
    while len(numbers) < 2 and select.select([pipe], [], [], 20)[0]:
        count = output.reader.readinto(memoryview(buffer)) or 0
        assert count, "it ended before both had printed their numbers"
        numbers |= {int(word) for word in buffer[:count].split()}
    return numbers


def alive(number: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(number, 0)
        with open(f"/proc/{number}/stat", encoding="ascii") as status:  # noqa: PTH123 - it may go
            return status.read().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_the_end_of_a_block_does_not_wait_for_a_command_that_ignores_signals() -> None:
    text = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(flush=True); time.sleep(600)"
    )
    async with output_of(python(text), os.environ) as output:
        output.reader.readinto(memoryview(bytearray(1)))
    assert output._process.returncode == -signal.SIGKILL


async def test_a_command_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(PushError, match="there is no docker command") as raised:
        async with output_of(["no-such-command"], os.environ):
            pass
    assert classify(raised.value.evidence).kind is Kind.ENGINE_UNREACHABLE

"""One ``docker push``, run by python-on-whales in a process that we can kill.

The library starts docker for us, has no time limit and hides the process. So our shell script
starts first: it writes down its process ID, takes over the run's environment, and replaces itself
with docker.
"""

import os
import re
import shlex
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
from anyio import to_thread

from ghcr_push import tracing
from ghcr_push.background import background
from ghcr_push.engine.command import DockerCommand, not_started
from ghcr_push.failures import Origin, PushError

LINES_KEPT: Final = 400
"""Maximum number of output lines kept of a push; the middle is dropped."""

_WITH_PID_FILE: Final = ("sh", "-c", 'echo $$ >"$0"; . "$0.environ"; exec "$@"')

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a shell accepts as the name of a variable."""


async def push(command: DockerCommand, target: str, lines: list[str]) -> None:
    """Push ``target``, adding docker's output to ``lines``; raise ``PushError`` on failure.

    Cancelling kills the docker command; the engine then drops the push by itself.
    """
    with (
        TemporaryDirectory(dir=command.config) as folder,
        tracing.command(command.words("image", "push", target)),
    ):
        pid_file = Path(folder) / "pid"
        await _killable(pid_file, lambda: _stream(command, pid_file, target, lines))


def _difference(wanted: Mapping[str, str], inherited: Mapping[str, str]) -> str:
    """Return shell commands that turn the inherited environment into the wanted one."""
    surplus = [name for name in inherited if name not in wanted and _NAME.fullmatch(name)]
    other = [
        f"export {name}={shlex.quote(value)}"
        for name, value in wanted.items()
        if inherited.get(name) != value and _NAME.fullmatch(name)
    ]
    return "\n".join([*(f"unset {name}" for name in surplus), *other, ""])


async def _killable(pid_file: Path, work: Callable[[], None]) -> None:
    """Run ``work`` in a thread; when cancelled, kill its docker command until the thread ends."""
    done = False

    async def kill_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                while not done:
                    _kill(pid_file)
                    await anyio.sleep(0.05)

    async with background() as tasks:
        tasks.start_soon(kill_when_cancelled)
        try:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
        finally:
            done = True


def _stream(command: DockerCommand, pid_file: Path, target: str, lines: list[str]) -> None:
    # imported in a thread and only for a push: the import takes longer than everything else
    # together
    from python_on_whales import DockerClient  # noqa: PLC0415 - see the lines above
    from python_on_whales.exceptions import DockerException  # noqa: PLC0415 - same

    call = [*_WITH_PID_FILE, str(pid_file), "docker"]
    client = DockerClient(config=command.config, client_call=call)
    try:
        Path(f"{pid_file}.environ").write_text(_difference(command.environ, os.environ))
        for _, line in client.image.push(target, stream_logs=True) or ():
            lines.append(line.decode(errors="replace").rstrip("\r\n"))
            if len(lines) > LINES_KEPT:
                del lines[LINES_KEPT // 2]
    except DockerException as error:
        text = error.stderr or "\n".join(lines)
        raise PushError.of(Origin.ENGINE, text) from error
    except OSError as error:
        raise not_started(error) from error
    except ValueError as error:
        # the library decodes docker's output as strict UTF-8, and an inspection as JSON
        printed = error.object if isinstance(error, UnicodeDecodeError) else b""
        text = printed.decode(errors="replace") or f"docker's output cannot be read: {error}"
        raise PushError.of(Origin.ENGINE, text) from error


def _kill(pid_file: Path) -> None:
    """Kill the process named in ``pid_file`` if it is still our child."""
    try:
        number = int(pid_file.read_text())
        parent = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1]
        if int(parent) == os.getpid():
            os.kill(number, signal.SIGKILL)
    except (OSError, ValueError, IndexError):
        return  # not started yet, or already gone

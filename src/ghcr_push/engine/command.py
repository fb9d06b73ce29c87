"""The docker command: its arguments, its environment, and short calls."""

import os
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE
from typing import Final

import anyio

from ghcr_push import tracing
from ghcr_push.credentials import docker_environment
from ghcr_push.failures import Origin, PushError
from ghcr_push.model import Kind

SHORT_CALL_LIMIT: Final = 60.0
"""Time limit in seconds of a call that a working engine answers at once."""

CONTENT_TRUST: Final = "DOCKER_CONTENT_TRUST"
"""Hidden from the docker command: with content trust, a push signs the tag after the write and
fails if the signing fails. Tags written in other ways are not signed either."""


def content_trust_notices(environ: Mapping[str, str]) -> list[str]:
    """Return a notice if docker would sign its pushes; recognises Go's spellings of false."""
    if environ.get(CONTENT_TRUST, "") in {"", "0", "f", "F", "false", "False", "FALSE"}:
        return []
    notice = (
        f"{CONTENT_TRUST} is set, but this action does not sign tags; sign the digests of its "
        "output `images` instead."
    )
    return [notice]


class DockerCommand:
    """The docker command with the private configuration ``config``, in ``environ``."""

    def __init__(self, config: Path, environ: Mapping[str, str]) -> None:
        self.config = config
        self.environ = docker_environment(environ)
        self.environ.pop(CONTENT_TRUST, None)

    def words(self, *arguments: str) -> list[str]:
        """Return the command line with ``arguments``."""
        return ["docker", "--config", str(self.config), *arguments]

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run docker; return its exit status and the output of both streams."""
        words = self.words(*arguments)
        try:
            with tracing.command(words) as traced, anyio.fail_after(SHORT_CALL_LIMIT):
                done = await anyio.run_process(
                    words, stdout=PIPE, stderr=PIPE, check=False, env=self.environ
                )
                traced.status = done.returncode
        except TimeoutError as error:
            raise no_engine(f"docker {arguments[0]} {arguments[1]} gave no answer") from error
        except (OSError, ValueError) as error:
            raise not_started(error) from error
        return (
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    async def run_checked(self, *arguments: str) -> None:
        """Run docker; raise ``PushError`` with its output if it fails."""
        status, _, err = await self.run(*arguments)
        if status:
            raise PushError.of(Origin.STORE, err.strip())


def no_engine(message: str) -> PushError:
    """Return the error of an engine that does not answer."""
    return PushError.of(Origin.STORE, message, Kind.ENGINE_UNREACHABLE)


def not_started(error: OSError | ValueError) -> PushError:
    """Return the error of a docker command that cannot be started."""
    if isinstance(error, FileNotFoundError):
        return no_engine("there is no docker command on the PATH")
    reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else str(error)
    return no_engine(f"the docker command cannot be run: {reason}")

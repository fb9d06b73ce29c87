"""Engines to push with."""

import io
import json
import os
import shlex
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SCRIPTS = Path(__file__).parents[3] / "scripts"

# the classic store tries a layer five times with waits of 50 s in all, and a token that does not
# come takes 15 s of each try
_LONGEST_PUSH = 150

HUNG = 124
"""The exit status of a killed command, as with coreutils' timeout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A running engine: the environment of its client, and its image store."""

    env: Mapping[str, str]
    store: str

    def docker(
        self, *arguments: str, env: Mapping[str, str] | None = None, before: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run the docker command, `before` in front of it; never raises for its exit status."""
        command = [*before, "docker", *arguments]
        try:
            return subprocess.run(
                command,
                env={**self.env, **(env or {})},
                timeout=_LONGEST_PUSH,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, HUNG, stdout="", stderr="")

    def make(self, image: str) -> None:
        """Make a tiny image with its own layer."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(image.replace("/", "-").replace(":", "-")))
        self._take("import", content.getvalue(), image)

    def load(self, archive: bytes) -> None:
        """Load images from an archive."""
        self._take("load", archive)

    def _take(self, command: str, content: bytes, *more: str) -> None:
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            file.write(content)
            file.flush()
            options = ("--input", file.name) if command == "load" else (file.name, *more)
            done = self.docker(command, *options)
        if done.returncode:
            raise RuntimeError(f"docker {command} {' '.join(more)}: {done.stderr}")


@contextmanager
def running_engine(suite: str, store: str) -> Iterator[Engine]:
    """Run the engine of a Debian release with an image store while the block runs."""
    name = f"record-{suite}-{store}"
    up = ("engine-up", name, "--engine", suite, "--store", store)
    with environment(up, ("engine-down", name)) as exports:
        _allow_many_uploads(Path(exports["ENGINE_DIR"]))
        yield Engine(env={**os.environ, **exports}, store=store)


@contextmanager
def environment(up: Sequence[str], down: Sequence[str]) -> Iterator[dict[str, str]]:
    """Run a script of `scripts/` that prints exports, and its counterpart at the end."""
    started = subprocess.run(
        [_SCRIPTS / up[0], *up[1:]], stdout=subprocess.PIPE, text=True, check=True
    )
    exports = [shlex.split(line) for line in started.stdout.splitlines()]
    try:
        yield dict(word.split("=", 1) for _, word in exports)
    finally:
        subprocess.run([_SCRIPTS / down[0], *down[1:]], check=True)


def _allow_many_uploads(folder: Path) -> None:
    """Let pushes that wait inside the engine not wait for each other as well."""
    file = folder / "daemon.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(settings | {"max-concurrent-uploads": 200}), encoding="utf-8")
    os.kill(_daemon(folder), signal.SIGHUP)


def _daemon(folder: Path) -> int:
    """Return the PID of the daemon that `engine-up` started in `folder`.

    The daemon's PID file has another number, that of its own PID namespace. So
    it is looked for below the process of `engine-up`.
    """
    waiting = [int((folder / "pid").read_text(encoding="utf-8"))]
    while waiting:
        pid = waiting.pop()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if command[0] == str(folder / "bin" / "dockerd").encode():
            return pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
        waiting += map(int, children.split())
    raise RuntimeError(f"no dockerd runs below the process of {folder}")

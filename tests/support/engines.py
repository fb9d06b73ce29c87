"""Engines for tests, demo and benchmarks, and small images to push."""

import os
import shlex
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"


def script_environment(script: str, *arguments: str) -> dict[str, str]:
    """Run a script that prints ``export`` lines; return our variables with those added."""
    done = subprocess.run(
        [str(SCRIPTS / script), *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"scripts/{script} failed with status {done.returncode}")
    environ = dict(os.environ)
    for line in done.stdout.splitlines():
        words = shlex.split(line)
        if words[:1] == ["export"]:
            environ |= {word.partition("=")[0]: word.partition("=")[2] for word in words[1:]}
    return environ


@dataclass(frozen=True)
class Engine:
    """A running engine; ``environ`` is what a process needs to use it."""

    environ: Mapping[str, str]

    @property
    def socket(self) -> Path:
        """The engine's socket on this machine."""
        return Path(self.environ["DOCKER_HOST"].removeprefix("unix://"))

    @property
    def folder(self) -> Path:
        """The engine's data folder on this machine."""
        return Path(self.environ["ENGINE_DIR"])

    def docker(self, *arguments: str, check: bool = True, stdin: bytes | None = None) -> str:
        """Run the docker command on this engine and return what it printed."""
        done = subprocess.run(
            ["docker", *arguments],
            env=dict(self.environ),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        text = done.stdout.decode(errors="replace")
        if check and done.returncode:
            raise RuntimeError(f"docker {' '.join(arguments[:2])}: {text}")
        return text.strip()

    def make_image(self, name: str, *, layers: int = 1, size: int = 4096, seed: int = 0) -> str:
        """Build an image of ``layers`` layers of ``size`` random bytes each; return its ID."""
        random = Random(f"{seed}")
        files = {f"layer-{number}": random.randbytes(size) for number in range(layers)}
        steps = "\n".join(f"COPY {file} /{file}" for file in files)
        self.build(f"FROM scratch\n{steps}\nLABEL seed={seed}\n", "--tag", name, files=files)
        return self.docker("image", "inspect", "--format", "{{.Id}}", name)

    def build(
        self, dockerfile: str, *options: str, files: Mapping[str, bytes] | None = None
    ) -> str:
        """Build an image from a Dockerfile's text and the files it copies; return its ID.

        The Dockerfile goes inside the context: given alone on standard input it leaves two
        temporary folders behind (buildx).
        """
        context = _tar({**(files or {}), "Dockerfile": dockerfile.encode()})
        return self.docker("build", "--quiet", *options, "-", stdin=context)


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, BytesIO(content))
    return buffer.getvalue()


@contextmanager
def running_engine(
    name: str, *, release: str = "trixie", store: str = "classic", images: Sequence[str] = ()
) -> Iterator[Engine]:
    """Run an engine of ours (see scripts/engine-up) with the named stand-in images loaded."""
    try:
        environ = script_environment("engine-up", name, "--engine", release, "--store", store)
        if images:
            subprocess.run(
                [str(SCRIPTS / "images-load"), *images],
                env=environ,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        yield Engine(environ)
    finally:
        subprocess.run([str(SCRIPTS / "engine-down"), name], check=True)

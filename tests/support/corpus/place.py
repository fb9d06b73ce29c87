"""The environment of a recipe: its own folder, and the tools, started on demand."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from tests.support.engines import Engine, running_engine, script_environment
from tests.support.registry import running_registry

CONTEXT = {"a": b"a" * 5000, "b": os.urandom(40_000)}
DOCKERFILE = "FROM scratch\nARG TARGETPLATFORM\nCOPY a /a\nCOPY b /b\nENV FOR=$TARGETPLATFORM\n"
PLATFORMS = "linux/amd64,linux/arm64,linux/arm/v7"

_MOVES = "sid"
"""The release whose engine changes every month, so that it may fail to start one day."""


class Missing(Exception):  # noqa: N818 - no error: the tool cannot be had on this machine
    """A tool is not available here; the message says which and why."""


@dataclass(kw_only=True)
class Tools:
    """The tools of one family of recipes; `stack` ends those that were started."""

    folder: Path
    stack: ExitStack
    engines: dict[tuple[str, str], Engine] = field(default_factory=dict)

    @cached_property
    def context(self) -> Path:
        """The folder that images are built from."""
        context = self.folder / "context"
        context.mkdir()
        for name, content in {**CONTEXT, "Dockerfile": DOCKERFILE.encode()}.items():
            (context / name).write_bytes(content)
        return context

    @cached_property
    def peers(self) -> Mapping[str, str]:
        """The environment for crane, oras and skopeo."""
        return script_environment("tools-get", "peers")

    @cached_property
    def builders(self) -> Mapping[str, str]:
        """The environment for podman, buildah and umoci."""
        try:
            return script_environment("tools-get", "builders")
        except RuntimeError as error:
            raise Missing(f"podman, buildah and umoci cannot be had here: {error}") from error

    @cached_property
    def runroot(self) -> str:
        """The folder of podman's and buildah's state at run time, with a path of few characters.

        Podman takes 50 at most, which pytest's own folders exceed.
        """
        return self.stack.enter_context(TemporaryDirectory(prefix="run-"))

    @cached_property
    def registry(self) -> str:
        """A registry for tools that read only from one."""
        return self.stack.enter_context(running_registry()).address

    def engine(self, release: str, store: str) -> Engine:
        """Return the running engine of a Debian release, with an image `app:1`."""
        if (release, store) not in self.engines:
            name = f"corpus-{release}-{store}-{token_hex(3)}"
            running = running_engine(name, release=release, store=store)
            try:
                engine = self.stack.enter_context(running)
            except RuntimeError as error:
                if release != _MOVES:
                    raise
                raise Missing(f"the engine of Debian {release} cannot be had: {error}") from error
            engine.build(DOCKERFILE, "--tag", "app:1", files=CONTEXT)
            self.engines[release, store] = engine
        return self.engines[release, store]


@dataclass(frozen=True)
class Place:
    """The folder of one recipe."""

    tools: Tools
    folder: Path

    def run(self, *words: str | Path, environ: Mapping[str, str] | None = None) -> str:
        """Run a command in the folder, with the peers' environment or another one."""
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env=dict(environ or self.tools.peers),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr}{done.stdout}")
        return done.stdout

    def source(self, form: str, name: str, image: str = "") -> str:
        """Return the source that names a file or folder of the place."""
        return f"{form}:{self.folder / name}{image and f':{image}'}"


@dataclass(frozen=True)
class Recipe:
    """How a tool writes one form of content; `make` returns the source that names it."""

    name: str
    make: Callable[[Place], str]


def recipes(*makers: Callable[[Place], str]) -> tuple[Recipe, ...]:
    """Return recipes named like their functions."""
    return tuple(Recipe(make.__name__, make) for make in makers)


@contextmanager
def running_tools(folder: Path) -> Iterator[Tools]:
    """Yield tools that end with the block."""
    with ExitStack() as stack:
        yield Tools(folder=folder, stack=stack)

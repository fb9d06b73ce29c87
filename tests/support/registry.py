"""A real registry (docker's own, as Debian packages it) as a process for tests."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from tests.support.engines import SCRIPTS, script_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry that listens on plain HTTP at `address` and keeps its data below `folder`."""

    address: str
    folder: Path


@contextmanager
def running_registry(auth: tuple[str, str] | None = None) -> Iterator[Registry]:
    """Run a registry with empty storage while the block runs (see scripts/registry-up).

    `auth` is the only user and password (Basic); None lets everyone in.
    """
    name = f"test-{token_hex(4)}"
    login = ["--auth", ":".join(auth)] if auth else []
    try:
        environ = script_environment("registry-up", name, *login)
        yield Registry(address=environ["REGISTRY"], folder=Path(environ["REGISTRY_DIR"]))
    finally:
        subprocess.run([str(SCRIPTS / "registry-down"), name], check=True)

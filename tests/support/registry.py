"""Real registries as processes for tests: docker's own, and one with no common code."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx2

from tests.support.engines import SCRIPTS, script_environment
from tests.support.saved import INDEX, MANIFEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry that listens on plain HTTP at `address` and keeps its data below `folder`."""

    address: str
    folder: Path


def manifest_of(address: str, name: str, reference: str) -> dict[str, Any]:
    """Return a manifest or index of the registry at `address`."""
    answer = httpx2.get(
        f"http://{address}/v2/{name}/manifests/{reference}",
        headers={"Accept": f"{INDEX}, {MANIFEST}"},
    )
    document: dict[str, Any] = answer.json()
    return document


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


@contextmanager
def running_crane() -> Iterator[str]:
    """Run `crane registry serve` of Debian sid, empty, while the block runs; give its address.

    All its repositories share their blobs, it mounts nothing, and it takes any manifest.
    """
    environ = script_environment("tools-get", "peers")
    command = ["crane", "registry", "serve", "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline() if process.stderr else ""
            port = re.search(r"serving on port (\d+)", said)
            assert port, f"crane registry serve said {said!r}"
            yield f"127.0.0.1:{port[1]}"
        finally:
            process.kill()

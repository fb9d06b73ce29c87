"""The installed command: the built wheel in an empty environment."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.layouts import one_image
from tests.support.registry import Registry

from ghcr_push.planning.inputs import INPUTS

ROOT = Path(__file__).resolve().parents[2]
NOT_NEEDED = {"pygithub", "pynacl", "cryptography", "requests", "actions-toolkit", "trio"}


def uv() -> str:
    """Find uv as ``scripts/setup`` does, which has installed one."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = os.environ.get("GHCR_PUSH_CACHE") or Path(home) / "ghcr-push-dev"
    ours = Path(cache) / "venv" / "uv" / "bin" / "uv"
    found = str(ours) if ours.exists() else shutil.which("uv")
    assert found, "run `make setup` first"
    return found


def output(*words: str | Path, environ: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(words, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it, with its dependencies in the locked versions."""
    folder = tmp_path_factory.mktemp("installed")
    output(uv(), "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    locked = output(
        uv(), "export", "--quiet", "--locked", "--all-extras", "--no-hashes", "--no-emit-project"
    )
    (folder / "locked.txt").write_text(locked)
    output(uv(), "venv", "--quiet", "--python", sys.executable, folder / "environment")
    [wheel] = folder.glob("*.whl")
    output(
        *(uv(), "pip", "install", "--quiet", "--python", folder / "environment"),
        *("--constraint", folder / "locked.txt", wheel),
    )
    return folder / "environment"


def test_an_empty_environment_needs_nothing_but_the_wheel(
    environment: Path, tmp_path: Path, registry: Registry
) -> None:
    command = environment / "bin" / "ghcr-push"
    bare = {"PATH": "/nonexistent", "HOME": str(tmp_path)}
    assert output(command, "--version", environ=bare).startswith("ghcr-push ")
    python = environment / "bin" / "python"
    assert output(python, "-m", "ghcr_push", "--version", environ=bare).startswith("ghcr-push ")

    source = ("--source", f"oci-layout:{one_image()[0].written(tmp_path / 'layout')}")
    targets = tuple(f"{registry.address}/acme/installed:{tag}" for tag in ("1", "latest"))
    assert "would be pushed" in output(command, *source, "--dry-run", *targets, environ=bare)
    report = tmp_path / "report.json"
    printed = output(command, *source, "--report-file", report, *targets, environ=bare)
    assert printed.startswith("✅ 2 of 2 ")
    page = output(command, "report", "--format", "html", report, environ=bare)
    assert page.lower().startswith("<!doctype html>")


def test_dependencies_of_the_action_alone_are_not_installed(environment: Path) -> None:
    listed = output(uv(), "pip", "list", "--python", environment, "--format", "json")
    assert not NOT_NEEDED & {each["name"].lower() for each in json.loads(listed)}
    # the table of inputs is in it, as all of the package is
    assert output(environment / "bin" / "ghcr-push", "--help").count("--") > len(INPUTS)

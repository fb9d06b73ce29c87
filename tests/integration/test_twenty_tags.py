"""Four tags in each of five repositories, of an index of three platforms, from several sources."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.front import Front, Step, running_front
from tests.support.layouts import Made, platforms
from tests.support.registry import manifest_of, running_registry

COMMAND = Path(sys.executable).with_name("ghcr-push")
REPOSITORIES = [f"acme/five-{number}" for number in range(5)]
TAGS = [f"{name}:{tag}" for name in REPOSITORIES for tag in ("1", "1.4", "1.4.2", "latest")]


@dataclass(frozen=True, kw_only=True)
class Given:
    """A source; `read_from` is the front that it is read through, None if it is on disk."""

    source: str
    read_from: Front | None
    front: Front
    folder: Path

    def push(self) -> list[str]:
        """Push it without a docker command or socket; return the outcomes."""
        environ = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
        tags = ",".join(f"{self.front.address}/{tag}" for tag in TAGS)
        done = subprocess.run(
            [COMMAND, "--tags", tags, "--source", self.source, "--format", "json"],
            env={**environ, "PATH": "/nonexistent", "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [target["outcome"] for target in json.loads(done.stdout)["targets"]]

    def reset(self) -> None:
        """Count from now on."""
        for front in {self.front, self.read_from} - {None}:
            assert front
            front.reset()


def new_front(stack: ExitStack) -> Front:
    registry = stack.enter_context(running_registry())
    return stack.enter_context(running_front(registry.address))


def of_layout(made: Made, folder: Path, stack: ExitStack) -> Given:
    source = f"oci-layout:{made.written(folder / 'layout')}"
    return Given(source=source, read_from=None, front=new_front(stack), folder=folder)


def of_another_registry(made: Made, folder: Path, stack: ExitStack) -> Given:
    origin = new_front(stack)
    source = f"docker://{made.uploaded(f'{origin.address}/acme/base', '1')}"
    return Given(source=source, read_from=origin, front=new_front(stack), folder=folder)


def of_the_same_registry(made: Made, folder: Path, stack: ExitStack) -> Given:
    front = new_front(stack)
    source = f"docker://{made.uploaded(f'{front.address}/acme/base', '1')}"
    return Given(source=source, read_from=front, front=front, folder=folder)


SOURCES: Mapping[str, Callable[[Made, Path, ExitStack], Given]] = {
    "layout": of_layout,
    "another-registry": of_another_registry,
    "the-same-registry": of_the_same_registry,
}


@pytest.fixture(params=SOURCES)
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Given]:
    with ExitStack() as stack:
        made, _, _ = platforms()
        given = SOURCES[request.param](made, tmp_path, stack)
        given.reset()
        yield given


def test_each_part_costs_once_and_a_second_run_nothing(given: Given) -> None:
    assert set(given.push()) == {"pushed"}
    stats = given.front.stats()
    read = given.read_from.stats() if given.read_from else None
    top = manifest_of(given.front.address, REPOSITORIES[0], "latest")
    children = [each["digest"] for each in top["manifests"]]
    manifests = [manifest_of(given.front.address, REPOSITORIES[0], child) for child in children]
    blobs = {each["digest"] for one in manifests for each in (one["config"], *one["layers"])}
    for name in REPOSITORIES:
        uploads = stats.blob_uploads.get(name, {})
        assert set(uploads.values()) <= {1}
        assert len(uploads) + stats.blob_mounts.get(name, 0) == len(blobs)
    sent = [digest for one in stats.blob_uploads.values() for digest in one]
    within = given.read_from is given.front
    assert sorted(sent) == ([] if within else sorted(blobs))  # the rest is mounted
    written = {*TAGS, *(f"{name}@{child}" for name in REPOSITORIES for child in children)}
    assert stats.manifest_writes == dict.fromkeys(written, 1)
    if read is not None:
        assert read.count(Step.BLOB_GET) == len(sent)
    given.reset()
    assert set(given.push()) == {"unchanged"}
    stats = given.front.stats()
    assert (stats.manifest_writes, stats.blob_uploads, stats.blob_mounts) == ({}, {}, {})
    if given.read_from is not None:
        assert given.read_from.stats().count(Step.BLOB_GET) == 0

"""Layouts and archives of other tools, pushed by the command where there is no engine at all.

What arrived is read back by tools that share no code with ours: crane pulls all of it, skopeo reads
the manifest. A family is pushed by one run, each of its sources to a repository of its own.
"""

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.corpus import FAMILIES, Missing, Place, Recipe, running_tools
from tests.support.front import Stats, running_front
from tests.support.registry import Registry

COMMAND = Path(sys.executable).with_name("ghcr-push")
TAGS = ("1", "1.4", "latest")
LEAST = 40
"""Forms that the corpus must contain."""


@dataclass(frozen=True)
class Pushed:
    """A pushed family: its sources or why they could not be made, and the results."""

    sources: Mapping[str, str | Exception]
    address: str
    environ: Mapping[str, str]
    report: Mapping[str, Any]
    stats: Stats

    def run(self, *words: str) -> bytes:
        done = subprocess.run(words, env=dict(self.environ), capture_output=True, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.decode()}"
        return done.stdout


@pytest.fixture(scope="module")
def pushed(
    request: pytest.FixtureRequest, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pushed]:
    """Make all content of a family and push it, a source under three tags."""
    folder = tmp_path_factory.mktemp("corpus")
    with running_tools(folder) as tools, running_front(registry.address) as front:
        sources = {}
        for recipe in FAMILIES[request.param]:
            place = Place(tools, folder / recipe.name)
            place.folder.mkdir()
            sources[recipe.name] = made(recipe, place)
        targets = [
            f"{source} => {front.address}/acme/{name.lower()}:{tag}"
            for name, source in sources.items()
            if isinstance(source, str)
            for tag in TAGS
        ]
        report = push(folder, targets) if targets else {}
        yield Pushed(sources, front.address, tools.peers, report, front.stats())


def made(recipe: Recipe, place: Place) -> str | Exception:
    """Return the source that a recipe made, or why it could not."""
    try:
        return recipe.make(place)
    except (Missing, RuntimeError) as error:
        return error


def push(folder: Path, targets: list[str]) -> dict[str, Any]:
    """Run the command without a docker command or socket."""
    environ = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    done = subprocess.run(
        [COMMAND, "--tags", "\n".join(targets), "--format", "json"],
        cwd=folder,
        env={**environ, "PATH": "/nonexistent", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def files_of(source: str) -> dict[str, bytes]:
    """Return the files of a layout or archive by their names."""
    path = Path(source.split(":")[1])
    if path.is_dir():
        return {
            str(each.relative_to(path)): each.read_bytes()
            for each in path.rglob("*")
            if each.is_file()
        }
    with tarfile.open(path) as archive:
        return {
            os.path.normpath(each.name): file.read()
            for each in archive
            if not each.isdir() and (file := archive.extractfile(each))
        }


def digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def pulled(pushed: Pushed, name: str, folder: Path) -> dict[str, bytes]:
    """Pull everything that a tag names with crane; return it by digest, each checked."""
    reference = f"{pushed.address}/acme/{name.lower()}:latest"
    pushed.run("crane", "pull", "--format=oci", reference, str(folder / "pulled"))
    blobs = [each.read_bytes() for each in (folder / "pulled" / "blobs" / "sha256").iterdir()]
    raw = pushed.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
    assert raw in blobs
    return {"top": raw, **{digest_of(each): each for each in blobs}}


def named_by(raw: bytes, there: Mapping[str, bytes]) -> Iterator[tuple[bytes, list[str]]]:
    """Yield the named manifests, each with the digests of its config and layers."""
    document = json.loads(raw)
    for child in document.get("manifests", ()):
        yield from named_by(there[child["digest"]], there)
    named = [document["config"], *document["layers"]] if "config" in document else []
    yield raw, [each["digest"] for each in named]


def check_docker(image: bytes, source: str, there: Mapping[str, bytes]) -> None:
    """Check that a config of the archive arrived, with the layers that it names."""
    config, *layers = (each["digest"] for each in _parts(json.loads(image)))
    assert there[config] in files_of(source).values()
    diff_ids = json.loads(there[config])["rootfs"]["diff_ids"]
    assert [digest_of(gzip.decompress(there[each])) for each in layers] == diff_ids


def _parts(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [document["config"], *document["layers"]]


CASES = [(family, recipe.name) for family, made in FAMILIES.items() for recipe in made]


@pytest.mark.timeout(300)
# with the default scope of functions, each case would push its family again
@pytest.mark.parametrize(
    ("pushed", "name"),
    CASES,
    indirect=["pushed"],
    ids=[name for _, name in CASES],
    scope="module",
)
def test_content_of_other_tools_is_pushed_whole(pushed: Pushed, name: str, tmp_path: Path) -> None:
    source = pushed.sources[name]
    if isinstance(source, Missing):
        pytest.skip(str(source))
    if isinstance(source, Exception):
        raise source
    repository = f"acme/{name.lower()}"
    outcomes = {
        target["outcome"]: target.get("failure")
        for target in pushed.report["targets"]
        if f"/{repository}:" in target["reference"]
    }
    assert outcomes == {"pushed": None}
    there = pulled(pushed, name, tmp_path)
    top, stats = there["top"], pushed.stats
    manifests = dict(named_by(top, there))
    if source.startswith("docker-archive"):
        check_docker(top, source, there)
    else:
        assert {top, *manifests} <= set(files_of(source).values())
    blobs = {digest for named in manifests.values() for digest in named}
    assert blobs <= set(there)
    uploads = stats.blob_uploads.get(repository, {})
    assert set(uploads.values()) <= {1}
    assert len(uploads) + stats.blob_mounts.get(repository, 0) == len(blobs)
    writes = {
        key: times
        for key, times in stats.manifest_writes.items()
        if key.startswith((f"{repository}:", f"{repository}@"))
    }
    assert writes == dict.fromkeys(
        [f"{repository}:{tag}" for tag in TAGS]
        + [f"{repository}@{digest_of(raw)}" for raw in manifests if raw != top],
        1,
    )


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len({name for _, name in CASES}) == len(CASES) >= LEAST

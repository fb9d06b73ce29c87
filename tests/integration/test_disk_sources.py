"""Layouts and archives of other tools, pushed by the command where there is no engine at all.

Each recipe makes its content anew. What arrived is read back by tools that share no code with
ours: crane pulls all of it, skopeo reads the manifest.
"""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from tests.support.engines import Engine, running_engine, script_environment
from tests.support.front import Behaviour, Front, Rule, Step, on
from tests.support.registry import running_registry

COMMAND = Path(sys.executable).with_name("ghcr-push")
TAGS = ("1", "1.4", "latest")
CONTEXT = {"a": b"a" * 5000, "b": os.urandom(40_000)}
DOCKERFILE = "FROM scratch\nARG TARGETPLATFORM\nCOPY a /a\nCOPY b /b\nENV FOR=$TARGETPLATFORM\n"
PLATFORMS = "linux/amd64,linux/arm64,linux/arm/v7"


@dataclass(frozen=True)
class Tools:
    """Engines with an image `app:1` each, and the other tools; all run in `folder`."""

    folder: Path
    seeds: str
    """A registry for tools that read only from one."""
    classic: Engine
    old: Engine
    containerd: Engine
    environ: Mapping[str, str]

    def run(self, *words: str, engine: Engine | None = None) -> str:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**self.environ, **(engine.environ if engine else {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}{done.stdout}"
        return done.stdout

    def build(self, output: str, platforms: str = "linux/amd64") -> None:
        """Have buildx write `output`."""
        words = ("docker", "buildx", "build", "--quiet", "--platform", platforms)
        self.run(*words, "--output", output, "context", engine=self.containerd)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "context").mkdir()
    for name, content in {**CONTEXT, "Dockerfile": DOCKERFILE.encode()}.items():
        (folder / "context" / name).write_bytes(content)
    with ExitStack() as stack:

        def engine(release: str, store: str) -> Engine:
            name = f"disk-{release}-{store}-{token_hex(3)}"
            running = stack.enter_context(running_engine(name, release=release, store=store))
            running.build(DOCKERFILE, "--tag", "app:1", files=CONTEXT)
            return running

        peers = script_environment("tools-get", "peers")
        seeds = stack.enter_context(running_registry())
        yield Tools(
            folder,
            seeds.address,
            classic=engine("trixie", "classic"),
            old=engine("bookworm", "classic"),
            containerd=engine("trixie", "containerd"),
            environ=peers,
        )


# -- recipes: how other tools write content, and the source that names it ---------------------


def buildx_oci(tools: Tools) -> str:
    tools.build("type=oci,dest=buildx.tar")
    return "oci-archive:buildx.tar"


def buildx_platforms(tools: Tools) -> str:
    tools.build("type=oci,dest=platforms.tar", PLATFORMS)
    return "oci-archive:platforms.tar"


def buildx_named(tools: Tools) -> str:
    tools.build("type=oci,dest=named.tar,name=ghcr.io/acme/app:3")
    return "oci-archive:named.tar:ghcr.io/acme/app:3"


def buildx_folder(tools: Tools) -> str:
    tools.build("type=oci,dest=folder,tar=false", PLATFORMS)
    return "oci-layout:folder"


def buildx_gzipped(tools: Tools) -> str:
    tools.build("type=oci,dest=plain.tar", PLATFORMS)
    raw = (tools.folder / "plain.tar").read_bytes()
    (tools.folder / "gzipped.tar.gz").write_bytes(gzip.compress(raw, 1))
    return "oci-archive:gzipped.tar.gz"


def buildx_docker_media_types(tools: Tools) -> str:
    tools.build("type=oci,dest=docker-types.tar,oci-mediatypes=false")
    return "oci-archive:docker-types.tar"


def buildx_uncompressed(tools: Tools) -> str:
    tools.build("type=oci,dest=uncompressed.tar,compression=uncompressed,force-compression=true")
    return "oci-archive:uncompressed.tar"


def buildx_zstd(tools: Tools) -> str:
    tools.build("type=oci,dest=zstd.tar,compression=zstd,force-compression=true")
    return "oci-archive:zstd.tar"


def buildx_docker(tools: Tools) -> str:
    tools.build("type=docker,dest=buildx-docker.tar,name=app:9")
    return "docker-archive:buildx-docker.tar"


def save_classic(tools: Tools) -> str:
    tools.run("docker", "save", "--output", "classic.tar", "app:1", engine=tools.classic)
    return "docker-archive:classic.tar"


def save_classic_as_layout(tools: Tools) -> str:
    tools.run("docker", "save", "--output", "classic-oci.tar", "app:1", engine=tools.classic)
    return "oci-archive:classic-oci.tar"


def save_old(tools: Tools) -> str:
    tools.run("docker", "save", "--output", "old.tar", "app:1", engine=tools.old)
    return "docker-archive:old.tar:app:1"


def save_old_gzipped(tools: Tools) -> str:
    tools.run("docker", "save", "--output", "old-plain.tar", "app:1", engine=tools.old)
    raw = (tools.folder / "old-plain.tar").read_bytes()
    (tools.folder / "old.tar.gz").write_bytes(gzip.compress(raw, 1))
    return "docker-archive:old.tar.gz"


def save_containerd(tools: Tools) -> str:
    tools.run("docker", "save", "--output", "containerd.tar", "app:1", engine=tools.containerd)
    return "oci-archive:containerd.tar"


def save_containerd_as_docker(tools: Tools) -> str:
    tools.run("docker", "save", "--output", "containerd-d.tar", "app:1", engine=tools.containerd)
    return "docker-archive:containerd-d.tar:app:1"


def save_several(tools: Tools) -> str:
    for engine in (tools.classic,):
        engine.docker("tag", "app:1", "other:2")
    words = ("docker", "save", "--output", "several.tar", "app:1", "other:2")
    tools.run(*words, engine=tools.classic)
    return "docker-archive:several.tar:other:2"


def skopeo_layout(tools: Tools) -> str:
    save_old(tools)
    for tag in ("one", "two"):
        tools.run("skopeo", "copy", "--quiet", "docker-archive:old.tar", f"oci:skopeo:{tag}")
    return "oci:skopeo:two"


def skopeo_archive(tools: Tools) -> str:
    save_old(tools)
    (tools.folder / "skopeo.tar").unlink(missing_ok=True)
    tools.run("skopeo", "copy", "--quiet", "docker-archive:old.tar", "oci-archive:skopeo.tar:v1")
    return "oci-archive:skopeo.tar:v1"


def skopeo_docker(tools: Tools) -> str:
    save_old(tools)
    (tools.folder / "skopeo-d.tar").unlink(missing_ok=True)
    words = ("skopeo", "copy", "--quiet", "docker-archive:old.tar")
    tools.run(*words, "docker-archive:skopeo-d.tar:acme/app:7")
    return "docker-archive:skopeo-d.tar:acme/app:7"


def skopeo_platforms(tools: Tools) -> str:
    buildx_platforms(tools)
    words = ("skopeo", "copy", "--quiet", "--all", "oci-archive:platforms.tar")
    tools.run(*words, "oci:skopeo-all:multi")
    return "oci-layout:skopeo-all:multi"


def _seeded(tools: Tools, name: str) -> str:
    """Have skopeo put the image into a registry for tools that read only from one."""
    save_old(tools)
    target = f"{tools.seeds}/seed/{name}:1"
    words = ("skopeo", "copy", "--quiet", "--dest-tls-verify=false", "docker-archive:old.tar")
    tools.run(*words, f"docker://{target}")
    return target


def crane_layout(tools: Tools) -> str:
    tools.run("crane", "pull", "--format=oci", _seeded(tools, "crane"), "crane")
    return "oci-layout:crane"


def crane_tarball(tools: Tools) -> str:
    tools.run("crane", "pull", _seeded(tools, "crane"), "crane.tar")
    return "docker-archive:crane.tar"


def crane_legacy(tools: Tools) -> str:
    tools.run("crane", "pull", "--format=legacy", _seeded(tools, "crane"), "crane-legacy.tar")
    return "docker-archive:crane-legacy.tar"


def oras_layout(tools: Tools) -> str:
    words = ("oras", "copy", "--from-plain-http", "--to-oci-layout", _seeded(tools, "oras"))
    tools.run(*words, "oras:1")
    return "oci-layout:oras:1"


def oras_artifact(tools: Tools) -> str:
    (tools.folder / "note.txt").write_text("an artifact\n")
    words = ("oras", "push", "--oci-layout", "artifact:a", "--artifact-type", "text/note")
    tools.run(*words, "note.txt:text/plain")
    return "oci-layout:artifact:a"


def oras_archive(tools: Tools) -> str:
    oras_layout(tools)
    tools.run("tar", "-C", "oras", "-cf", "oras.tar", ".")
    return "oci-archive:oras.tar:1"


RECIPES: tuple[Callable[[Tools], str], ...] = (
    buildx_oci,
    buildx_platforms,
    buildx_named,
    buildx_folder,
    buildx_gzipped,
    buildx_docker_media_types,
    buildx_uncompressed,
    buildx_zstd,
    buildx_docker,
    save_classic,
    save_classic_as_layout,
    save_old,
    save_old_gzipped,
    save_containerd,
    save_containerd_as_docker,
    save_several,
    skopeo_layout,
    skopeo_archive,
    skopeo_docker,
    skopeo_platforms,
    crane_layout,
    crane_tarball,
    crane_legacy,
    oras_layout,
    oras_artifact,
    oras_archive,
)


# -- pushing them -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Pushed:
    """How the command ended."""

    status: int
    report: dict[str, Any]
    log: str


def push(tools: Tools, source: str, repository: str, *more: str) -> Pushed:
    """Push `source` under three tags, with neither a docker command nor a socket to be found."""
    environ = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    tags = ",".join(f"{repository}:{tag}" for tag in TAGS)
    done = subprocess.run(
        [COMMAND, "--tags", tags, "--source", source, "--format", "json", *more],
        cwd=tools.folder,
        env={**environ, "PATH": "/nonexistent", "HOME": str(tools.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Pushed(done.returncode, json.loads(done.stdout or "{}"), done.stderr)


def raw_manifest(tools: Tools, reference: str) -> bytes:
    words = ("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")
    return tools.run(*words).encode()


def listed(tools: Tools, source: str) -> set[str]:
    """Return the digests that the index of a layout or archive lists."""
    path = tools.folder / source.split(":")[1]
    if path.is_dir():
        index = json.loads((path / "index.json").read_bytes())
    else:
        with tarfile.open(path) as archive:
            name = next(name for name in archive.getnames() if name.endswith("index.json"))
            file = archive.extractfile(name)
            assert file is not None
            index = json.load(file)
    return {each["digest"] for each in index["manifests"]}


def check_pulled(tools: Tools, reference: str, top: Mapping[str, Any]) -> None:
    """Have crane pull all that the reference names; check each blob's bytes against its name."""
    folder = tools.folder / f"pulled-{token_hex(4)}"
    tools.run("crane", "pull", "--format=oci", reference, str(folder))
    blobs = folder / "blobs" / "sha256"
    names = {path.name for path in blobs.iterdir()}
    assert all(hashlib.sha256((blobs / name).read_bytes()).hexdigest() == name for name in names)
    named = [*top.get("manifests", ()), *top.get("layers", ())]
    assert {each["digest"][7:] for each in named} <= names


@pytest.mark.timeout(300)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.__name__)
def test_content_of_other_tools_is_pushed_whole(
    recipe: Callable[[Tools], str], tools: Tools, front: Front
) -> None:
    source = recipe(tools)
    repository = f"{front.address}/acme/{recipe.__name__}"
    pushed = push(tools, source, repository)
    assert pushed.status == 0, pushed.report or pushed.log
    stats = front.stats()
    uploads = stats.blob_uploads[f"acme/{recipe.__name__}"]
    assert set(uploads.values()) == {1}
    tags = {f"acme/{recipe.__name__}:{tag}" for tag in TAGS}
    assert {key: n for key, n in stats.manifest_writes.items() if key in tags} == dict.fromkeys(
        tags, 1
    )
    assert max(stats.manifest_writes.values()) == 1
    reference = f"{repository}:{TAGS[-1]}"
    raw = raw_manifest(tools, reference)
    if not source.startswith("docker-archive"):
        assert f"sha256:{hashlib.sha256(raw).hexdigest()}" in listed(tools, source)
    check_pulled(tools, reference, json.loads(raw))


@pytest.mark.timeout(300)
def test_a_second_run_writes_nothing(tools: Tools, front: Front) -> None:
    source = buildx_platforms(tools)
    repository = f"{front.address}/acme/again"
    assert push(tools, source, repository).status == 0
    before = front.stats()
    pushed = push(tools, source, repository)
    assert pushed.status == 0
    assert [target["outcome"] for target in pushed.report["targets"]] == ["unchanged"] * 3
    after = front.stats()
    assert after.manifest_writes == before.manifest_writes
    assert after.blob_uploads == before.blob_uploads


@pytest.mark.timeout(300)
def test_one_platform_is_pushed_alone(tools: Tools, front: Front) -> None:
    source = buildx_platforms(tools)
    repository = f"{front.address}/acme/one-platform"
    assert push(tools, source, repository, "--platform", "linux/arm").status == 0
    manifest = json.loads(raw_manifest(tools, f"{repository}:latest"))
    assert "layers" in manifest
    config = json.loads(tools.run("crane", "config", f"{repository}:latest"))
    assert (config["architecture"], config["variant"]) == ("arm", "v7")
    assert len(front.stats().blob_uploads["acme/one-platform"]) == 1 + len(manifest["layers"])


@pytest.mark.timeout(300)
def test_a_damaged_layer_moves_no_tag_and_is_named(tools: Tools, front: Front) -> None:
    buildx_folder(tools)
    blobs = tools.folder / "folder" / "blobs" / "sha256"
    layer = next(path for path in blobs.iterdir() if path.read_bytes().startswith(b"\x1f\x8b"))
    whole = layer.read_bytes()
    layer.write_bytes(bytes(len(whole)))
    try:
        pushed = push(tools, "oci-layout:folder", f"{front.address}/acme/damaged")
    finally:
        layer.write_bytes(whole)
    assert pushed.status == 1
    assert pushed.report["cause"] == "input"
    assert layer.name in json.dumps(pushed.report)
    assert not front.stats().manifest_writes
    assert re.search(r"not what its digest", json.dumps(pushed.report))


@pytest.mark.timeout(300)
def test_one_refused_blob_is_sent_again_from_its_file(tools: Tools, front: Front) -> None:
    buildx_folder(tools)
    front.set(Behaviour(rules=(Rule(match=on(Step.UPLOAD_PUT), first=2),)))
    pushed = push(tools, "oci-layout:folder", f"{front.address}/acme/retried")
    assert pushed.status == 0, pushed.report
    assert pushed.report["totals"]["retries"] == 2
    reference = f"{front.address}/acme/retried:1"
    check_pulled(tools, reference, json.loads(raw_manifest(tools, reference)))

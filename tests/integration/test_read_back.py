"""Images uploaded from every engine and store, pulled by every other one and by skopeo."""

import gzip
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from secrets import token_hex

import pytest
from tests.support.engines import Engine, running_engine, script_environment
from tests.support.front import Front, Step, running_front
from tests.support.loadable import (
    CAPABILITY,
    Loadable,
    archive_of,
    archive_of_index,
    file,
    files_of,
    folder,
    layer_of,
    merged,
)
from tests.support.outcomes import lacking, outcomes
from tests.support.processes import wait_until
from tests.support.registry import Registry
from tests.support.runner import Job
from tests.support.runner import Step as StepOfJob
from tests.support.saved import digest_of

pytestmark = pytest.mark.timeout(300)

CLASSIC = ("bookworm-classic", "trixie-classic", "sid-classic")
CONTAINERD = ("trixie-containerd", "sid-containerd")
ENGINES = (*CLASSIC, *CONTAINERD)

FIRST = (
    folder("data"),
    file("data/large", Random(1).randbytes(1_500_000)),
    # after its target also in alphabetical order, which is the order of an export
    file("data/linked", type=tarfile.LNKTYPE, linkname="data/large"),
    file("data/symbolic", mode=0o777, type=tarfile.SYMTYPE, linkname="large"),
    file("data/removed", b"the next layer removes it"),
    folder("data/emptied"),
    file("data/emptied/old", b"old"),
    file("data/special", b"special", mode=0o4755, uid=1000, gid=1001),
    file(f"data/{'long' * 40}", b"a name that needs a header of its own"),
    file("data/größe", b"a name beyond ASCII"),
    file("data/pipe", type=tarfile.FIFOTYPE),
)
OTHERS = (
    layer_of(
        folder("data"),
        file("data/.wh.removed"),
        folder("data/emptied"),
        file("data/emptied/.wh..wh..opq"),
        file("data/emptied/new", b"new"),
        file(
            "data/capable",
            b"may bind to low ports",
            pax_headers={CAPABILITY: (b"\1\0\0\2\0\4" + bytes(14)).decode()},
        ),
        file("data/noted", b"noted", pax_headers={"SCHILY.xattr.user.note": "a note"}),
    ),
    layer_of(),
    layer_of(file("text", b"".join(b"line %d\n" % number for number in range(200_000)))),
    layer_of(),
)


def image_of(origin: str) -> Loadable:
    """Return an image that shares nothing with images of another origin in any engine."""
    return Loadable(layers=(layer_of(*FIRST, file("origin", origin.encode())), *OTHERS))


IMAGE = image_of("all")
CHANGED = Loadable(layers=(*IMAGE.layers[:3], layer_of(file("text", b"another")), layer_of()))
ARCHIVE = archive_of({"whole:1": IMAGE, "whole:2": CHANGED})

PLATFORMS = tuple(
    Loadable(layers=(layer_of(folder("bin"), file("bin/sh", name.encode())),), architecture=name)
    for name in ("amd64", "arm64")
)
INDEX_ARCHIVE, INDEX = archive_of_index("multi:1", PLATFORMS)


@pytest.fixture(scope="module")
def front(registry: Registry) -> Iterator[Front]:
    with running_front(registry.address) as front:
        yield front


@pytest.fixture(scope="module")
def engines() -> Iterator[Mapping[str, Engine]]:
    """Yield all engines, without any image."""
    with ExitStack() as stack:
        running = {}
        for name in ENGINES:
            release, store = name.split("-")
            engine = running_engine(f"rb-{name}-{token_hex(2)}", release=release, store=store)
            running[name] = stack.enter_context(engine)
        yield running


@contextmanager
def loaded(engine: Engine, archive: bytes, *names: str) -> Iterator[None]:
    """Load the images of an archive into the engine while the block runs."""
    engine.docker("load", "--quiet", stdin=archive)
    yield
    engine.docker("image", "rm", "--force", *names)


def push(engine: Engine, source: str, target: str, folder: Path) -> StepOfJob:
    """Upload an image to the registry, and check that it is complete there."""
    inputs = {"tags": target, "source": source, "transport": "direct"}
    step = Job(folder, engine).run_here(inputs)
    assert step.status == 0, step.log
    assert lacking(target.partition("/")[0], target) == []
    return step


@pytest.fixture(scope="module")
def pushed(
    engines: Mapping[str, Engine], front: Front, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """Upload each engine's image; return their digests. ``target`` returns their references."""
    digests = {}
    for name, engine in engines.items():
        with loaded(engine, archive_of({"whole:1": image_of(name)}), "whole:1"):
            step = push(engine, "whole:1", target(front, name), tmp_path_factory.mktemp("job"))
        digests[name] = step.outputs["digest"]
    return digests


def target(front: Front, origin: str, image: str = "whole") -> str:
    return f"{front.address}/{image}/{origin}:1"


@pytest.mark.parametrize("reader", ENGINES)
@pytest.mark.parametrize("origin", ENGINES)
def test_docker_pull_brings_the_same_image(
    engines: Mapping[str, Engine],
    pushed: Mapping[str, str],
    front: Front,
    origin: str,
    reader: str,
) -> None:
    image = image_of(origin)
    identifier = pushed[origin] if reader in CONTAINERD else digest_of(image.config)
    check_pulled(engines[reader], target(front, origin), identifier, image, front)


def check_pulled(
    engine: Engine, reference: str, identifier: str, image: Loadable, front: Front
) -> None:
    """Pull an image into an engine that has no part of it, and inspect its config and files."""
    front.reset()
    engine.docker("pull", "--quiet", reference)
    # the front may see the end of an answer later than the engine
    wait_until(lambda: front.stats().count(Step.BLOB_GET) >= len(set(image.layers)))
    try:
        inspected = json.loads(engine.docker("image", "inspect", reference))[0]
        assert inspected["Id"] == identifier
        assert inspected["RootFS"]["Layers"] == image.diff_ids
        assert inspected["Config"]["Labels"] == json.loads(image.config)["config"]["Labels"]
        assert exported(engine, reference, image) == merged(image.layers)
    finally:
        engine.docker("image", "rm", "--force", reference)


def exported(engine: Engine, reference: str, image: Loadable) -> Mapping[str, object]:
    """Return the files of a container, without those that the engine itself adds."""
    container = engine.docker("create", "--network", "none", reference)
    try:
        export = subprocess.run(
            ["docker", "export", container],
            env=dict(engine.environ),
            stdout=subprocess.PIPE,
            check=True,
        )
    finally:
        engine.docker("rm", container)
    own = {name.partition("/")[0] for name in merged(image.layers)}
    return {name: each for name, each in files_of(export.stdout) if name.partition("/")[0] in own}


@pytest.fixture(scope="module")
def skopeo_path() -> str:
    return script_environment("tools-get", "peers")["PATH"]


def skopeo(path: str, *arguments: str) -> bytes:
    command = ["skopeo", "--insecure-policy", *arguments]
    return subprocess.run(
        command, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, check=True
    ).stdout


@pytest.mark.parametrize("origin", ENGINES)
def test_skopeo_reads_the_same_image(
    pushed: Mapping[str, str], front: Front, skopeo_path: str, tmp_path: Path, origin: str
) -> None:
    image, reference = image_of(origin), f"docker://{target(front, origin)}"
    inspect = ("inspect", "--tls-verify=false", "--raw")
    raw = skopeo(skopeo_path, *inspect, reference)
    assert digest_of(raw) == pushed[origin]
    assert skopeo(skopeo_path, *inspect, "--config", reference) == image.config
    skopeo(skopeo_path, "copy", "--src-tls-verify=false", reference, f"dir:{tmp_path}")
    assert (tmp_path / "manifest.json").read_bytes() == raw
    named = [layer["digest"].removeprefix("sha256:") for layer in json.loads(raw)["layers"]]
    assert [gzip.decompress((tmp_path / name).read_bytes()) for name in named] == [*image.layers]


@pytest.fixture(scope="module")
def pushed_index(
    engines: Mapping[str, Engine], front: Front, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Upload the index from each containerd store, and also push it with docker."""
    for name in CONTAINERD:
        engine, theirs = engines[name], target(front, name, "docker")
        with loaded(engine, INDEX_ARCHIVE, "multi:1"):
            push(engine, "multi:1", target(front, name, "multi"), tmp_path_factory.mktemp("job"))
            engine.docker("tag", "multi:1", theirs)
            engine.docker("push", theirs)
            engine.docker("image", "rm", theirs)


@pytest.mark.parametrize("origin", CONTAINERD)
@pytest.mark.usefixtures("pushed_index")
def test_an_index_arrives_as_docker_push_sends_it(
    front: Front, skopeo_path: str, tmp_path: Path, origin: str
) -> None:
    for repository in ("multi", "docker"):
        reference = f"docker://{target(front, origin, repository)}"
        raw = skopeo(skopeo_path, "inspect", "--tls-verify=false", "--raw", reference)
        assert raw == INDEX
        layout = f"oci:{tmp_path}/{repository}"
        skopeo(skopeo_path, "copy", "--all", "--src-tls-verify=false", reference, layout)
    ours, theirs = (
        {path.name for path in (tmp_path / name / "blobs/sha256").iterdir()}
        for name in ("multi", "docker")
    )
    attested = [
        child["digest"].removeprefix("sha256:")
        for child in json.loads(INDEX)["manifests"]
        if child["platform"]["os"] == "unknown"
    ]
    assert ours == theirs
    assert ours >= {*attested}


@pytest.mark.parametrize("reader", ENGINES)
@pytest.mark.usefixtures("pushed_index")
def test_docker_pull_brings_its_platform_of_an_index(
    engines: Mapping[str, Engine], front: Front, reader: str
) -> None:
    [image] = [one for one in PLATFORMS if one.architecture == "amd64"]
    identifier = digest_of(INDEX if reader in CONTAINERD else image.config)
    check_pulled(engines[reader], target(front, CONTAINERD[0], "multi"), identifier, image, front)


@pytest.mark.parametrize("fleet", [CLASSIC, CONTAINERD], ids=["classic", "containerd"])
def test_a_fresh_engine_sends_only_what_is_new(
    engines: Mapping[str, Engine], front: Front, tmp_path: Path, fleet: tuple[str, ...]
) -> None:
    first, *others = fleet
    repository = f"again/{first}"
    reference = f"{front.address}/{repository}"
    with loaded(engines[first], ARCHIVE, "whole:1", "whole:2"):
        push(engines[first], "whole:1", f"{reference}:{first}", tmp_path / first)
    for name in others:
        with loaded(engines[name], ARCHIVE, "whole:1", "whole:2"):
            front.reset()
            step = push(engines[name], "whole:1", f"{reference}:{first}", tmp_path / name)
            assert outcomes(step) == {f"{reference}:{first}": "unchanged"}
            assert front.stats().manifest_writes == {}
            push(engines[name], "whole:1", f"{reference}:{name}", tmp_path / name)
            assert front.stats().blob_uploads == {}
            assert front.stats().upload_bytes == 0
            assert front.stats().manifest_writes == {f"{repository}:{name}": 1}
    last = others[-1]
    with loaded(engines[last], ARCHIVE, "whole:1", "whole:2"):
        front.reset()
        push(engines[last], "whole:2", f"{reference}:changed", tmp_path / last)
    sent = front.stats().blob_uploads[repository]
    assert sorted(sent.values()) == [1, 1]
    assert digest_of(CHANGED.config) in sent
    assert front.stats().manifest_writes == {f"{repository}:changed": 1}

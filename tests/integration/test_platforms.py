"""One platform of an engine's image, or its layers compressed, on engines old and new."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import httpx2
import pytest
from tests.support.engines import Engine, running_engine
from tests.support.front import Front, running_front
from tests.support.loadable import Loadable, archive_of_classic, file, layer_of
from tests.support.registry import Registry

from ghcr_push import push
from ghcr_push.model import Kind, Outcome
from ghcr_push.reporting.records import TargetRecord

pytestmark = pytest.mark.timeout(300)

PLATFORMS = "linux/amd64,linux/arm64,linux/arm/v7"
DOCKERFILE = "FROM scratch\nARG TARGETARCH\nCOPY of-$TARGETARCH /of\nCOPY common /common\n"
FILES = {
    "common": b"common",
    **{f"of-{each}": f"of {each}".encode() for each in ("amd64", "arm64", "arm")},
}
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"


@pytest.fixture(scope="module", params=["trixie", "sid"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Yield engines with a containerd store, without and with the option to save one platform."""
    name = f"pl-{token_hex(3)}"
    with running_engine(name, release=request.param, store="containerd") as engine:
        engine.build(DOCKERFILE, "--platform", PLATFORMS, "--tag", "multi:1", files=FILES)
        yield engine


@pytest.fixture(scope="module")
def classic() -> Iterator[Engine]:
    with running_engine(f"pl-{token_hex(3)}", release="bookworm") as engine:
        engine.make_image("app:1")
        yield engine


def use(engine: Engine, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in ("DOCKER_HOST", "PATH"):
        monkeypatch.setenv(name, engine.environ[name])
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


def pushed(target: str, source: str, platform: str) -> TargetRecord:
    [result] = push([target], source=source, platform=platform).targets
    return result


def manifest(registry: Registry, target: str) -> httpx2.Response:
    path = target.partition("/")[2].replace(":", "/manifests/")
    url = f"http://{registry.address}/v2/{path}"
    return httpx2.get(url, headers={"Accept": MANIFESTS}).raise_for_status()


@pytest.mark.parametrize(
    ("asked", "architecture"), [("linux/arm64", "arm64"), ("linux/arm", "arm")]
)
def test_wanted_blobs_are_uploaded_and_no_others(
    engine: Engine,
    front: Front,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    asked: str,
    architecture: str,
) -> None:
    use(engine, monkeypatch, tmp_path)
    name = f"acme/{token_hex(4)}"
    target = f"{front.address}/{name}:1"
    result = pushed(target, "multi:1", asked)
    assert result.outcome is Outcome.PUSHED, result.failure
    answer = manifest(registry, target)
    document = answer.json()
    assert answer.headers["Docker-Content-Digest"] == result.digest
    blobs = {each["digest"] for each in [document["config"], *document["layers"]]}
    url = f"http://{registry.address}/v2/{name}/blobs/{document['config']['digest']}"
    assert httpx2.get(url).raise_for_status().json()["architecture"] == architecture
    assert front.stats().blob_uploads[name] == dict.fromkeys(blobs, 1)
    assert [*front.stats().manifest_writes] == [f"{name}:1"]
    with running_front(registry.address) as again:
        repeated = pushed(f"{again.address}/{name}:1", "multi:1", asked)
        assert (repeated.outcome, repeated.digest) == (Outcome.UNCHANGED, result.digest)


def test_the_error_for_a_missing_image_lists_the_available_ones(
    engine: Engine, front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(engine, monkeypatch, tmp_path)
    result = pushed(f"{front.address}/acme/{token_hex(4)}:1", "multi:1", "linux/riscv64")
    assert result.failure is not None
    assert result.failure.kind is Kind.SOURCE_INVALID
    there = "has no image of linux/riscv64; it has linux/amd64, linux/arm64, linux/arm/v7"
    assert there in result.failure.message


def test_the_local_platform_of_a_pulled_image_is_chosen(
    engine: Engine,
    front: Front,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    use(engine, monkeypatch, tmp_path)
    name = f"{registry.address}/acme/{token_hex(4)}:1"
    engine.build(DOCKERFILE, "--platform", PLATFORMS, "--tag", name, files=FILES)
    engine.docker("push", "--quiet", name)
    engine.docker("image", "rm", "--force", "multi:1", name)
    try:
        for each in ("linux/amd64", "linux/arm64"):
            engine.docker("pull", "--quiet", "--platform", each, name)
        result = pushed(f"{front.address}/acme/{token_hex(4)}:1", name, "linux/arm64")
        assert result.outcome is Outcome.PUSHED, result.failure
        entries = manifest(registry, name).json()["manifests"]
        [arm] = [each for each in entries if each["platform"]["architecture"] == "arm64"]
        assert result.digest == arm["digest"]
        absent = pushed(f"{front.address}/acme/{token_hex(4)}:1", name, "linux/arm")
        assert absent.failure is not None
        assert absent.failure.kind is Kind.CONTENT_MISSING
        assert "missing content: platforms linux/arm/v7" in absent.failure.message
    finally:
        engine.build(DOCKERFILE, "--platform", PLATFORMS, "--tag", "multi:1", files=FILES)


def test_an_image_of_the_classic_store_has_the_platform_or_not(
    classic: Engine, front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(classic, monkeypatch, tmp_path)
    target = f"{front.address}/acme/{token_hex(4)}:1"
    other = "linux/s390x"
    there = json.loads(classic.docker("image", "inspect", "app:1"))[0]["Architecture"]
    refused = pushed(target, "app:1", other)
    assert refused.failure is not None
    assert refused.failure.kind is Kind.SOURCE_INVALID
    assert f"has no image of {other}; it has linux/{there}" in refused.failure.message
    assert pushed(target, "app:1", f"linux/{there}").outcome is Outcome.PUSHED


def test_uncompressed_layers_after_docker_load_are_compressed_on_request(
    engine: Engine,
    registry: Registry,
    front: Front,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    use(engine, monkeypatch, tmp_path)
    content = layer_of(file("text", b"a line of text\n" * 200_000))
    archive = archive_of_classic("plain:1", Loadable(layers=(content,), architecture="amd64"))
    engine.docker("load", "--quiet", stdin=archive)
    name = f"acme/{token_hex(4)}"
    target = f"{front.address}/{name}:1"
    [plain] = push([f"{target}-plain"], source="plain:1").targets
    [result] = push([target], source="plain:1", compress_layers=True).targets
    assert result.outcome is Outcome.PUSHED, result.failure
    assert result.digest != plain.digest
    before, after = (manifest(registry, f"{target}{more}").json() for more in ("-plain", ""))
    assert after["config"] == before["config"]
    [layer] = after["layers"]
    assert layer["mediaType"].endswith("gzip")
    assert layer["size"] < before["layers"][0]["size"] / 10
    url = f"http://{registry.address}/v2/{name}/blobs/{layer['digest']}"
    assert gzip.decompress(httpx2.get(url).raise_for_status().content) == content
    engine.docker("pull", "--quiet", target)
    with running_front(registry.address) as again:
        where = f"{again.address}/{name}:1"
        [repeated] = push([where], source="plain:1", compress_layers=True).targets
        assert (repeated.outcome, repeated.digest) == (Outcome.UNCHANGED, result.digest)
        assert not again.stats().blob_uploads

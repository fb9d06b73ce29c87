"""Docker archives: selecting the image, and layers with any names."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.compressed import PACKERS
from tests.support.layouts import archive, docker_archive, found, read, refused
from tests.support.saved import config_of, digest_of, layer, tar

from ghcr_push.failures import PushError
from ghcr_push.model import Image

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("packed", PACKERS)
async def test_a_docker_archive_is_read_whatever_its_layers_are_called(
    packed: str, tmp_path: Path
) -> None:
    layers = [layer(1), layer(2)]
    path = archive(tmp_path, PACKERS[packed](tar(docker_archive(layers))))
    image, blobs, manifests = await read(f"docker-archive:{path}")
    assert isinstance(image, Image)
    assert (image.id, image.digest, image.layers) == (digest_of(config_of(layers)), None, 2)
    assert len(manifests) == 1
    unpacked = {gzip.decompress(raw) for raw in blobs.values() if raw.startswith(b"\x1f\x8b")}
    assert unpacked == set(layers)


async def test_layers_that_are_compressed_pass_as_they_are(tmp_path: Path) -> None:
    layers = [layer(1), layer(2)]
    path = archive(tmp_path, tar(docker_archive(layers, compress=True)))
    _, blobs, _ = await read(f"docker-archive:{path}")
    assert {gzip.compress(one, mtime=0) for one in layers} < set(blobs.values())


async def test_a_layer_with_another_digest_is_rejected(tmp_path: Path) -> None:
    files = docker_archive([layer(1), layer(2)])
    files["layer-1.tar"] = layer(3)
    with pytest.raises(PushError, match="the config names"):
        await read(f"docker-archive:{archive(tmp_path, tar(files))}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"manifest.json": b"{}"}, "lists no images"),
        ({"manifest.json": b"no"}, "not JSON"),
        ({"manifest.json": b'[{"Config": "none.json", "Layers": []}]'}, "lacks its config"),
        ({"layer-1.tar": None}, "lacks its layer layer-1.tar"),
        ({"manifest.json": None}, "not a docker archive"),
    ],
)
async def test_a_file_that_is_no_docker_archive_is_reported_as_such(
    change: Mapping[str, bytes | None], reason: str, tmp_path: Path
) -> None:
    files: dict[str, bytes | None] = {**docker_archive([layer(1), layer(2)]), **change}
    kept = {name: raw for name, raw in files.items() if raw is not None}
    assert reason in await refused(f"docker-archive:{archive(tmp_path, tar(kept))}")


async def test_images_of_a_docker_archive_are_distinguished(tmp_path: Path) -> None:
    first, second = docker_archive([layer(1)], tags=["app:1"]), docker_archive([layer(2)])
    other = json.loads(second["manifest.json"])[0]
    other |= {"RepoTags": ["ghcr.io/acme/other:2"], "Layers": ["second.tar"]}
    entries = [*json.loads(first["manifest.json"]), other]
    files = {**first, **second, "layer-0.tar": layer(1), "second.tar": layer(2)}
    files["manifest.json"] = json.dumps(entries).encode()
    path = archive(tmp_path, tar(files))
    for name, layers in (
        ("app:1", [layer(1)]),
        ("docker.io/library/app:1", [layer(1)]),
        ("2", [layer(2)]),
    ):
        image = await found(f"docker-archive:{path}:{name}")
        assert isinstance(image, Image)
        assert image.id == digest_of(config_of(layers))
    reason = await refused(f"docker-archive:{path}")
    assert "holds 2 images; name one of app:1, ghcr.io/acme/other:2" in reason


async def test_a_docker_archive_is_of_one_platform(tmp_path: Path) -> None:
    path = archive(tmp_path, tar(docker_archive([layer(1)])))
    assert isinstance(await found(f"docker-archive:{path}", platform="linux/amd64"), Image)
    reason = await refused(f"docker-archive:{path}", platform="linux/arm64")
    assert "has no image of linux/arm64; it has linux/amd64" in reason

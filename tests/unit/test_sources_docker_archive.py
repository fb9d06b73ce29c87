"""Docker archives: selecting the image, and layers with any names."""

import bz2
import gzip
import json
import lzma
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.compressed import PACKERS
from tests.support.layouts import CONFIG, archive, docker_archive, found, read, refused
from tests.support.saved import MANIFEST, config_of, digest_of, layer, tar

from ghcr_push.failures import PushError
from ghcr_push.model import Image
from ghcr_push.planning.locations import DiskLocation, Form
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.spool import Spool

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


async def test_an_image_with_zstd_layers_has_the_types_of_the_image_spec(tmp_path: Path) -> None:
    layers = [layer(1), layer(2), layer(3)]
    files = docker_archive(layers)
    files["layer-0.tar"] = PACKERS["zstd"](layers[0])
    files["layer-1.tar"] = PACKERS["pzstd"](layers[1])
    location = DiskLocation(Form.DOCKER_ARCHIVE, str(archive(tmp_path, tar(files))))
    content = await DiskSources(Path, Spool(), None).find(location)
    blobs = {}
    async with content.read() as reading:
        async for blob in reading:
            blobs[blob.digest] = b"".join([piece async for piece in blob.chunks()])
            blob.release()
        manifest = reading.image.manifests[-1]
    document = manifest.document
    assert document["mediaType"] == manifest.media_type == MANIFEST
    assert document["config"]["mediaType"] == CONFIG
    assert [each["mediaType"].rpartition(".")[2] for each in document["layers"]] == [
        "tar+zstd",
        "tar+zstd",
        "tar+gzip",
    ]
    assert [blobs[each["digest"]] for each in document["layers"][:2]] == [
        files["layer-0.tar"],
        files["layer-1.tar"],
    ]


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (bz2.compress(layer(1)), "layer layer-0.tar is compressed by bzip2"),
        (lzma.compress(layer(1)), "layer layer-0.tar is compressed by xz"),
        (gzip.compress(layer(1))[:-9], "layer layer-0.tar is truncated or damaged"),
        (PACKERS["zstd"](layer(1))[:-9], "layer layer-0.tar is truncated or damaged"),
        (gzip.compress(layer(1)) + b"junk", "layer layer-0.tar is truncated or damaged"),
        (PACKERS["zstd"](layer(2)), "the config names"),
    ],
)
async def test_a_compressed_layer_that_cannot_be_checked_is_rejected(
    packed: bytes, reason: str, tmp_path: Path
) -> None:
    files = {**docker_archive([layer(1)]), "layer-0.tar": packed}
    with pytest.raises(PushError, match=reason):
        await read(f"docker-archive:{archive(tmp_path, tar(files))}")


async def test_a_layer_may_start_with_a_file_that_is_called_like_a_compression(
    tmp_path: Path,
) -> None:
    layers = [tar({"BZh9": b"x"})]
    path = archive(tmp_path, tar(docker_archive(layers)))
    _, blobs, _ = await read(f"docker-archive:{path}")
    assert layers[0] in {gzip.decompress(raw) for raw in blobs.values() if raw[:1] != b"{"}


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


async def test_images_without_a_name_are_chosen_by_their_id(tmp_path: Path) -> None:
    files = dict[str, bytes]()
    entries = list[dict[str, object]]()
    for number in (1, 2):
        made = docker_archive([layer(number)], tags=[])
        entry = json.loads(made.pop("manifest.json"))[0]
        files |= {**made, f"{number}.tar": made.pop("layer-0.tar")}
        entries.append({**entry, "RepoTags": None, "Layers": [f"{number}.tar"]})
    files["manifest.json"] = json.dumps(entries).encode()
    path = archive(tmp_path, tar(files))
    ids = [digest_of(config_of([layer(number)])) for number in (1, 2)]
    for each in ids:
        image = await found(f"docker-archive:{path}@{each}")
        assert isinstance(image, Image)
        assert image.id == each
    assert f"holds 2 images; name one of {', '.join(ids)}" in await refused(
        f"docker-archive:{path}"
    )


async def test_an_image_with_a_name_has_an_id_too(tmp_path: Path) -> None:
    path = archive(tmp_path, tar(docker_archive([layer(1)])))
    image = await found(f"docker-archive:{path}@{digest_of(config_of([layer(1)]))}")
    assert isinstance(image, Image)


async def test_a_docker_archive_is_of_one_platform(tmp_path: Path) -> None:
    path = archive(tmp_path, tar(docker_archive([layer(1)])))
    assert isinstance(await found(f"docker-archive:{path}", platform="linux/amd64"), Image)
    reason = await refused(f"docker-archive:{path}", platform="linux/arm64")
    assert "has no image of linux/arm64; it has linux/amd64" in reason

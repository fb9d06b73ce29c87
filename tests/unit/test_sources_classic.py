"""Images of the classic store, from all forms of archive."""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.saved import (
    Choppy,
    classic_image,
    config_of,
    digest_of,
    layer,
    reading_of_classic,
    released,
    saved_as_layout,
    saved_by_podman,
    saved_in_folders,
    tar,
)

from ghcr_push.failures import PushError
from ghcr_push.model import Image
from ghcr_push.pushing.ports import Blob
from ghcr_push.references import Digest
from ghcr_push.sources.classic import read_classic
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.saved import SavedImages, Steps
from ghcr_push.sources.spool import Spool, SpooledBlob
from ghcr_push.sources.tarstream import TarStream

pytestmark = pytest.mark.anyio

LAYERS = [layer(1), layer(2, 1_500_000), layer(3), layer(1)]
OTHER = [layer(1), layer(4)]
Saver = Callable[..., bytes]
FORMS = pytest.mark.parametrize("save", [saved_in_folders, saved_as_layout, saved_by_podman])


async def content_of(blob: Blob) -> bytes:
    return b"".join([chunk async for chunk in blob.chunks()])


async def read(
    archive: bytes,
    image: Image,
    sizes: Sequence[int] = (1 << 20,),
    cores: int = 2,
) -> tuple[SavedImage, dict[Digest, bytes]]:
    spool, contents = Spool(), {}
    tar = TarStream(Choppy(archive, sizes))

    def steps(compressor: LayerCompressor) -> Steps:
        return read_classic(image, tar, replace(compressor, cores=cores))

    async with SavedImages(steps, spool) as saved:
        async for blob in saved:
            with released(blob):
                contents[blob.digest] = await content_of(blob)
                assert digest_of(contents[blob.digest]) == blob.digest
                assert len(contents[blob.digest]) == blob.size
    assert spool.room.used == 0
    return saved.image, contents


@FORMS
async def test_makes_the_manifest_that_the_engine_would_make(save: Saver) -> None:
    image, contents = await read(save(LAYERS), classic_image(LAYERS))
    [manifest] = image.manifests
    document = json.loads(manifest.raw)
    assert manifest.digest == digest_of(manifest.raw) == image.top.digest
    assert (document["schemaVersion"], document["mediaType"]) == (2, manifest.media_type)
    assert manifest.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    assert contents[document["config"]["digest"]] == config_of(LAYERS)
    assert [gzip.decompress(contents[one["digest"]]) for one in document["layers"]] == LAYERS
    assert [one["size"] for one in document["layers"]] == [
        len(contents[one["digest"]]) for one in document["layers"]
    ]
    assert {blob.digest for blob in image.blobs} == set(contents)


async def test_a_digest_does_not_depend_on_the_engine() -> None:
    folders, _ = await read(saved_in_folders(LAYERS), classic_image(LAYERS))
    layout, _ = await read(saved_as_layout(LAYERS), classic_image(LAYERS))
    assert folders == layout


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@given(st.lists(st.integers(100, 100_000), min_size=1, max_size=5), st.integers(1, 4))
@settings(max_examples=15)
async def test_a_digest_does_not_depend_on_feed_sizes_or_cores(
    sizes: list[int], cores: int
) -> None:
    archive = saved_as_layout(LAYERS)
    image, _ = await read(archive, classic_image(LAYERS), sizes=sizes, cores=cores)
    alike, _ = await read(archive, classic_image(LAYERS))
    assert image == alike


@FORMS
async def test_reads_one_of_several_images(save: Saver) -> None:
    image, contents = await read(save(LAYERS, OTHER), classic_image(OTHER))
    assert len(contents) == len(OTHER) + 1
    alone, _ = await read(save(OTHER), classic_image(OTHER))
    assert image == alone


@FORMS
async def test_names_the_layer_of_a_blob(save: Saver) -> None:
    spool, seen = Spool(), set()
    async with reading_of_classic(Choppy(save(OTHER)), classic_image(OTHER), spool) as saved:
        async for blob in saved:
            assert isinstance(blob, SpooledBlob)
            seen.add(blob.diff_id)
            blob.release()
    assert seen == {None, *map(digest_of, OTHER)}


@FORMS
async def test_uploads_no_layer_that_was_not_requested(save: Saver) -> None:
    _, contents = await read(save(LAYERS, OTHER), classic_image(LAYERS))
    assert digest_of(layer(4)) not in {
        digest_of(gzip.decompress(one)) for one in contents.values() if one[:2] == b"\x1f\x8b"
    }


async def test_takes_an_image_without_layers() -> None:
    image, contents = await read(saved_as_layout([]), classic_image([]))
    assert json.loads(image.manifests[0].raw)["layers"] == []
    assert len(contents) == 1


async def refusal(archive: bytes, image: Image) -> str:
    with pytest.raises(PushError) as raised:
        await read(archive, image)
    return str(raised.value)


@FORMS
async def test_refuses_an_image_whose_layer_is_missing(save: Saver) -> None:
    wanted = classic_image(LAYERS)
    archive = save(LAYERS).replace(LAYERS[1], LAYERS[2].ljust(len(LAYERS[1]), b"\0"))
    said = await refusal(archive, wanted)
    assert wanted.diff_ids[1] in said


@FORMS
async def test_refuses_a_config_that_is_another(save: Saver) -> None:
    config = config_of(OTHER)
    archive = save(OTHER).replace(config, config.replace(b"linux", b"Linux"))
    assert "config" in await refusal(archive, classic_image(OTHER))


@FORMS
async def test_refuses_an_archive_of_another_image(save: Saver) -> None:
    assert "config" in await refusal(save(OTHER), classic_image(LAYERS))


async def test_refuses_a_config_with_other_layers_than_the_engine_named() -> None:
    real = classic_image(OTHER)
    claimed = replace(real, diff_ids=(*real.diff_ids, real.diff_ids[0]))
    assert "other layers" in await refusal(saved_as_layout(OTHER), claimed)


@pytest.mark.parametrize("config", [b"{}", b"[]", b"x", b'{"rootfs": 1}', b'{"rootfs": {}}'])
async def test_refuses_a_config_that_names_no_layers(config: bytes) -> None:
    image = Image(id=digest_of(config), layers=1, diff_ids=(digest_of(layer(1)),))
    archive = tar({f"{image.id[7:]}.json": config})
    assert "config" in await refusal(archive, image)


@FORMS
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
async def test_refuses_an_archive_that_is_cut_off(save: Saver, share: float) -> None:
    archive = save(LAYERS)
    cut = archive[: int(share * len(archive))]
    assert "incomplete" in await refusal(cut, classic_image(LAYERS))


@FORMS
async def test_raises_the_error_that_an_engine_appended(save: Saver) -> None:
    archive = save(LAYERS)[:200_000] + b'{"errorDetail":{"message":"layer is gone"},"error":""}'
    assert await refusal(archive, classic_image(LAYERS)) == "layer is gone"

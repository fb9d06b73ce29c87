"""Images of the containerd store: byte for byte, and with missing platforms."""

import json
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.saved import (
    MANIFEST,
    Choppy,
    Stored,
    digest_of,
    reading_of_stored,
    released,
    tar,
)

from ghcr_push.failures import PushError, classify
from ghcr_push.model import Kind
from ghcr_push.references import Digest
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.spool import Spool

pytestmark = pytest.mark.anyio

AMD, ARM, ARM6, ARM7 = "linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7"


async def read(
    archive: bytes,
    *wanted: Digest,
    platform: str | None = None,
    sizes: Sequence[int] = (1 << 20,),
    only: Collection[Digest] | None = None,
) -> tuple[SavedImage, dict[Digest, bytes]]:
    spool, contents = Spool(), {}
    reader = Choppy(archive, sizes)
    async with reading_of_stored(reader, wanted, spool, platform=platform, only=only) as saved:
        async for blob in saved:
            with released(blob):
                contents[blob.digest] = b"".join([chunk async for chunk in blob.chunks()])
                assert digest_of(contents[blob.digest]) == blob.digest
    assert spool.room.used == 0
    return saved.image, contents


async def refusal(archive: bytes, wanted: Digest, platform: str | None = None) -> tuple[Kind, str]:
    with pytest.raises(PushError) as raised:
        await read(archive, wanted, platform=platform)
    return classify(raised.value.evidence).kind, str(raised.value)


async def test_passes_an_index_byte_for_byte_children_first() -> None:
    stored = Stored(AMD, ARM)
    image, contents = await read(stored.saved(), stored.index)
    assert image.top.digest == stored.index
    assert [one.digest for one in image.manifests] == [
        *stored.manifests.values(),
        *stored.attestations.values(),
        stored.index,
    ]
    assert all(one.raw == stored.blobs[one.digest] for one in image.manifests)
    assert contents == {
        one: raw
        for one, raw in stored.blobs.items()
        if one not in {manifest.digest for manifest in image.manifests}
    }
    assert {blob.digest for blob in image.blobs} == set(contents)
    assert image.notice is None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@given(st.lists(st.integers(1, 5000), min_size=1))
@settings(max_examples=30)
async def test_reads_the_same_whatever_sizes_arrive(sizes: list[int]) -> None:
    stored = Stored(AMD)
    assert await read(stored.saved(), stored.index, sizes=sizes) == await read(
        stored.saved(), stored.index
    )


async def test_takes_an_image_without_an_index() -> None:
    stored = Stored(AMD)
    alone = stored.manifests[AMD]
    image, _ = await read(stored.saved(), alone)
    assert [one.digest for one in image.manifests] == [alone]
    assert len(image.blobs) == 3


async def test_reads_the_first_of_several_images_and_the_blobs_of_all() -> None:
    one, two = Stored(AMD), Stored(ARM, layers=3)
    one.blobs |= two.blobs
    image, contents = await read(one.saved(), two.index, one.index)
    assert image.top.digest == two.index
    assert {*one.layers[AMD], *two.layers[ARM]} <= contents.keys()


async def test_does_not_yield_unwanted_blobs() -> None:
    stored = Stored(AMD)
    held = set(stored.layers[AMD])
    everything, all_contents = await read(stored.saved(), stored.index)
    image, contents = await read(stored.saved(), stored.index, only=all_contents.keys() - held)
    assert image == everything
    assert not held & set(contents)


async def test_pushes_the_one_platform_that_is_complete() -> None:
    stored = Stored(AMD, ARM, ARM7)
    missing = {stored.manifests[ARM], stored.layers[ARM7][0]} | set(stored.attestations.values())
    image, _ = await read(stored.saved(without=missing), stored.index)
    assert image.top.digest == stored.manifests[AMD]
    assert image.notice == (
        "only linux/amd64 is in the engine and was pushed; left out: linux/arm64, linux/arm/v7"
    )


async def test_pushes_the_only_platform_where_its_attestation_is_missing() -> None:
    stored = Stored(AMD)
    archive = stored.saved(without=stored.attestations.values())
    image, _ = await read(archive, stored.index)
    assert image.top.digest == stored.manifests[AMD]
    assert "left out: an attestation" in (image.notice or "")


async def test_refuses_several_platforms_of_more_and_names_the_missing() -> None:
    stored = Stored(AMD, ARM, ARM7)
    archive = stored.saved(without=[stored.layers[ARM][1]])
    kind, said = await refusal(archive, stored.index)
    assert kind is Kind.CONTENT_MISSING
    assert "missing content: platforms linux/arm64" in said


async def test_refuses_an_image_without_a_complete_platform() -> None:
    stored = Stored(AMD, ARM)
    gone = [stored.layers[AMD][0], stored.layers[ARM][0]]
    kind, said = await refusal(stored.saved(without=gone), stored.index)
    assert (kind, gone[0] in said) == (Kind.CONTENT_MISSING, True)


async def test_refuses_an_image_that_is_not_there() -> None:
    stored = Stored(AMD)
    kind, said = await refusal(stored.saved(without=[stored.index]), stored.index)
    assert (kind, stored.index in said) == (Kind.CONTENT_MISSING, True)


@pytest.mark.parametrize(
    ("platform", "chosen"), [(AMD, AMD), (ARM7, ARM7), ("linux/arm/v6", ARM6), (ARM, ARM)]
)
async def test_chooses_a_platform(platform: str, chosen: str) -> None:
    stored = Stored(AMD, ARM, ARM6, ARM7)
    image, _ = await read(stored.saved(), stored.index, platform=platform)
    assert image.top.digest == stored.manifests[chosen]


async def test_chooses_the_only_variant_of_a_platform() -> None:
    stored = Stored(AMD, ARM7)
    image, _ = await read(stored.saved(), stored.index, platform="linux/arm")
    assert image.top.digest == stored.manifests[ARM7]


async def test_reads_the_platform_of_a_lone_image_from_its_config() -> None:
    stored = Stored(AMD)
    alone = stored.manifests[AMD]
    image, _ = await read(stored.saved(), alone, platform=AMD)
    assert image.top.digest == alone


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        ("linux/s390x", "has no image of linux/s390x; it has linux/amd64, linux/arm/v6"),
        ("linux/arm", "has 2 images of linux/arm; it has"),
    ],
)
async def test_refuses_a_platform_that_names_none_or_several(platform: str, said: str) -> None:
    stored = Stored(AMD, ARM6, ARM7)
    kind, words = await refusal(stored.saved(), stored.index, platform)
    assert (kind, said in words) == (Kind.SOURCE_INVALID, True)


async def test_refuses_a_chosen_platform_that_is_not_complete() -> None:
    stored = Stored(AMD, ARM)
    archive = stored.saved(without=[stored.layers[ARM][0]])
    kind, said = await refusal(archive, stored.index, ARM)
    assert (kind, ARM in said) == (Kind.CONTENT_MISSING, True)


@pytest.mark.parametrize("part", ["layer", "manifest"])
async def test_refuses_bytes_that_are_not_those_of_their_digest(part: str) -> None:
    stored = Stored(AMD)
    digest = stored.layers[AMD][0] if part == "layer" else stored.manifests[AMD]
    raw = stored.blobs[digest]
    changed = raw[:-3] + b" " + raw[-2:]
    _, said = await refusal(stored.saved().replace(raw, changed), stored.index)
    assert f"{digest} arrived as {digest_of(changed)}" in said


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
async def test_refuses_an_archive_that_is_cut_off(share: float) -> None:
    stored = Stored(AMD)
    archive = stored.saved()
    kind, said = await refusal(archive[: int(share * len(archive))], stored.index)
    assert (kind, "incomplete" in said) == (Kind.ENGINE_ERROR, True)


async def test_uploads_a_layer_that_looks_like_a_manifest() -> None:
    stored = Stored(AMD)
    inner = stored.blobs[stored.manifests[AMD]]
    described = {"mediaType": "application/x-artifact", "digest": digest_of(inner)}
    artifact = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": stored.descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [{**described, "size": len(inner)}],
    }
    top = stored.add(json.dumps(artifact).encode())
    image, contents = await read(stored.saved(), top)
    assert contents[digest_of(inner)] == inner
    assert {blob.digest for blob in image.blobs} <= set(contents)


async def test_leaves_out_layers_that_registries_do_not_hold() -> None:
    stored = Stored(AMD)
    base = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar"}
    manifest = {
        "schemaVersion": 2,
        "config": stored.descriptor("application/vnd.oci.image.config.v1+json", b'{"a": 1}'),
        "layers": [{**base, "digest": f"sha256:{'0' * 64}", "size": 1}],
    }
    top = stored.add(json.dumps(manifest).encode())
    image, _ = await read(stored.saved(), top)
    assert [blob.digest for blob in image.blobs] == [digest_of(b'{"a": 1}')]
    assert image.manifests[0].media_type == MANIFEST


@pytest.mark.parametrize(
    "document",
    [
        {"schemaVersion": 2, "manifests": [1]},
        {"schemaVersion": 2, "manifests": [{"digest": 5}]},
        {"schemaVersion": 2, "layers": [], "config": {}},
        {"schemaVersion": 2, "layers": [{}], "config": {"digest": "x"}},
    ],
)
async def test_refuses_a_manifest_that_is_none(document: dict[str, object]) -> None:
    raw = json.dumps(document).encode()
    archive = tar({f"blobs/sha256/{digest_of(raw)[7:]}": raw})
    kind, _ = await refusal(archive, digest_of(raw))
    assert kind in {Kind.MANIFEST_REFUSED, Kind.CONTENT_MISSING}

"""Uncompressed layers, and images after their compression."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.compressed import PACKERS
from tests.support.layouts import CONFIG, Made, archive
from tests.support.saved import MANIFEST, config_of, digest_of, layer, tar

from ghcr_push.failures import PushError
from ghcr_push.model import Manifest
from ghcr_push.planning.locations import DiskLocation, parse_location
from ghcr_push.references import Digest
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.spool import Spool

pytestmark = pytest.mark.anyio

PLAIN = "application/vnd.oci.image.layer.v1.tar"
DOCKER_PLAIN = "application/vnd.docker.image.rootfs.diff.tar"
IN_TOTO = "application/vnd.in-toto+json"
FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
BIG = layer(7) * 40
"""A size of several chunks of the recipe."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def image(made: Made, layers: list[dict[str, Any]], config: str = CONFIG, **more: Any) -> Any:
    raw = config_of([layer(1)], architecture=f"of-{len(made.files)}")
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": made.named(raw, config),
        "layers": layers,
        **more,
    }
    return made.named(json.dumps(document).encode(), MANIFEST)


def index() -> Made:
    """Make an index of two images that share a plain layer, an attestation and an artifact."""
    made = Made()
    shared = made.named(BIG, PLAIN, annotations={"of": "both"})
    packed = made.named(gzip.compress(layer(2), mtime=0), f"{PLAIN}+gzip")
    foreign = {"mediaType": FOREIGN, "digest": digest_of(b"elsewhere"), "size": 9}
    first = image(made, [shared, packed, foreign])
    second = image(made, [shared, made.named(layer(3), DOCKER_PLAIN)])
    notes = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": first["digest"],
    }
    subject = {key: first[key] for key in ("mediaType", "digest", "size")}
    attestation = image(made, [made.named(b"{}", IN_TOTO)], subject=subject)
    artifact = image(made, [made.named(b"any file", PLAIN)], "application/vnd.oci.empty.v1+json")
    made.tag(made.index(first, second, {**attestation, "annotations": notes}, artifact), None)
    return made


async def read(text: str, *, compress: bool = True) -> tuple[dict[Digest, bytes], Any]:
    location = parse_location(text)
    assert isinstance(location, DiskLocation)
    spool = Spool(1 << 20)
    disk = DiskSources(Path, spool, None, compress=compress)
    found = await disk.find(location)
    blobs: dict[Digest, bytes] = {}
    async with found.read() as reading:
        async for blob in reading:
            assert blob.digest not in blobs
            blobs[blob.digest] = b"".join([piece async for piece in blob.chunks()])
            assert digest_of(blobs[blob.digest]) == blob.digest
            blob.release()
        saved = reading.image
    assert spool.room.used == 0
    return blobs, saved


def documents(manifests: tuple[Manifest, ...]) -> list[dict[str, Any]]:
    assert all(digest_of(each.raw) == each.digest for each in manifests)
    return [json.loads(each.raw) for each in manifests]


FORMS: dict[str, Callable[[Made, Path], str]] = {
    "layout": lambda made, folder: f"oci-layout:{made.written(folder / 'layout')}",
    **{
        name: lambda made, folder, pack=pack: (  # type: ignore[misc]
            f"oci-archive:{archive(folder, pack(tar(made.finish())))}"
        )
        for name, pack in PACKERS.items()
    },
}


@pytest.mark.parametrize("form", FORMS)
async def test_plain_layers_of_images_are_compressed_and_nothing_else(
    form: str, tmp_path: Path
) -> None:
    made = index()
    blobs, saved = await read(FORMS[form](made, tmp_path))
    first, second, attestation, artifact, top = documents(saved.manifests)
    shared, packed, foreign = first["layers"]
    assert shared["mediaType"] == f"{PLAIN}+gzip"
    assert shared["annotations"] == {"of": "both"}
    assert gzip.decompress(blobs[shared["digest"]]) == BIG
    assert shared["size"] == len(blobs[shared["digest"]]) < len(BIG)
    assert packed["digest"] in blobs
    assert foreign["mediaType"] == FOREIGN
    assert second["layers"][0] == shared
    assert second["layers"][1]["mediaType"] == f"{DOCKER_PLAIN}.gzip"
    assert artifact["layers"][0]["mediaType"] == PLAIN
    old = json.loads(made.files[f"blobs/sha256/{made.entries[0]['digest'][7:]}"])
    was = json.loads(made.files[f"blobs/sha256/{old['manifests'][0]['digest'][7:]}"])
    assert first["config"] == was["config"]
    children = [each.digest for each in saved.manifests[:-1]]
    assert [each["digest"] for each in top["manifests"]] == children
    assert [each["size"] for each in top["manifests"]] == [
        len(each.raw) for each in saved.manifests[:-1]
    ]
    assert attestation["subject"]["digest"] == children[0]
    notes = top["manifests"][2]["annotations"]
    assert notes["vnd.docker.reference.digest"] == children[0]
    assert children[3] == old["manifests"][3]["digest"]
    named = {each.digest for each in saved.blobs}
    assert named == set(blobs)
    assert foreign["digest"] not in named


async def test_the_bytes_are_the_same_whatever_they_lie_in(tmp_path: Path) -> None:
    tops = set()
    for form, make in FORMS.items():
        folder = tmp_path / form
        folder.mkdir()
        tops.add((await read(make(index(), folder)))[1].top.digest)
    assert len(tops) == 1


@pytest.mark.parametrize("form", FORMS)
async def test_unasked_nothing_is_compressed(form: str, tmp_path: Path) -> None:
    made = index()
    blobs, saved = await read(FORMS[form](made, tmp_path), compress=False)
    assert saved.top.digest == made.entries[0]["digest"]
    assert digest_of(BIG) in blobs


async def test_the_digest_is_known_before_reading_if_all_layers_are_compressed(
    tmp_path: Path,
) -> None:
    made = Made()
    made.tag(image(made, [made.named(gzip.compress(layer(2)), f"{PLAIN}+gzip")]), None)
    text = f"oci-layout:{made.written(tmp_path)}"
    location = parse_location(text)
    assert isinstance(location, DiskLocation)
    disk = DiskSources(Path, Spool(), None, compress=True)
    found = await disk.find(location)
    assert found.image.digest == made.entries[0]["digest"]


@pytest.mark.parametrize("form", ["layout", "gzip"])
async def test_a_compressed_layer_stays_unchanged_whatever_its_media_type(
    form: str, tmp_path: Path
) -> None:
    made = Made()
    made.tag(image(made, [made.named(gzip.compress(layer(2), mtime=0), PLAIN)]), None)
    _, saved = await read(FORMS[form](made, tmp_path))
    assert saved.top.digest == made.entries[0]["digest"]


@pytest.mark.parametrize("form", ["layout", "plain", "gzip"])
async def test_a_layer_with_other_bytes_is_refused(form: str, tmp_path: Path) -> None:
    made = index()
    made.files[f"blobs/sha256/{digest_of(BIG)[7:]}"] = BIG[:-1] + b"x"
    with pytest.raises(PushError, match=digest_of(BIG)):
        await read(FORMS[form](made, tmp_path))

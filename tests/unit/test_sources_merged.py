"""Several sources as one index."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from anyio import Event, fail_after
from tests.support.layouts import Made, one_image, platforms
from tests.support.saved import digest_of

from ghcr_push.model import Failure, Image, Source
from ghcr_push.planning.annotations import NO_ANNOTATIONS, Annotations
from ghcr_push.planning.locations import DiskLocation
from ghcr_push.pushing.ports import Sources
from ghcr_push.references import Digest
from ghcr_push.sources.content import FoundContent
from ghcr_push.sources.disk import unusable
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.locations import SourcesByLocation
from ghcr_push.sources.merged import merged as merge
from ghcr_push.sources.remote import RegistrySources
from ghcr_push.sources.spool import Spool

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def merged(
    text: str, tmp_path: Path, annotations: Annotations = NO_ANNOTATIONS
) -> tuple[Image | Failure, list[Digest], list[Digest]]:
    """Find and read a merged source; return its image, the blobs and the manifests."""
    sources = SourcesByLocation(
        cast("Sources", None),
        DiskSources(lambda path: tmp_path / path, Spool(), None),
        cast("RegistrySources", None),
        annotations,
    )
    source = Source(text)
    content = (await sources.find([source]))[source]
    if isinstance(content, Failure):
        return content, [], []
    image = content.image
    blobs: list[Digest] = []
    async with content.read() as saved:
        async for blob in saved:
            blobs.append(blob.digest)
            blob.release()
        saved_manifests = saved.image.manifests
    document = json.loads(saved_manifests[-1].raw)
    assert document.get("annotations", {}) == dict(annotations.index)
    assert digest_of(saved_manifests[-1].raw) == image.digest == saved_manifests[-1].digest
    assert [each["digest"] for each in document["manifests"]] == [
        each.digest for each in saved_manifests[:-1]
    ]
    return image, blobs, [each.digest for each in saved_manifests]


async def test_single_images_become_one_index_of_their_platforms(tmp_path: Path) -> None:
    digests = []
    for number, architecture in enumerate(("amd64", "arm64")):
        made = Made()
        descriptor = made.image(30 * number, architecture=architecture, variant="v8")
        made.tag(descriptor, None)
        made.written(tmp_path / architecture)
        digests.append(descriptor["digest"])
    text = "oci-layout:amd64 + oci-layout:arm64"
    image, blobs, manifests = await merged(text, tmp_path)
    assert isinstance(image, Image)
    assert manifests[:-1] == digests
    assert len(blobs) == len(set(blobs)) == 6
    assert (await merged(text, tmp_path))[0] == image


async def test_members_are_looked_for_in_parallel() -> None:
    """Neither of two members is answered before both were asked for."""
    asked, both = list[DiskLocation](), Event()

    class Asked:
        async def find(self, location: DiskLocation) -> FoundContent:
            asked.append(location)
            if len(asked) == 2:
                both.set()
            with fail_after(30):
                await both.wait()
            raise unusable("enough")

    sources = SourcesByLocation(
        cast("Sources", None), cast("DiskSources", Asked()), cast("RegistrySources", None)
    )
    source = Source("oci-layout:a + oci-layout:b")
    found = (await sources.find([source]))[source]
    assert isinstance(found, Failure)
    assert found.message == "enough"


async def test_indexes_are_flattened_and_their_attestations_kept(tmp_path: Path) -> None:
    made, digests, _ = platforms()
    made.written(tmp_path / "three")
    other = Made()
    descriptor = other.image(500, architecture="s390x")
    other.tag(descriptor, None)
    other.written(tmp_path / "one")
    _, _, manifests = await merged("oci-layout:three + oci-layout:one", tmp_path)
    assert set(digests.values()) < set(manifests)
    assert manifests[-2] == descriptor["digest"]
    assert len(manifests) == 4 + 1 + 1


@pytest.mark.parametrize(
    ("platform", "variants"),
    [("linux/amd64", ("", "")), ("linux/amd64", ("", "v1")), ("linux/arm64", ("v8", ""))],
)
async def test_two_images_of_one_platform_are_refused_with_both(
    platform: str, variants: tuple[str, str], tmp_path: Path
) -> None:
    digests = []
    for number, variant in enumerate(variants):
        made = Made()
        more: dict[str, Any] = {"variant": variant} if variant else {}
        architecture = platform.partition("/")[2]
        descriptor = made.image(30 * number, architecture=architecture, **more)
        made.tag(descriptor, None)
        made.written(tmp_path / f"{number}")
        digests.append(descriptor["digest"])
    image, _, _ = await merged("oci-layout:0 + oci-layout:1", tmp_path)
    assert isinstance(image, Failure)
    assert f"two images of {platform}: {digests[0]} and {digests[1]}" in image.message


async def test_a_missing_member_is_the_failure(tmp_path: Path) -> None:
    made, _ = one_image()
    made.written(tmp_path / "a")
    image, _, _ = await merged("oci-layout:a + oci-layout:b", tmp_path)
    assert isinstance(image, Failure)
    assert "b is not there" in image.message


async def test_annotations_are_the_index_s_own_and_change_its_digest_alone(tmp_path: Path) -> None:
    made, _, _ = platforms()
    made.written(tmp_path / "all")
    text = "oci-layout:all@{} + oci-layout:all".format(made.entries[0]["digest"])
    plain, _, children = await merged(text, tmp_path)
    title = (("org.opencontainers.image.title", "App"),)
    noted, _, same = await merged(text, tmp_path, Annotations(title))
    assert isinstance(plain, Image)
    assert isinstance(noted, Image)
    assert plain.digest != noted.digest
    assert children[:-1] == same[:-1]


async def test_annotations_of_images_go_into_their_entries(tmp_path: Path) -> None:
    made, digests, _ = platforms()
    made.written(tmp_path / "all")
    index = json.loads(made.files[f"blobs/sha256/{made.entries[0]['digest'][7:]}"])
    members = [SavedImage(blobs=(), manifests=(), entries=tuple(index["manifests"]))]
    notes = Annotations(images=(("", "a", "each"), ("linux/arm", "b", "one")))
    entries = {each["digest"]: each for each in merge(members, "all", notes).entries}
    for was in index["manifests"]:
        now = entries[was["digest"]]
        before, after = was.get("annotations", {}), now.get("annotations", {})
        added = {key: value for key, value in after.items() if key not in before}
        arm = was["digest"] == digests["linux/arm/v7"]
        image = was["digest"] in digests.values()
        assert added == ({"a": "each"} if image else {}) | ({"b": "one"} if arm else {})
        assert {**now, "annotations": before} == {"annotations": {}, **was}


async def test_annotations_of_a_platform_that_is_not_there_are_refused(tmp_path: Path) -> None:
    made, _, _ = platforms()
    made.written(tmp_path / "all")
    notes = Annotations(images=(("linux/s390x", "a", "b"),))
    text = "oci-layout:all@{} + oci-layout:all".format(made.entries[0]["digest"])
    image, _, _ = await merged(text, tmp_path, notes)
    assert isinstance(image, Failure)
    assert "no image of linux/s390x; it has linux/amd64, linux/arm64" in image.message

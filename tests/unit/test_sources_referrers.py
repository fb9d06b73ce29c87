"""Finding the referrers of an image in a layout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.layouts import REF, Made, one_image, platforms, refused
from tests.support.saved import MANIFEST

from ghcr_push.failures import PushError
from ghcr_push.model import Failure, Referrer, Source
from ghcr_push.planning.locations import DiskLocation, parse_location
from ghcr_push.pushing.ports import Sources
from ghcr_push.references import Digest, referrers_tag
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.locations import SourcesByLocation
from ghcr_push.sources.remote import RegistrySources
from ghcr_push.sources.spool import Spool

pytestmark = pytest.mark.anyio

KIND = "dev.cosignproject.cosign"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def artifact(made: Made, content: bytes, subject: Digest | None = None) -> dict[str, Any]:
    """Add a manifest of one blob that refers to `subject`; return its descriptor."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "x/sbom",
        "config": made.named(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [made.named(content, "x/sbom")],
        **({"subject": {"mediaType": "m", "digest": subject, "size": 1}} if subject else {}),
    }
    return made.named(json.dumps(document).encode(), MANIFEST)


def digest_of(descriptor: Mapping[str, Any]) -> Digest:
    return Digest(descriptor["digest"])


async def referrers(folder: Path, text: str = "", platform: str | None = None) -> list[Referrer]:
    """Find the image of a layout; return its referrers, and check that they are read."""
    location = parse_location(f"oci-layout:{folder}{text}")
    assert isinstance(location, DiskLocation)
    disk = DiskSources(Path, Spool(), platform, referrers=True)
    content = await disk.find(location)
    found = list(content.image.referrers.found)
    if content.referrers is None:
        assert not found
        return found
    async with content.referrers.read() as saved:
        read = {blob.digest async for blob in saved}
    assert read == {blob.digest for each in found for blob in each.blobs}
    return found


def relations(found: list[Referrer]) -> list[tuple[Digest, Digest, str | None]]:
    return [(each.subject, each.manifest.digest, each.tag) for each in found]


async def test_manifests_with_the_image_as_subject_are_copied(tmp_path: Path) -> None:
    made, digest = one_image()
    sbom = artifact(made, b"sbom", digest)
    signature = artifact(made, b"signature", digest_of(sbom))
    for each in (signature, sbom, artifact(made, b"other", Digest(f"sha256:{'0' * 64}"))):
        made.tag(each, None)
    found = await referrers(made.written(tmp_path))
    assert relations(found) == [
        (digest, digest_of(sbom), None),
        (digest_of(sbom), digest_of(signature), None),
    ]
    assert found[0].manifest.artifact_type == "x/sbom"


async def test_manifests_in_a_nested_index_count(tmp_path: Path) -> None:
    made, digest = one_image()
    sbom = artifact(made, b"sbom", digest)
    made.tag(made.index(sbom), "lists")
    assert relations(await referrers(made.written(tmp_path), ":1.0")) == [
        (digest, digest_of(sbom), None)
    ]


@pytest.mark.parametrize("ending", [".sig", ".att", ".sbom"])
@pytest.mark.parametrize("before", ["", "ghcr.io/acme/app:"])
async def test_cosigns_tags_are_copied(ending: str, before: str, tmp_path: Path) -> None:
    made, digest = one_image()
    signature, tag = artifact(made, b"signature"), referrers_tag(digest) + ending
    made.tag(signature, before + tag)
    assert relations(await referrers(made.written(tmp_path))) == [
        (digest, digest_of(signature), tag)
    ]


async def test_signatures_saved_by_cosign_are_copied(tmp_path: Path) -> None:
    made, digest = one_image(None)
    made.entries[0]["annotations"] = {"kind": f"{KIND}/image"}
    for kind in ("sigs", "atts"):
        entry = artifact(made, kind.encode())
        made.entries.append({**entry, "annotations": {"kind": f"{KIND}/{kind}"}})
    tags = [tag for _, _, tag in relations(await referrers(made.written(tmp_path)))]
    assert tags == [f"{referrers_tag(digest)}.sig", f"{referrers_tag(digest)}.att"]


async def test_a_platform_includes_only_its_own_referrers(tmp_path: Path) -> None:
    made, digests, top = platforms()
    of_top = artifact(made, b"top", top)
    of_arm = artifact(made, b"arm", digests["linux/arm64"])
    made.tag(of_top, None)
    made.tag(of_arm, None)
    folder = made.written(tmp_path)
    assert [each.subject for each in await referrers(folder)] == [digests["linux/arm64"], top]
    only = await referrers(folder, ":multi", platform="linux/arm64")
    assert [each.subject for each in only] == [digests["linux/arm64"]]


async def test_tags_that_lead_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    made, digest = one_image()
    signature = artifact(made, b"signature")
    made.tag(signature, f"{referrers_tag(digest)}.sig")
    again = {**signature, "annotations": {REF: f"{referrers_tag(digest_of(signature))}.sig"}}
    made.entries.append(again)
    assert len(await referrers(made.written(tmp_path), ":1.0")) == 2


async def test_a_damaged_manifest_of_another_image_is_no_concern_of_ours(tmp_path: Path) -> None:
    made, digest = one_image()
    sbom, other = artifact(made, b"sbom", digest), artifact(made, b"other")
    made.tag(sbom, None)
    made.tag(other, "other")
    made.files[f"blobs/sha256/{other['digest'][7:]}"] = b"damaged"
    made.entries.append({"digest": "no digest"})
    folder = made.written(tmp_path)
    document = json.loads((folder / "index.json").read_text())
    document["manifests"].pop()
    (folder / "index.json").write_text(json.dumps(document))
    assert len(await referrers(folder, ":1.0")) == 1


async def test_a_referrer_that_lacks_a_blob_is_refused(tmp_path: Path) -> None:
    made, digest = one_image()
    made.tag(artifact(made, b"sbom", digest), None)
    lost = next(name for name, raw in made.files.items() if raw == b"sbom")
    del made.files[lost]
    folder = made.written(tmp_path)
    location = parse_location(f"oci-layout:{folder}")
    assert isinstance(location, DiskLocation)
    disk = DiskSources(Path, Spool(), None, referrers=True)
    with pytest.raises(PushError, match="lacks sha256:"):
        await disk.find(location)


async def test_without_a_name_a_signature_is_no_second_image(tmp_path: Path) -> None:
    made, digest = one_image(None)
    made.tag(artifact(made, b"sbom", digest), None)
    assert len(await referrers(made.written(tmp_path))) == 1
    made.tag(made.image(5), None)
    del made.files["index.json"]
    assert "holds 2 images" in await refused(f"oci-layout:{made.written(tmp_path / 'two')}")


async def test_an_index_of_several_sources_includes_the_referrers_of_its_members(
    tmp_path: Path,
) -> None:
    subjects = []
    for number, architecture in enumerate(("amd64", "arm64")):
        made = Made()
        image = made.image(10 * number, architecture=architecture)
        index = made.index({**image, "platform": {"os": "linux", "architecture": architecture}})
        made.tag(index, None)
        made.tag(artifact(made, b"of the index", digest_of(index)), None)
        sbom = artifact(made, f"sbom {number}".encode(), digest_of(image))
        made.tag(sbom, None)
        made.tag(artifact(made, f"signature {number}".encode(), digest_of(sbom)), None)
        made.written(tmp_path / architecture)
        subjects += [digest_of(image), digest_of(sbom)]
    sources = SourcesByLocation(
        cast("Sources", None),
        DiskSources(lambda path: tmp_path / path, Spool(), None, referrers=True),
        cast("RegistrySources", None),
    )
    source = Source("oci-layout:amd64 + oci-layout:arm64")
    content = (await sources.find([source]))[source]
    assert not isinstance(content, Failure), content
    assert content.referrers is not None
    found = content.image.referrers.found
    assert [each.subject for each in found] == subjects
    async with content.referrers.read() as saved:
        read = {blob.digest async for blob in saved}
    assert {blob.digest for each in found for blob in each.blobs} <= read

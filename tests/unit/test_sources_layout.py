"""OCI layouts in a folder: selecting an image, completeness, and errors."""

import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.support.layouts import (
    CONFIG,
    LAYER,
    Made,
    docker_archive,
    found,
    one_image,
    platforms,
    read,
    refused,
)
from tests.support.saved import MANIFEST, config_of, digest_of, layer, tar

from ghcr_push.failures import PushError
from ghcr_push.model import Descriptor, Image
from ghcr_push.planning.locations import DiskLocation, Form
from ghcr_push.pushing.side_by_side import for_each
from ghcr_push.sources.disk_sources import FOUND_AT_ONCE, DiskSources
from ghcr_push.sources.images import uncompressed
from ghcr_push.sources.spool import Spool

_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_only_image_of_a_layout_needs_no_name(tmp_path: Path) -> None:
    made, digest = one_image()
    image, blobs, manifests = await read(f"oci-layout:{made.written(tmp_path)}")
    assert isinstance(image, Image)
    assert (image.digest, image.in_engine, manifests) == (digest, False, [digest])
    assert all(digest_of(raw) == name for name, raw in blobs.items())
    assert len(blobs) == 3


async def test_images_are_distinguished_by_tag_or_digest(tmp_path: Path) -> None:
    made, first = one_image("1.0")
    second = made.image(50)
    made.tag(second, "docker.io/acme/app:2.0")
    made.written(tmp_path)
    for name, digest in (
        ("1.0", first),
        ("2.0", second["digest"]),
        ("docker.io/acme/app:2.0", second["digest"]),
        ("acme/app:2.0", second["digest"]),
    ):
        image = await found(f"oci-layout:{tmp_path}:{name}")
        assert isinstance(image, Image)
        assert image.digest == digest
    image = await found(f"oci-layout:{tmp_path}@{first}")
    assert isinstance(image, Image)
    assert image.digest == first


async def test_images_without_a_name_are_chosen_by_their_digest(tmp_path: Path) -> None:
    made, first = one_image(None)
    second = made.image(50)["digest"]
    made.tag(made.image(50), None)
    made.written(tmp_path)
    assert f"name one of {first}, {second}" in await refused(f"oci-layout:{tmp_path}")
    for digest in (first, second):
        image = await found(f"oci-layout:{tmp_path}@{digest}")
        assert isinstance(image, Image)
        assert image.digest == digest


async def test_referrers_in_the_repository_are_listed(tmp_path: Path) -> None:
    made, _ = one_image("1.0")
    made.tag(made.image(50), "2.0")
    made.written(tmp_path)
    assert "holds 2 images; name one of 1.0, 2.0" in await refused(f"oci-layout:{tmp_path}")
    reason = await refused(f"oci-layout:{tmp_path}:3.0")
    assert "no image named 3.0; it has 1.0, 2.0" in reason
    absent = f"sha256:{'0' * 64}"
    assert f"has no {absent}" in await refused(f"oci-layout:{tmp_path}@{absent}")


async def test_one_image_under_two_names_is_one(tmp_path: Path) -> None:
    made, digest = one_image("1.0")
    made.tag(dict(made.entries[0]), "latest")
    image = await found(f"oci-layout:{made.written(tmp_path)}")
    assert isinstance(image, Image)
    assert image.digest == digest


async def test_an_index_comes_with_all_its_children(tmp_path: Path) -> None:
    made, digests, top = platforms()
    _, blobs, manifests = await read(f"oci-layout:{made.written(tmp_path)}")
    assert manifests[-1] == top
    assert set(digests.values()) < set(manifests)
    assert len(manifests) == 5
    assert len(blobs) == len(set(blobs))


@pytest.mark.parametrize(
    ("asked", "platform"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm64/v8", "linux/arm64"),
    ],
)
async def test_one_platform_of_an_index_is_taken_alone(
    asked: str, platform: str, tmp_path: Path
) -> None:
    made, digests, _ = platforms()
    image, blobs, manifests = await read(f"oci-layout:{made.written(tmp_path)}", platform=asked)
    assert isinstance(image, Image)
    assert manifests == [digests[platform]] == [image.digest]
    assert len(blobs) == 3


async def test_the_error_for_a_missing_platform_lists_the_available_ones(tmp_path: Path) -> None:
    made, _, _ = platforms()
    reason = await refused(f"oci-layout:{made.written(tmp_path)}", platform="linux/riscv64")
    assert "no image of linux/riscv64; it has linux/amd64, linux/arm64, linux/arm/v7" in reason


# -- errors -------------------------------------------------------------------------------------


async def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    made, _ = one_image()
    lost = next(name for name, raw in made.files.items() if raw.startswith(b"\x1f\x8b"))
    del made.files[lost]
    assert f"lacks sha256:{lost[13:]}" in await refused(f"oci-layout:{made.written(tmp_path)}")


async def test_a_missing_child_is_named(tmp_path: Path) -> None:
    made, digests, _ = platforms()
    lost = digests["linux/arm64"]
    del made.files[f"blobs/sha256/{lost[7:]}"]
    assert f"lacks {lost}" in await refused(f"oci-layout:{made.written(tmp_path)}")


async def test_platforms_that_are_complete_are_proposed(tmp_path: Path) -> None:
    made, digests, _ = platforms()
    for platform in ("linux/arm64", "linux/arm/v7"):
        del made.files[f"blobs/sha256/{digests[platform][7:]}"]
    folder = made.written(tmp_path)
    reason = await refused(f"oci-layout:{folder}")
    assert reason.endswith(" names; only linux/amd64 can be pushed, by `platform`")
    image = await found(f"oci-layout:{folder}", platform="linux/amd64")
    assert isinstance(image, Image)
    assert "by `platform`" not in await refused(f"oci-layout:{folder}", platform="linux/arm64")


async def test_a_missing_image_is_named(tmp_path: Path) -> None:
    made, digest = one_image()
    del made.files[f"blobs/sha256/{digest[7:]}"]
    reason = await refused(f"oci-layout:{made.written(tmp_path)}")
    assert reason.endswith(f"lacks the manifest {digest}")


async def test_an_empty_blob_with_another_digest_is_refused(tmp_path: Path) -> None:
    made, _ = one_image()
    config = made.named(config_of([]), CONFIG)
    digest = made.blob(b"bytes")
    made.files[f"blobs/sha256/{digest[7:]}"] = b""
    layers = [made.named(b"", LAYER), {"mediaType": LAYER, "digest": digest, "size": 0}]
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    made.entries = [made.named(json.dumps(document).encode(), MANIFEST)]
    assert f"has no bytes of {digest}" in await refused(f"oci-layout:{made.written(tmp_path)}")


async def test_a_manifest_of_schema_1_is_named(tmp_path: Path) -> None:
    made = Made()
    raw = json.dumps({"schemaVersion": 1, "fsLayers": [], "history": []}).encode()
    made.tag(made.named(raw, MANIFEST), None)
    reason = await refused(f"oci-layout:{made.written(tmp_path)}")
    assert "has a manifest of schema 1, which registries no longer accept" in reason


async def test_an_image_named_by_sha512_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    made, digest = one_image()
    raw = made.files.pop(f"blobs/sha256/{digest[7:]}")
    sha512 = hashlib.sha512(raw).hexdigest()
    made.files[f"blobs/sha512/{sha512}"] = raw
    made.entries = [{"mediaType": MANIFEST, "digest": f"sha512:{sha512}", "size": len(raw)}]
    reason = await refused(f"oci-layout:{made.written(tmp_path)}")
    assert reason == f"sha512:{sha512} cannot be tagged: registries name what a tag names by sha256"


async def test_an_artifact_manifest_is_named(tmp_path: Path) -> None:
    made = Made()
    artifact = {"artifactType": "a/b", "blobs": [made.named(b"x", "text/plain")]}
    made.tag(made.named(json.dumps(artifact).encode(), _ARTIFACT), None)
    reason = await refused(f"oci-layout:{made.written(tmp_path)}")
    assert "has an artifact manifest, a form that the image-spec has dropped: sha256:" in reason


async def test_an_image_that_two_nested_indexes_name_is_one(tmp_path: Path) -> None:
    made = Made()
    amd64, arm64 = made.image(1), made.image(10, architecture="arm64")
    made.tag(made.index(made.index(amd64, arm64), made.index(arm64)), None)
    image = await found(f"oci-layout:{made.written(tmp_path)}", platform="linux/arm64")
    assert isinstance(image, Image)
    assert image.digest == arm64["digest"]


async def test_images_of_one_platform_are_distinguished_by_digest(tmp_path: Path) -> None:
    made = Made()
    platform = {"os": "windows", "architecture": "amd64"}
    children = [{**made.image(seed), "platform": platform} for seed in (1, 10)]
    made.tag(made.index(*children), "1")
    made.written(tmp_path)
    digests = [each["digest"] for each in children]
    reason = await refused(f"oci-layout:{tmp_path}", platform="windows/amd64")
    assert reason.endswith(
        f"several images of windows/amd64; name one by digest: {', '.join(digests)}"
    )
    image = await found(f"oci-layout:{tmp_path}@{digests[1]}")
    assert isinstance(image, Image)
    assert image.digest == digests[1]


async def test_an_index_without_images_has_no_platform(tmp_path: Path) -> None:
    made = Made()
    made.tag(made.index(), None)
    reason = await refused(f"oci-layout:{made.written(tmp_path)}", platform="linux/amd64")
    assert reason.endswith("has no image of linux/amd64; it has none")


async def test_the_right_form_is_proposed_for_the_wrong_one(tmp_path: Path) -> None:
    made, _ = one_image()
    folder = made.written(tmp_path / "layout")
    layout, docker = tmp_path / "layout.tar", tmp_path / "docker.tar"
    layout.write_bytes(tar(made.files))
    docker.write_bytes(tar(docker_archive([layer(1)])))
    for source, proposed in (
        (f"oci-layout:{layout}", f"{layout} is a file; write oci-archive: or docker-archive:"),
        (f"oci-archive:{folder}", f"{folder} is a folder; write oci-layout:"),
        (f"docker-archive:{folder}", f"{folder} is a folder; write oci-layout:"),
        (f"oci-archive:{docker}", "; write docker-archive: for a docker archive"),
        (f"docker-archive:{layout}", "; write oci-archive: for a layout"),
    ):
        assert proposed in await refused(source), source


async def test_a_manifest_with_other_bytes_is_refused(tmp_path: Path) -> None:
    made, digest = one_image()
    made.files[f"blobs/sha256/{digest[7:]}"] += b" "
    assert f"other bytes under {digest}" in await refused(f"oci-layout:{made.written(tmp_path)}")


async def test_a_layer_of_another_length_is_refused(tmp_path: Path) -> None:
    made, _ = one_image()
    name = next(name for name, raw in made.files.items() if raw.startswith(b"\x1f\x8b"))
    made.files[name] += b"more"
    assert f"bytes of sha256:{name[13:]}" in await refused(f"oci-layout:{made.written(tmp_path)}")


async def test_a_layer_with_wrong_bytes_is_never_passed_on_completely(tmp_path: Path) -> None:
    made, _ = one_image()
    name = next(name for name, raw in made.files.items() if raw.startswith(b"\x1f\x8b"))
    made.files[name] = b"\0" * len(made.files[name])
    made.written(tmp_path)
    with pytest.raises(PushError, match=f"has other bytes under sha256:{name[13:]}"):
        await read(f"oci-layout:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("index.json", None, "has no index.json, but blobs, oci-layout"),
        ("index.json", b"[]", "is not a JSON object"),
        ("index.json", b"{}", "lists no manifests"),
        ("index.json", b'{"manifests": [{}]}', "not a descriptor"),
        (
            "index.json",
            b'{"manifests": [{"mediaType": "x", "digest": "no", "size": 1}]}',
            "not a desc",
        ),
        ("index.json", b'{"manifests": []}', "holds no image"),
        ("index.json", b" " * (9 << 20), "more than the 8,388,608 that are read"),
    ],
)
async def test_a_folder_that_is_no_layout_is_reported_as_such(
    name: str, content: bytes | None, reason: str, tmp_path: Path
) -> None:
    made, _ = one_image()
    made.written(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert reason in await refused(f"oci-layout:{tmp_path}")


@pytest.mark.parametrize(
    "document",
    [
        {"schemaVersion": 2},
        {"config": {}, "layers": []},
        {"config": None, "layers": None},
        {"manifests": [{"digest": "sha256:x"}]},
        {"manifests": {}},
    ],
)
async def test_an_invalid_manifest_is_refused(document: Any, tmp_path: Path) -> None:
    made = Made()
    made.tag(made.named(json.dumps(document).encode(), MANIFEST), None)
    await refused(f"oci-layout:{made.written(tmp_path)}")


async def test_an_index_that_names_itself_by_depth_ends(tmp_path: Path) -> None:
    made = Made()
    top = made.image(1)
    for _ in range(12):
        top = made.index(top)
    made.tag(top, None)
    assert "too deeply" in await refused(f"oci-layout:{made.written(tmp_path)}")


async def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    made, _ = one_image()
    made.written(tmp_path)
    (tmp_path / "index.json").unlink()
    os.mkfifo(tmp_path / "index.json")
    with anyio.fail_after(5):
        assert "is not a regular file" in await refused(f"oci-layout:{tmp_path}")


@pytest.mark.parametrize("name", ["index.json", "blob"])
async def test_a_link_to_a_device_is_refused_and_not_read(name: str, tmp_path: Path) -> None:
    made, digest = one_image()
    made.written(tmp_path)
    link = tmp_path / (f"blobs/sha256/{digest[7:]}" if name == "blob" else name)
    link.unlink()
    link.symlink_to("/dev/zero")
    with anyio.fail_after(5):
        assert f"{link} is not a regular file" in await refused(f"oci-layout:{tmp_path}")


async def test_links_in_a_layout_are_followed(tmp_path: Path) -> None:
    made, digest = one_image()
    made.written(tmp_path / "real")
    (tmp_path / "linked").mkdir()
    for name in made.files:
        link = tmp_path / "linked" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / "real" / name)
    image = await found(f"oci-layout:{tmp_path}/linked")
    assert isinstance(image, Image)
    assert image.digest == digest


async def test_what_is_alike_is_named_beside_a_missing_source(tmp_path: Path) -> None:
    made, _ = one_image()
    made.written(tmp_path / "out")
    for number in range(7):
        (tmp_path / f"{number}.tar.gz").touch()
    (tmp_path / "notes.txt").touch()
    reason = await refused(f"oci-layout:{tmp_path}/dist")
    assert reason == f"{tmp_path}/dist is not there; its folder has out"
    reason = await refused(f"docker-archive:{tmp_path}/app.tar")
    assert reason.endswith(
        "; its folder has 0.tar.gz, 1.tar.gz, 2.tar.gz, 3.tar.gz, 4.tar.gz and 2 more"
    )
    assert await refused(f"oci-archive:{tmp_path}/no/app.tar") == (
        f"{tmp_path}/no/app.tar is not there"
    )


@pytest.mark.parametrize("path", ["$RUNNER_TEMP/app", "${HOME}/app", "~/app"])
@pytest.mark.parametrize("form", Form)
async def test_a_path_with_a_shell_variable_is_reported_as_such(form: Form, path: str) -> None:
    reason = await refused(f"{form}:{path}")
    assert reason.endswith(f"{path} is not there; shell variables and ~ are not expanded here")


async def test_few_sources_are_looked_at_in_parallel(tmp_path: Path) -> None:
    made, _ = one_image()
    made.written(tmp_path)
    busy, peak = set[int](), set[int]()

    def place(path: str) -> Path:
        busy.add(threading.get_ident())
        peak.add(len(busy))
        time.sleep(0.01)
        busy.discard(threading.get_ident())
        return Path(path)

    disk = DiskSources(place, Spool(), None)
    location = DiskLocation(Form.OCI_LAYOUT, str(tmp_path))
    await for_each(range(4 * FOUND_AT_ONCE), lambda _: disk.find(location))
    assert 1 < max(peak) <= FOUND_AT_ONCE


async def test_missing_files_are_reported_as_such(tmp_path: Path) -> None:
    for form in Form:
        assert "is not there" in await refused(f"{form}:{tmp_path}/none")


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([20_000_000, 5_500_000], "2 layers of 25.5 MB are uploaded uncompressed"),
        ([9_000_000], None),
        ([], None),
    ],
)
def test_layers_worth_compressing_are_reported(sizes: list[int], reason: str | None) -> None:
    plain = "application/vnd.oci.image.layer.v1.tar"
    blobs = [Descriptor(plain, digest_of(b"%d" % size), size) for size in sizes]
    packed = Descriptor(LAYER, digest_of(b"packed"), 50_000_000)
    sentence = uncompressed([*blobs, packed])
    assert (sentence or "").startswith(reason or "")
    assert (sentence is None) is (reason is None)

"""Layouts and archives on disk: what is chosen, what is whole, and what is refused, and why."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from tests.support.saved import (
    INDEX,
    MANIFEST,
    config_of,
    digest_of,
    layer,
    tar,
)

from ghcr_push.failures import PushError
from ghcr_push.model import Descriptor, Failure, Image, Kind, Source
from ghcr_push.planning.locations import (
    DiskLocation,
    Form,
    Location,
    MergedLocation,
    RegistryLocation,
    parse_location,
)
from ghcr_push.references import Digest, Repository
from ghcr_push.sources import Spool
from ghcr_push.sources.contents import uncompressed
from ghcr_push.sources.locations import DiskSources, InspectingEngine, Sources
from ghcr_push.sources.remote import RegistrySources

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REF = "org.opencontainers.image.ref.name"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# -- layouts of our own making ----------------------------------------------------------------


class Made:
    """The files of a layout in the making."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
        self.entries: list[dict[str, Any]] = []

    def blob(self, raw: bytes) -> Digest:
        digest = digest_of(raw)
        self.files[f"blobs/sha256/{digest[7:]}"] = raw
        return digest

    def named(self, raw: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.blob(raw), "size": len(raw), **more}

    def image(self, seed: int, **config: Any) -> dict[str, Any]:
        """Add an image of two layers; return its descriptor."""
        layers = [layer(seed), layer(seed + 1)]
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.named(config_of(layers, **config), CONFIG),
            "layers": [self.named(gzip.compress(one, mtime=0), LAYER) for one in layers],
        }
        return self.named(json.dumps(document).encode(), MANIFEST)

    def index(self, *children: Mapping[str, Any]) -> dict[str, Any]:
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(children)}
        return self.named(json.dumps(document).encode(), INDEX)

    def tag(self, descriptor: dict[str, Any], name: str | None) -> None:
        notes = {"annotations": {REF: name}} if name else {}
        self.entries.append({**descriptor, **notes})

    def finish(self) -> dict[str, bytes]:
        listing = {"schemaVersion": 2, "manifests": self.entries}
        self.files.setdefault("index.json", json.dumps(listing).encode())
        return self.files

    def written(self, folder: Path) -> Path:
        for name, content in self.finish().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder


def one_image(name: str | None = "1.0") -> tuple[Made, Digest]:
    made = Made()
    descriptor = made.image(1)
    made.tag(descriptor, name)
    return made, Digest(descriptor["digest"])


def platforms() -> tuple[Made, dict[str, Digest], Digest]:
    """Make an index of three platforms and an attestation."""
    made = Made()
    children, digests = [], {}
    for number, platform in enumerate(("linux/amd64", "linux/arm64", "linux/arm/v7")):
        system, architecture, *variant = platform.split("/")
        child = made.image(10 * number)
        told = {"os": system, "architecture": architecture}
        children.append({**child, "platform": told | ({"variant": variant[0]} if variant else {})})
        digests[platform] = Digest(child["digest"])
    notes = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": digests["linux/amd64"],
    }
    attestation = made.image(90)
    unknown = {"os": "unknown", "architecture": "unknown"}
    children.append({**attestation, "platform": unknown, "annotations": notes})
    top = made.index(*children)
    made.tag(top, "multi")
    return made, digests, Digest(top["digest"])


# -- reading them -----------------------------------------------------------------------------


async def found(text: str, *, platform: str | None = None) -> Image | Failure:
    return (await read(text, platform=platform))[0]


async def read(
    text: str, *, platform: str | None = None
) -> tuple[Image | Failure, dict[Digest, bytes], list[Digest]]:
    """Inspect and read a source; return its image, the bytes of its blobs, and its manifests."""
    location = parse_location(text)
    assert isinstance(location, DiskLocation)
    disk = DiskSources(Path, Spool(), platform)
    source = Source(str(location))
    image = await disk.inspect(source, location)
    blobs: dict[Digest, bytes] = {}
    if isinstance(image, Failure):
        return image, blobs, []
    async with disk.save(source) as saved:
        async for blob in saved:
            blobs[blob.digest] = b"".join([piece async for piece in blob.chunks()])
            blob.release()
        manifests = [manifest.digest for manifest in saved.images[0].manifests]
    return image, blobs, manifests


async def refused(text: str, *, platform: str | None = None) -> str:
    image = await found(text, platform=platform)
    assert isinstance(image, Failure)
    assert image.kind is Kind.SOURCE_INVALID
    assert not image.retryable
    return image.message


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("oci-layout:out", DiskLocation(Form.OCI_LAYOUT, "out")),
        ("oci:out:1.0", DiskLocation(Form.OCI_LAYOUT, "out", "1.0")),
        (
            f"oci-layout:out@sha256:{'a' * 64}",
            DiskLocation(Form.OCI_LAYOUT, "out", f"sha256:{'a' * 64}"),
        ),
        ("oci-archive:/x/y.tar:a/b:c", DiskLocation(Form.OCI_ARCHIVE, "/x/y.tar", "a/b:c")),
        ("docker-archive:img.tar:app:1", DiskLocation(Form.DOCKER_ARCHIVE, "img.tar", "app:1")),
        ("docker://ghcr.io/a/b:1", RegistryLocation(Repository("ghcr.io", "a/b"), "1")),
        ("docker://alpine", RegistryLocation(Repository("docker.io", "library/alpine"), "latest")),
        (
            f"docker://localhost:5000/a:1@sha256:{'a' * 64}",
            RegistryLocation(Repository("localhost:5000", "a"), f"sha256:{'a' * 64}"),
        ),
        ("app:1", None),
        ("ghcr.io/acme/app:1", None),
        ("sha256:" + "a" * 64, None),
    ],
)
def test_a_source_names_its_place(text: str, location: Location | None) -> None:
    assert parse_location(text) == location


def test_a_place_reads_as_it_is_written() -> None:
    for text in ("oci-layout:out:1.0", f"oci-archive:a.tar@sha256:{'a' * 64}", "docker-archive:b"):
        location = parse_location(text)
        assert parse_location(str(location)) == location


def test_members_of_an_index_are_joined_by_a_plus() -> None:
    location = parse_location("oci-layout:a:1 + docker://ghcr.io/a/b:2")
    assert isinstance(location, MergedLocation)
    assert [type(member) for member in location.members] == [DiskLocation, RegistryLocation]
    assert parse_location(str(location)) == location


@pytest.mark.parametrize("text", ["oci-layout:a + app:1", "oci-layout:a + docker-archive:b"])
def test_what_cannot_be_a_member_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"joins '{text.split(' + ')[1]}'"):
        parse_location(text)


@pytest.mark.parametrize("text", ["oci-layout:", "oci:", "oci-archive::1", "docker-archive:@x"])
def test_a_place_without_a_path_is_refused(text: str) -> None:
    if text != "docker-archive:@x":
        with pytest.raises(ValueError, match="names no path"):
            parse_location(text)


async def test_the_only_image_of_a_layout_needs_no_name(tmp_path: Path) -> None:
    made, digest = one_image()
    image, blobs, manifests = await read(f"oci-layout:{made.written(tmp_path)}")
    assert isinstance(image, Image)
    assert (image.digest, image.in_engine, manifests) == (digest, False, [digest])
    assert all(digest_of(raw) == name for name, raw in blobs.items())
    assert len(blobs) == 3


async def test_images_are_told_apart_by_tag_or_digest(tmp_path: Path) -> None:
    made, first = one_image("1.0")
    second = made.image(50)
    made.tag(second, "docker.io/acme/app:2.0")
    made.written(tmp_path)
    for name, digest in (
        ("1.0", first),
        ("2.0", second["digest"]),
        ("docker.io/acme/app:2.0", second["digest"]),
    ):
        image = await found(f"oci-layout:{tmp_path}:{name}")
        assert isinstance(image, Image)
        assert image.digest == digest
    image = await found(f"oci-layout:{tmp_path}@{first}")
    assert isinstance(image, Image)
    assert image.digest == first


async def test_what_is_there_is_listed(tmp_path: Path) -> None:
    made, _ = one_image("1.0")
    made.tag(made.image(50), "2.0")
    made.written(tmp_path)
    assert "holds 2 images; name one of 1.0, 2.0" in await refused(f"oci-layout:{tmp_path}")
    told = await refused(f"oci-layout:{tmp_path}:3.0")
    assert "no image named 3.0; it has 1.0, 2.0" in told
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
    [("linux/amd64", "linux/amd64"), ("linux/arm", "linux/arm/v7"), ("linux/arm/v7",) * 2],
)
async def test_one_platform_of_an_index_is_taken_alone(
    asked: str, platform: str, tmp_path: Path
) -> None:
    made, digests, _ = platforms()
    image, blobs, manifests = await read(f"oci-layout:{made.written(tmp_path)}", platform=asked)
    assert isinstance(image, Image)
    assert manifests == [digests[platform]] == [image.digest]
    assert len(blobs) == 3


async def test_platforms_that_are_not_there_are_told_with_those_that_are(tmp_path: Path) -> None:
    made, _, _ = platforms()
    told = await refused(f"oci-layout:{made.written(tmp_path)}", platform="linux/riscv64")
    assert "no image of linux/riscv64; it has linux/amd64, linux/arm64, linux/arm/v7" in told


# -- what is wrong ------------------------------------------------------------------------------


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


async def test_a_manifest_with_other_bytes_is_refused(tmp_path: Path) -> None:
    made, digest = one_image()
    made.files[f"blobs/sha256/{digest[7:]}"] += b" "
    assert f"other bytes under {digest}" in await refused(f"oci-layout:{made.written(tmp_path)}")


async def test_a_layer_of_another_length_is_refused(tmp_path: Path) -> None:
    made, _ = one_image()
    name = next(name for name, raw in made.files.items() if raw.startswith(b"\x1f\x8b"))
    made.files[name] += b"more"
    assert f"bytes of sha256:{name[13:]}" in await refused(f"oci-layout:{made.written(tmp_path)}")


async def test_a_layer_with_other_bytes_is_never_given_out_whole(tmp_path: Path) -> None:
    made, _ = one_image()
    name = next(name for name, raw in made.files.items() if raw.startswith(b"\x1f\x8b"))
    made.files[name] = b"\0" * len(made.files[name])
    made.written(tmp_path)
    with pytest.raises(PushError, match=f"not what its digest sha256:{name[13:]} says"):
        await read(f"oci-layout:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("index.json", None, "has no index.json, but blobs, oci-layout"),
        ("index.json", b"[]", "is no JSON object"),
        ("index.json", b"{}", "lists no manifests"),
        ("index.json", b'{"manifests": [{}]}', "no descriptor"),
        (
            "index.json",
            b'{"manifests": [{"mediaType": "x", "digest": "no", "size": 1}]}',
            "no desc",
        ),
        ("index.json", b'{"manifests": []}', "holds no image"),
        ("index.json", b" " * (9 << 20), "more than the 8,388,608 that are read"),
    ],
)
async def test_what_is_no_layout_is_told_so(
    name: str, content: bytes | None, told: str, tmp_path: Path
) -> None:
    made, _ = one_image()
    made.written(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert told in await refused(f"oci-layout:{tmp_path}")


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
async def test_a_manifest_that_is_none_is_refused(document: Any, tmp_path: Path) -> None:
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
        assert "is no regular file" in await refused(f"oci-layout:{tmp_path}")


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


async def test_what_is_not_there_is_told_so(tmp_path: Path) -> None:
    for form in Form:
        assert "is not there" in await refused(f"{form}:{tmp_path}/none")


# -- archives -----------------------------------------------------------------------------------


def archive(tmp_path: Path, raw: bytes, *, compressed: bool = False) -> Path:
    path = tmp_path / "image.tar"
    path.write_bytes(gzip.compress(raw) if compressed else raw)
    return path


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_archive_holds_what_the_layout_held(compressed: bool, tmp_path: Path) -> None:
    made, digests, top = platforms()
    path = archive(tmp_path, tar(made.finish()), compressed=compressed)
    expected = await read(f"oci-layout:{made.written(tmp_path / 'layout')}")
    image, blobs, manifests = await read(f"oci-archive:{path}")
    assert isinstance(image, Image)
    assert (image.digest, blobs, manifests) == (top, expected[1], expected[2])
    _, blobs, manifests = await read(f"oci-archive:{path}:multi", platform="linux/arm64")
    assert (len(blobs), manifests) == (3, [digests["linux/arm64"]])


async def test_names_with_a_dot_in_front_are_the_same_names(tmp_path: Path) -> None:
    made, digest = one_image()
    path = archive(tmp_path, tar({f"./{name}": raw for name, raw in made.finish().items()}))
    image = await found(f"oci-archive:{path}")
    assert isinstance(image, Image)
    assert image.digest == digest


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
async def test_an_archive_that_is_cut_off_is_refused(
    share: float, compressed: bool, tmp_path: Path
) -> None:
    made, _ = one_image()
    whole = tar(made.finish())
    raw = gzip.compress(whole) if compressed else whole
    path = archive(tmp_path, raw[: int(len(raw) * share)])
    assert str(path) in await refused(f"oci-archive:{path}")


async def test_a_wrong_checksum_of_gzip_is_refused(tmp_path: Path) -> None:
    made, _ = one_image()
    raw = bytearray(gzip.compress(tar(made.finish())))
    raw[-8] ^= 1
    path = archive(tmp_path, bytes(raw))
    assert "damaged" in await refused(f"oci-archive:{path}")


@pytest.mark.parametrize("magic", [b"\x28\xb5\x2f\xfd", b"BZh9", b"\xfd7zXZ\0"])
async def test_other_compressions_are_named(magic: bytes, tmp_path: Path) -> None:
    told = await refused(f"oci-archive:{archive(tmp_path, magic + bytes(600))}")
    assert "is compressed by" in told


def with_links(links: Sequence[tuple[str, str, bytes]], files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
        for name, target, kind in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            made.addfile(entry)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("link", "told"),
    [
        (("x", "../../etc/passwd", tarfile.SYMTYPE), "leads out of it"),
        (("x", "/etc/passwd", tarfile.SYMTYPE), "leads out of it"),
        (("index.json", "index.json", tarfile.SYMTYPE), "in a circle"),
    ],
)
async def test_links_that_lead_nowhere_good_are_refused(
    link: tuple[str, str, bytes], told: str, tmp_path: Path
) -> None:
    files = {"oci-layout": b"{}"}
    assert told in await refused(f"oci-archive:{archive(tmp_path, with_links([link], files))}")


async def test_a_link_inside_an_archive_is_followed_in_it(tmp_path: Path) -> None:
    made, digest = one_image()
    files = dict(made.finish())
    files["real.json"] = files.pop("index.json")
    raw = with_links([("index.json", "real.json", tarfile.SYMTYPE)], files)
    image = await found(f"oci-archive:{archive(tmp_path, raw)}")
    assert isinstance(image, Image)
    assert image.digest == digest


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("same", [True, False])
async def test_two_entries_of_one_name_must_be_the_same(
    same: bool, compressed: bool, tmp_path: Path
) -> None:
    made, _ = one_image()
    whole = tar(made.finish())
    again = tar({"index.json": made.files["index.json"] if same else b"{}"})
    path = archive(tmp_path, whole[:-1024] + again, compressed=compressed)
    image = await found(f"oci-archive:{path}")
    assert isinstance(image, Image if same else Failure)


# -- docker archives ------------------------------------------------------------------------------


def docker_archive(
    layers: Sequence[bytes], *, tags: Sequence[str] = ("app:1",), compress: bool = False
) -> dict[str, bytes]:
    config = config_of(layers)
    files = {f"{digest_of(config)[7:]}.json": config}
    names = []
    for number, content in enumerate(layers):
        names.append(f"layer-{number}.tar")
        files[names[-1]] = gzip.compress(content, mtime=0) if compress else content
    entry = {"Config": next(iter(files)), "RepoTags": list(tags), "Layers": names}
    files["manifest.json"] = json.dumps([entry]).encode()
    return files


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_docker_archive_is_read_whatever_its_layers_are_called(
    compressed: bool, tmp_path: Path
) -> None:
    layers = [layer(1), layer(2)]
    path = archive(tmp_path, tar(docker_archive(layers)), compressed=compressed)
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


async def test_a_layer_that_is_another_is_refused(tmp_path: Path) -> None:
    files = docker_archive([layer(1), layer(2)])
    files["layer-1.tar"] = layer(3)
    with pytest.raises(PushError, match="the config names"):
        await read(f"docker-archive:{archive(tmp_path, tar(files))}")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"manifest.json": b"{}"}, "lists no images"),
        ({"manifest.json": b"no"}, "no JSON"),
        ({"manifest.json": b'[{"Config": "none.json", "Layers": []}]'}, "lacks its config"),
        ({"layer-1.tar": None}, "lacks its layer layer-1.tar"),
        ({"manifest.json": None}, "no docker archive"),
    ],
)
async def test_what_is_no_docker_archive_is_told_so(
    change: Mapping[str, bytes | None], told: str, tmp_path: Path
) -> None:
    files: dict[str, bytes | None] = {**docker_archive([layer(1), layer(2)]), **change}
    kept = {name: raw for name, raw in files.items() if raw is not None}
    assert told in await refused(f"docker-archive:{archive(tmp_path, tar(kept))}")


async def test_images_of_a_docker_archive_are_told_apart(tmp_path: Path) -> None:
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
    told = await refused(f"docker-archive:{path}")
    assert "holds 2 images; name one of app:1, ghcr.io/acme/other:2" in told


async def test_a_docker_archive_has_no_platforms_to_choose(tmp_path: Path) -> None:
    path = archive(tmp_path, tar(docker_archive([layer(1)])))
    assert "one platform" in await refused(f"docker-archive:{path}", platform="linux/amd64")


# -- layers that are not compressed ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([20_000_000, 5_500_000], "2 layers of 25.5 MB go up uncompressed"),
        ([9_000_000], None),
        ([], None),
    ],
)
def test_layers_worth_compressing_are_told(sizes: list[int], told: str | None) -> None:
    plain = "application/vnd.oci.image.layer.v1.tar"
    blobs = [Descriptor(plain, digest_of(b"%d" % size), size) for size in sizes]
    packed = Descriptor(LAYER, digest_of(b"packed"), 50_000_000)
    sentence = uncompressed([*blobs, packed])
    assert (sentence or "").startswith(told or "")
    assert (sentence is None) is (told is None)


# -- merged indexes -------------------------------------------------------------------------------


async def merged(text: str, tmp_path: Path) -> tuple[Image | Failure, list[Digest], list[Digest]]:
    """Inspect and read a merged source; return its image, the blobs and the manifests."""
    sources = Sources(
        cast("InspectingEngine", None),
        DiskSources(lambda path: tmp_path / path, Spool(), None),
        cast("RegistrySources", None),
    )
    source = Source(text)
    image = (await sources.inspect_all([source]))[source]
    if isinstance(image, Failure):
        return image, [], []
    blobs: list[Digest] = []
    async with sources.save(source, image) as saved:
        async for blob in saved:
            blobs.append(blob.digest)
            blob.release()
        whole = saved.images[0].manifests
    document = json.loads(whole[-1].raw)
    assert digest_of(whole[-1].raw) == image.digest == whole[-1].digest
    assert [each["digest"] for each in document["manifests"]] == [
        each.digest for each in whole[:-1]
    ]
    return image, blobs, [each.digest for each in whole]


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


async def test_two_images_of_one_platform_are_refused_with_both(tmp_path: Path) -> None:
    digests = []
    for number in range(2):
        made = Made()
        descriptor = made.image(30 * number)
        made.tag(descriptor, None)
        made.written(tmp_path / f"{number}")
        digests.append(descriptor["digest"])
    image, _, _ = await merged("oci-layout:0 + oci-layout:1", tmp_path)
    assert isinstance(image, Failure)
    assert f"two images of linux/amd64: {digests[0]} and {digests[1]}" in image.message


async def test_a_member_that_is_not_there_is_the_failure(tmp_path: Path) -> None:
    made, _ = one_image()
    made.written(tmp_path / "a")
    image, _, _ = await merged("oci-layout:a + oci-layout:b", tmp_path)
    assert isinstance(image, Failure)
    assert "b is not there" in image.message

"""OCI archives: tars of layouts, plain and compressed, valid and damaged."""

import gzip
import os
import subprocess
import tarfile
from pathlib import Path
from random import Random

import pytest
from tests.support.compressed import PACKERS
from tests.support.layouts import (
    Made,
    archive,
    found,
    one_image,
    platforms,
    read,
    refused,
    with_links,
)
from tests.support.saved import tar

from ghcr_push.model import Failure, Image
from ghcr_push.planning.locations import DiskLocation, parse_location
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.spool import Spool

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("packed", PACKERS)
async def test_an_archive_holds_what_the_layout_held(packed: str, tmp_path: Path) -> None:
    made, digests, top = platforms()
    path = archive(tmp_path, PACKERS[packed](tar(made.finish())))
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


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
async def test_an_archive_that_is_cut_off_is_refused(
    share: float, packed: str, tmp_path: Path
) -> None:
    made, _ = one_image()
    raw = PACKERS[packed](tar(made.finish()))
    path = archive(tmp_path, raw[: int(len(raw) * share)])
    assert str(path) in await refused(f"oci-archive:{path}")


async def test_a_wrong_checksum_of_gzip_is_refused(tmp_path: Path) -> None:
    made, _ = one_image()
    raw = bytearray(gzip.compress(tar(made.finish())))
    raw[-8] ^= 1
    path = archive(tmp_path, bytes(raw))
    assert "damaged" in await refused(f"oci-archive:{path}")


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
async def test_damage_inside_is_one_failure_that_names_file_and_entry(
    packed: str, tmp_path: Path
) -> None:
    made, _ = one_image()
    made.blob(Random(1).randbytes(1 << 20))
    raw = bytearray(PACKERS[packed](tar(made.finish())))
    raw[len(raw) // 2] ^= 0xFF
    path = archive(tmp_path, bytes(raw))
    reason = await refused(f"oci-archive:{path}")
    assert f"{path} is truncated or damaged at blobs/sha256/" in reason


async def test_a_wrong_checksum_of_zstd_is_refused(tmp_path: Path) -> None:
    made, _ = one_image()
    raw = bytearray(PACKERS["zstd"](tar(made.finish())))
    raw[-1] ^= 1
    assert "checksum" in await refused(f"oci-archive:{archive(tmp_path, bytes(raw))}")


def sparse_tar(folder: Path, form: str) -> bytes:
    words = ("tar", "--sparse", f"--format={form}", "-c", "-C", folder, ".")
    return subprocess.run(words, check=True, capture_output=True).stdout


@pytest.mark.parametrize("sparse", ["gnu", "posix"])
@pytest.mark.parametrize("packed", ["plain", "gzip"])
async def test_a_sparse_file_is_named(sparse: str, packed: str, tmp_path: Path) -> None:
    made, _ = one_image()
    hole = made.blob(b"")
    folder = made.written(tmp_path / "layout")
    os.truncate(folder / "blobs/sha256" / hole[7:], 1 << 20)
    path = archive(tmp_path, PACKERS[packed](sparse_tar(folder, sparse)))
    reason = await refused(f"oci-archive:{path}")
    assert "as a sparse file; write it without --sparse" in reason


@pytest.mark.parametrize("magic", [b"BZh91AY&SY", b"\xfd7zXZ\0"])
async def test_other_compressions_are_named(magic: bytes, tmp_path: Path) -> None:
    reason = await refused(f"oci-archive:{archive(tmp_path, magic + bytes(600))}")
    assert "is compressed by" in reason


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        (("x", "../../etc/passwd", tarfile.SYMTYPE), "leads out of it"),
        (("x", "/etc/passwd", tarfile.SYMTYPE), "leads out of it"),
        (("index.json", "index.json", tarfile.SYMTYPE), "circular links"),
    ],
)
async def test_circular_and_escaping_links_are_refused(
    link: tuple[str, str, bytes], reason: str, tmp_path: Path
) -> None:
    files = {"oci-layout": b"{}"}
    assert reason in await refused(f"oci-archive:{archive(tmp_path, with_links([link], files))}")


async def test_a_link_inside_an_archive_is_resolved_inside_it(tmp_path: Path) -> None:
    made, digest = one_image()
    files = dict(made.finish())
    files["real.json"] = files.pop("index.json")
    raw = with_links([("index.json", "real.json", tarfile.SYMTYPE)], files)
    image = await found(f"oci-archive:{archive(tmp_path, raw)}")
    assert isinstance(image, Image)
    assert image.digest == digest


@pytest.mark.parametrize("begins", [b"[", b"\x1f\x8b"], ids=["json", "layers"])
async def test_many_small_files_may_come_before_what_names_them(
    begins: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put more in front than is kept of a stream, as in archives of many small layers."""
    monkeypatch.setattr("ghcr_push.sources.archive._KEPT_IN_ALL", 10_000)
    made, digest = one_image()
    first = {f"blobs/sha256/{number:064}": begins + bytes(2000) for number in range(9)}
    path = archive(tmp_path, tar({**first, **made.finish()}), compressed=True)
    image = await found(f"oci-archive:{path}")
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


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("same", [True, False])
async def test_two_large_entries_of_one_name_must_be_the_same(
    same: bool, compressed: bool, tmp_path: Path
) -> None:
    """Compare layers, which are too large to be kept from a stream."""
    made, digest = one_image()
    large = Random(2).randbytes((4 << 20) + 1)
    name = f"blobs/sha256/{made.blob(large)[7:]}"
    again = tar({name: large if same else large[:-1] + b"x"})
    path = archive(tmp_path, tar(made.finish())[:-1024] + again, compressed=compressed)
    image = await found(f"oci-archive:{path}")
    if same:
        assert isinstance(image, Image)
        assert image.digest == digest
    else:
        assert isinstance(image, Failure)
        assert f"two entries {name} with other bytes" in image.message


@pytest.mark.timeout(10)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "size",
    [b"\xff" * 12, b"-0000000001\0", b"77777777777\0", b"\x80" + b"\xff" * 11],
    ids=["negative", "negative-octal", "8-gib", "without-end"],
)
async def test_a_header_with_a_wrong_size_is_damage(
    size: bytes, compressed: bool, tmp_path: Path
) -> None:
    """No read loops, and none takes very long."""
    made, _ = one_image()
    raw = bytearray(tar(made.finish()))
    raw[124:136], raw[148:156] = size, b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    path = archive(tmp_path, bytes(raw), compressed=compressed)
    assert "is truncated or damaged at" in await refused(f"oci-archive:{path}")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
async def test_a_device_is_no_archive(device: str, form: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(device)
    for path in (device, tmp_path / "link"):
        assert "is not a regular file" in await refused(f"{form}:{path}")


async def test_a_compressed_archive_is_never_unpacked_as_a_whole(tmp_path: Path) -> None:
    made = Made()
    made.tag(made.image(1, layers=12, size=30_000), None)
    path = archive(tmp_path, tar(made.finish()), compressed=True)
    spool = Spool(100_000)
    location = parse_location(f"oci-archive:{path}")
    assert isinstance(location, DiskLocation)
    content = await DiskSources(Path, spool, None).find(location)
    total = 0
    async with content.read() as reading:
        async for blob in reading:
            total += blob.size
            blob.release()
    assert 0 < spool.room.highest <= 100_000 < total
    assert spool.room.used == 0

"""Incomplete sources: one permanent failure each, named, and no tag moves.

All go up in one run beside a good one, to which nothing happens.
"""

import gzip
import json
import os
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.front import Front, Stats, running_front
from tests.support.layouts import Made, docker_archive, one_image, platforms, with_links
from tests.support.memory import MemoryRegistry
from tests.support.saved import MANIFEST, layer, tar
from tests.support.watched import watched

COMMAND = str(Path(sys.executable).with_name("ghcr-push"))
HUGE = 64 << 20
"""Bytes of an invalid `index.json`."""

MOST_MEMORY = 100 << 10
"""In KiB; half of it was measured."""

Case = tuple[str, tuple[str, ...]]
"""A source, and the words that its failure must contain."""


def _image(folder: Path) -> tuple[dict[str, bytes], str, str]:
    """Return the files of a layout of one image, and the hex digests of its manifest and layer.

    Each folder has an image of its own: what one case lacks must not be mounted from another.
    """
    made = Made()
    descriptor = made.image(zlib.crc32(folder.name.encode()))
    made.tag(descriptor, "1.0")
    files = made.finish()
    packed = next(name for name, raw in files.items() if raw.startswith(b"\x1f\x8b"))
    return files, descriptor["digest"][7:], packed.rpartition("/")[2]


def _layout(folder: Path, files: Mapping[str, bytes], *expected: str) -> Case:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return f"oci-layout:{folder}", (str(folder), *expected)


def _archive(folder: Path, raw: bytes, *expected: str, form: str = "oci-archive") -> Case:
    folder.mkdir()
    (folder / "image.tar").write_bytes(raw)
    return f"{form}:{folder}/image.tar", (f"{folder}/image.tar", *expected)


# -- truncated or damaged sources ---------------------------------------------------------------


def cut_archive(folder: Path) -> Case:
    files, _, _ = _image(folder)
    raw = tar(files)
    return _archive(folder, raw[: len(raw) * 2 // 3], "is truncated")


def cut_gzip(folder: Path) -> Case:
    files, _, _ = _image(folder)
    return _archive(folder, gzip.compress(tar(files))[:-20], "damaged")


def wrong_checksum(folder: Path) -> Case:
    files, _, _ = _image(folder)
    raw = bytearray(gzip.compress(tar(files)))
    raw[-8] ^= 1
    return _archive(folder, bytes(raw), "damaged")


def cut_docker_archive(folder: Path) -> Case:
    raw = tar(docker_archive([layer(1), layer(2)]))
    return _archive(folder, raw[: len(raw) // 2], form="docker-archive")


def no_archive(folder: Path) -> Case:
    return _archive(folder, b"no tar at all" * 99, form="docker-archive")


# -- bytes that do not match their digest ---------------------------------------------------------


def other_manifest(folder: Path) -> Case:
    files, manifest, _ = _image(folder)
    files[f"blobs/sha256/{manifest}"] += b" "
    return _layout(folder, files, manifest)


def other_layer(folder: Path) -> Case:
    files, _, packed = _image(folder)
    files[f"blobs/sha256/{packed}"] = bytes(len(files[f"blobs/sha256/{packed}"]))
    return _layout(folder, files, packed)


def other_layer_in_archive(folder: Path) -> Case:
    files, _, packed = _image(folder)
    files[f"blobs/sha256/{packed}"] = bytes(len(files[f"blobs/sha256/{packed}"]))
    return _archive(folder, tar(files), packed)


def other_layer_in_gzip(folder: Path) -> Case:
    files, _, packed = _image(folder)
    files[f"blobs/sha256/{packed}"] = bytes(len(files[f"blobs/sha256/{packed}"]))
    return _archive(folder, gzip.compress(tar(files)), packed)


def other_diff_id(folder: Path) -> Case:
    files = docker_archive([layer(1), layer(2)])
    files["layer-1.tar"] = layer(3)
    return _archive(folder, tar(files), "layer-1.tar", form="docker-archive")


def wrong_checksum_of_layer(folder: Path) -> Case:
    files = docker_archive([layer(1), layer(2)], compress=True)
    raw = bytearray(files["layer-1.tar"])
    raw[-8] ^= 1
    files["layer-1.tar"] = bytes(raw)
    return _archive(folder, tar(files), "layer-1.tar", "damaged", form="docker-archive")


def cut_layer(folder: Path) -> Case:
    files = docker_archive([layer(1), layer(2)], compress=True)
    files["layer-1.tar"] = files["layer-1.tar"][:-100]
    return _archive(folder, tar(files), "layer-1.tar", "truncated", form="docker-archive")


# -- missing or ambiguous parts -------------------------------------------------------------------


def missing_layer(folder: Path) -> Case:
    files, _, packed = _image(folder)
    del files[f"blobs/sha256/{packed}"]
    return _layout(folder, files, "lacks", packed)


def missing_child(folder: Path) -> Case:
    made, digests, _ = platforms()
    files = made.finish()
    child = digests["linux/arm64"][7:]
    del files[f"blobs/sha256/{child}"]
    return _archive(folder, gzip.compress(tar(files)), "lacks", child)


def no_name(folder: Path) -> Case:
    made, _ = one_image("1.0")
    made.tag(made.image(50), "2.0")
    return _layout(folder, made.finish(), "1.0, 2.0")


def missing_name(folder: Path) -> Case:
    files, _, _ = _image(folder)
    source, expected = _layout(folder, files, "no image named 9.9", "1.0")
    return f"{source}:9.9", expected


def unknown_version(folder: Path) -> Case:
    files, _, _ = _image(folder)
    files["oci-layout"] = b'{"imageLayoutVersion": "2.0.0"}'
    return _layout(folder, files, "version 2.0.0")


def no_layout(folder: Path) -> Case:
    return _layout(folder, {"README": b"no layout"}, "README")


# -- traps ----------------------------------------------------------------------------------------


def link_out(folder: Path) -> Case:
    raw = with_links([("x", "../../etc/passwd", tarfile.SYMTYPE)], {"oci-layout": b"{}"})
    return _archive(folder, raw, "etc/passwd", "leads out")


def link_circle(folder: Path) -> Case:
    links = [("index.json", "y", tarfile.SYMTYPE), ("y", "index.json", tarfile.SYMTYPE)]
    return _archive(folder, with_links(links, {"a": b""}), "index.json", "circle")


def two_entries(folder: Path) -> Case:
    files, _, _ = _image(folder)
    raw = tar(files)[:-1024] + tar({"index.json": b"{}"})
    return _archive(folder, raw, "index.json", "other bytes")


def device(folder: Path) -> Case:
    files, manifest, _ = _image(folder)
    del files[f"blobs/sha256/{manifest}"]
    case = _layout(folder, files, manifest, "not a regular file")
    os.mkfifo(folder / "blobs" / "sha256" / manifest)
    return case


def huge_index(folder: Path) -> Case:
    files, _, _ = _image(folder)
    case = _layout(folder, {**files, "index.json": b""}, "index.json", f"{HUGE:,}")
    os.truncate(folder / "index.json", HUGE)
    return case


def huge_index_in_gzip(folder: Path) -> Case:
    files, _, _ = _image(folder)
    raw = gzip.compress(tar({**files, "index.json": b" " * HUGE}), 1)
    return _archive(folder, raw, "index.json", f"{HUGE:,}")


def huge_manifest(folder: Path) -> Case:
    made = Made()
    size = (4 << 20) + 1
    named = made.named(b" " * size, MANIFEST)
    made.tag(named, None)
    return _layout(folder, made.finish(), named["digest"][7:], f"{size:,}")


CASES: tuple[Callable[[Path], Case], ...] = (
    cut_archive,
    cut_gzip,
    wrong_checksum,
    cut_docker_archive,
    no_archive,
    other_manifest,
    other_layer,
    other_layer_in_archive,
    other_layer_in_gzip,
    other_diff_id,
    wrong_checksum_of_layer,
    cut_layer,
    missing_layer,
    missing_child,
    no_name,
    missing_name,
    unknown_version,
    no_layout,
    link_out,
    link_circle,
    two_entries,
    device,
    huge_index,
    huge_index_in_gzip,
    huge_manifest,
)


# -- one run of them all --------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """How the run ended, and the words expected in the failure of each source."""

    status: int
    targets: Mapping[str, Mapping[str, Any]]
    expected: Mapping[str, tuple[str, ...]]
    stats: Stats
    memory: int


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    folder = tmp_path_factory.mktemp("bad")
    with running_front(MemoryRegistry()) as front:
        expected, lines = {}, []
        for case in CASES:
            source, expected[case.__name__] = case(folder / case.__name__)
            lines.append(f"{source} => {front.address}/acme/{case.__name__}:1")
        whole = folder / "good"
        files, _, packed = _image(whole)
        good, _ = _layout(whole, files)
        files[f"blobs/sha256/{packed}"] = bytes(len(files[f"blobs/sha256/{packed}"]))
        damaged, _ = _layout(folder / "copy", files)
        lines.append(f"{damaged} => {front.address}/acme/copy:1")
        lines.append(f"{good} => {front.address}/acme/good:1")
        yield run(folder, front, lines, expected)


def run(
    folder: Path, front: Front, lines: list[str], expected: Mapping[str, tuple[str, ...]]
) -> Ended:
    """Run the command without an engine; watch its memory."""
    environ = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    done = watched(
        [COMMAND, "--tags", "\n".join(lines), "--format", "json"],
        {**environ, "PATH": "/nonexistent", "HOME": str(folder)},
    )
    by_name = {
        each["reference"].rpartition("/")[2].removesuffix(":1"): each
        for each in json.loads(done.out)["targets"]
    }
    return Ended(done.status, by_name, expected, front.stats(), done.memory)


@pytest.mark.parametrize("name", [case.__name__ for case in CASES])
def test_an_incomplete_source_is_one_named_failure(name: str, ended: Ended) -> None:
    target = ended.targets[name]
    assert target["outcome"] == "failed"
    failure = target["failure"]
    assert (failure["kind"], failure["retryable"]) == ("source-invalid", False)
    missing = [word for word in ended.expected[name] if word not in failure["message"]]
    assert not missing, failure["message"]
    assert {attempt["number"] for attempt in target["content_attempts"]} <= {1}
    assert not [key for key in ended.stats.manifest_writes if key.startswith(f"acme/{name}")]


def test_nothing_happens_to_a_good_source_among_them(ended: Ended) -> None:
    """Even with a damaged copy beside it, which may find its layer there already."""
    assert ended.status == 1
    assert ended.targets["good"]["outcome"] == "pushed"
    assert set(ended.stats.manifest_writes) - {"acme/copy:1"} == {"acme/good:1"}


def test_a_too_large_file_is_not_read(ended: Ended) -> None:
    assert ended.memory < MOST_MEMORY

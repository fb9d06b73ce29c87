"""One large layer, from a layout and from a registry: in little memory, and with no copy on disk.

`python -m bench.large` shows the same of a larger one.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from tests.support.layouts import CONFIG, LAYER, Made
from tests.support.registry import running_registry
from tests.support.saved import MANIFEST, config_of
from tests.support.watched import watched

COMMAND = str(Path(sys.executable).with_name("ghcr-push"))
PIECE = 1 << 20
SIZE = 1 << 30

MEMORY = 100 * 10**6
"""Bytes; 60 MB were measured for any size."""

DISK = 10 * 10**6
"""Bytes: room for modules that Python compiles, and far less than a layer."""


@dataclass(frozen=True, kw_only=True)
class Large:
    """The cost of one push of a large layer, in seconds and bytes."""

    source: str
    seconds: float
    memory: int
    written: int


def large_layout(folder: Path, size: int) -> str:
    """Write a layout whose one layer has `size` bytes, a repeated MiB of random ones."""
    made, piece, found = Made(), os.urandom(PIECE), hashlib.sha256()
    layer = folder / "layer"
    with layer.open("wb") as file:
        for _ in range(size // PIECE):
            file.write(piece)
            found.update(piece)
    digest = found.hexdigest()
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": made.named(config_of([piece]), CONFIG),
        "layers": [{"mediaType": LAYER, "digest": f"sha256:{digest}", "size": size}],
    }
    made.tag(made.named(json.dumps(document).encode(), MANIFEST), None)
    made.written(folder / "layout")
    layer.rename(folder / "layout" / "blobs" / "sha256" / digest)
    return f"oci-layout:{folder}/layout"


def pushes(size: int) -> Iterator[Large]:
    """Push a layout to a registry, then from there to another one."""
    with (
        running_registry() as first,
        running_registry() as second,
        tempfile.TemporaryDirectory(prefix="large-") as folder,
    ):
        source = large_layout(Path(folder), size)
        for name, registry in (("layout", first), ("registry", second)):
            target = f"{registry.address}/acme/large:1"
            environ = {"PATH": "/nonexistent", "HOME": folder, "TMPDIR": folder}
            start = monotonic()
            done = watched([COMMAND, target, "--source", source], environ)
            seconds = monotonic() - start
            assert done.status == 0, done.log
            yield Large(
                source=name, seconds=seconds, memory=done.memory << 10, written=done.written
            )
            source = f"docker://{target}"


def test_a_layer_of_a_gigabyte_takes_little_memory_and_no_disk() -> None:
    for push in pushes(SIZE):
        assert push.memory < MEMORY, push
        assert push.written < DISK, push

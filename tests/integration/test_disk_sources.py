"""A layout of three platforms, pushed by the command without an engine."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.front import Behaviour, Front, Rule, Step, on
from tests.support.layouts import CONFIG, Made, platforms
from tests.support.registry import manifest_of
from tests.support.saved import MANIFEST, config_of, digest_of, layer

COMMAND = Path(sys.executable).with_name("ghcr-push")
TAGS = ("1", "1.4", "latest")
PLAIN = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Pushed:
    """How the command ended."""

    status: int
    report: dict[str, Any]
    log: str


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Yield a layout of an index of three platforms and an attestation."""
    made, _, _ = platforms()
    return made.written(tmp_path / "layout")


def push(layout: Path, repository: str, *more: str) -> Pushed:
    """Push the layout under three tags."""
    return push_to(layout, [f"{repository}:{tag}" for tag in TAGS], *more)


def push_to(layout: Path, references: Sequence[str], *more: str) -> Pushed:
    """Push the layout without a docker command or socket."""
    environ = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    tags = ",".join(references)
    source = f"oci-layout:{layout}"
    done = subprocess.run(
        [COMMAND, "--tags", tags, "--source", source, "--format", "json", *more],
        env={**environ, "PATH": "/nonexistent", "HOME": str(layout.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Pushed(done.returncode, json.loads(done.stdout or "{}"), done.stderr)


def test_a_second_run_writes_nothing(layout: Path, front: Front) -> None:
    repository = f"{front.address}/acme/again"
    assert push(layout, repository).status == 0
    before = front.stats()
    pushed = push(layout, repository)
    assert pushed.status == 0
    assert [target["outcome"] for target in pushed.report["targets"]] == ["unchanged"] * 3
    after = front.stats()
    assert after.manifest_writes == before.manifest_writes
    assert after.blob_uploads == before.blob_uploads


def plain_image(made: Made, number: int) -> dict[str, Any]:
    """Add an image with a layer that is not compressed; return its descriptor."""
    content = layer(number)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": made.named(config_of([content]), CONFIG),
        "layers": [made.named(content, PLAIN)],
    }
    return made.named(json.dumps(document).encode(), MANIFEST)


@pytest.mark.parametrize("index", [False, True], ids=["image", "index"])
def test_layers_that_were_compressed_once_are_not_sent_again(
    index: bool, front: Front, tmp_path: Path
) -> None:
    made = Made()
    images = [plain_image(made, number) for number in (1, 2)]
    made.tag(made.index(*images) if index else images[0], None)
    layout = made.written(tmp_path / "layout")
    repository = f"{front.address}/acme/compressed-{'index' if index else 'image'}"
    assert push(layout, repository).status == 0
    first = push(layout, repository, "--compress-layers")
    assert {target["outcome"] for target in first.report["targets"]} == {"pushed"}
    front.reset()
    if not index:  # its layer is not read: any bytes would do
        (layout / "blobs/sha256" / digest_of(layer(1))[7:]).write_bytes(bytes(len(layer(1))))
    for more in ([], ["--protect", "1*"]):  # the protected tag names the same image already
        again = push(layout, repository, "--compress-layers", *more)
        assert {target["outcome"] for target in again.report["targets"]} == {"unchanged"}
    stats = front.stats()
    assert (stats.manifest_writes, stats.blob_uploads, stats.blob_mounts) == ({}, {}, {})


def test_one_platform_is_pushed_alone(layout: Path, front: Front) -> None:
    repository = f"{front.address}/acme/one-platform"
    assert push(layout, repository, "--platform", "linux/arm").status == 0
    manifest = manifest_of(front.address, "acme/one-platform", "latest")
    assert "layers" in manifest
    url = f"http://{front.address}/v2/acme/one-platform/manifests/latest"
    _, digests, _ = platforms()
    head = httpx2.head(url, headers={"Accept": MANIFEST})
    assert head.headers["Docker-Content-Digest"] == digests["linux/arm/v7"]
    assert len(front.stats().blob_uploads["acme/one-platform"]) == 1 + len(manifest["layers"])


def test_a_damaged_layer_moves_no_tag_and_is_named(layout: Path, front: Front) -> None:
    blobs = (layout / "blobs" / "sha256").iterdir()
    layer = next(path for path in blobs if path.read_bytes().startswith(b"\x1f\x8b"))
    layer.write_bytes(bytes(layer.stat().st_size))
    pushed = push(layout, f"{front.address}/acme/damaged")
    assert pushed.status == 1
    assert pushed.report["cause"] == "input"
    [message] = {target["failure"]["message"] for target in pushed.report["targets"]}
    assert f"{layer} has other bytes under sha256:{layer.name}" in message
    assert not [key for key in front.stats().manifest_writes if key.startswith("acme/damaged")]


def test_one_refused_blob_is_sent_again_from_its_file(layout: Path, front: Front) -> None:
    front.set(Behaviour(rules=(Rule(match=on(Step.UPLOAD_PUT), first=2),)))
    pushed = push(layout, f"{front.address}/acme/retried")
    assert pushed.status == 0, pushed.report
    assert pushed.report["totals"]["retries"] == 2
    top = manifest_of(front.address, "acme/retried", "1")
    children = [
        manifest_of(front.address, "acme/retried", each["digest"]) for each in top["manifests"]
    ]
    base = f"http://{front.address}/v2/acme/retried/blobs"
    for blob in {each["digest"] for child in children for each in child["layers"]}:
        assert digest_of(httpx2.get(f"{base}/{blob}").content) == blob

"""Sources with any JSON in any place are read or rejected, without internal errors."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.layouts import CONFIG, LAYER, Made, docker_archive, one_image
from tests.support.saved import INDEX, MANIFEST, config_of, layer, tar

from ghcr_push.failures import PushError, classify
from ghcr_push.model import Failure, Kind, Source
from ghcr_push.pushing.ports import Content, Sources
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.locations import SourcesByLocation
from ghcr_push.sources.remote import RegistrySources
from ghcr_push.sources.spool import Spool

pytestmark = pytest.mark.anyio

ANYTHING = (None, -1, float("inf"), "x", ["x"], {"a": 1}, "sha256:" + 64 * "0")
Written = Callable[[str, Any], bytes]
"""Writes one named document of a source."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def layout(written: Written) -> bytes:
    """Return an archive of an index of one image and its attestation."""
    made = Made()
    [content] = contents = [layer(1)]
    image = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": made.named(written("config", json.loads(config_of(contents))), CONFIG),
        "layers": [made.named(content, LAYER)],
    }
    child = made.named(written("image", image), MANIFEST)
    platform = {"os": "linux", "architecture": "arm", "variant": "v7"}
    notes = {"vnd.docker.reference.type": "attestation-manifest"}
    notes["vnd.docker.reference.digest"] = child["digest"]
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{**child, "platform": platform}, {**made.image(9), "annotations": notes}],
    }
    made.tag(made.named(written("index", index), INDEX), "1")
    listing = {"schemaVersion": 2, "manifests": made.entries}
    made.files["index.json"] = written("index.json", listing)
    return tar(made.finish())


def archive(written: Written) -> bytes:
    files = docker_archive([layer(1), layer(2)])
    return tar({name: _docker(written, name, raw) for name, raw in files.items()})


def _docker(written: Written, name: str, raw: bytes) -> bytes:
    return written(name, json.loads(raw)) if name.endswith(".json") else raw


def places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    if isinstance(document, dict | list):
        for key in document if isinstance(document, dict) else range(len(document)):
            yield from places(document[key], (*above, key))


def damaged(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = document.copy()
    copy[place[0]] = damaged(document[place[0]], place[1:], value)
    return copy


def variants(make: Callable[[Written], bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the results of `make` with any value in each place of each of its documents."""
    documents: dict[str, Any] = {}

    def noted(name: str, document: Any) -> bytes:
        documents[name] = document
        return json.dumps(document).encode()

    make(noted)
    for name, whole in documents.items():
        for place in places(whole):
            for value in ANYTHING:

                def written(
                    at: str,
                    document: Any,
                    chosen: tuple[str, tuple[Any, ...], Any] = (name, place, value),
                ) -> bytes:
                    there = damaged(document, *chosen[1:]) if at == chosen[0] else document
                    return json.dumps(there).encode()

                yield f"{name} {place} {value!r}", make(written)


async def refusal(content: Content) -> Failure | None:
    """Read a content; return why it cannot be read to its end."""
    try:
        async with content.read() as reading:
            async for blob in reading:
                blob.release()
    except PushError as error:
        return classify(error.evidence)
    return None


@pytest.mark.parametrize("platform", [None, "linux/arm"])
@pytest.mark.parametrize(
    ("source", "make"),
    [
        ("oci-archive:{}/any.tar", layout),
        ("oci-archive:{}/any.tar + oci-archive:{}/good.tar", layout),
        ("docker-archive:{}/any.tar", archive),
    ],
)
async def test_any_document_is_read_or_rejected(
    source: str, make: Callable[[Written], bytes], platform: str | None, tmp_path: Path
) -> None:
    (tmp_path / "good.tar").write_bytes(tar(one_image()[0].finish()))
    disk = DiskSources(Path, Spool(), platform, referrers=True)
    sources = SourcesByLocation(cast("Sources", None), disk, cast("RegistrySources", None))
    asked = Source(source.format(tmp_path, tmp_path))
    for what, raw in variants(make):
        (tmp_path / "any.tar").write_bytes(raw)
        content = (await sources.find([asked]))[asked]
        refused = content if isinstance(content, Failure) else await refusal(content)
        assert refused is None or refused.kind is Kind.SOURCE_INVALID, f"{what}: {refused}"


@pytest.mark.parametrize("name", ["manifest.json", "config"])
async def test_json_that_is_nested_too_deeply_is_refused(name: str, tmp_path: Path) -> None:
    files = docker_archive([layer(1)])
    deep = next(iter(files)) if name == "config" else name
    (tmp_path / "any.tar").write_bytes(tar({**files, deep: b'{"a":' * 100_000}))
    disk = DiskSources(Path, Spool(), None)
    sources = SourcesByLocation(cast("Sources", None), disk, cast("RegistrySources", None))
    asked = Source(f"docker-archive:{tmp_path}/any.tar")
    content = (await sources.find([asked]))[asked]
    assert isinstance(content, Failure)
    assert content.kind is Kind.SOURCE_INVALID

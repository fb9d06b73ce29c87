"""OCI layouts and docker archives for tests, and reading them with our reader."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from ghcr_push.failures import PushError, classify
from ghcr_push.model import Failure, Image, Kind
from ghcr_push.planning.locations import DiskLocation, parse_location
from ghcr_push.references import Digest
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.spool import Spool
from tests.support.saved import INDEX, MANIFEST, config_of, digest_of, layer

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REF = "org.opencontainers.image.ref.name"


class Made:
    """The files of a layout that is being made."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
        self.entries: list[dict[str, Any]] = []
        self.media_types: dict[str, str] = {}

    def blob(self, raw: bytes) -> Digest:
        digest = digest_of(raw)
        self.files[f"blobs/sha256/{digest[7:]}"] = raw
        return digest

    def named(self, raw: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        digest = self.blob(raw)
        self.media_types[digest] = media_type
        return {"mediaType": media_type, "digest": digest, "size": len(raw), **more}

    def image(
        self, seed: int, *, layers: int = 2, size: int = 3000, **config: Any
    ) -> dict[str, Any]:
        """Add an image of so many layers of ``size`` bytes; return its descriptor."""
        contents = [layer(seed + number, size) for number in range(layers)]
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.named(config_of(contents, **config), CONFIG),
            "layers": [self.named(gzip.compress(one, mtime=0), LAYER) for one in contents],
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

    def uploaded(self, repository: str, tag: str) -> str:
        """Upload all of it to a registry with plain requests, the last manifest under a tag."""
        host, _, name = repository.partition("/")
        base = f"http://{host}/v2/{name}"
        *others, last = self.files
        for path in others[1:]:
            self._upload(base, path, None)
        self._upload(base, last, tag)
        return f"{repository}:{tag}"

    def _upload(self, base: str, path: str, tag: str | None) -> None:
        raw, digest = self.files[path], f"sha256:{path.rpartition('/')[2]}"
        media_type = self.media_types[digest]
        if media_type in {MANIFEST, INDEX}:
            url = httpx2.URL(f"{base}/manifests/{tag or digest}")
        else:
            begun = httpx2.post(f"{base}/blobs/uploads/")
            url = httpx2.URL(begun.headers["Location"]).copy_merge_params({"digest": digest})
            media_type = "application/octet-stream"
        put = httpx2.put(url, content=raw, headers={"Content-Type": media_type}, timeout=30)
        assert put.status_code == 201, put.text


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
        platform_fields = {"os": system, "architecture": architecture}
        children.append(
            {**child, "platform": platform_fields | ({"variant": variant[0]} if variant else {})}
        )
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


async def found(text: str, *, platform: str | None = None) -> Image | Failure:
    return (await read(text, platform=platform))[0]


async def read(
    text: str, *, platform: str | None = None
) -> tuple[Image | Failure, dict[Digest, bytes], list[Digest]]:
    """Find and read a source; return its image, the bytes of its blobs, and its manifests."""
    location = parse_location(text)
    assert isinstance(location, DiskLocation)
    disk = DiskSources(Path, Spool(), platform)
    blobs: dict[Digest, bytes] = {}
    try:
        content = await disk.find(location)
    except PushError as error:
        return classify(error.evidence), blobs, []
    async with content.read() as saved:
        async for blob in saved:
            blobs[blob.digest] = b"".join([piece async for piece in blob.chunks()])
            blob.release()
        manifests = [manifest.digest for manifest in saved.image.manifests]
    return content.image, blobs, manifests


async def refused(text: str, *, platform: str | None = None) -> str:
    image = await found(text, platform=platform)
    assert isinstance(image, Failure)
    assert image.kind is Kind.SOURCE_INVALID
    assert not image.retryable
    return image.message


def archive(tmp_path: Path, raw: bytes, *, compressed: bool = False) -> Path:
    path = tmp_path / "image.tar"
    path.write_bytes(gzip.compress(raw) if compressed else raw)
    return path


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

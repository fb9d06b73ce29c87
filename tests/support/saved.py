"""Saved images of every form, made without an engine, and readers with pieces of any sizes."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any, TypeVar

from ghcr_push.model import Image
from ghcr_push.pushing.ports import Blob
from ghcr_push.references import Digest
from ghcr_push.sources.classic import read_classic
from ghcr_push.sources.saved import SavedImages
from ghcr_push.sources.spool import Spool
from ghcr_push.sources.stored import read_stored
from ghcr_push.sources.tarstream import ByteReader, TarStream

B = TypeVar("B", bound=Blob)

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Choppy:
    """A reader that returns ``content`` in pieces of the repeated ``sizes``."""

    def __init__(self, content: bytes, sizes: Sequence[int] = (1 << 20,)) -> None:
        self._rest = memoryview(content)
        self._sizes = sizes
        self._reads = 0

    def readinto(self, buffer: memoryview, /) -> int:
        size = min(len(buffer), self._sizes[self._reads % len(self._sizes)], len(self._rest))
        self._reads += 1
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def layer(seed: int, size: int = 3000) -> bytes:
    """Return a layer: a tar with one file, half of it compressible."""
    random = Random(seed)
    return tar({f"file-{seed}": random.randbytes(size // 2) + b"x" * (size - size // 2)})


def tar(files: Mapping[str, bytes | None], *, links: Mapping[str, str] | None = None) -> bytes:
    """Return an archive in Go's form; a content of None is a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.size = len(content or b"")
            archive.addfile(entry, io.BytesIO(content or b""))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        end = archive.offset + 2 * tarfile.BLOCKSIZE  # Go pads no further than that
    return buffer.getvalue()[:end]


def config_of(layers: Sequence[bytes], **more: Any) -> bytes:
    """Return an image's config, not in canonical form: its bytes must not change."""
    document = {"os": "linux", "rootfs": {"diff_ids": [digest_of(one) for one in layers]}, **more}
    return json.dumps({"architecture": "amd64", **document}, indent=1).encode()


def classic_image(layers: Sequence[bytes], **more: Any) -> Image:
    return Image(
        id=digest_of(config_of(layers, **more)),
        layers=len(layers),
        diff_ids=tuple(map(digest_of, layers)),
    )


def reading_of_classic(
    reader: ByteReader,
    image: Image,
    spool: Spool,
    *,
    complaint: Callable[[], str] = str,
) -> SavedImages:
    """Return the reading of an image that a classic store saves."""
    return SavedImages(partial(read_classic, image, TarStream(reader, complaint)), spool)


def reading_of_stored(
    reader: ByteReader,
    wanted: Sequence[Digest],
    spool: Spool,
    *,
    complaint: Callable[[], str] = str,
    platform: str | None = None,
    only: Collection[Digest] | None = None,
) -> SavedImages:
    """Return the reading of images that a containerd store saves."""
    tar = TarStream(reader, complaint)
    return SavedImages(partial(read_stored, wanted, tar, platform=platform, only=only), spool)


@contextmanager
def released(blob: B) -> Iterator[B]:
    """Release `blob` at the end of the block."""
    try:
        yield blob
    finally:
        blob.release()


def saved_in_folders(*images: Sequence[bytes]) -> bytes:
    """Return what engine 20.10 saves: a folder for each layer, links for repeated layers."""
    files: dict[str, bytes | None] = {}
    links: dict[str, str] = {}
    first: dict[bytes, str] = {}
    for layers in images:
        for number, content in enumerate(layers):
            folder = hashlib.sha256(b"%d" % number + content).hexdigest()
            files[f"{folder}/"] = None
            files[f"{folder}/VERSION"] = b"1.0"
            files[f"{folder}/json"] = b'{"id": "..."}'
            if first.setdefault(content, folder) == folder:
                files[f"{folder}/layer.tar"] = content
            else:
                links[f"{folder}/layer.tar"] = f"../{first[content]}/layer.tar"
        config = config_of(layers)
        files[f"{digest_of(config)[7:]}.json"] = config
    files["manifest.json"] = b"[]"
    return tar(dict(sorted(files.items())), links=links)


def saved_by_podman(*images: Sequence[bytes]) -> bytes:
    """Return what Podman 4 saves: layers by DiffID, and folders with links to them."""
    files: dict[str, bytes | None] = {}
    links: dict[str, str] = {}
    for layers in images:
        for number, content in enumerate(layers):
            folder = hashlib.sha256(b"%d" % number + content).hexdigest()
            name = f"{digest_of(content)[7:]}.tar"
            files[name] = content
            files[f"{folder}/VERSION"] = b"1.0"
            files[f"{folder}/json"] = b'{"id": "..."}'
            links[f"{folder}/layer.tar"] = f"../{name}"
        config = config_of(layers)
        files[f"{digest_of(config)[7:]}.json"] = config
    files["manifest.json"] = b"[]"
    files["repositories"] = b"{}"
    return tar(files, links=links)


def saved_as_layout(*images: Sequence[bytes]) -> bytes:
    """Return what engine 25 and later save: an OCI layout with uncompressed layers."""
    blobs: set[bytes] = set()
    for layers in images:
        config = config_of(layers)
        manifest = {"schemaVersion": 2, "config": {"digest": digest_of(config)}, "layers": []}
        blobs |= {config, *layers, b'{"id": "of the old kind"}', json.dumps(manifest).encode()}
    return tar(_as_layout(blobs))


def _as_layout(blobs: Iterable[bytes]) -> dict[str, bytes | None]:
    named: dict[str, bytes | None] = {f"blobs/sha256/{digest_of(one)[7:]}": one for one in blobs}
    return {
        "blobs/": None,
        "blobs/sha256/": None,
        **dict(sorted(named.items())),
        "index.json": b"{}",
        "manifest.json": b"[]",
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
    }


class Stored:
    """An index of the containerd store: images for platforms, each with an attestation."""

    def __init__(self, *platforms: str, layers: int = 2) -> None:
        self.blobs: dict[Digest, bytes] = {}
        self.manifests: dict[str, Digest] = {}
        self.attestations: dict[str, Digest] = {}
        self.layers: dict[str, list[Digest]] = {}
        children = [self._image(platform, layers) for platform in platforms]
        children += [self._attestation(platform) for platform in platforms]
        self.index = self.add(
            json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()
        )

    def add(self, content: bytes) -> Digest:
        self.blobs[digest_of(content)] = content
        return digest_of(content)

    def descriptor(self, media_type: str, content: bytes) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.add(content), "size": len(content)}

    def saved(self, *, without: Iterable[Digest] = ()) -> bytes:
        """Return the archive as an engine without some parts saves it."""
        left_out = set(without)
        return tar(_as_layout(raw for one, raw in self.blobs.items() if one not in left_out))

    def _manifest(self, config: bytes, layers: list[dict[str, Any]]) -> bytes:
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": layers,
        }
        return json.dumps(document, indent=2).encode()

    def _image(self, platform: str, layers: int) -> dict[str, Any]:
        os, architecture, *variant = platform.split("/")
        fields = {"os": os, "architecture": architecture}
        fields |= {"variant": variant[0]} if variant else {}
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
        packed = [
            gzip.compress(layer(number) + platform.encode(), mtime=0) for number in range(layers)
        ]
        described = [self.descriptor(kind, one) for one in packed]
        self.layers[platform] = [one["digest"] for one in described]
        child = self.descriptor(MANIFEST, self._manifest(config_of(packed, **fields), described))
        self.manifests[platform] = child["digest"]
        return {**child, "platform": fields}

    def _attestation(self, platform: str) -> dict[str, Any]:
        statement = json.dumps({"_type": "statement", "of": platform}).encode()
        proof = self.descriptor("application/vnd.in-toto+json", statement)
        child = self.descriptor(MANIFEST, self._manifest(config_of([statement]), [proof]))
        self.attestations[platform] = child["digest"]
        return {
            **child,
            "annotations": {
                "vnd.docker.reference.digest": self.manifests[platform],
                "vnd.docker.reference.type": "attestation-manifest",
            },
            "platform": {"architecture": "unknown", "os": "unknown"},
        }

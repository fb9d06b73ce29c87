"""Test images in archives that every engine loads, with any store.

An archive is both forms at once: docker's ``manifest.json``, which classic stores read, and an OCI
layout, whose blobs and manifests the containerd store keeps as they are.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ghcr_push.references import Digest
from tests.support.saved import INDEX, MANIFEST, digest_of, tar

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CAPABILITY = "SCHILY.xattr.security.capability"
"""The one extended attribute that every engine exports."""

_WRITTEN = 1_700_000_000
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"

Entry = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"", *, mode: int = 0o644, **more: Any) -> Entry:
    """Return an entry of a layer; ``more`` are fields of its header."""
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.mtime = len(content), mode, _WRITTEN
    for key, value in more.items():
        setattr(header, key, value)
    return header, content


def folder(name: str) -> Entry:
    return file(name, mode=0o755, type=tarfile.DIRTYPE)


def layer_of(*entries: Entry) -> bytes:
    """Return a layer, uncompressed; without entries, the empty layer that all builders share."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for header, content in entries:
            archive.addfile(header, io.BytesIO(content))
        end = archive.offset + 2 * tarfile.BLOCKSIZE  # Go pads no further than that
    return buffer.getvalue()[:end]


@dataclass(frozen=True, slots=True)
class File:
    """One path of an image: the fields of a tar's header, and its content's hash."""

    kind: bytes
    mode: int
    owner: tuple[int, int]
    written: int
    link: str
    capability: str | None
    content: str


def files_of(archive: bytes) -> Iterator[tuple[str, File]]:
    """Yield the paths of a layer, or of a container's file system."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        for each in opened:
            stream = opened.extractfile(each) if each.isreg() else None
            yield (
                each.name,
                File(
                    kind=each.type,
                    mode=each.mode & 0o7777,  # engine 20.10 adds the type's bits
                    owner=(each.uid, each.gid),
                    written=int(each.mtime),
                    link=each.linkname,
                    capability=each.pax_headers.get(CAPABILITY),
                    content=hashlib.sha256(stream.read() if stream else b"").hexdigest(),
                ),
            )


def merged(layers: Iterable[bytes]) -> dict[str, File]:
    """Return the file system of layers (image-spec, "Applying Changesets")."""
    whole: dict[str, File] = {}
    for layer in layers:
        own = dict(files_of(layer))
        marks = {name for name in own if PurePosixPath(name).name.startswith(_WHITEOUT)}
        for mark in map(PurePosixPath, marks):
            gone = mark.parent
            if mark.name != _OPAQUE:
                gone /= mark.name.removeprefix(_WHITEOUT)
            whole = {name: each for name, each in whole.items() if not _within(name, gone)}
        whole |= {name: each for name, each in own.items() if name not in marks}
    return whole


def _within(name: str, place: PurePosixPath) -> bool:
    return place in (path := PurePosixPath(name)).parents or path == place


@dataclass(frozen=True, slots=True, kw_only=True)
class Loadable:
    """An image of one platform; ``layers`` are uncompressed."""

    layers: tuple[bytes, ...]
    architecture: str = "amd64"
    labels: Mapping[str, str] | None = None

    @property
    def config(self) -> bytes:
        """Its config, not in canonical form: its bytes must not change."""
        document = {
            "architecture": self.architecture,
            "os": "linux",
            "config": {"Cmd": ["/none"], "Labels": dict(self.labels or {"of": "<é & è>"})},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
            "history": [{"created_by": f"layer {n}"} for n, _ in enumerate(self.layers)],
        }
        return json.dumps(document, indent=1, ensure_ascii=False).encode()

    @property
    def diff_ids(self) -> list[Digest]:
        return [digest_of(layer) for layer in self.layers]

    @property
    def blobs(self) -> list[bytes]:
        """The layers as they are in the archive, and the config last."""
        return [*(gzip.compress(layer, mtime=0) for layer in self.layers), self.config]

    @property
    def manifest(self) -> bytes:
        *layers, config = self.blobs
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(CONFIG, config),
            "layers": [described(LAYER, each) for each in layers],
        }
        return json.dumps(document, indent=2).encode()


def described(media_type: str, content: bytes) -> dict[str, Any]:
    """Return a descriptor of ``content``."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def archive_of(images: Mapping[str, Loadable]) -> bytes:
    """Return the archive of images, by their names; shared parts are in it once."""
    blobs = {image.manifest for image in images.values()}
    tagged, listed = [], []
    for name, image in images.items():
        blobs |= set(image.blobs)
        *layers, config = map(_path, image.blobs)
        listed.append({"Config": config, "RepoTags": [name], "Layers": layers})
        tagged.append(_named(name, MANIFEST, image.manifest))
    return _archive(blobs, tagged, listed)


def archive_of_classic(name: str, image: Loadable) -> bytes:
    """Return the archive that a classic store saves of one image, with uncompressed layers."""
    described_layers = [described(LAYER.removesuffix("+gzip"), layer) for layer in image.layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(CONFIG, image.config),
        "layers": described_layers,
    }
    raw = json.dumps(manifest).encode()
    listed = {
        "Config": _path(image.config),
        "RepoTags": [name],
        "Layers": [_path(layer) for layer in image.layers],
    }
    blobs = {*image.layers, image.config, raw}
    return _archive(blobs, [_named(name, MANIFEST, raw)], [listed])


def archive_of_index(name: str, images: Sequence[Loadable]) -> tuple[bytes, bytes]:
    """Return an archive of platforms with attestations, as buildkit makes it, and the index.

    For the containerd store.
    """
    blobs = {blob for image in images for blob in (*image.blobs, image.manifest)}
    children = [
        {
            **described(MANIFEST, image.manifest),
            "platform": {"os": "linux", "architecture": image.architecture},
        }
        for image in images
    ]
    for image in images:
        manifest, parts = _attestation(image)
        blobs |= {manifest, *parts}
        children.append(
            {
                **described(MANIFEST, manifest),
                "platform": {"os": "unknown", "architecture": "unknown"},
                "annotations": {
                    "vnd.docker.reference.digest": digest_of(image.manifest),
                    "vnd.docker.reference.type": "attestation-manifest",
                },
            }
        )
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()
    return _archive({*blobs, index}, [_named(name, INDEX, index)], []), index


def _attestation(image: Loadable) -> tuple[bytes, tuple[bytes, bytes]]:
    statement = json.dumps({"_type": "statement", "of": image.architecture}).encode()
    diff_ids = [digest_of(statement)]
    config = json.dumps(
        {
            "architecture": "unknown",
            "os": "unknown",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    ).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(CONFIG, config),
        "layers": [
            {
                **described("application/vnd.in-toto+json", statement),
                "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"},
            }
        ],
    }
    return json.dumps(document).encode(), (statement, config)


def _path(blob: bytes) -> str:
    return f"blobs/sha256/{digest_of(blob).removeprefix('sha256:')}"


def _named(name: str, media_type: str, manifest: bytes) -> dict[str, Any]:
    names = {
        "io.containerd.image.name": f"docker.io/library/{name}",
        "org.opencontainers.image.ref.name": name.partition(":")[2],
    }
    return {**described(media_type, manifest), "annotations": names}


def _archive(blobs: Iterable[bytes], tagged: list[Any], listed: list[Any]) -> bytes:
    named: dict[str, bytes | None] = {_path(blob): blob for blob in blobs}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": tagged}
    documents: dict[str, bytes | None] = {
        "index.json": json.dumps(index).encode(),
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
    }
    if listed:
        documents["manifest.json"] = json.dumps(listed).encode()
    return tar({"blobs/": None, "blobs/sha256/": None, **dict(sorted(named.items())), **documents})

"""An image whose index names missing content."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

_OCI = "application/vnd.oci.image"


def partial_image(name: str) -> bytes:
    """Return an OCI archive of an index with two platforms, the second's content left out."""
    blobs: dict[str, bytes] = {}
    manifests = [_manifest(architecture, blobs) for architecture in ("amd64", "arm64")]
    missing = str(manifests[1]["digest"])
    del blobs[missing]
    index = _json({"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json"}, manifests=manifests)
    names = {"io.containerd.image.name": name}
    root = {**_blob(f"{_OCI}.index.v1+json", index, blobs), "annotations": names}
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2}, manifests=[root]))
        for digest, blob in blobs.items():
            _add(tar, f"blobs/{digest.replace(':', '/')}", blob)
    return content.getvalue()


def _manifest(architecture: str, blobs: dict[str, bytes]) -> dict[str, object]:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(architecture))
    layer = _blob(f"{_OCI}.layer.v1.tar", content.getvalue(), blobs)
    platform = {"architecture": architecture, "os": "linux"}
    rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
    config = _blob(f"{_OCI}.config.v1+json", _json(platform, rootfs=rootfs), blobs)
    kind = f"{_OCI}.manifest.v1+json"
    manifest = _json({"schemaVersion": 2, "mediaType": kind}, config=config, layers=[layer])
    return {**_blob(kind, manifest, blobs), "platform": platform}


def _blob(media_type: str, content: bytes, blobs: dict[str, bytes]) -> dict[str, object]:
    """Keep ``content`` and return its descriptor."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blobs[digest] = content
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _json(start: Mapping[str, object], **more: object) -> bytes:
    return json.dumps({**start, **more}).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))

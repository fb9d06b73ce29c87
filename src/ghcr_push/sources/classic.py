"""Images of an engine's classic store: layers are saved uncompressed, the manifest is made here.

Three forms: folders of layers (engine 20.10), an OCI layout whose layers are uncompressed (engine
25 and later), and Podman's, with layers named by their DiffIDs and folders of links to them. In all
of them the order of layers has no meaning.
"""

import json
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ghcr_push import media_types
from ghcr_push.model import Descriptor, Image, Manifest
from ghcr_push.references import Digest, digest_of
from ghcr_push.sources import recipe
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.images import SavedImage, incomplete
from ghcr_push.sources.spool import SpooledBlob
from ghcr_push.sources.tarstream import Entry, TarStream

# docker's image manifest version 2, schema 2: the media types that the classic store pushes
LAYER_TYPE: Final = media_types.COMPRESSED[media_types.DOCKER_LAYER]

ZSTD_LAYER_TYPE: Final = f"{media_types.LAYER}+zstd"
"""Docker has no such type, so an image with such a layer gets types of the image-spec."""

_OCI_TYPES: Final = {
    media_types.DOCKER_CONFIG: media_types.CONFIG,
    LAYER_TYPE: media_types.COMPRESSED[media_types.LAYER],
}

_NAMED: Final = re.compile(r"blobs/sha256/([0-9a-f]{64})|([0-9a-f]{64})\.(?:json|tar)")
_LAYER_FOLDER: Final = re.compile(r"[0-9a-f]{64}/layer\.tar")

_LARGEST_CONFIG: Final = 64 << 20
"""Bytes; a config is read into memory. Registries accept far less."""


def read_classic(
    image: Image,
    tar: TarStream,
    compressor: LayerCompressor,
) -> Generator[SpooledBlob, None, SavedImage]:
    """Yield config and compressed layers as they come; return the image."""
    layers: dict[Digest, Descriptor] = {}
    config: bytes | None = None
    wanted = set(image.diff_ids)
    for entry in tar.entries():
        digest = _digest(entry)
        if digest == image.id and config is None:
            config = _config(tar, entry, digest)
            yield compressor.spooled([config], most=len(config))
        elif _LAYER_FOLDER.fullmatch(entry.name) or (digest in wanted and digest not in layers):
            blob = compressor.compressed(tar.pieces(recipe.CHUNK_SIZE), entry.size)
            diff_id = blob.diff_id
            if digest is not None and diff_id != digest:
                blob.release()
                raise incomplete(f"layer {digest} arrived as {diff_id}")
            if diff_id not in wanted or diff_id in layers:
                blob.release()
                continue
            layers[diff_id] = Descriptor(LAYER_TYPE, blob.digest, blob.size)
            yield blob
    return assembled(image, config, layers)


def _digest(entry: Entry) -> Digest | None:
    named = _NAMED.fullmatch(entry.name)
    return Digest(f"sha256:{named[1] or named[2]}") if named else None


def _config(tar: TarStream, entry: Entry, digest: Digest) -> bytes:
    if entry.size > _LARGEST_CONFIG:
        raise incomplete(f"its config has {entry.size} bytes")
    raw = tar.content()
    found = digest_of(raw)
    if found != digest:
        raise incomplete(f"config {digest} arrived as {found}")
    return raw


def assembled(image: Image, raw: bytes | None, layers: Mapping[Digest, Descriptor]) -> SavedImage:
    """Return the image if it is complete: its config ``raw``, and every layer that it names."""
    if raw is None:
        raise incomplete(f"its config {image.id} is missing")
    if _diff_ids(raw) != image.diff_ids:
        raise incomplete("its config names other layers than the engine does")
    missing = [diff_id for diff_id in image.diff_ids if diff_id not in layers]
    if missing:
        raise incomplete(f"layer {missing[0]} is missing")
    config = Descriptor(media_types.DOCKER_CONFIG, Digest(image.id), len(raw))
    own = [layers[diff_id] for diff_id in image.diff_ids]
    return SavedImage.of([_manifest(config, own)])


def _diff_ids(config: bytes) -> tuple[Digest, ...] | None:
    try:
        return tuple(json.loads(config)["rootfs"].get("diff_ids") or ())
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _manifest(config: Descriptor, layers: Sequence[Descriptor]) -> Manifest:
    """Return the manifest exactly as docker's engine formats it, including the indent."""
    media_type = media_types.DOCKER_MANIFEST
    if any(layer.media_type == ZSTD_LAYER_TYPE for layer in layers):
        media_type = media_types.MANIFEST
        config, *layers = (
            replace(each, media_type=_OCI_TYPES.get(each.media_type, each.media_type))
            for each in (config, *layers)
        )
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _written(config),
        "layers": [_written(layer) for layer in layers],
    }
    raw = json.dumps(document, indent=3).encode()
    return Manifest.of(media_type, raw)


def _written(descriptor: Descriptor) -> dict[str, str | int]:
    return {
        "mediaType": descriptor.media_type,
        "size": descriptor.size,
        "digest": descriptor.digest,
    }

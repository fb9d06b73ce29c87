"""Docker archives on disk, as written by ``docker save``, podman, kaniko, Bazel and Nix.

``manifest.json`` names the config and the layers of each image by their paths. Layers that are not
compressed with gzip are compressed by the recipe; each must have the DiffID that the config names.
"""

import hashlib
import json
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from ghcr_push.documents import Document, Fields, json_object
from ghcr_push.model import Descriptor, Image
from ghcr_push.references import Digest, digest_of, is_called, is_digest
from ghcr_push.sources import recipe
from ghcr_push.sources.archive import Archive, normal_name
from ghcr_push.sources.classic import LAYER_TYPE, assembled
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.disk import unusable
from ghcr_push.sources.graph import listed, platform_of
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.spool import SpooledBlob
from ghcr_push.sources.tarstream import TarStream

_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedImage:
    """One image of a docker archive: its config, and the files of its layers."""

    title: str
    """The archive's name in messages."""
    image: Image
    config: bytes
    layers: Mapping[str, Digest]
    """DiffIDs by the name of the file in the archive."""


def find_image(archive: Archive, name: str, title: str) -> ArchivedImage:
    """Return the image called ``name``, or the only one; raise ``PushError`` if it is unclear."""
    entry = _chosen(_entries(archive, title), name, title)
    try:
        config_name, layer_names = str(entry["Config"]), [str(each) for each in entry["Layers"]]
        raw = archive.content(config_name)
        if raw is None:
            raise unusable(f"{title} lacks its config {config_name}")
        config = json_object(raw) or {}
        diff_ids = tuple(Digest(str(each)) for each in config["rootfs"].get("diff_ids") or ())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unusable(f"{title} has an invalid manifest.json or config") from error
    if len(diff_ids) != len(layer_names) or not all(map(is_digest, diff_ids)):
        raise unusable(f"{title} has {len(layer_names)} layers; its config names {len(diff_ids)}")
    layers: dict[str, Digest] = {}
    size = 0
    for layer_name, diff_id in zip(layer_names, diff_ids, strict=True):
        file_name = archive.resolved(layer_name)
        if file_name is None:
            raise unusable(f"{title} lacks its layer {layer_name}")
        layers[file_name] = diff_id
        size += archive.size(file_name) or 0
    image = Image(
        id=digest_of(raw),
        layers=len(diff_ids),
        diff_ids=diff_ids,
        size=size,
        # old configs name none
        platform=platform_of({"os": "unknown", "architecture": "unknown", **config}),
    )
    return ArchivedImage(title=title, image=image, config=raw, layers=layers)


def _entries(archive: Archive, title: str) -> list[Document]:
    raw = archive.content("manifest.json")
    if raw is None:
        raise unusable(f"{title} is not a docker archive: it has no manifest.json")
    try:
        entries = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise unusable(f"{title} has a manifest.json that is not JSON") from error
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise unusable(f"{title} has a manifest.json that lists no images")
    return entries


def _chosen(entries: list[Document], name: str, title: str) -> Document:
    fitting = [entry for entry in entries if not name or is_called(name, _tags(entry))]
    if len(fitting) == 1:
        return fitting[0]
    there = [tag for entry in entries for tag in _tags(entry)]
    names = listed(there) or "images without a name"
    if not name:
        raise unusable(f"{title} holds {len(entries)} images; name one of {names}")
    raise unusable(f"{title} has {len(fitting) or 'no'} images named {name}; it has {names}")


def _tags(entry: Fields) -> list[str]:
    tags = entry.get("RepoTags")
    return [str(tag) for tag in tags] if isinstance(tags, list) else []


def read_archived(
    archived: ArchivedImage, tar: TarStream, compressor: LayerCompressor
) -> Generator[SpooledBlob, None, SavedImage]:
    """Yield the config and the layers in the order of the archive; return the image."""
    layers: dict[Digest, Descriptor] = {}
    yield compressor.spooled([archived.config], most=len(archived.config))
    for entry in tar.entries():
        diff_id = archived.layers.get(normal_name(entry.name))
        if diff_id is None or diff_id in layers:
            continue
        name = f"{archived.title}: layer {entry.name}"
        blob = _layer(tar, entry.size, compressor, name)
        if blob.diff_id != diff_id:
            blob.release()
            raise unusable(f"{name} is {blob.diff_id}; the config names {diff_id}")
        layers[diff_id] = Descriptor(LAYER_TYPE, blob.digest, blob.size)
        yield blob
    return assembled(archived.image, archived.config, layers)


def _layer(tar: TarStream, size: int, compressor: LayerCompressor, name: str) -> SpooledBlob:
    """Return a layer as it is if it is compressed, else compressed by the recipe."""
    pieces = tar.pieces(recipe.CHUNK_SIZE)
    first = next(pieces, bytearray())
    all_pieces = chain([first] if first else [], pieces)
    if not first.startswith(_GZIP):
        return compressor.compressed(all_pieces, size)
    hasher = _DiffIdHasher(name)
    hashed = hasher.hashed(all_pieces)
    return compressor.spooled(hashed, diff_id=hasher.diff_id, most=size)


class _DiffIdHasher:
    """Computes the DiffID of a compressed layer that is passed on; ``name`` is for messages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sha256 = hashlib.sha256()
        self._inflater = zlib.decompressobj(wbits=31)

    def hashed(self, pieces: Iterable[bytearray]) -> Iterator[bytearray]:
        for piece in pieces:
            try:
                self._take(bytes(piece))
            except zlib.error as error:
                raise unusable(f"{self._name} is damaged: {error}") from error
            yield piece

    def _take(self, compressed: bytes) -> None:
        while compressed:
            if self._inflater.eof:  # a file may have several gzip members
                self._inflater = zlib.decompressobj(wbits=31)
            # in bounded steps: a few bytes may decompress to very many
            self._sha256.update(self._inflater.decompress(compressed, _STEP))
            compressed = self._inflater.unconsumed_tail or self._inflater.unused_data

    def diff_id(self) -> Digest:
        if not self._inflater.eof:
            raise unusable(f"{self._name} is truncated")
        return Digest(f"sha256:{self._sha256.hexdigest()}")


_STEP: Final = 1 << 20

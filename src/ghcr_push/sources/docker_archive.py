"""Docker archives on disk, as written by ``docker save``, podman, kaniko, Bazel and Nix.

``manifest.json`` names the config and the layers of each image by their paths. Layers that are not
compressed are compressed by the recipe; each must have the DiffID that the config names.
"""

import hashlib
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from itertools import chain
from threading import Event
from typing import IO, Final

from ghcr_push.documents import Document, Fields, json_object
from ghcr_push.model import Descriptor, Image
from ghcr_push.references import Digest, digest_of, is_called, is_digest
from ghcr_push.sources import recipe
from ghcr_push.sources.archive import Archive, normal_name
from ghcr_push.sources.classic import LAYER_TYPE, ZSTD_LAYER_TYPE, assembled
from ghcr_push.sources.compression import LONGEST_SIGN, is_zstd, unpacker, unreadable
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.disk import unusable
from ghcr_push.sources.graph import listed, platform_of
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.spool import SpooledBlob, Stopped
from ghcr_push.sources.tarstream import TarStream

_STEP: Final = 1 << 20


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
    entry = _chosen(archive, _entries(archive, title), name, title)
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
        hint = "; write oci-archive: for a layout" * (archive.size("index.json") is not None)
        raise unusable(f"{title} is not a docker archive: it has no manifest.json{hint}")
    try:
        entries = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise unusable(f"{title} has a manifest.json that is not JSON") from error
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise unusable(f"{title} has a manifest.json that lists no images")
    return entries


def _chosen(archive: Archive, entries: list[Document], name: str, title: str) -> Document:
    names = [_tags(entry) or [_id(archive, entry)] for entry in entries]
    fitting = [
        entry
        for entry, called in zip(entries, names, strict=True)
        if not name or is_called(name, called) or (is_digest(name) and name == _id(archive, entry))
    ]
    if len(fitting) == 1:
        return fitting[0]
    there = listed(each for called in names for each in called)
    if not name:
        raise unusable(f"{title} holds {len(entries)} images; name one of {there}")
    raise unusable(f"{title} has {len(fitting) or 'no'} images named {name}; it has {there}")


def _id(archive: Archive, entry: Fields) -> str:
    """Return an image's ID, which is the digest of its config."""
    config = entry.get("Config")
    raw = archive.content(config) if isinstance(config, str) else None
    return digest_of(raw) if raw else "an image without a config"


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
        layers[diff_id] = Descriptor(_media_type(blob), blob.digest, blob.size)
        yield blob
    return assembled(archived.image, archived.config, layers)


def _media_type(blob: SpooledBlob) -> str:
    return ZSTD_LAYER_TYPE if is_zstd(blob.read(0)) else LAYER_TYPE


def _layer(tar: TarStream, size: int, compressor: LayerCompressor, name: str) -> SpooledBlob:
    """Return a layer as it is if it is compressed, else compressed by the recipe."""
    pieces = tar.pieces(recipe.CHUNK_SIZE)
    first = next(pieces, bytearray())
    all_pieces = chain([first] if first else [], pieces)
    sign = bytes(first[:LONGEST_SIGN])
    if reason := unreadable(sign):
        raise unusable(f"{name} {reason}")
    unpack = unpacker(sign)
    if unpack is None:
        return compressor.compressed(all_pieces, size)
    blob = compressor.spooled(all_pieces, most=size)
    try:
        file = BufferedReader(_Spooled(blob, compressor.stopping), _STEP)
        blob.diff_id = _diff_id(unpack(file))
    except BaseException as error:
        blob.release()
        if isinstance(error, ValueError):
            raise unusable(f"{name} is truncated or damaged: {error}") from error
        raise
    return blob


class _Spooled(RawIOBase):
    """A blob as a file that is read from start to end, until ``stopping`` is set."""

    def __init__(self, blob: SpooledBlob, stopping: Event) -> None:
        self._blob = blob
        self._stopping = stopping
        self._place = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]", /) -> int:  # type: ignore[override]
        if self._stopping.is_set():
            raise Stopped
        if self._place == self._blob.size:
            return 0
        piece = self._blob.read(self._place)[: len(buffer)]
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)


def _diff_id(file: IO[bytes]) -> Digest:
    found = hashlib.sha256()
    while piece := file.read(_STEP):
        found.update(piece)
    return Digest(f"sha256:{found.hexdigest()}")

"""Images of an engine's containerd store, saved as an OCI layout; blobs and manifests unchanged.

Blobs come sorted by digest, so a manifest may come after its blobs. Manifests are kept in memory
and recognised by their content; all other blobs are passed on at once.
"""

import re
from collections.abc import Container, Generator, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from ghcr_push import media_types
from ghcr_push.documents import Document, json_object
from ghcr_push.model import LARGEST_MANIFEST, Descriptor, Manifest
from ghcr_push.references import Digest, digest_of, is_digest
from ghcr_push.sources import recipe
from ghcr_push.sources.archive import normal_name
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.graph import ImageGraph, chosen
from ghcr_push.sources.images import SavedImage, incomplete
from ghcr_push.sources.plain import compressed_layer, with_layers
from ghcr_push.sources.spool import SpooledBlob
from ghcr_push.sources.tarstream import Entry, TarStream

_BLOB: Final = re.compile(r"blobs/(sha256|sha512)/([0-9a-f]+)")
"""The algorithms registered in the image-spec."""


def read_stored(
    wanted: Sequence[Digest],
    tar: TarStream,
    compressor: LayerCompressor,
    *,
    platform: str | None = None,
    only: Container[Digest] | None = None,
    plain: Mapping[Digest, Descriptor] = MappingProxyType({}),
) -> Generator[SpooledBlob, None, SavedImage]:
    """Yield blobs of ``wanted`` images byte for byte as they come; return the first of these.

    ``platform`` selects one platform of each. Blobs that are not in ``only`` are skipped, layers in
    ``plain`` compressed. The platforms of a blob are known only at the end: blobs of platforms that
    are then left out are yielded too.
    """
    contents = ImageGraph()
    layers: dict[Digest, Descriptor] = {}
    for entry in tar.entries():
        digest = _digest(entry)
        if digest is None or digest in contents.blobs or digest in contents.manifests:
            continue
        pieces: Iterable[bytes | bytearray] = tar.pieces(recipe.CHUNK_SIZE)
        if digest in plain:
            damaged = partial(incomplete, f"{digest} arrived with other bytes")
            made = compressed_layer(
                tar.pieces(recipe.CHUNK_SIZE), entry.size, digest, compressor, damaged
            )
            if isinstance(made, SpooledBlob):
                contents.blobs[digest] = entry.size
                media_type = media_types.COMPRESSED[plain[digest].media_type]
                layers[digest] = Descriptor(media_type, made.digest, made.size)
                yield made
                continue
            pieces = made
        elif entry.size <= LARGEST_MANIFEST:
            raw = tar.content()
            document = (json_object(raw) if raw.startswith(b"{") else None) or {}
            if manifest := _manifest(digest, raw, document):
                _check(digest, raw)
                contents.add_manifest(manifest, document)
                continue
            contents.add_document(digest, document)
            pieces = (raw,)
        contents.blobs[digest] = entry.size
        if only is None or digest in only:
            yield _spooled(pieces, digest, compressor, entry.size)
    saved = tuple(chosen(digest, platform, contents) for digest in wanted)
    for digest in _named_as_blobs(saved, contents):
        if only is None or digest in only:
            raw = contents.manifests[digest].raw
            yield _spooled((raw,), digest, compressor, len(raw))
    return with_layers(saved[0], layers) if layers else saved[0]


def _digest(entry: Entry) -> Digest | None:
    named = _BLOB.fullmatch(normal_name(entry.name))
    digest = f"{named[1]}:{named[2]}" if named else ""
    return Digest(digest) if is_digest(digest) else None


def _manifest(digest: Digest, raw: bytes, document: Document) -> Manifest | None:
    if document.get("schemaVersion") != 2:  # noqa: PLR2004 - image-spec: shall be 2
        return None
    if isinstance(document.get("manifests"), list):
        usual = media_types.INDEX
    elif isinstance(document.get("layers"), list) and isinstance(document.get("config"), dict):
        usual = media_types.MANIFEST
    else:
        return None
    return Manifest(str(document.get("mediaType") or usual), digest, raw)


def _check(digest: Digest, raw: bytes) -> None:
    found = digest_of(raw, digest.partition(":")[0])
    if found != digest:
        raise incomplete(f"{digest} arrived as {found}")


def _spooled(
    pieces: Iterable[bytes | bytearray], digest: Digest, compressor: LayerCompressor, size: int
) -> SpooledBlob:
    blob = compressor.spooled(pieces, digest.partition(":")[0], most=size)
    if blob.digest != digest:
        blob.release()
        raise incomplete(f"{digest} arrived as {blob.digest}")
    return blob


def _named_as_blobs(saved: Iterable[SavedImage], contents: ImageGraph) -> tuple[Digest, ...]:
    """Return a blob that looks like a manifest but is named as a blob, as artifacts may."""
    named = (blob.digest for image in saved for blob in image.blobs)
    return tuple(dict.fromkeys(one for one in named if one not in contents.blobs))

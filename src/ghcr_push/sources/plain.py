"""Uncompressed layers: which they are, and what their compression changes in an image.

The config does not change, since it names layers by their uncompressed bytes. Manifests and the
indexes above them change, and with them the image's digest. Attestations of an image point to its
new manifest; their statements do not change and name the old one.
"""

import json
from collections.abc import Callable, Container, Generator, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from ghcr_push import media_types
from ghcr_push.documents import Document, as_dict
from ghcr_push.model import Descriptor, Image, Manifest
from ghcr_push.pushing.ports import Blob
from ghcr_push.references import Digest
from ghcr_push.sources import recipe
from ghcr_push.sources.compression import is_compressed
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.content import image_of
from ghcr_push.sources.disk import DiskBlob
from ghcr_push.sources.graph import REFERENCE_DIGEST
from ghcr_push.sources.images import SavedImage, blobs_of
from ghcr_push.sources.spool import SpooledBlob


def plain_layers(saved: SavedImage) -> dict[Digest, Descriptor]:
    """Return the uncompressed layers of images that have no other role beside."""
    plain: dict[Digest, Descriptor] = {}
    other = set[Digest]()
    for document in (each.document for each in saved.manifests):
        if "manifests" in document:
            continue
        of_image = document["config"]["mediaType"] in media_types.CONFIGS
        for blob in blobs_of(document):
            if of_image and blob.media_type in media_types.COMPRESSED:
                plain[blob.digest] = blob
            else:
                other.add(blob.digest)
    return {digest: blob for digest, blob in plain.items() if digest not in other}


def image_compressing(saved: SavedImage, plain: Container[Digest]) -> Image:
    """Describe an image whose ``plain`` layers are to be compressed, which changes its digest."""
    return replace(image_of(saved), digest=None, template=_template_of(saved, plain))


def _template_of(saved: SavedImage, plain: Container[Digest]) -> bytes | None:
    """Return an image's manifest with ``plain`` layers compressed, without their digests and sizes.

    With it a tag that already names the image is recognised before a layer is read. An index has
    none.
    """
    document = saved.manifests[-1].document
    if "manifests" in document:
        return None
    for layer in document["layers"]:
        if layer["digest"] in plain:
            layer["mediaType"] = media_types.COMPRESSED[layer["mediaType"]]
            del layer["digest"], layer["size"]
    return json.dumps(document).encode()


def compressed_layer(
    pieces: Iterator[bytearray],
    size: int,
    digest: Digest,
    compressor: LayerCompressor,
    damaged: Callable[[], Exception],
) -> SpooledBlob | Iterator[bytearray]:
    """Return a layer compressed by the recipe; unchanged if it turns out to be compressed.

    ``pieces`` are cut as the recipe requires. Raises the error from ``damaged`` if they do not
    match ``digest``.
    """
    first = next(pieces, bytearray())
    all_pieces = chain([first] if first else [], pieces)
    if is_compressed(first):
        return all_pieces
    blob = compressor.compressed(all_pieces, size, digest.partition(":")[0])
    if blob.diff_id != digest:
        blob.release()
        raise damaged()
    return blob


def read_in_place(
    saved: SavedImage, blob_of: Callable[[Descriptor], DiskBlob], compressor: LayerCompressor
) -> Generator[Blob, None, SavedImage]:
    """Yield the blobs of an image on disk, plain layers compressed; return the resulting image."""
    plain = plain_layers(saved)
    layers: dict[Digest, Descriptor] = {}
    for named in sorted(saved.blobs, key=lambda blob: -blob.size):
        blob = blob_of(named)
        made: SpooledBlob | Iterator[bytearray] | None = None
        if named.digest in plain:
            made = compressed_layer(_pieces(blob), blob.size, blob.digest, compressor, blob.other)
        if isinstance(made, SpooledBlob):
            layers[named.digest] = Descriptor(
                media_types.COMPRESSED[named.media_type], made.digest, made.size
            )
            blob.release()
            yield made
        else:
            yield blob
    return with_layers(saved, layers)


def _pieces(blob: DiskBlob) -> Iterator[bytearray]:
    place = 0
    while place < blob.size:
        piece = bytearray()
        while len(piece) < min(recipe.CHUNK_SIZE, blob.size - place):
            piece += blob.read(place + len(piece))
        place += len(piece)
        yield piece


def with_layers(saved: SavedImage, layers: Mapping[Digest, Descriptor]) -> SavedImage:
    """Return the image with the layers in ``layers`` replaced."""
    new = dict(layers)
    changed: dict[Digest, Manifest] = {}
    # images before the attestations of them, and these before the indexes that name both
    for manifest in sorted(saved.manifests, key=_height):
        document = manifest.document
        if _replace(document, new):
            raw = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
            changed[manifest.digest] = Manifest.of(manifest.media_type, raw)
            new[manifest.digest] = changed[manifest.digest].descriptor
    manifests = (changed.get(one.digest, one) for one in saved.manifests)
    return SavedImage.of(manifests, left_out=saved.left_out)


def _height(manifest: Manifest) -> int:
    document = manifest.document
    return 2 if "manifests" in document else int("subject" in document)


def _replace(document: Document, new: Mapping[Digest, Descriptor]) -> bool:
    """Replace the descriptors of what has a ``new`` one; return whether there were any."""
    named = [*document.get("layers", ()), *document.get("manifests", ())]
    replaced = False
    for descriptor in (*named, as_dict(document.get("subject"))):
        if there := new.get(Digest(str(descriptor.get("digest")))):
            descriptor |= {"mediaType": there.media_type, "digest": there.digest}
            descriptor["size"] = there.size
            replaced = True
        notes = as_dict(descriptor.get("annotations"))
        if described := new.get(Digest(str(notes.get(REFERENCE_DIGEST)))):
            notes[REFERENCE_DIGEST] = described.digest
            replaced = True
    return replaced

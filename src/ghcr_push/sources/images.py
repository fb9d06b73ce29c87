"""Images whose parts are known."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from ghcr_push.documents import Document, Fields
from ghcr_push.failures import Origin, PushError
from ghcr_push.media_types import COMPRESSED
from ghcr_push.model import NO_REFERRERS, Descriptor, Kind, Manifest, Referrers
from ghcr_push.references import Digest

_ELSEWHERE: Final = ("foreign", "nondistributable")
"""Part of the media types of layers that registries do not hold (image-spec, "Non-Distributable
Layers")."""

_WORTH_COMPRESSING: Final = 10_000_000
"""Bytes of uncompressed layers from which a notice is worthwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedImage:
    """The parts of an image for a repository: first all blobs, then the manifests in order."""

    blobs: tuple[Descriptor, ...]
    """Configs and layers, each once."""
    manifests: tuple[Manifest, ...]
    """Children before the indexes that name them; the last one is the image."""
    entries: tuple[Fields, ...] = ()
    """Descriptors, as JSON, for an index that lists it; for an index, its own entries."""
    left_out: str | None = None
    """A sentence for the reader if only a part of the index is pushed."""
    referrers: Referrers = NO_REFERRERS
    """Its referrers, if they are to be copied."""

    @classmethod
    def of(
        cls,
        manifests: Iterable[Manifest],
        *,
        entries: Iterable[Fields] = (),
        left_out: str | None = None,
        referrers: Referrers = NO_REFERRERS,
    ) -> Self:
        """Return the image with these ``manifests`` and the blobs that they name."""
        distinct = {each.digest: each for each in manifests}.values()
        documents = (each.document for each in distinct)
        blobs = {
            blob.digest: blob
            for document in documents
            if "manifests" not in document
            for blob in blobs_of(document)
        }
        return cls(
            blobs=tuple(blobs.values()),
            manifests=tuple(distinct),
            entries=tuple(entries),
            left_out=left_out,
            referrers=referrers,
        )

    @property
    def notice(self) -> str | None:
        """All notices for the reader, as one sentence."""
        sentences = (self.left_out, uncompressed(self.blobs))
        return "; ".join(sentence for sentence in sentences if sentence) or None

    @property
    def digests(self) -> frozenset[Digest]:
        """Those of all blobs."""
        return frozenset(blob.digest for blob in self.blobs)

    @property
    def top(self) -> Descriptor:
        """The manifest that a tag must name."""
        return self.manifests[-1].descriptor


def blobs_of(manifest: Document) -> Iterator[Descriptor]:
    """Yield config and layers, without those that registries do not hold."""
    for named in [manifest["config"], *manifest["layers"]]:
        if not any(word in named["mediaType"] for word in _ELSEWHERE):
            yield Descriptor(named["mediaType"], Digest(named["digest"]), int(named["size"]))


def incomplete(what: str, kind: Kind | None = None) -> PushError:
    """Return the error for a saved image in which ``what`` is wrong."""
    return PushError.of(Origin.STORE, f"the saved image is incomplete: {what}", kind)


def uncompressed(blobs: Iterable[Descriptor]) -> str | None:
    """Report large uncompressed layers, such as those of a Nix image after `docker load`.

    NixOS/nix#15252: 138 MB became 505 MB on the wire.
    """
    plain = [blob.size for blob in blobs if blob.media_type in COMPRESSED]
    if sum(plain) < _WORTH_COMPRESSING:
        return None
    layers = "1 layer" if len(plain) == 1 else f"{len(plain)} layers"
    return (
        f"{layers} of {sum(plain) / 1e6:.1f} MB are uploaded uncompressed, as they are in the "
        "source; compress them with `compress-layers`, or with buildx's `compression=gzip`"
    )

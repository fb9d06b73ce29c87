"""What is asked of saved images, and what comes of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import NO_REFERRERS, Descriptor, Kind, Manifest, Referrers
from ghcr_push.references import Digest

_PLAIN_LAYERS: Final = ("layer.v1.tar", "rootfs.diff.tar")
"""Ends of the media types of layers that are not compressed, of OCI and of Docker."""

_WORTH_COMPRESSING: Final = 10_000_000
"""Bytes of plain layers from which a reader is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicImage:
    """An image of the classic store, as the engine's inspect describes it.

    ``id`` is the config's digest, ``diff_ids`` the digests of the uncompressed layers in order.
    """

    id: Digest
    diff_ids: tuple[Digest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image of the containerd store: the digest of its manifest or index.

    ``platform`` (``os/architecture[/variant]``) chooses one; None wants all that the index names.
    """

    digest: Digest
    platform: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedImage:
    """What a repository has to hold for an image: first all blobs, then the manifests in order."""

    blobs: tuple[Descriptor, ...]
    """Configs and layers, each once."""
    manifests: tuple[Manifest, ...]
    """Children before the indexes that name them; the last one is the image."""
    entries: tuple[Mapping[str, Any], ...] = ()
    """Descriptors, as JSON, by which an index lists it: of an index, those that it lists."""
    left_out: str | None = None
    """A sentence for the reader where less than the whole index is pushed."""
    referrers: Referrers = NO_REFERRERS
    """What comes along with it, where that is asked for."""

    @property
    def notice(self) -> str | None:
        """What there is to tell a reader, as one sentence."""
        told = (self.left_out, uncompressed(self.blobs))
        return "; ".join(sentence for sentence in told if sentence) or None

    @property
    def digests(self) -> frozenset[Digest]:
        """Those of all blobs."""
        return frozenset(blob.digest for blob in self.blobs)

    @property
    def top(self) -> Descriptor:
        """What a tag has to name."""
        return self.manifests[-1].descriptor


def not_whole(what: str, kind: Kind | None = None) -> PushError:
    """Return the error for a saved image in which ``what`` is wrong."""
    message = f"the saved image is not whole: {what}"
    return PushError(ErrorInfo(origin=Origin.STORE, message=message, kind=kind))


def uncompressed(blobs: Iterable[Descriptor]) -> str | None:
    """Say so where layers worth compressing are not: what `docker load` made of a Nix image, say.

    NixOS/nix#15252: 138 MB became 505 MB on the wire.
    """
    plain = [blob.size for blob in blobs if blob.media_type.endswith(_PLAIN_LAYERS)]
    if sum(plain) < _WORTH_COMPRESSING:
        return None
    layers = "1 layer" if len(plain) == 1 else f"{len(plain)} layers"
    return (
        f"{layers} of {sum(plain) / 1e6:.1f} MB go up uncompressed, as they are in the source; "
        "`compress-layers` compresses them, and so does buildx with `compression=gzip`"
    )

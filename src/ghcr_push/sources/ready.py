"""Content whose manifests are known before its blobs are read, and that is read in place."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from ghcr_push.model import Image
from ghcr_push.pushing.ports import Blob
from ghcr_push.sources.images import SavedImage


class Ready:
    """All blobs at once, largest first: each is opened only if a repository lacks it."""

    seconds_compressing = 0.0
    waits_for_space = False

    def __init__(self, saved: SavedImage, blobs: Sequence[Blob]) -> None:
        self.image = saved
        self._blobs = iter(sorted(blobs, key=lambda blob: -blob.size))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Blob:
        for blob in self._blobs:
            return blob
        raise StopAsyncIteration


def image_of(saved: SavedImage) -> Image:
    """Describe content whose digest is known beforehand."""
    size = sum(named.size for named in saved.blobs)
    digest = saved.top.digest
    return Image(
        id=str(digest),
        layers=0,
        digest=digest,
        size=size,
        referrers=saved.referrers,
    )


def unnamed(saved: SavedImage, template: bytes | None) -> Image:
    """Describe content whose digest is known only after reading."""
    return replace(image_of(saved), digest=None, template=template)

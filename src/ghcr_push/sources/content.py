"""Content that was found: what is known of it, and how to read it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Self

from ghcr_push.model import Image
from ghcr_push.pushing.ports import Blob, Reading
from ghcr_push.sources.disk import unusable
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.referrers import as_content

Read = Callable[[], AbstractAsyncContextManager[Reading]]
"""Reads content from its beginning while a block runs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundContent:
    """Content of a source; compared by identity."""

    image: Image
    read: Read
    referrers: "FoundContent | None" = None
    """Its referrers, if they are to be copied."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownContent(FoundContent):
    """Content whose manifests are known before it is read, so that an index can list it."""

    saved: SavedImage

    @classmethod
    def of(
        cls,
        saved: SavedImage,
        read: Callable[[SavedImage], AbstractAsyncContextManager[Reading]],
        read_referrers: Callable[[SavedImage], AbstractAsyncContextManager[Reading]] | None = None,
    ) -> "KnownContent":
        """Return ``saved`` as content; ``read_referrers`` (``read``) reads its referrers.

        Raises ``PushError`` if its digest is not the one by which registries name a tag's manifest.
        """
        digest = saved.top.digest
        if not digest.startswith("sha256:"):
            raise unusable(f"{digest} cannot be tagged: registries name what a tag names by sha256")
        referrers: FoundContent | None = None
        if saved.referrers.found:
            found = as_content(saved.referrers)
            referrers = FoundContent(
                image=image_of(found), read=partial(read_referrers or read, found)
            )
        return cls(
            image=image_of(saved), read=partial(read, saved), referrers=referrers, saved=saved
        )


class Ready:
    """Reads in place: all blobs at once, largest first, each opened only if it is needed."""

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
    """Describe content whose manifests are known."""
    digest = saved.top.digest
    size = sum(named.size for named in saved.blobs)
    return Image(id=digest, layers=0, digest=digest, size=size, referrers=saved.referrers)

"""Content that was found: what is known of it, and how to read it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

from ghcr_push.model import Image
from ghcr_push.pushing.ports import Reading
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.ready import image_of
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
        """Return ``saved`` as content; ``read_referrers`` (``read``) reads its referrers."""
        referrers: FoundContent | None = None
        if saved.referrers.found:
            found = as_content(saved.referrers)
            referrers = FoundContent(
                image=image_of(found), read=partial(read_referrers or read, found)
            )
        return cls(
            image=image_of(saved), read=partial(read, saved), referrers=referrers, saved=saved
        )

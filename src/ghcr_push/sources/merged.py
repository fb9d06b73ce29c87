"""Several images or indexes as one index, such as those that the jobs of a matrix pushed."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Self

from ghcr_push import media_types
from ghcr_push.documents import Fields
from ghcr_push.model import Manifest, Referrers
from ghcr_push.planning.annotations import Annotations
from ghcr_push.pushing.ports import Blob, Reading
from ghcr_push.references import Digest
from ghcr_push.sources.content import FoundContent, KnownContent
from ghcr_push.sources.disk import unusable
from ghcr_push.sources.graph import Child, platform_of, the_one, usual
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.referrers import reaching


def merged_content(
    members: Sequence[KnownContent], title: str, annotations: Annotations
) -> KnownContent:
    """Return one index of all ``members``, read one after the other; raises like ``merged``."""
    referring = [each.referrers for each in members if each.referrers is not None]
    return KnownContent.of(
        merged([member.saved for member in members], title, annotations),
        partial(_chained, members),
        partial(_chained, referring),
    )


@asynccontextmanager
async def _chained(members: Sequence[FoundContent], saved: SavedImage) -> AsyncIterator[Reading]:
    async with AsyncExitStack() as stack:
        yield _Chained(saved, [await stack.enter_async_context(each.read()) for each in members])


class _Chained:
    """The blobs of several readings, each once; what has to be compressed cannot be merged."""

    seconds_compressing = 0.0

    def __init__(self, saved: SavedImage, readings: Sequence[Reading]) -> None:
        self.image = saved
        self._readings = readings
        self._left = list(readings)
        self._seen: set[Digest] = set()

    @property
    def waits_for_space(self) -> bool:
        return any(reading.waits_for_space for reading in self._readings)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Blob:
        while self._left:
            async for blob in self._left[0]:
                if blob.digest not in self._seen:
                    self._seen.add(blob.digest)
                    return blob
                blob.release()
            del self._left[0]
        raise StopAsyncIteration


def merged(members: Sequence[SavedImage], title: str, annotations: Annotations) -> SavedImage:
    """Return one index of all entries of the members, in order; its bytes depend on theirs only.

    Equal entries are listed once. Raises ``PushError`` if two images have the same platform, or
    none has a platform named in ``annotations``.
    """
    entries = _distinct((entry for member in members for entry in member.entries), title)
    entries = _annotated(entries, annotations, title)
    document = {"schemaVersion": 2, "mediaType": media_types.INDEX, "manifests": entries}
    document |= {"annotations": dict(annotations.index)} if annotations.index else {}
    raw = json.dumps(document, separators=(",", ":")).encode()
    index = Manifest.of(media_types.INDEX, raw)
    listed = {entry["digest"] for entry in entries}
    children = (
        manifest for member in members for manifest in member.manifests if manifest.digest in listed
    )
    manifests = (*children, index)
    return SavedImage.of(manifests, entries=entries, referrers=_referrers(members, manifests))


def _referrers(members: Sequence[SavedImage], manifests: Sequence[Manifest]) -> Referrers:
    """Return the referrers of members that the index lists, not of those that were flattened."""
    found = (one for each in members for one in reaching(each.referrers.found, manifests))
    notices = (each.referrers.notice for each in members)
    return Referrers(tuple(dict.fromkeys(found)), "; ".join(filter(None, notices)) or None)


def _distinct(entries: Iterable[Fields], title: str) -> list[Fields]:
    found: dict[str, Fields] = {}
    platforms: dict[str, str] = {}
    for entry in entries:
        digest, platform = str(entry["digest"]), _platform(entry)
        if digest in found:
            continue
        if platform and platforms.setdefault(platform, digest) != digest:
            raise unusable(
                f"{title} has two images of {platform}: {platforms[platform]} and {digest}"
            )
        found[digest] = entry
    return list(found.values())


def _annotated(entries: Sequence[Fields], annotations: Annotations, title: str) -> list[Fields]:
    """Return the entries with the annotations for their images."""
    images = [
        Child(Digest(entry["digest"]), platform_of(entry["platform"]))
        for entry in entries
        if _platform(entry)
    ]
    added: dict[str, dict[str, str]] = {image.digest: {} for image in images}
    for platform, key, value in annotations.images:
        for image in [the_one(images, platform, title)] if platform else images:
            added[image.digest][key] = value
    return [
        {**entry, "annotations": {**(entry.get("annotations") or {}), **notes}}
        if (notes := added.get(str(entry["digest"])))
        else entry
        for entry in entries
    ]


def _platform(entry: Fields) -> str:
    """Return the platform of an entry; empty for attestations and artifacts."""
    platform = entry.get("platform") or {}
    if platform.get("os") in {None, "unknown"}:
        return ""
    fields = (usual(platform_of(platform)), platform.get("os.version"))
    return "/".join(str(field) for field in fields if field)

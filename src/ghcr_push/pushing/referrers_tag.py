"""The tag that holds the list of referrers if a registry keeps none.

distribution-spec, "Referrers Tag Schema": an index under ``sha256-<hex>``, which every client
reads, extends and writes again. No registry offers a lock between read and write. So it is read
again right before each write, and read back after it: an entry that another client's write
overwrote, ours or one seen before, is added again.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import anyio

from ghcr_push import media_types
from ghcr_push.documents import Fields
from ghcr_push.failures import PushError
from ghcr_push.model import Descriptor, Kind, Manifest, Step
from ghcr_push.pushing.context import ours
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.pushing.units import Unit, Units
from ghcr_push.references import Digest, referrers_tag

Read = Callable[[Callable[[], Awaitable[Manifest | None]]], Awaitable[Manifest | None]]
SETTLED_AFTER: Final = (0.0, 1.0)
"""Seconds after a write at which it must be visible: at once, and when any client that had read the
index before that write has written, too. A client's read and write are a round trip apart."""

_NOT_THERE: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"})
"""Codes of registries that reject an index with missing children."""


class ReferrersTag:
    """The list of what refers to ``subject`` in the repository of ``units``, kept by tag."""

    def __init__(self, subject: Digest, units: Units) -> None:
        self._repository = units.repository
        self._subject = subject
        self._tag = referrers_tag(subject)
        self._context = units.context
        self._unit = Unit(units)
        self._reader = units.reader
        self._index: Manifest | None = None
        self._wanted: dict[str, Fields] = {}
        """Entries by digest: ours, and all that were seen."""
        self._lost: set[str] = set()
        """Entries whose manifests are missing in the repository."""
        self._doubted = False
        """Whether the registry rejected an index because of its entries."""

    async def add(self, manifests: Sequence[Manifest]) -> None:
        """Add ``manifests`` to the list; raise ``AttemptError`` if that is impossible."""
        self._wanted |= {each.digest: described(each) for each in manifests}
        await self._unit.persist(self._attempt)

    async def _attempt(self) -> None:
        read = self._unit.read
        if await read(Step.LOOK, lambda: self._is_complete(self._reader.in_turn)):
            return
        if self._doubted:
            await read(Step.LOOK, self._drop_lost)

        async def look_again() -> bool | None:
            """Read it in the slot, right before the write; False if no write is needed."""
            complete = partial(self._is_complete, self._reader.at_once)
            return False if await read(Step.LOOK, complete) else None

        if await self._unit.send(self._subject, self._write, look_again):
            await read(Step.PROVE, self._settle)

    async def _is_complete(self, read: Read) -> bool:
        """Read the list; return whether it has all entries that it should."""
        self._index = await read(self._fetch)
        entries = {str(entry["digest"]): entry for entry in self._entries()}
        listed = {digest: each for digest, each in entries.items() if digest not in self._lost}
        lacking = self._wanted.keys() - listed.keys()
        self._wanted = {**listed, **self._wanted}
        return not lacking

    async def _fetch(self) -> Manifest | None:
        seen = await self._head(self._tag)
        if seen is None:
            return None
        if seen.digest == self._subject:  # GitLab reads the tag as a digest
            sentence = f"{self._repository} answers {self._tag} with the image, not with a list"
            raise AttemptError(ours(Kind.UNSUPPORTED, sentence), counts=True)
        return await self._context.registry.get(self._repository, seen.digest)

    def _entries(self) -> list[Fields]:
        """Return the entries of the index; raise if the tag names something else."""
        if self._index is None:
            return []
        try:
            return [{**entry} for entry in self._index.document["manifests"]]
        except (ValueError, KeyError, TypeError) as error:
            sentence = f"{self._repository}:{self._tag} should list referrers but is not an index"
            raise AttemptError(ours(Kind.UNSUPPORTED, sentence), counts=True) from error

    async def _write(self) -> bool:
        index = with_entries(self._index, self._wanted)
        try:
            await self._context.registry.put(self._repository, self._tag, index)
        except PushError as error:
            self._doubted |= error.evidence.code in _NOT_THERE
            raise
        return True

    async def _settle(self) -> None:
        for pause in SETTLED_AFTER:
            await anyio.sleep(pause * self._context.backoff.random.uniform(1.0, 1.5))
            if not await self._is_complete(self._reader.in_turn):
                sentence = f"{self._repository}:{self._tag} lost an entry to another writer"
                failure = replace(ours(Kind.NOT_VISIBLE, sentence), cap=None)
                raise AttemptError(failure, counts=True)

    async def _drop_lost(self) -> None:
        """Drop entries whose manifests are gone, for example after a clean-up."""
        for digest in list(self._wanted):
            if await self._reader.in_turn(partial(self._head, digest)) is None:
                del self._wanted[digest]
                self._lost.add(digest)

    async def _head(self, reference: str) -> Descriptor | None:
        return await self._context.registry.head(self._repository, reference)


def described(manifest: Manifest) -> Fields:
    """Return a list's entry for a manifest, in the form of the specification."""
    more = {
        "annotations": manifest.document.get("annotations"),
        "artifactType": manifest.artifact_type,
    }
    return {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": len(manifest.raw),
        **{key: value for key, value in more.items() if value},
    }


def with_entries(index: Manifest | None, entries: Mapping[str, Fields]) -> Manifest:
    """Return an index with exactly ``entries`` and its other fields unchanged."""
    new = {"schemaVersion": 2, "mediaType": media_types.INDEX}
    document = {**(index.document if index else new), "manifests": [*entries.values()]}
    raw = json.dumps(document, separators=(",", ":")).encode()
    media_type = index.media_type if index else media_types.INDEX
    return Manifest.of(media_type, raw)

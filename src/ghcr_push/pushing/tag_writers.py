"""The two ways to write a tag: ``docker push`` from the engine, or a manifest in the repository.

Reads raise ``AttemptError``; ``send`` raises ``PushError``, for the holder of the slot.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

import anyio

from ghcr_push import media_types
from ghcr_push.documents import Document
from ghcr_push.failures import PushError
from ghcr_push.model import Descriptor, Image, Kind, Manifest, Source, Step
from ghcr_push.pushing.ports import Engine, Registry
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.pushing.reads import Reader
from ghcr_push.pushing.unknown_blobs import UnknownBlobs
from ghcr_push.references import Digest, Repository, TagReference

Said = Callable[[Sequence[str]], None]

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a manifest: a blob, or a manifest of an index."""

    digest: Digest
    blob: bool


class Manifests:
    """The manifests of one repository, each fetched once for all targets."""

    def __init__(self, repository: Repository, registry: Registry, reader: Reader) -> None:
        self._repository = repository
        self._registry = registry
        self._reader = reader
        self._known: dict[Digest, Manifest] = {}
        self._lock = anyio.Lock()
        self._complete: dict[Digest, bool] = {}
        self._looking = anyio.Lock()

    def know(self, manifest: Manifest) -> None:
        """Keep a manifest that is available already."""
        self._known[manifest.digest] = manifest

    async def fetch(self, digest: Digest) -> Manifest:
        """Return the manifest with that digest; raise ``AttemptError`` if it cannot be read."""
        async with self._lock:
            if digest not in self._known:
                self._known[digest] = await self._reader.in_turn(
                    lambda: self._registry.get(self._repository, digest)
                )
            return self._known[digest]

    def was_complete(self, digest: Digest) -> bool:
        """Return whether no part of the manifest is known to have been missing."""
        return self._complete.get(digest, True)

    async def is_complete(self, digest: Digest) -> bool:
        """Return whether the repository holds all parts of the manifest, checked once."""
        async with self._looking:
            if digest not in self._complete:
                manifest = await self.fetch(digest)
                self._complete[digest] = await self._holds(parts_of(manifest))
            return self._complete[digest]

    async def _holds(self, parts: Sequence[Part]) -> bool:
        """Look for every part, in parallel.

        A part that the registry permanently refuses to report counts as present: nothing shows that
        it is missing.
        """
        there: list[bool] = []
        failures: list[AttemptError] = []

        async def look(part: Part) -> None:
            try:
                there.append(await self._reader.in_turn(lambda: self._holds_part(part)))
            except AttemptError as failed:
                if failed.failure.retryable or failed.failure.kind is Kind.INTERNAL:
                    failures.append(failed)

        async with anyio.create_task_group() as tasks:
            for part in parts:
                tasks.start_soon(look, part)
        if all(there) and failures:
            raise failures[0]
        return all(there)

    async def _holds_part(self, part: Part) -> bool:
        if part.blob:
            return await self._registry.has_blob(self._repository, part.digest)
        return await self._registry.head(self._repository, part.digest) is not None


class ByDockerPush:
    """An image in the engine, sent by ``docker push``.

    ``manifests`` is None if our process cannot read the repository. The contents of one repository
    share ``lock``: parallel pushes would upload common layers twice. ``sent_other`` is called if a
    push sent another digest than the engine's, and may raise.
    """

    step = Step.PUSH

    def __init__(
        self,
        source: Source,
        image: Image,
        *,
        engine: Engine,
        manifests: Manifests | None,
        lock: anyio.Lock,
        sent_other: Callable[[TagReference, Digest], None],
    ) -> None:
        self.digest = image.digest
        self.image = image
        self._source = source
        self._engine = engine
        self._manifests = manifests
        self._lock = lock
        self._sent_other = sent_other

    async def named_by(self, seen: Descriptor) -> bool:
        """Return whether ``seen``, found under a tag, is this image.

        Compares digests or, for the classic store, which has none yet, the image ID.
        """
        if self.digest is not None or self._manifests is None:
            return seen.digest == self.digest
        try:
            manifest = await self._manifests.fetch(seen.digest)
        except AttemptError as failed:
            if failed.failure.status == NOT_FOUND:
                return False
            raise
        return is_of(manifest, self.image)

    async def is_complete(self, digest: Digest) -> bool:
        """Return whether the repository holds all parts of ``digest``, if our process can see."""
        return self._manifests is None or await self._manifests.is_complete(digest)

    async def prepare(self) -> None:
        """Do nothing before a slot is requested: the engine reads for itself."""

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Wait for the right to push: one push at a time in a repository."""
        return self._lock

    async def send(self, target: TagReference, said: Said) -> Digest:
        """Run one ``docker push`` and return the digest that it sent."""
        digest = await self._engine.push(self._source, target, said)
        if self.digest not in {None, digest}:
            self._sent_other(target, digest)
        return digest


class ByManifestPut:
    """A manifest whose content the repository holds, to be written under tags.

    If we uploaded the content, ``unknown_blobs`` replaces blobs that turn out to be missing.
    """

    step = Step.RETAG

    def __init__(
        self,
        repository: Repository,
        digest: Digest,
        *,
        registry: Registry,
        manifests: Manifests,
        unknown_blobs: UnknownBlobs | None = None,
    ) -> None:
        self.digest = digest
        self._repository = repository
        self._registry = registry
        self._manifests = manifests
        self._unknown_blobs = unknown_blobs

    async def named_by(self, seen: Descriptor) -> bool:
        """Return whether ``seen``, found under a tag, is this manifest."""
        return seen.digest == self.digest

    async def is_complete(self, digest: Digest) -> bool:
        """Return whether all parts were there when this run came; if not, they are now."""
        return self._manifests.was_complete(digest)

    async def prepare(self) -> None:
        """Fetch the manifest's bytes, and send missing blobs again."""
        if self._unknown_blobs is not None:
            await self._unknown_blobs.resend_reported()
        await self._manifests.fetch(self.digest)

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Needs no lock: a retag uploads no layers."""
        return nullcontext()

    async def send(self, target: TagReference, _: Said) -> Digest:
        """Put the same bytes under the tag."""
        manifest = await self._manifests.fetch(self.digest)
        try:
            await self._registry.put(self._repository, target.tag, manifest)
        except PushError as error:
            if self._unknown_blobs is not None:
                self._unknown_blobs.note(target.tag, error)
            raise
        return self.digest


TagWriter = ByDockerPush | ByManifestPut


def parts_of(manifest: Manifest) -> tuple[Part, ...]:
    """Return the parts of ``manifest`` that its repository must hold; none of an unknown type.

    A foreign layer, with its own URLs, need not be in any repository.
    """
    try:
        document = manifest.document
        children = document.get("manifests")
        if children is not None:
            return tuple(Part(Digest(each["digest"]), blob=False) for each in children)
        blobs = [document["config"], *document["layers"]]
        return tuple(
            Part(Digest(each["digest"]), blob=True) for each in blobs if not each.get("urls")
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def may_turn_out_to_be(image: Image, seen: Descriptor) -> bool:
    """Return whether ``seen`` may be the result of pushing ``image``.

    If the engine has only one platform of an index, that one is pushed, and its digest is known
    only then. So is the digest of an index whose layers are compressed.
    """
    if image.digest is None:
        known_by_config = image.in_engine or image.diff_ids or image.template is not None
        return not known_by_config and seen.media_type in media_types.INDEXES
    may_lack_platforms = image.in_engine and image.has_all_platforms is not True
    return may_lack_platforms and seen.media_type not in media_types.INDEXES


def is_of(manifest: Manifest, image: Image) -> bool:
    """Return whether ``manifest`` is of an image whose digest is known only after reading.

    In the classic store the config's digest is the image ID, and covers the DiffIDs of all layers.
    The same holds if layers are compressed while they are read; the other fields of the manifest
    are known then, too.
    """
    try:
        document = manifest.document
        if image.template is not None:
            return _fits(document, json.loads(image.template))
        return bool(
            document["config"]["digest"] == image.id and len(document["layers"]) == image.layers
        )
    except (ValueError, KeyError, TypeError):
        return False


def _fits(document: Document, template: Document) -> bool:
    for found, wanted in zip(document["layers"], template["layers"], strict=True):
        if "digest" not in wanted:
            del found["digest"], found["size"]
    return document == template

"""Copies an image's referrers to its repository before any tag is written.

Signatures come first, so that a check of the tag finds them at any moment. The specification
requires registries to accept them before their subject; one that does not gets them in a second
run.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import anyio

from ghcr_push.model import Descriptor, Kind, Manifest, Referrer, ReferrerRecord, Step
from ghcr_push.pushing.content_push import ContentPush
from ghcr_push.pushing.context import ours
from ghcr_push.pushing.events import Noticed
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.pushing.reads import LAG_PAUSES
from ghcr_push.pushing.referrers_tag import ReferrersTag
from ghcr_push.pushing.side_by_side import for_each
from ghcr_push.pushing.units import Unit
from ghcr_push.references import Digest


class ReferrerPush:
    """Copies referrers into one repository; ``content_push`` uploads their content."""

    def __init__(self, referrers: Sequence[Referrer], content_push: ContentPush) -> None:
        self._referrers = referrers
        self._content_push = content_push
        self._units = content_push.units
        self._context = self._units.context
        self._repository = self._units.repository
        self._reader = self._units.reader
        self._written: set[Referrer] = set()

    async def push(self) -> tuple[ReferrerRecord, ...]:
        """Return the result of each; raise ``AttemptError`` if one cannot be copied."""
        missing = await self._missing()
        self._written = {each for each in self._referrers if each.manifest.digest in missing}
        blobs = frozenset(blob.digest for each in self._written for blob in each.blobs)
        await self._content_push.push_blobs(blobs)
        for generation in self._by_digest():
            lacking = [each for each in generation if each.digest in missing]
            await self._content_push.manifests.push_all(lacking)
        by_subject: dict[Digest, list[Manifest]] = {}
        for each in self._referrers:
            if each.tag is None:
                by_subject.setdefault(each.subject, []).append(each.manifest)
        await for_each(by_subject.items(), lambda item: self._list(*item))
        await for_each([each for each in self._referrers if each.tag is not None], self._tag)
        return tuple(self._result(each) for each in self._referrers)

    def _by_digest(self) -> list[list[Manifest]]:
        """Return the manifests that are written by digest: all except those under cosign's tags.

        Referrers of referrers are later generations: some registries need the subject first.
        """
        depths: dict[Digest, int] = {}
        generations: dict[int, dict[Digest, Manifest]] = {}
        for each in self._referrers:  # subjects come before their referrers
            depth = depths.get(each.subject, 0)
            tops = (each.manifest,) if each.tag is None else ()
            for manifest in (*each.parts, *tops):
                depths.setdefault(manifest.digest, depth + 1)
                generations.setdefault(depth, {})[manifest.digest] = manifest
        return [list(generations[depth].values()) for depth in sorted(generations)]

    async def _missing(self) -> frozenset[Digest]:
        """Return the manifests that the repository lacks.

        A referrer that has lost a part is written again.
        """
        missing: set[Digest] = set()

        async def look(referrer: Referrer) -> None:
            for manifest in (referrer.manifest, *referrer.parts):
                if not await self._content_push.manifests.has(manifest.digest):
                    missing.update((manifest.digest, referrer.manifest.digest))

        await for_each(self._referrers, look)
        return frozenset(missing)

    def _result(self, referrer: Referrer) -> ReferrerRecord:
        return ReferrerRecord(
            digest=referrer.manifest.digest,
            subject=referrer.subject,
            artifact_type=referrer.manifest.artifact_type,
            tag=referrer.tag,
            uploaded=referrer in self._written,
        )

    # -- lists ------------------------------------------------------------------------------

    async def _list(self, subject: Digest, manifests: Sequence[Manifest]) -> None:
        """Make the registry list ``manifests`` as referrers of ``subject``, or list them by tag."""
        unit, referrers = Unit(self._units), self._context.registry.referrers
        read = partial(self._reader.in_turn, partial(referrers, self._repository, subject))
        listed = await unit.persist(lambda: unit.read(Step.LOOK, read))
        rest = [each for each in manifests if each.digest not in (listed or ())]
        if not rest:
            return
        tag = ReferrersTag(subject, self._units)
        async with self._units.registry_state.known_blobs.lock(self._repository, subject):
            await tag.add(rest)

    # -- cosign's tags ------------------------------------------------------------------------

    async def _tag(self, referrer: Referrer) -> None:
        """Make cosign's tag name the referrer, unless it already names more than that."""
        unit = Unit(self._units)
        if await unit.persist(lambda: self._write_tag(referrer, unit)):
            self._written.add(referrer)
        else:
            self._written.discard(referrer)

    async def _write_tag(self, referrer: Referrer, unit: Unit) -> bool:
        tag, manifest = str(referrer.tag), referrer.manifest

        async def head() -> Descriptor | None:
            return await self._context.registry.head(self._repository, tag)

        async def write() -> bool:
            await self._context.registry.put(self._repository, tag, manifest)
            return True

        while True:
            seen = await unit.read(Step.LOOK, lambda: self._reader.in_turn(head))
            if seen is not None and not await unit.read(
                Step.FETCH, partial(self._may_move, referrer, seen)
            ):
                return False

            async def moved(seen: Descriptor | None = seen) -> bool | None:
                at_once = partial(self._reader.at_once, head)
                return None if await unit.read(Step.LOOK, at_once) == seen else False

            if await unit.send(manifest.digest, write, moved):
                await unit.read(Step.PROVE, lambda: self._verify(head, manifest, tag))
                return True

    async def _verify(
        self, head: Callable[[], Awaitable[Descriptor | None]], manifest: Manifest, tag: str
    ) -> None:
        for pause in (0.0, *LAG_PAUSES) if self._context.verify else ():
            await anyio.sleep(pause)
            seen = await self._reader.in_turn(head)
            if seen is not None and seen.digest == manifest.digest:
                return
        if self._context.verify:
            sentence = f"{self._repository}:{tag} does not name {manifest.digest} after the write"
            raise AttemptError(ours(Kind.NOT_VISIBLE, sentence), counts=True)

    async def _may_move(self, referrer: Referrer, seen: Descriptor) -> bool:
        """Return whether the tag may be moved without losing a signature.

        If the existing manifest has all of ours, it stays; if each has entries that the other
        lacks, it stays with a notice.
        """
        if seen.digest == referrer.manifest.digest:
            return False
        there = await self._reader.in_turn(
            lambda: self._context.registry.get(self._repository, seen.digest)
        )
        others, own = _layers(there), _layers(referrer.manifest)
        if others <= own:
            return True
        if not own <= others:
            self._context.observer(
                Noticed(
                    f"{self._repository}:{referrer.tag} was left unchanged: it and the source "
                    "each have entries that the other lacks; sign again, or delete it and run "
                    "again"
                )
            )
        return False


def _layers(manifest: Manifest) -> frozenset[str]:
    """Return the layers as cosign distinguishes them: signatures are in their annotations."""
    try:
        layers = manifest.document["layers"]
        return frozenset(json.dumps(each, sort_keys=True) for each in layers)
    except (KeyError, TypeError):
        return frozenset({manifest.digest})

"""Uploads manifests by their digests, without a tag: those of an index, and referrers."""

from collections.abc import Sequence

import anyio

from ghcr_push.failures import PushError
from ghcr_push.model import Manifest
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.pushing.side_by_side import for_each
from ghcr_push.pushing.units import Unit, Units
from ghcr_push.pushing.unknown_blobs import UnknownBlobs
from ghcr_push.references import Digest


class ManifestPush:
    """Uploads manifests whose blobs are in the repository of ``units``.

    ``unknown_blobs`` replaces blobs that turn out to be missing.
    """

    def __init__(self, units: Units, unknown_blobs: UnknownBlobs) -> None:
        self._units = units
        self._unknown_blobs = unknown_blobs
        self._repository = units.repository
        self._registry = units.context.registry
        self._known_blobs = units.registry_state.known_blobs

    async def push_all(self, manifests: Sequence[Manifest]) -> None:
        """Upload manifests that name only blobs in parallel, then each index after its children.

        Raises ``AttemptError`` if that is impossible, ``NotStartedError`` if the run ended before.
        """
        leaves = (each for each in manifests if not _names_manifests(each))
        await for_each(leaves, self._push_missing)
        for manifest in filter(_names_manifests, manifests):
            await self._push_missing(manifest)

    async def has(self, digest: Digest) -> bool:
        """Return whether the repository has a manifest; a failed read counts as no."""
        try:
            seen = await self._units.reader.in_turn(
                lambda: self._registry.head(self._repository, digest)
            )
        except AttemptError as failed:
            await anyio.sleep(failed.failure.asked_wait or 0.0)
            return False
        return seen is not None and seen.digest == digest

    async def _push_missing(self, manifest: Manifest) -> None:
        async with self._known_blobs.lock(self._repository, manifest.digest):
            if self._known_blobs.holds(self._repository, manifest.digest):
                return
            if not await self.has(manifest.digest):
                await self._put(manifest)
            self._known_blobs.add(self._repository, manifest.digest)

    async def _put(self, manifest: Manifest) -> None:
        unit = Unit(self._units)

        async def request() -> None:
            try:
                await self._registry.put(self._repository, manifest.digest, manifest)
            except PushError as error:
                self._unknown_blobs.note(manifest.digest, error)
                raise

        async def attempt() -> None:
            await self._unknown_blobs.resend_reported()
            await unit.send(manifest.digest, request)

        await unit.persist(attempt)


def _names_manifests(manifest: Manifest) -> bool:
    return isinstance(manifest.document.get("manifests"), list)

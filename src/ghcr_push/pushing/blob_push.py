"""Uploads one blob: reads whether it is there, mounts or sends it, and waits for its source."""

from collections.abc import Awaitable, Callable
from functools import partial

from ghcr_push.failures import PushError
from ghcr_push.model import BlobOutcome, Kind, Step
from ghcr_push.pushing.context import NOT_READABLE
from ghcr_push.pushing.ports import Blob, Upload
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.pushing.reads import LOOK_STAYS_TRUE
from ghcr_push.pushing.source_pause import SourcePause
from ghcr_push.pushing.units import Unit, Units
from ghcr_push.references import Digest, Repository

Read = Callable[[Callable[[], Awaitable[bool]]], Awaitable[bool]]
"""Makes a request in its turn, or at once for the holder of a slot."""


class BlobPush:
    """A blob of ``size`` bytes on its way into the repository of ``units``, over all readings."""

    def __init__(self, digest: Digest, size: int, units: Units, source_pause: SourcePause) -> None:
        self.size = size
        self.done = False
        self._digest = digest
        self._units = units
        self._repository = units.repository
        self._context = units.context
        self._known_blobs = units.registry_state.known_blobs
        self._reader = units.reader
        self._source_pause = source_pause
        self._unit = Unit(units, digest)
        self._upload: Upload | None = None
        """The latest one."""
        self._looked = float("-inf")
        """When it was last looked for."""
        self._believed = True
        """Whether a read that finds it is trusted; if not, it is sent without a read."""

    @property
    def bytes_there(self) -> int:
        """Bytes of it that the repository has; a byte sent twice counts once."""
        if self.done:
            return self.size
        return min(self._upload.bytes_sent, self.size) if self._upload else 0

    def doubt(self) -> None:
        """Record that the registry reported it both as present and as missing."""
        self.done = self._believed = False

    async def push(self, blob: Blob) -> None:
        """Upload it as ``blob`` of a reading, unless it is done.

        Raises ``AttemptError`` if that is impossible, ``NotStartedError`` if the run ended before.
        """
        async with self._known_blobs.lock(self._repository, self._digest):
            if not self.done:
                await self._push_missing(blob)

    async def _push_missing(self, blob: Blob) -> None:
        upload = self._upload = self._context.registry.upload(self._repository, blob)
        log, landed = self._units.log, BlobOutcome.FOUND
        if not (self._believed and self._known_blobs.holds(self._repository, self._digest)):
            log.uploads.append(upload)
            attempt = self._look_and_send if self._believed else self._send
            with self._known_blobs.progress.of(upload, self.size):
                landed = await self._unit.persist(lambda: attempt(upload))
            self._known_blobs.add(self._repository, self._digest)
        self.done = True
        log.count(**{f"blobs_{landed}": 1}, bytes_saved=0 if upload.bytes_sent else self.size)

    # -- one attempt ------------------------------------------------------------------------

    async def _look_and_send(self, upload: Upload) -> BlobOutcome:
        """Look for the blob; if it is missing, mount or send it, once."""
        if found := await self._look(self._reader.in_turn):
            return found
        await self._known_blobs.look_elsewhere(self._repository, self._digest)
        async with self._known_blobs.sending(self._repository, self._digest):
            if self._mount_from is None:
                write_access = self._units.registry_state.write_access
                if refusal := await write_access.refusal(self._repository):
                    raise AttemptError(refusal, counts=True)
            return await self._send(upload)

    async def _send(self, upload: Upload) -> BlobOutcome:
        request = partial(self._request, upload)
        return await self._unit.send(self._digest, request, self._look_again, self._source_wait)

    @property
    def _mount_from(self) -> Repository | None:
        """The repository to mount it from, if there is one; it may appear at any time."""
        if not self._believed:
            return None
        return self._known_blobs.mount_candidate(self._repository, self._digest)

    def _source_wait(self) -> float:
        return 0.0 if self._mount_from else self._source_pause.seconds

    async def _look_again(self) -> BlobOutcome | None:
        """Look for the blob in the slot if the last read is too old; None if it is missing."""
        if not self._believed:
            return None
        if self._known_blobs.holds(self._repository, self._digest):  # found here for a mount
            return self._found()
        mounted = self._mount_from and self._known_blobs.mounting
        if mounted or self._context.clock() - self._looked <= LOOK_STAYS_TRUE:
            return None
        return await self._look(self._reader.at_once)

    async def _request(self, upload: Upload) -> BlobOutcome:
        """Mount or send it; a wait that its source asks for holds for all content there."""
        mount_from = self._mount_from
        try:
            landed = await upload.attempt(mount_from)
        except PushError as error:
            evidence = error.evidence
            if evidence.kind is Kind.SOURCE_UNREACHABLE and evidence.retry_after:
                self._source_pause.extend(evidence.retry_after)
            raise
        if mount_from is not None and landed is not BlobOutcome.FOUND:
            self._known_blobs.mounting = landed is BlobOutcome.MOUNTED
        return landed

    async def _look(self, read: Read) -> BlobOutcome | None:
        """Look for the blob; None if it is missing, or if the failed read proves nothing."""
        try:
            there = await read(
                lambda: self._context.registry.has_blob(self._repository, self._digest)
            )
        except AttemptError as failed:
            lasting = failed.failure.retryable or self._units.limiter.outage.given_up
            if lasting and failed.failure.kind not in NOT_READABLE:
                self._unit.open(Step.LOOK)
                self._unit.record_first(failed.failure)
                raise
            there = False  # the upload's own answer will show the problem
        self._looked = self._context.clock()
        return self._found() if there else None

    def _found(self) -> BlobOutcome:
        """Record that the blob needs no further attempt after a failed one."""
        self._unit.open(Step.LOOK)
        self._unit.record_success()
        return BlobOutcome.FOUND

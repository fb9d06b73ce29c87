"""Uploads the content of a group: every blob and child manifest is a unit.

Blobs go before the manifests that name them, child manifests before their index; the tags write the
top manifest. So a tag never points at something incomplete.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from ghcr_push.failures import PushError
from ghcr_push.model import BlobOutcome, Failure, Kind, Manifest, Step
from ghcr_push.pushing.context import NOT_READABLE, NotStartedError
from ghcr_push.pushing.events import ContentDone, ContentProgress, Noticed
from ghcr_push.pushing.known_blobs import KnownBlobs
from ghcr_push.pushing.ports import Blob, ImageManifests, Upload
from ghcr_push.pushing.pressure.retry import AttemptError, Tries
from ghcr_push.pushing.readings import Receiver, SharedContent
from ghcr_push.pushing.reads import LOOK_STAYS_TRUE
from ghcr_push.pushing.side_by_side import for_each
from ghcr_push.pushing.units import Unit, Units
from ghcr_push.pushing.unknown_blobs import UnknownBlobs
from ghcr_push.references import Digest, Repository


@dataclass(slots=True)
class _BlobPush:
    """A blob on its way into the repository, over all readings."""

    unit: Unit
    size: int
    upload: Upload | None = None
    """The latest one."""
    done: bool = False
    believed: bool = True
    """Whether a read that finds it is trusted; if not, it is sent without a read."""

    @property
    def bytes_there(self) -> int:
        """Bytes of it that the repository has; a byte sent twice counts once."""
        if self.done:
            return self.size
        return min(self.upload.bytes_sent, self.size) if self.upload else 0


class ContentPush:
    """Uploads the content of one group to its repository.

    ``refusal`` is called before the first blob is sent.
    """

    def __init__(
        self,
        units: Units,
        *,
        known_blobs: KnownBlobs,
        content: SharedContent,
        refusal: Callable[[], Coroutine[None, None, Failure | None]],
    ) -> None:
        self.units = units
        self.known_blobs = known_blobs
        self.repository = units.repository
        """The target repository."""
        self.unknown_blobs = UnknownBlobs(self._send_again)
        self.may_begin = units.may_begin
        self.stalled = known_blobs.progress.stalled
        self._context = units.context
        self._limiter = units.limiter
        self._log = units.log
        self._content = content
        self._refusal = refusal
        self._reader = units.reader
        self._passes = Unit(units)
        """The attempts to read the image that this repository reports."""
        self._blobs: dict[Digest, _BlobPush] = {}
        self._whole = False
        """Whether all blobs are known."""
        self._wanted: frozenset[Digest] | None = None
        """The blobs to upload, None for all."""

    async def push(self) -> Manifest:
        """Return the image's own manifest once all its parts are in the repository.

        Raises ``AttemptError`` if that is impossible, ``NotStartedError`` if the run ended before
        anything of it was tried.
        """
        began = self._context.clock()
        image = await self._upload_all()
        if image.notice is not None:
            self._context.observer(Noticed(image.notice))
        *children, top = image.manifests
        await self._put_manifests(children)
        self._context.observer(
            ContentDone(self.units.seed, self._log.transfer, self._context.clock() - began)
        )
        return top

    async def push_parts(self, manifests: Sequence[Manifest], blobs: frozenset[Digest]) -> None:
        """Upload ``manifests`` without a tag, and before them those ``blobs`` of the content.

        Raises like ``push``.
        """
        if blobs:
            self._wanted = blobs
            await self._upload_all()
        await self._put_manifests(manifests)

    async def _send_again(self, digests: frozenset[Digest]) -> None:
        """Send blobs again that the registry reported both as present and as missing."""
        again = [blob for digest, blob in self._blobs.items() if digest in digests and blob.done]
        for blob in again:
            blob.done = blob.believed = False
        if again:
            await self._upload_all()

    # -- readings ---------------------------------------------------------------------------

    async def _upload_all(self) -> ImageManifests:
        """Join readings until the repository has every blob."""
        while True:
            await self._wait_for_answer()
            image = await self._receive()
            if image is not None:
                return image
            if not self.may_begin():
                raise NotStartedError
            await self._content.until_read()

    async def _wait_for_answer(self) -> None:
        """Wait until the registry answers, before an image is read for it."""
        if not self._limiter.outage.answers:
            unit = Unit(self.units)
            await unit.persist(lambda: self._ask(unit))

    async def _ask(self, unit: Unit) -> None:
        async def head() -> None:
            unit.open(Step.LOOK)
            await self._context.registry.head(self.repository, self.units.seed.reference.tag)

        try:
            await self._reader.in_turn(head)
        except AttemptError as failed:
            if self._limiter.outage.answers:
                unit.journal.drop()
                return
            if unit.journal.step is not None:  # a registry that is given up was not asked
                unit.record_first(failed.failure)
            raise
        if unit.journal.attempts:
            unit.record(None)
        else:
            unit.journal.drop()

    async def _receive(self) -> ImageManifests | None:
        """Join a reading; None if another one is needed because this one had to give way.

        The first blob that cannot be uploaded ends it. Errors are raised at the end, since a task
        group would wrap them.
        """
        errors: list[Exception] = []
        image: ImageManifests | None = None

        async def upload(blob: Blob) -> None:
            try:
                await self._upload_blob(blob)
            except Exception as error:  # noqa: BLE001 - raised below, whatever it is
                errors.append(error)
                receiver.scope.cancel()
            finally:
                receiver.done(blob)

        async with self._content.received(self) as receiver:
            with receiver.scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._report_progress)
                    async with anyio.create_task_group() as uploads:
                        try:
                            async for blob in self._timed(receiver):
                                uploads.start_soon(upload, blob)
                            image = receiver.image
                            self._whole = True
                        except Exception as error:  # noqa: BLE001 - raised below
                            errors.append(error)
                            receiver.scope.cancel()
                    tasks.cancel_scope.cancel()
            self._log.count(seconds_compressing=receiver.seconds_compressing)
        if errors:
            raise self._failed(errors[0])
        if receiver.gave_way:
            self._passes.journal.drop()
            return None
        self._end_pass(None)
        return image

    def _failed(self, error: Exception) -> Exception:
        """Return the error that ended the content: an unreadable image is a failed attempt."""
        if not isinstance(error, PushError):
            return error
        failure = self._context.classify(error, self.repository)
        if not self.may_begin():
            return NotStartedError()
        self._end_pass(failure)
        return AttemptError(failure, counts=True)

    async def _timed(self, receiver: Receiver) -> AsyncIterator[Blob]:
        """Yield the blobs, counting the time of waiting for each."""
        asked = self._context.clock()
        async for blob in receiver:
            self._log.count(seconds_reading=self._context.clock() - asked)
            yield blob
            asked = self._context.clock()

    # -- as a participant of a reading -------------------------------------------------------

    def pass_begins(self) -> None:
        """Start to count an attempt."""
        self._passes.journal.send(Step.READ, self._limiter.limit)

    def pass_broke(self, failed: AttemptError, tries: Tries, wait: float) -> None:
        """Record how the attempt failed, and the wait after it."""
        journal = self._passes.journal
        if journal.step is None:  # another repository started it and has left
            self.pass_begins()
        self._end_pass(failed.failure)
        self._context.report_wait(self.units.seed, journal, failed, tries, wait)

    def _end_pass(self, failure: Failure | None) -> None:
        """Record the current pass if there is anything to report, which is rare."""
        journal = self._passes.journal
        if failure is None and journal.number == 1:
            journal.drop()
        elif journal.step is not None:
            self._passes.record(failure)

    # -- one blob ---------------------------------------------------------------------------

    async def _upload_blob(self, blob: Blob) -> None:
        digest = blob.digest
        if self._wanted is not None and digest not in self._wanted:
            return
        if digest not in self._blobs:
            self._blobs[digest] = _BlobPush(Unit(self.units, digest), blob.size)
        async with self.known_blobs.lock(self.repository, digest):
            if not self._blobs[digest].done:
                await self._upload_missing(blob, self._blobs[digest])

    async def _upload_missing(self, blob: Blob, push: _BlobPush) -> None:
        upload = self._context.registry.upload(self.repository, blob)
        landed = BlobOutcome.FOUND
        if not (push.believed and self.known_blobs.holds(self.repository, blob.digest)):
            self._log.uploads.append(upload)
            push.upload = upload
            attempt = self._try if push.believed else self._send_unseen
            with self.known_blobs.progress.of(upload, blob.size):
                landed = await push.unit.persist(lambda: attempt(blob, upload, push.unit))
            self.known_blobs.add(self.repository, blob.digest)
        push.done = True
        self._log.count(**{f"blobs_{landed}": 1}, bytes_saved=0 if upload.bytes_sent else blob.size)

    async def _try(self, blob: Blob, upload: Upload, unit: Unit) -> BlobOutcome:
        """Look for the blob; if it is missing, mount or send it, once."""
        if await self._is_there(blob.digest, unit, self._reader.in_turn):
            return BlobOutcome.FOUND
        looked = self._context.clock()
        await self.known_blobs.look_elsewhere(self.repository, blob.digest)
        mount_candidate = partial(self.known_blobs.mount_candidate, self.repository, blob.digest)

        async def look_again() -> BlobOutcome | None:
            nonlocal looked
            if self.known_blobs.holds(self.repository, blob.digest):  # found here for a mount
                self._record_found(unit)
                return BlobOutcome.FOUND
            mounted = mount_candidate() and self.known_blobs.mounting
            if mounted or self._context.clock() - looked <= LOOK_STAYS_TRUE:
                return None
            there = await self._is_there(blob.digest, unit, self._reader.at_once)
            looked = self._context.clock()
            return BlobOutcome.FOUND if there else None

        async def attempt() -> BlobOutcome:
            # checked only now, in the slot: another group may have sent it elsewhere meanwhile
            origin = mount_candidate()
            landed = await self._upload(upload, origin)
            if origin is not None and landed is not BlobOutcome.FOUND:
                self.known_blobs.mounting = landed is BlobOutcome.MOUNTED
            return landed

        async with self.known_blobs.sending(self.repository, blob.digest):
            if mount_candidate() is None and (refusal := await self._refusal()):
                raise AttemptError(refusal, counts=True)

            def source_wait() -> float:
                return 0.0 if mount_candidate() else self._content.source_wait

            return await unit.send(blob.digest, attempt, look_again, source_wait)

    async def _send_unseen(self, blob: Blob, upload: Upload, unit: Unit) -> BlobOutcome:
        """Send the blob once, without looking for it or mounting it."""
        return await unit.send(
            blob.digest,
            lambda: self._upload(upload, None),
            source_wait=lambda: self._content.source_wait,
        )

    async def _upload(self, upload: Upload, origin: Repository | None) -> BlobOutcome:
        """Attempt an upload once; a wait that its source asks for holds for all content there."""
        try:
            return await upload.attempt(origin)
        except PushError as error:
            evidence = error.evidence
            if evidence.kind is Kind.SOURCE_UNREACHABLE and evidence.retry_after:
                self._content.delay_source(evidence.retry_after)
            raise

    async def _is_there(
        self,
        digest: Digest,
        unit: Unit,
        read: Callable[[Callable[[], Awaitable[bool]]], Awaitable[bool]],
    ) -> bool:
        try:
            there = await read(lambda: self._context.registry.has_blob(self.repository, digest))
        except AttemptError as failed:
            readable = failed.failure.kind not in NOT_READABLE
            if not (readable and (failed.failure.retryable or self._limiter.outage.given_up)):
                return False  # it proves nothing: the upload's own answer will show the problem
            unit.open(Step.LOOK)
            unit.record_first(failed.failure)
            raise
        if there:
            self._record_found(unit)
        return there

    def _record_found(self, unit: Unit) -> None:
        """Record that a blob needs no further attempt after a failed one."""
        if unit.journal.attempts:
            unit.open(Step.LOOK)
            unit.record(None)

    # -- manifests of an index --------------------------------------------------------------

    async def _put_manifests(self, children: Sequence[Manifest]) -> None:
        """Upload manifests that name only blobs in parallel, then each index after its children."""
        leaves = (each for each in children if not names_manifests(each))
        await for_each(leaves, self._put_missing)
        for manifest in filter(names_manifests, children):
            await self._put_missing(manifest)

    async def _put_missing(self, manifest: Manifest) -> None:
        async with self.known_blobs.lock(self.repository, manifest.digest):
            if self.known_blobs.holds(self.repository, manifest.digest):
                return
            if not await self.has_manifest(manifest.digest):
                await self._put(manifest)
            self.known_blobs.add(self.repository, manifest.digest)

    async def has_manifest(self, digest: Digest) -> bool:
        """Return whether the repository has a manifest; a failed read counts as no."""
        head = self._context.registry.head
        try:
            seen = await self._reader.in_turn(lambda: head(self.repository, digest))
        except AttemptError as failed:
            await anyio.sleep(failed.failure.asked_wait or 0.0)
            return False
        return seen is not None and seen.digest == digest

    async def _put(self, manifest: Manifest) -> None:
        unit = Unit(self.units)

        async def request() -> None:
            try:
                await self._context.registry.put(self.repository, manifest.digest, manifest)
            except PushError as error:
                self.unknown_blobs.note(manifest.digest, error)
                raise

        async def attempt() -> None:
            await self.unknown_blobs.resend_reported()
            await unit.send(manifest.digest, request)

        await unit.persist(attempt)

    # -- progress ----------------------------------------------------------------------------

    async def _report_progress(self) -> None:
        while True:
            await anyio.sleep(self._context.progress_every)
            self._log.count()
            self._context.observer(
                ContentProgress(
                    self.units.seed,
                    self._log.transfer,
                    self._expected,
                    done=sum(blob.bytes_there for blob in self._blobs.values()),
                    size=sum(blob.size for blob in self._blobs.values()),
                    whole=self._whole,
                )
            )

    @property
    def _expected(self) -> int | None:
        """The layers with known DiffIDs, each once, and the config.

        A saved image of the containerd store may be an index of more images than the described one.
        """
        image = self._content.image
        return len({*image.diff_ids}) + 1 if image.digest is None and image.diff_ids else None


def names_manifests(manifest: Manifest) -> bool:
    """Return whether ``manifest`` is an index."""
    return isinstance(manifest.document.get("manifests"), list)

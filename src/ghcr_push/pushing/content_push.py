"""Uploads the content of a group: every blob and child manifest is a unit.

Blobs go before the manifests that name them, child manifests before their index; the tags write the
top manifest. So a tag never points at something incomplete.
"""

from collections.abc import AsyncIterator

import anyio

from ghcr_push.background import background
from ghcr_push.failures import PushError
from ghcr_push.model import Manifest, Step
from ghcr_push.pushing.blob_push import BlobPush
from ghcr_push.pushing.context import NotStartedError
from ghcr_push.pushing.events import ContentDone, ContentProgress, Noticed
from ghcr_push.pushing.manifest_push import ManifestPush
from ghcr_push.pushing.ports import Blob, ImageManifests
from ghcr_push.pushing.pressure.retry import AttemptError, FailureCount
from ghcr_push.pushing.readings import Receiver, SharedContent
from ghcr_push.pushing.units import Unit, Units
from ghcr_push.pushing.unknown_blobs import UnknownBlobs
from ghcr_push.references import Digest


class ContentPush:
    """Uploads the content of one group to its repository."""

    def __init__(self, units: Units, content: SharedContent) -> None:
        self.units = units
        self.repository = units.repository
        """The target repository."""
        self.unknown_blobs = UnknownBlobs(self._send_again)
        self.manifests = ManifestPush(units, self.unknown_blobs)
        self.may_begin = units.may_begin
        self.stalled = units.registry_state.known_blobs.progress.stalled
        self._context = units.context
        self._outage = units.limiter.outage
        self._log = units.log
        self._content = content
        self._passes = Unit(units)
        """The attempts to read the image that this repository reports."""
        self._blobs: dict[Digest, BlobPush] = {}
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
        await self.manifests.push_all(children)
        self._context.observer(
            ContentDone(self.units.seed, self._log.transfer, self._context.clock() - began)
        )
        return top

    async def push_blobs(self, blobs: frozenset[Digest]) -> None:
        """Upload those ``blobs`` of the content; raise like ``push``."""
        if blobs:
            self._wanted = blobs
            await self._upload_all()

    async def _send_again(self, digests: frozenset[Digest]) -> None:
        """Send blobs again that the registry reported both as present and as missing."""
        again = [blob for digest, blob in self._blobs.items() if digest in digests and blob.done]
        for blob in again:
            blob.doubt()
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
        if not self._outage.answers:
            unit = Unit(self.units)
            await unit.persist(lambda: self._ask(unit))

    async def _ask(self, unit: Unit) -> None:
        async def head() -> None:
            unit.open(Step.LOOK)
            await self._context.registry.head(self.repository, self.units.seed.reference.tag)

        try:
            await self.units.reader.in_turn(head)
        except AttemptError as failed:
            if self._outage.answers:
                unit.journal.drop()
                return
            if unit.journal.step is not None:  # a registry that is given up was not asked
                unit.record_first(failed.failure)
            raise
        unit.record_success()

    async def _receive(self) -> ImageManifests | None:
        """Join a reading; None if another one is needed because this one had to give way.

        The first blob that cannot be uploaded ends it. Errors are raised at the end, since a task
        group would wrap them.
        """
        errors: list[Exception] = []
        image: ImageManifests | None = None

        async def upload(blob: Blob) -> None:
            try:
                await self._push_blob(blob)
            except Exception as error:  # noqa: BLE001 - raised below, whatever it is
                errors.append(error)
                receiver.scope.cancel()
            finally:
                receiver.done(blob)

        async with self._content.received(self) as receiver:
            with receiver.scope:
                async with background() as tasks:
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
            self._log.count(seconds_compressing=receiver.seconds_compressing)
        if errors:
            raise self._failed(errors[0])
        if receiver.gave_way:
            self._passes.journal.drop()
            return None
        self._passes.record_success()
        return image

    async def _push_blob(self, blob: Blob) -> None:
        if self._wanted is not None and blob.digest not in self._wanted:
            return
        if blob.digest not in self._blobs:
            pause = self._content.source_pause(blob)
            self._blobs[blob.digest] = BlobPush(blob.digest, blob.size, self.units, pause)
        await self._blobs[blob.digest].push(blob)

    def _failed(self, error: Exception) -> Exception:
        """Return the error that ended the content: an unreadable image is a failed attempt."""
        if not isinstance(error, PushError):
            return error
        failure = self._context.classify(error, self.repository)
        if not self.may_begin():
            return NotStartedError()
        if self._passes.journal.step is not None:
            self._passes.record(failure)
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
        self._passes.journal.send(Step.READ, self.units.limiter.limit)

    def pass_broke(self, failed: AttemptError, count: FailureCount, wait: float) -> None:
        """Record how the attempt failed, and the wait after it."""
        journal = self._passes.journal
        if journal.step is None:  # another repository started it and has left
            self.pass_begins()
        self._passes.record(failed.failure)
        self._context.report_wait(self.units.seed, journal, failed, count, wait)

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

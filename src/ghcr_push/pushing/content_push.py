"""Uploads the content of a group: every blob and child manifest is a unit.

Blobs go before the manifests that name them, child manifests before their index; the tags write the
top manifest. So a tag never points at something incomplete.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

import anyio

from ghcr_push.failures import PushError
from ghcr_push.model import BlobOutcome, Failure, Kind, Manifest, Step, Target
from ghcr_push.pushing.context import NOT_READABLE, NotStartedError, RunContext
from ghcr_push.pushing.events import ContentDone, ContentProgress, Noticed
from ghcr_push.pushing.journal import ContentLog, Journal
from ghcr_push.pushing.known_blobs import KnownBlobs
from ghcr_push.pushing.ports import Blob, ImageManifests, Upload
from ghcr_push.pushing.pressure.limiter import Limiter
from ghcr_push.pushing.pressure.retry import AttemptError, Tries
from ghcr_push.pushing.readings import Receiver, SharedContent
from ghcr_push.pushing.reads import LOOK_STAYS_TRUE
from ghcr_push.pushing.side_by_side import for_each
from ghcr_push.pushing.units import Unit, Units
from ghcr_push.pushing.unknown_blobs import UnknownBlobs
from ghcr_push.references import Digest, Repository


class ContentPush:
    """Uploads the content of one group to its repository.

    It is uploaded with the target ``seed`` and records its progress in ``log``. ``refusal`` is
    called before the first blob is sent. ``may_begin`` says whether a write may start now.
    """

    def __init__(
        self,
        seed: Target,
        *,
        context: RunContext,
        limiter: Limiter,
        known_blobs: KnownBlobs,
        content: SharedContent,
        refusal: Callable[[], Coroutine[None, None, Failure | None]],
        may_begin: Callable[[], bool],
        log: ContentLog,
    ) -> None:
        self.log = log
        self.repository = seed.reference.repository
        """The target repository."""
        self._seed = seed
        self._context = context
        self._limiter = limiter
        self._known_blobs = known_blobs
        self._content = content
        self._refusal = refusal
        self._may_begin = may_begin
        self.units = Units(seed, context=context, limiter=limiter, may_begin=may_begin, log=log)
        self._reader = self.units.reader
        self._passes = self.units.new()
        """The attempts to read the image that this repository reports."""
        self._blobs: dict[Digest, Unit] = {}
        """The units of the blobs, over all readings."""
        self._brought: set[Digest] = set()
        self._sizes: dict[Digest, int] = {}
        self._uploads: dict[Digest, Upload] = {}
        """The latest unit of each blob."""
        self._whole = False
        """Whether all blobs are known."""
        self._unbelieved: set[Digest] = set()
        """Blobs to send without looking for them."""
        self.unknown_blobs = UnknownBlobs(self._send_again)
        self._wanted: frozenset[Digest] | None = None
        """The blobs to upload, None for all."""

    async def push(self) -> Manifest:
        """Return the image's own manifest once all its parts are in the repository.

        Raises ``AttemptError`` if that is impossible, ``NotStartedError`` if the run ended before
        anything of it was tried.
        """
        began = self._context.clock()
        whole = await self._bring_all()
        if whole.notice is not None:
            self._context.observer(Noticed(whole.notice))
        *children, top = whole.manifests
        await self._bring_manifests(children)
        self._context.observer(
            ContentDone(self._seed, self.log.transfer, self._context.clock() - began)
        )
        return top

    async def bring(self, manifests: Sequence[Manifest], blobs: frozenset[Digest]) -> None:
        """Upload ``manifests`` without a tag, and before them those ``blobs`` of the content.

        Raises like ``push``.
        """
        if blobs:
            self._wanted = blobs
            await self._bring_all()
        await self._bring_manifests(manifests)

    async def _send_again(self, digests: frozenset[Digest]) -> None:
        """Send blobs again that the registry reported both as present and as missing."""
        again = digests & self._brought
        self._brought -= again
        self._unbelieved |= again
        if again:
            await self._bring_all()

    # -- readings ---------------------------------------------------------------------------

    async def _bring_all(self) -> ImageManifests:
        """Join readings until the repository has every blob."""
        while True:
            await self._wait_for_answer()
            whole = await self._receive()
            if whole is not None:
                return whole
            if not self._may_begin():
                raise NotStartedError
            await self._content.until_read()

    async def _wait_for_answer(self) -> None:
        """Wait until the registry answers, before an image is read for it."""
        if not self._limiter.outage.answers:
            unit = self.units.new()
            await self.units.persist(unit, lambda: self._ask(unit.journal))

    async def _ask(self, journal: Journal) -> None:
        async def head() -> None:
            journal.open(Step.LOOK, self._limiter.limit)
            await self._context.registry.head(self.repository, self._seed.reference.tag)

        try:
            await self._reader.in_turn(head)
        except AttemptError as failed:
            if self._limiter.outage.answers:
                journal.drop()
                return
            if journal.step is not None:  # a registry that is given up was not asked
                self.units.record_first(journal, failed.failure)
            raise
        if journal.attempts:
            self.units.record(journal, None)
        else:
            journal.drop()

    async def _receive(self) -> ImageManifests | None:
        """Join a reading; None if another one is needed because this one had to give way.

        The first blob that cannot be uploaded ends it. Errors are raised at the end, since a task
        group would wrap them.
        """
        errors: list[Exception] = []
        whole: ImageManifests | None = None

        async def bring(blob: Blob) -> None:
            try:
                await self._bring(blob)
            except Exception as error:  # noqa: BLE001 - raised below, whatever it is
                errors.append(error)
                receiver.scope.cancel()
            finally:
                receiver.done(blob)

        async with self._content.received(self) as receiver:
            with receiver.scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._tell)
                    async with anyio.create_task_group() as uploads:
                        try:
                            async for blob in self._timed(receiver):
                                uploads.start_soon(bring, blob)
                            whole = receiver.whole
                            self._whole = whole is not None
                        except Exception as error:  # noqa: BLE001 - raised below
                            errors.append(error)
                            receiver.scope.cancel()
                    tasks.cancel_scope.cancel()
            self.log.count(seconds_compressing=receiver.seconds_compressing)
        if errors:
            raise self._failed(errors[0])
        if receiver.gave_way:
            self._passes.journal.drop()
            return None
        self._end_pass(None)
        return whole

    def _failed(self, error: Exception) -> Exception:
        """Return the error that ended the content: an unreadable image is a failed attempt."""
        if not isinstance(error, PushError):
            return error
        failure = self.units.judge(error)
        if not self._may_begin():
            return NotStartedError()
        self._end_pass(failure)
        return AttemptError(failure, counts=True)

    async def _timed(self, receiver: Receiver) -> AsyncIterator[Blob]:
        """Yield the blobs, counting the time of waiting for each."""
        asked = self._context.clock()
        async for blob in receiver:
            self.log.count(seconds_reading=self._context.clock() - asked)
            yield blob
            asked = self._context.clock()

    # -- as a participant of a reading -------------------------------------------------------

    def stalled(self) -> bool:
        """Return whether the registry makes no progress at present."""
        return self._known_blobs.progress.stalled()

    def may_begin(self) -> bool:
        """Return whether untried work may still start, or something of it was tried."""
        return self._may_begin()

    def pass_begins(self) -> None:
        """Start to count an attempt."""
        self._passes.journal.send(Step.READ, self._limiter.limit)

    def pass_broke(self, failed: AttemptError, tries: Tries, wait: float) -> None:
        """Record how the attempt failed, and the wait after it."""
        journal = self._passes.journal
        if journal.step is None:  # another repository started it and has left
            self.pass_begins()
        self._end_pass(failed.failure)
        self._context.tell_wait(self._seed, journal, failed, tries, wait)

    def _end_pass(self, failure: Failure | None) -> None:
        """Record the current pass if there is anything to report, which is rare."""
        journal = self._passes.journal
        if failure is None and journal.number == 1:
            journal.drop()
        elif journal.step is not None:
            self.units.record(journal, failure)

    # -- one blob ---------------------------------------------------------------------------

    async def _bring(self, blob: Blob) -> None:
        if self._wanted is not None and blob.digest not in self._wanted:
            return
        self._sizes[blob.digest] = blob.size
        async with self._known_blobs.lock(self.repository, blob.digest):
            if blob.digest not in self._brought:
                await self._bring_missing(blob)

    async def _bring_missing(self, blob: Blob) -> None:
        if blob.digest not in self._blobs:
            self._blobs[blob.digest] = self.units.new(blob.digest)
        unit = self._blobs[blob.digest]
        upload = self._context.registry.upload(self.repository, blob)
        landed = BlobOutcome.FOUND
        believed = blob.digest not in self._unbelieved
        if not (believed and self._known_blobs.holds(self.repository, blob.digest)):
            self.log.uploads.append(upload)
            self._uploads[blob.digest] = upload
            with self._known_blobs.progress.of(upload, blob.size):
                attempt = self._try if believed else self._send_unseen
                landed = await self.units.persist(unit, lambda: attempt(blob, upload, unit.journal))
            self._known_blobs.add(self.repository, blob.digest)
        self._brought.add(blob.digest)
        self.log.count(**{f"blobs_{landed}": 1}, bytes_saved=0 if upload.bytes_sent else blob.size)

    async def _try(self, blob: Blob, upload: Upload, journal: Journal) -> BlobOutcome:
        """Look for the blob; if it is missing, mount or send it, once."""
        if await self._is_there(blob.digest, journal, self._reader.in_turn):
            return BlobOutcome.FOUND
        looked = self._context.clock()
        await self._known_blobs.look_elsewhere(self.repository, blob.digest)

        def mount_candidate() -> Repository | None:
            return self._known_blobs.mount_candidate(self.repository, blob.digest)

        async def look_again() -> BlobOutcome | None:
            nonlocal looked
            if self._known_blobs.holds(self.repository, blob.digest):  # found here for a mount
                self._record_found(journal)
                return BlobOutcome.FOUND
            mounted = mount_candidate() and self._known_blobs.mounting
            if mounted or self._context.clock() - looked <= LOOK_STAYS_TRUE:
                return None
            there = await self._is_there(blob.digest, journal, self._reader.at_once)
            looked = self._context.clock()
            return BlobOutcome.FOUND if there else None

        async def attempt() -> BlobOutcome:
            # checked only now, in the slot: another group may have sent it elsewhere meanwhile
            origin = mount_candidate()
            landed = await self._upload(upload, origin)
            if origin is not None and landed is not BlobOutcome.FOUND:
                self._known_blobs.mounting = landed is BlobOutcome.MOUNTED
            return landed

        async with self._known_blobs.sending(self.repository, blob.digest):
            if mount_candidate() is None and (refusal := await self._refusal()):
                raise AttemptError(refusal, counts=True)

            def rest() -> float:
                return 0.0 if mount_candidate() else self._rest()

            return await self.units.send(blob.digest, attempt, journal, look_again, rest)

    async def _send_unseen(self, blob: Blob, upload: Upload, journal: Journal) -> BlobOutcome:
        """Send the blob once, without looking for it or mounting it."""

        async def attempt() -> BlobOutcome:
            return await self._upload(upload, None)

        return await self.units.send(blob.digest, attempt, journal, rest=self._rest)

    async def _upload(self, upload: Upload, origin: Repository | None) -> BlobOutcome:
        """Attempt an upload once; a wait that its source asks for is one for all its blobs."""
        try:
            return await upload.attempt(origin)
        except PushError as error:
            evidence = error.evidence
            if evidence.kind is Kind.SOURCE_UNREACHABLE and evidence.retry_after:
                until = self._context.clock() + evidence.retry_after
                self._content.rests_until = max(self._content.rests_until, until)
            raise

    def _rest(self) -> float:
        """Return the seconds until the source may be read."""
        return max(0.0, self._content.rests_until - self._context.clock())

    async def _is_there(
        self,
        digest: Digest,
        journal: Journal,
        read: Callable[[Callable[[], Awaitable[bool]]], Awaitable[bool]],
    ) -> bool:
        try:
            there = await read(lambda: self._context.registry.has_blob(self.repository, digest))
        except AttemptError as failed:
            readable = failed.failure.kind not in NOT_READABLE
            if not (readable and (failed.failure.retryable or self._limiter.outage.given_up)):
                return False  # it proves nothing: the upload's own answer will show the problem
            journal.open(Step.LOOK, self._limiter.limit)
            self.units.record_first(journal, failed.failure)
            raise
        if there:
            self._record_found(journal)
        return there

    def _record_found(self, journal: Journal) -> None:
        """Record that a blob needs no further attempt after a failed one."""
        if journal.attempts:
            journal.open(Step.LOOK, self._limiter.limit)
            self.units.record(journal, None)

    # -- manifests of an index --------------------------------------------------------------

    async def _bring_manifests(self, children: Sequence[Manifest]) -> None:
        """Upload manifests that name only blobs in parallel, then each index after its children."""
        leaves = (each for each in children if not names_manifests(each))
        await for_each(leaves, self._bring_manifest)
        for manifest in filter(names_manifests, children):
            await self._bring_manifest(manifest)

    async def _bring_manifest(self, manifest: Manifest) -> None:
        async with self._known_blobs.lock(self.repository, manifest.digest):
            if self._known_blobs.holds(self.repository, manifest.digest):
                return
            if not await self.has_manifest(manifest.digest):
                await self._put(manifest)
            self._known_blobs.add(self.repository, manifest.digest)

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
        unit = self.units.new()

        async def request() -> None:
            try:
                await self._context.registry.put(self.repository, manifest.digest, manifest)
            except PushError as error:
                self.unknown_blobs.note(manifest.digest, error)
                raise

        async def attempt() -> None:
            await self.unknown_blobs.mend()
            await self.units.send(manifest.digest, request, unit.journal)

        await self.units.persist(unit, attempt)

    # -- progress ----------------------------------------------------------------------------

    async def _tell(self) -> None:
        while True:
            await anyio.sleep(self._context.progress_every)
            self.log.count()
            self._context.observer(
                ContentProgress(
                    self._seed,
                    self.log.transfer,
                    self._expected,
                    done=sum(map(self._bytes_there, self._sizes)),
                    size=sum(self._sizes.values()),
                    whole=self._whole,
                )
            )

    def _bytes_there(self, digest: Digest) -> int:
        """Return the bytes of a blob that the repository has; a byte sent twice counts once."""
        size = self._sizes[digest]
        if digest in self._brought:
            return size
        upload = self._uploads.get(digest)
        return min(upload.bytes_sent, size) if upload else 0

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

"""The content of a group, carried by ourselves: every blob and child manifest a unit of work.

Blobs go before the manifests that name them, child manifests before their index; the top manifest
is left to the tags. So a tag never points at something incomplete.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Final

import anyio

from ghcr_push.failures import PushError
from ghcr_push.model import Failure, Group, Image, Landed, Manifest, Step, Target
from ghcr_push.pushing.backoff import AttemptError
from ghcr_push.pushing.events import Carried, Carrying, Noticed
from ghcr_push.pushing.gate import Gate
from ghcr_push.pushing.holdings import Holdings
from ghcr_push.pushing.journal import ContentLog, Journal
from ghcr_push.pushing.ports import Blob, Saved, Upload, Whole
from ghcr_push.pushing.reads import Reader
from ghcr_push.pushing.shared import NOT_READABLE, Shared
from ghcr_push.pushing.units import Units
from ghcr_push.references import Digest, Repository

LOOK_HOLDS: Final = 1.0
"""Seconds for which a look at a blob holds good. After a longer wait, for a slot or a back-off,
another job may have sent it: one more read in the slot costs little beside an upload in vain."""


class _UnitEndedError(Exception):
    """A unit ended without success; reading the image again would not help it."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


class Carrier:
    """Brings the content of one group into its repository.

    What it does stands in ``log`` as it happens. ``refusal`` is asked before anything is sent,
    while the engine is read and the first blobs are looked for. ``may_begin`` says whether a write
    may begin now.
    """

    def __init__(
        self,
        group: Group,
        image: Image,
        *,
        shared: Shared,
        gate: Gate,
        holdings: Holdings,
        refusal: Callable[[], Coroutine[None, None, Failure | None]],
        may_begin: Callable[[], bool],
        log: ContentLog,
    ) -> None:
        self.log = log
        self._group = group
        self._image = image
        self._shared = shared
        self._gate = gate
        self._holdings = holdings
        self._refusal = refusal
        self._units = Units(
            group.targets[0], shared=shared, gate=gate, may_begin=may_begin, log=log
        )
        self._reader = Reader(gate, self._units.judge)
        self._brought: set[Digest] = set()

    @property
    def _repository(self) -> Repository:
        return self._group.repository

    @property
    def _seed(self) -> Target:
        return self._group.targets[0]

    async def carry(self) -> Manifest:
        """Return the image's own manifest once all that it names is in the repository.

        Raises ``AttemptError`` where that cannot be, ``NotStartedError`` where the run was ended
        before anything of it was tried.
        """
        began = self._shared.clock()
        reading = self._units.new()
        try:
            whole = await self._units.persist(reading, lambda: self._read(reading.journal))
        except _UnitEndedError as ended:
            raise ended.why from None
        if whole.notice is not None:
            self._shared.observer(Noticed(whole.notice))
        *children, top = whole.manifests
        for child in children:
            await self._bring_manifest(child)
        self._shared.observer(Carried(self._seed, self.log.carriage, self._shared.clock() - began))
        return top

    # -- one reading ------------------------------------------------------------------------

    async def _read(self, journal: Journal) -> Whole:
        """Read the image once and bring the blobs that the repository lacks."""
        journal.send(Step.READ, self._gate.limit)
        try:
            whole = await self._bring_all()
        except PushError as error:
            failure = self._units.judge(error)
            self._units.record_first(journal, failure)
            raise AttemptError(failure, charged=True) from error
        if journal.number > 1:
            self._units.record(journal, None)
        else:  # as it mostly is: nothing to tell
            journal.drop()
        return whole

    async def _bring_all(self) -> Whole:
        """Bring every blob as it comes; the first that cannot be brought ends it all.

        Where the stream breaks, what came whole is brought all the same: the next reading need
        not bring it. Errors are raised at the end, for a task group would wrap them.
        """
        ended: list[Exception] = []
        broken: list[Exception] = []

        async def bring(blob: Blob) -> None:
            with blob:
                try:
                    await self._bring(blob)
                except Exception as error:  # noqa: BLE001 - raised below, whatever it is
                    ended.append(_UnitEndedError(error))
                    tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell)
            async with anyio.create_task_group() as uploads:
                uploads.start_soon(self._refusal)  # known by the time that the first blob comes
                try:
                    whole = await self._take_out(lambda blob: uploads.start_soon(bring, blob))
                except Exception as error:  # noqa: BLE001 - raised below, whatever it is
                    broken.append(error)
                    if not self._units.judge(error).retryable:
                        tasks.cancel_scope.cancel()
            tasks.cancel_scope.cancel()
        if ended or broken:
            raise (ended or broken)[0]
        return whole

    async def _take_out(self, bring: Callable[[Blob], object]) -> Whole:
        """Give each blob to ``bring`` as it comes; the engine is left as soon as all are out."""
        async with self._shared.engine.save(self._group.source, self._image) as saved:
            try:
                async for blob in self._timed(saved):
                    bring(blob)
            finally:
                self.log.count(seconds_compressing=saved.seconds_compressing)
            return saved.images[0]

    async def _timed(self, saved: Saved) -> AsyncIterator[Blob]:
        """Yield the blobs, counting the time that each is waited for."""
        asked = self._shared.clock()
        async for blob in saved:
            self.log.count(seconds_reading=self._shared.clock() - asked)
            yield blob
            asked = self._shared.clock()

    # -- one blob ---------------------------------------------------------------------------

    async def _bring(self, blob: Blob) -> None:
        async with self._holdings.turn(self._repository, blob.digest):
            if blob.digest not in self._brought:
                await self._bring_missing(blob)

    async def _bring_missing(self, blob: Blob) -> None:
        unit, upload = self._units.new(), self._shared.registry.upload(self._repository, blob)
        landed = Landed.FOUND
        if not self._holdings.holds(self._repository, blob.digest):
            self.log.uploads.append(upload)
            landed = await self._units.persist(unit, lambda: self._try(blob, upload, unit.journal))
            self._holdings.add(self._repository, blob.digest)
        self._brought.add(blob.digest)
        self.log.count(**{landed.value: 1}, bytes_saved=0 if upload.bytes_sent else blob.size)

    async def _try(self, blob: Blob, upload: Upload, journal: Journal) -> Landed:
        """Look for the blob; where it is missing, send it, once."""
        there = await self._is_there(blob.digest, journal, self._reader.in_turn)
        looked = self._shared.clock()
        if refusal := await self._refusal():
            raise AttemptError(refusal, charged=True)
        if there:
            return Landed.FOUND
        await self._holdings.look_elsewhere(self._repository, blob.digest)

        async def look_again() -> Landed | None:
            nonlocal looked
            if self._shared.clock() - looked <= LOOK_HOLDS:
                return None
            there = await self._is_there(blob.digest, journal, self._reader.at_once)
            looked = self._shared.clock()
            return Landed.FOUND if there else None

        def attempt() -> Awaitable[Landed]:
            # asked only now, in the slot: meanwhile another group may have sent it elsewhere
            return upload.attempt(self._holdings.elsewhere(blob.digest))

        return await self._units.send((self._repository, blob.digest), attempt, journal, look_again)

    async def _is_there(
        self,
        digest: Digest,
        journal: Journal,
        read: Callable[[Callable[[], Awaitable[bool]]], Awaitable[bool]],
    ) -> bool:
        try:
            there = await read(lambda: self._shared.registry.has_blob(self._repository, digest))
        except AttemptError as failed:
            readable = failed.failure.kind not in NOT_READABLE
            if not (readable and (failed.failure.retryable or self._gate.hearing.given_up)):
                return False  # it proves nothing: the upload's own answer tells what is wrong
            journal.open(Step.LOOK, self._gate.limit)
            self._units.record_first(journal, failed.failure)
            raise
        if there and journal.attempts:
            journal.open(Step.LOOK, self._gate.limit)
            self._units.record(journal, None)
        return there

    async def _bring_manifest(self, manifest: Manifest) -> None:
        unit, request = self._units.new(), self._shared.registry.put
        await self._units.persist(
            unit,
            lambda: self._units.send(
                (self._repository, manifest.digest),
                lambda: request(self._repository, manifest.digest, manifest),
                unit.journal,
            ),
        )

    # -- how far it is ----------------------------------------------------------------------

    async def _tell(self) -> None:
        while True:
            await anyio.sleep(self._shared.told_every)
            self.log.count()
            self._shared.observer(Carrying(self._seed, self.log.carriage, self._expected))

    @property
    def _expected(self) -> int | None:
        """The layers that the engine named, each once, and the config.

        What the containerd store saves may be an index of more images than the one it describes.
        """
        return len({*self._image.diff_ids}) + 1 if self._image.digest is None else None

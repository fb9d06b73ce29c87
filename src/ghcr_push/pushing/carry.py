"""The content of a group, carried by ourselves: every blob and child manifest a unit of work.

Blobs go before the manifests that name them, child manifests before their index; the top manifest
is left to the tags. So a tag never points at something incomplete.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import anyio

from ghcr_push.failures import PushError
from ghcr_push.model import (
    Failure,
    Group,
    Image,
    Kind,
    Landed,
    Manifest,
    Step,
    Target,
)
from ghcr_push.pushing.backoff import AttemptError, Tries
from ghcr_push.pushing.events import Carried, Carrying, Noticed, Waiting
from ghcr_push.pushing.gate import Gate
from ghcr_push.pushing.journal import ContentLog, Journal
from ghcr_push.pushing.ports import Blob, Saved, Upload, Whole
from ghcr_push.pushing.reads import Reader, answered
from ghcr_push.pushing.target import NOT_READABLE, NotStartedError, Shared, ours
from ghcr_push.references import Digest, Repository

T = TypeVar("T")

TOLD_EVERY: Final = 5.0
"""Seconds between two lines on how far a carriage is."""


class Holdings:
    """Which blobs the repositories of one registry hold, as far as this run knows."""

    def __init__(self) -> None:
        self._held: dict[Digest, list[Repository]] = {}
        self._turns: dict[tuple[Repository, Digest], anyio.Lock] = {}

    def turn(self, repository: Repository, digest: Digest) -> anyio.Lock:
        """Return what keeps two groups from bringing one blob at the same moment."""
        return self._turns.setdefault((repository, digest), anyio.Lock())

    def add(self, repository: Repository, digest: Digest) -> None:
        """Note that ``repository`` holds the blob."""
        self._held.setdefault(digest, []).append(repository)

    def holds(self, repository: Repository, digest: Digest) -> bool:
        """Say whether ``repository`` is known to hold the blob."""
        return repository in self._held.get(digest, ())

    def elsewhere(self, digest: Digest) -> Repository | None:
        """Name a repository from which the blob could be mounted."""
        return next(iter(self._held.get(digest, ())), None)


@dataclass(slots=True)
class _Unit:
    """A reading, a blob or a manifest, and what it has spent."""

    journal: Journal
    tries: Tries = field(default_factory=Tries)


class _UnitEndedError(Exception):
    """A unit ended without success; reading the image again would not help it."""

    def __init__(self, why: Exception) -> None:
        super().__init__(str(why))
        self.why = why


class Carrier:
    """Brings the content of one group into its repository.

    What it does stands in ``log`` as it happens. ``refusal`` is asked before anything is sent,
    while the engine is read already. ``may_begin`` says whether a write may begin now.
    """

    def __init__(
        self,
        group: Group,
        image: Image,
        *,
        shared: Shared,
        gate: Gate,
        holdings: Holdings,
        refusal: Callable[[], Awaitable[Failure | None]],
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
        self._may_begin = may_begin
        self._reader = Reader(gate, self._judge)
        self._uploads: list[Upload] = []
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
        reading = self._new_unit()
        try:
            whole = await self._persist(reading, lambda: self._read(reading.journal))
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
            failure = self._judge(error)
            self._record_first(journal, failure)
            raise AttemptError(failure, charged=True) from error
        if journal.number > 1:
            self._record(journal, None)
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
                try:
                    whole = await self._take_out(lambda blob: uploads.start_soon(bring, blob))
                except Exception as error:  # noqa: BLE001 - raised below, whatever it is
                    broken.append(error)
                    if not self._judge(error).retryable:
                        tasks.cancel_scope.cancel()
            tasks.cancel_scope.cancel()
        if ended or broken:
            raise (ended or broken)[0]
        return whole

    async def _take_out(self, bring: Callable[[Blob], object]) -> Whole:
        """Give each blob to ``bring`` as it comes; the engine is left as soon as all are out."""
        async with self._shared.engine.save(self._group.source, self._image) as saved:
            async for blob in self._timed(saved):
                bring(blob)
            return saved.images[0]

    async def _timed(self, saved: Saved) -> AsyncIterator[Blob]:
        """Yield the blobs, counting the time that each is waited for."""
        asked = self._shared.clock()
        async for blob in saved:
            self._count(seconds_reading=self._shared.clock() - asked)
            yield blob
            asked = self._shared.clock()

    # -- one blob ---------------------------------------------------------------------------

    async def _bring(self, blob: Blob) -> None:
        if refusal := await self._refusal():
            raise AttemptError(refusal, charged=True)
        async with self._holdings.turn(self._repository, blob.digest):
            if blob.digest not in self._brought:
                await self._bring_missing(blob)

    async def _bring_missing(self, blob: Blob) -> None:
        unit, upload = self._new_unit(), self._shared.registry.upload(self._repository, blob)
        landed = Landed.FOUND
        if not self._holdings.holds(self._repository, blob.digest):
            self._uploads.append(upload)
            landed = await self._persist(unit, lambda: self._try(blob, upload, unit.journal))
            self._holdings.add(self._repository, blob.digest)
        self._brought.add(blob.digest)
        self._count(**{landed.value: 1}, bytes_saved=0 if upload.bytes_sent else blob.size)

    async def _try(self, blob: Blob, upload: Upload, journal: Journal) -> Landed:
        """Look for the blob; where it is missing, send it, once."""
        if await self._is_there(blob.digest, journal):
            return Landed.FOUND

        def attempt() -> Awaitable[Landed]:
            # asked only now, in the slot: meanwhile another group may have sent it elsewhere
            return upload.attempt(self._holdings.elsewhere(blob.digest))

        return await self._send((self._repository, blob.digest), attempt, journal)

    async def _is_there(self, digest: Digest, journal: Journal) -> bool:
        try:
            there = await self._reader.in_turn(
                lambda: self._shared.registry.has_blob(self._repository, digest)
            )
        except AttemptError as failed:
            if failed.failure.kind in NOT_READABLE:
                return False  # the upload's own answer tells whether we may write
            journal.open(Step.LOOK, self._gate.limit)
            self._record_first(journal, failed.failure)
            raise
        if there and journal.attempts:
            journal.open(Step.LOOK, self._gate.limit)
            self._record(journal, None)
        return there

    async def _bring_manifest(self, manifest: Manifest) -> None:
        unit, request = self._new_unit(), self._shared.registry.put
        await self._persist(
            unit,
            lambda: self._send(
                (self._repository, manifest.digest),
                lambda: request(self._repository, manifest.digest, manifest),
                unit.journal,
            ),
        )

    # -- one unit ---------------------------------------------------------------------------

    async def _send(
        self, unit: tuple[Repository, Digest], request: Callable[[], Awaitable[T]], journal: Journal
    ) -> T:
        """Write once, in a slot, and learn from how it ended."""
        while True:
            async with self._gate.write(unit) as slot:
                if not slot.open:
                    continue
                if not self._may_begin():
                    raise NotStartedError
                journal.send(Step.UPLOAD, slot.limit)
                self.log.begun = True
                began = self._shared.clock()
                try:
                    result = await answered(request(), within=self._shared.attempt_timeout)
                except Exception as error:  # a fault of ours, too, is the failure of this unit
                    failure = self._judge(error)
                    charged = slot.failed(failure)
                    self._record(journal, failure)
                    raise AttemptError(failure, charged=charged) from error
                else:
                    slot.succeeded()
                    self._shared.welcomed.add(self._repository)
                    self._record(journal, None)
                    return result
                finally:
                    self._count(seconds_sending=self._shared.clock() - began)
                    if journal.step is not None:
                        self._record(journal, ours(Kind.CANCELLED, "cut off under way"))

    async def _persist(self, unit: _Unit, attempt: Callable[[], Awaitable[T]]) -> T:
        journal = unit.journal

        def before_wait(failed: AttemptError, seconds: float) -> None:
            place = self.log.attempts.index(journal.attempts[-1])
            journal.waits(seconds)
            self.log.attempts[place] = journal.attempts[-1]
            self._shared.observer(Waiting(self._seed, journal.number, failed.failure, seconds))

        return await self._shared.backoff.run(attempt, unit.tries, before_wait)

    def _new_unit(self) -> _Unit:
        return _Unit(Journal(self._shared.clock, self._shared.start))

    def _judge(self, error: Exception) -> Failure:
        return self._shared.judge(error, self._repository)

    def _record_first(self, journal: Journal, failure: Failure) -> None:
        """Record a failure before any write, unless it came after the end: nothing was tried."""
        if not self._may_begin():
            raise NotStartedError
        self._record(journal, failure)

    def _record(self, journal: Journal, failure: Failure | None) -> None:
        self.log.begun = True  # what failed was tried, sent or not
        journal.close(failure)
        self.log.attempts.append(journal.attempts[-1])

    # -- how far it is ----------------------------------------------------------------------

    def _count(self, **more: float) -> None:
        values = {name: getattr(self.log.carriage, name) + value for name, value in more.items()}
        values["bytes_sent"] = sum(upload.bytes_sent for upload in self._uploads)
        self.log.carriage = replace(self.log.carriage, **values)

    async def _tell(self) -> None:
        while True:
            await anyio.sleep(TOLD_EVERY)
            self._count()
            self._shared.observer(Carrying(self._seed, self.log.carriage))

"""Content read once, for all repositories that need it.

A reading passes each blob to all participating repositories and releases it when the last one is
done. A latecomer takes the remaining blobs, and gets the ones it missed from another pass. Only a
few images are read at a time, and temporary space is limited: if a reading waits for either,
repositories of registries that do not answer give way and read later, for themselves.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol, Self

import anyio
from anyio.abc import TaskGroup

from ghcr_push.background import background
from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.ports import Blob, Content, ImageManifests, Reading
from ghcr_push.pushing.pressure.retry import AttemptError, FailureCount
from ghcr_push.pushing.source_pause import SourcePause
from ghcr_push.references import Digest, Repository

READINGS_AT_ONCE: Final = 2
"""Maximum number of images read at the same time: compressing them takes all cores."""

GATHERING: Final = 0.5
"""Seconds to wait for a repository that may need the image and does not report.

Repositories look at their tags first, which takes a request each.
"""

CHECKED_EVERY: Final = 0.5
"""Seconds between two checks whether a participant has to give way."""


class Participant(Protocol):
    """A participant: one content on its way into one repository."""

    @property
    def repository(self) -> Repository:
        """The target repository."""

    def stalled(self) -> bool:
        """Whether its registry makes no progress at present."""

    def may_begin(self) -> bool:
        """Whether it continues: a run that fails fast starts nothing new."""

    def pass_begins(self) -> None:
        """Learn that the image is read from its beginning; for one participant only."""

    def pass_broke(self, failed: AttemptError, count: FailureCount, wait: float) -> None:
        """Learn that the pass failed and the next comes after ``wait``; for one participant."""


class Receiver:
    """One participant's part in a reading: iterates over blobs, then has the ``image``.

    Each blob that it yields must be returned with ``done``. ``scope`` is cancelled if the
    participant has to give way; then ``gave_way`` is true.
    """

    def __init__(self, reading: "_Reading", participant: Participant) -> None:
        self.scope = anyio.CancelScope()
        self.gave_way = False
        self.participant = participant
        self._reading = reading
        self.held: set[Blob] = set()
        """The blobs that it took and did not return."""
        self._had: set[Digest] = set()
        self._blobs: deque[Blob] = deque()
        self._news = anyio.Event()

    @property
    def image(self) -> ImageManifests | None:
        """The image; None before the last blob."""
        return self._reading.image

    @property
    def complete(self) -> bool:
        """Whether every blob of the image was given to it."""
        return self.image is not None and self._reading.given <= self._had

    @property
    def seconds_compressing(self) -> float:
        """Processor seconds of compression; reported to one participant only."""
        return self._reading.seconds_compressing if self._reading.leader is self else 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Blob:
        while not self._blobs and not self.complete and self._reading.error is None:
            await self._news.wait()
        if self._blobs:
            return self._blobs.popleft()
        if self._reading.error is not None:
            raise self._reading.error
        raise StopAsyncIteration

    def done(self, blob: Blob) -> None:
        """Return a blob that was yielded."""
        self.held.remove(blob)
        self._reading.release_unheld(blob)

    # -- for the reading ----------------------------------------------------------------------

    def take(self, blob: Blob) -> None:
        """Take a blob to yield, unless it had one with the same digest."""
        if blob.digest not in self._had:
            self._had.add(blob.digest)
            self.held.add(blob)
            self._blobs.append(blob)
            self.wake()

    def wake(self) -> None:
        """Check for news."""
        self._news.set()
        self._news = anyio.Event()

    @property
    def is_active(self) -> bool:
        """Whether it takes part in a current pass, or holds temporary space."""
        return self._reading.begun or bool(self.held)

    def give_way(self) -> None:
        """End its part in the reading."""
        self.gave_way = True
        self.scope.cancel()


class _Reading:
    """The reading of an image, in one pass if all goes well, for its participants."""

    def __init__(self) -> None:
        self.image: ImageManifests | None = None
        self.error: Exception | None = None
        """Why it ended, if the image could not be read."""
        self.given: set[Digest] = set()
        self.begun = False
        """Whether a pass is in progress."""
        self.seconds_compressing = 0.0
        self.scope = anyio.CancelScope()
        self.over = anyio.Event()
        self.receivers: list[Receiver] = []
        self._saved: Reading | None = None
        self._blobs: list[Blob] = []
        """Those that were not released."""

    @property
    def leader(self) -> Receiver:
        """The participant that gets the messages for one participant."""
        staying = (receiver for receiver in self.receivers if not receiver.gave_way)
        return next(staying, self.receivers[0])

    @property
    def stalled(self) -> bool:
        """Whether it serves only registries that make no progress."""
        return all(receiver.participant.stalled() for receiver in self.receivers)

    @property
    def waits(self) -> bool:
        """Whether it waits for its turn, or for temporary space."""
        return not self.begun or (self._saved is not None and self._saved.waits_for_space)

    def is_wanted(self) -> bool:
        """Remove participants that may not continue; return whether any stays."""
        for receiver in self.receivers:
            if not receiver.participant.may_begin():
                receiver.give_way()
        return not all(receiver.gave_way for receiver in self.receivers)

    def join(self, receiver: Receiver) -> None:
        """Add ``receiver`` from now on, and give it the remaining blobs."""
        self.receivers.append(receiver)
        for blob in self._blobs:
            receiver.take(blob)

    def leave(self, receiver: Receiver) -> None:
        """Remove ``receiver`` and take its blobs back; the last one ends the reading."""
        self.receivers.remove(receiver)
        for blob in list(self._blobs):
            self.release_unheld(blob)
        if not self.receivers:
            self.scope.cancel()

    def release_unheld(self, blob: Blob) -> None:
        """Release ``blob`` if no participant holds it any more."""
        if not any(blob in receiver.held for receiver in self.receivers):
            self._blobs.remove(blob)
            blob.release()

    async def read(self, content: Content) -> Exception | None:
        """Read the image once from its beginning and pass on its blobs; return any error."""
        try:
            async with content.read() as saved:
                self._saved = saved
                try:
                    async for blob in saved:
                        self._give(blob)
                finally:
                    self.seconds_compressing += saved.seconds_compressing
                    self._saved = None
                image = saved.image
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this image's failure
            return error
        self.image = image
        self.wake_all()
        return None

    def _give(self, blob: Blob) -> None:
        self.given.add(blob.digest)
        self._blobs.append(blob)
        for receiver in self.receivers:
            receiver.take(blob)
        self.release_unheld(blob)

    def wake_all(self) -> None:
        """Make all participants check for news."""
        for receiver in self.receivers:
            receiver.wake()


class Readings:
    """All readings of a run; ``tasks`` runs them."""

    def __init__(self, context: RunContext, tasks: TaskGroup) -> None:
        self.context = context
        self.tasks = tasks
        self._open: list[_Reading] = []
        """Those that wait for their turn or run, in the order of their requests."""
        self.receivers: set[Receiver] = set()
        """All participants of a reading, and all that hold blobs of one that has ended."""
        self._source_pauses: dict[str | None, SourcePause] = {}
        self._changed = anyio.Event()

    def source_pause(self, registry: str | None) -> SourcePause:
        """Return the pause of a source registry; of no effect for blobs on this machine (None)."""
        return self._source_pauses.setdefault(registry, SourcePause(self.context))

    async def read(self, reading: _Reading, content: Content) -> Exception | None:
        """Make one pass when its turn has come; meanwhile make sure that it blocks no other."""
        self._open.append(reading)
        try:
            await self._wait_for_turn(reading)
            async with background() as tasks:
                tasks.start_soon(self._watch)
                return await reading.read(content)
        finally:
            self._open.remove(reading)
            reading.begun = False
            self._notify()

    async def _wait_for_turn(self, reading: _Reading) -> None:
        while self._next() is not reading:
            with anyio.move_on_after(CHECKED_EVERY):
                await self._changed.wait()
            self._make_way()
        reading.begun = True
        reading.leader.participant.pass_begins()
        self._notify()

    def _next(self) -> _Reading | None:
        """Return the readings that may start now; those for silent registries alone come last."""
        if sum(reading.begun for reading in self._open) >= READINGS_AT_ONCE:
            return None
        answering = [reading for reading in self._open if not reading.stalled]
        return next((reading for reading in answering or self._open if not reading.begun), None)

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(CHECKED_EVERY)
            self._make_way()

    def _make_way(self) -> None:
        """Make readings for silent registries give way to one that waits for a working registry."""
        if not any(reading.waits and not reading.stalled for reading in self._open):
            return
        for receiver in self.receivers:
            if receiver.is_active and receiver.participant.stalled():
                receiver.give_way()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class SharedContent:
    """Content that several repositories of a run may need, and its referrers."""

    def __init__(self, readings: Readings, content: Content) -> None:
        self.image = content.image
        referrers = content.referrers
        self.referrers = SharedContent(readings, referrers) if referrers is not None else None
        """Its referrers to copy, if there are any."""
        self._content = content
        self._readings = readings
        self._failure_count = FailureCount()
        self._undecided = set[Repository]()
        self._reading: _Reading | None = None
        self._given_up: Exception | None = None
        """Why another attempt is pointless."""
        self._word = anyio.Event()

    def source_pause(self, blob: Blob) -> SourcePause:
        """Return the pause of what ``blob`` is read from."""
        return self._readings.source_pause(blob.registry)

    def expect(self, repository: Repository) -> None:
        """Record that ``repository`` may need it and its referrers, and will report."""
        self._undecided.add(repository)
        if self.referrers is not None:
            self.referrers.expect(repository)

    def decide(self, repository: Repository) -> None:
        """Record that ``repository`` need not be waited for: it takes part, or never will."""
        if repository in self._undecided:
            self._undecided.remove(repository)
            self._word.set()
            self._word = anyio.Event()

    @asynccontextmanager
    async def received(self, participant: Participant) -> AsyncIterator[Receiver]:
        """Take part in a reading inside: in the current one, or in a new one.

        Raises the permanent error of the last one.
        """
        if self._given_up is not None:
            raise self._given_up
        if self._reading is None:
            self._reading = _Reading()
            self._readings.tasks.start_soon(self._run, self._reading)
        reading = self._reading
        receiver = Receiver(reading, participant)
        reading.join(receiver)
        self._readings.receivers.add(receiver)
        self.decide(participant.repository)
        try:
            yield receiver
        finally:
            self._readings.receivers.remove(receiver)
            reading.leave(receiver)
            if not reading.receivers:
                self._forget(reading)

    async def until_read(self) -> None:
        """Wait for the end of the current reading, if there is one."""
        if self._reading is not None:
            await self._reading.over.wait()

    async def _run(self, reading: _Reading) -> None:
        try:
            with reading.scope:
                await self._gather()
                await self._read_all(reading)
        except Exception as error:  # noqa: BLE001 - raised by each receiver
            reading.error = error
        finally:
            self._forget(reading)
            reading.over.set()
            reading.wake_all()

    async def _read_all(self, reading: _Reading) -> None:
        """Read until all participants have everything; after a broken pass, wait and repeat."""
        while not all(each.complete for each in reading.receivers) and reading.is_wanted():
            error = await self._readings.read(reading, self._content)
            if error is not None and reading.is_wanted():
                await self._wait_after(error, reading.leader.participant)

    async def _wait_after(self, error: Exception, leader: Participant) -> None:
        """Wait as the policy says before another pass; raise ``error`` if there is none."""
        context = self._readings.context
        failed = AttemptError(context.classify(error, leader.repository), counts=True)
        self._failure_count.add(failed)
        wait = context.backoff.wait(failed, self._failure_count)
        if context.backoff.gives_up(failed, self._failure_count, wait):
            self._given_up = error
            raise error
        leader.pass_broke(failed, self._failure_count, wait)
        await anyio.sleep(wait)

    def _forget(self, reading: _Reading) -> None:
        """Make the next one that needs the image start another reading."""
        if self._reading is reading:
            self._reading = None

    async def _gather(self) -> None:
        """Wait for repositories that may need the image, as long as they keep reporting."""
        while self._undecided:
            with anyio.move_on_after(GATHERING) as silence:
                await self._word.wait()
            if silence.cancelled_caught:
                return

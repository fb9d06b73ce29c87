"""Images that are read from the modelled engine blob by blob and uploaded to a repository."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import NoReturn, Self

import anyio

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import BlobOutcome, Kind, Manifest
from ghcr_push.references import Digest, Repository
from ghcr_push.sources.spool import Claim, Room
from tests.simulation.records import Reading
from tests.simulation.scenario import Transfer

PIECES = 4
"""Number of writes in which a blob is stored in temporary space."""

COMPRESSING = 0.0025
"""Seconds of each such write."""

PARTS = 10
"""Number of pieces in which a blob is sent."""

Take = Callable[[Repository, Digest, Repository | None, Callable[[], None]], Awaitable[BlobOutcome]]


class Space:
    """Temporary space of ``budget`` bytes with the real spool's rule, on the virtual clock."""

    def __init__(self, budget: int) -> None:
        self.room = Room(budget)
        self._changed = anyio.Event()

    async def write(self, size: int, waits: Callable[[bool], None]) -> Claim:
        """Write a blob of ``size`` bytes piece by piece, each as soon as there is space.

        ``waits`` is called when a wait for space begins and when it ends.
        """
        claim = Claim(size)
        await self._until(lambda: self.room.may_begin(claim), waits)
        self.room.begin(claim)
        try:
            for piece in _pieces(size):
                await anyio.sleep(COMPRESSING)
                self.room.want(claim, piece)
                await self._until(partial(self.room.may_take, claim, piece), waits)
                self.room.take(claim, piece)
        except BaseException:
            self.room.done_waiting(claim)
            self.room.drop(claim)
            self._notify()
            raise
        self.room.settle(claim)
        self._notify()
        return claim

    def give_back(self, size: int) -> None:
        """Free the space of a blob."""
        self.room.give_back(size)
        self._notify()

    async def _until(self, may: Callable[[], bool], waits: Callable[[bool], None]) -> None:
        while not may():
            waits(True)
            await self._changed.wait()
        waits(False)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _pieces(size: int) -> list[int]:
    piece = -(-size // PIECES)
    return [min(piece, size - start) for start in range(0, size, piece)]


@dataclass(slots=True, eq=False)
class BlobOut:
    """A blob read from the engine, in temporary space until it is released."""

    digest: Digest
    size: int
    space: Space
    released: bool = False
    registry: None = None

    def release(self) -> None:
        """Free the space; safe to repeat."""
        if not self.released:
            self.released = True
            self.space.give_back(self.size)


class Saved:
    """An image that is read from the engine; reading waits while the temporary space is full.

    ``out`` has all blobs read so far, of any image.
    """

    def __init__(
        self,
        reading: Reading,
        manifests: tuple[Manifest, ...],
        *,
        transfer: Transfer,
        space: Space,
        out: list[BlobOut],
        random: Random,
    ) -> None:
        self._reading = reading
        self._manifests = manifests
        self._transfer = transfer
        self._space = space
        self._out = out
        self._left = list(transfer.contents[reading.source].blobs)
        breaks = random.random() < transfer.breaks
        self._breaks_at = random.randrange(len(self._left) + 1) if breaks else -1
        self._pause = random.choice((0.01, 0.01, 0.5, 3.0))
        self.seconds_compressing = 0.0
        self.waits_for_space = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BlobOut:
        await anyio.sleep(self._pause)
        if len(self._left) == self._breaks_at:
            self._break("cut off", Kind.NETWORK)
        if not self._left:
            if self._reading.source in self._transfer.unreadable:
                self._break("incomplete", Kind.CONTENT_MISSING)
            self._reading.answer = "ok"
            raise StopAsyncIteration
        size = self._transfer.sizes[self._left[0]]
        await self._space.write(size, self._wait_for_space)
        blob = BlobOut(self._left.pop(0), size, self._space)
        self._out.append(blob)
        return blob

    def _wait_for_space(self, waits: bool) -> None:
        self.waits_for_space = waits

    def _break(self, answer: str, kind: Kind) -> NoReturn:
        self._reading.answer = answer
        raise PushError(ErrorInfo(origin=Origin.ENGINE, message=answer, kind=kind))

    @property
    def image(self) -> "Whole":
        """The image, after its last blob."""
        if self._reading.answer != "ok":
            raise RuntimeError("the image is known after the last blob")
        return Whole(self._manifests)


@dataclass(frozen=True, slots=True)
class Whole:
    """An image that was read completely."""

    manifests: tuple[Manifest, ...]
    notice: str | None = None


class Upload:
    """The upload of a blob to a repository, which accepts it by ``take``."""

    def __init__(self, take: Take, repository: Repository, blob: BlobOut) -> None:
        self.bytes_sent = 0
        self._take = take
        self._repository = repository
        self._blob = blob

    async def attempt(self, mount_from: Repository | None = None) -> BlobOutcome:
        """Make one attempt."""
        if self._blob.released:
            raise RuntimeError("the blob was released, and is to be read")
        return await self._take(self._repository, self._blob.digest, mount_from, self._send)

    def _send(self) -> None:
        """Count one more piece of the blob as sent."""
        self.bytes_sent += self._blob.size // PARTS

"""Images on their way: out of the modelled engine blob by blob, and into a repository."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import NoReturn, Self

import anyio

from ghcr_push.failures import Evidence, Origin, PushError
from ghcr_push.model import Kind, Landed, Manifest
from ghcr_push.references import Digest, Repository
from tests.simulation.records import Reading
from tests.simulation.scenario import Carriage

BLOB_SIZE = 1000

Take = Callable[[Repository, Digest, Repository | None], Awaitable[Landed]]


@dataclass(slots=True, eq=False)
class BlobOut:
    """A blob out of the engine, in temporary space until it is released."""

    digest: Digest
    size: int = BLOB_SIZE
    released: anyio.Event = field(default_factory=anyio.Event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()


class Saved:
    """An image on its way out of the engine; reading waits where the temporary space is full.

    ``out`` is all that came out of it so far, of any image.
    """

    def __init__(
        self,
        reading: Reading,
        manifests: tuple[Manifest, ...],
        *,
        carriage: Carriage,
        out: list[BlobOut],
        random: Random,
    ) -> None:
        self._reading = reading
        self._manifests = manifests
        self._carriage = carriage
        self._out = out
        self._left = list(carriage.contents[reading.source].blobs)
        breaks = random.random() < carriage.breaks
        self._breaks_at = random.randrange(len(self._left) + 1) if breaks else -1
        self._pause = random.choice((0.01, 0.01, 0.5, 3.0))
        self.seconds_compressing = 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BlobOut:
        await anyio.sleep(self._pause)
        while held := [blob for blob in self._out if not blob.released.is_set()]:
            if len(held) < self._carriage.spool:
                break
            await held[0].released.wait()
        if len(self._left) == self._breaks_at:
            self._break("cut off", Kind.NETWORK)
        if not self._left:
            if self._reading.source in self._carriage.unreadable:
                self._break("not whole", Kind.CONTENT_MISSING)
            self._reading.answer = "ok"
            raise StopAsyncIteration
        blob = BlobOut(self._left.pop(0))
        self._out.append(blob)
        return blob

    def _break(self, answer: str, kind: Kind) -> NoReturn:
        self._reading.answer = answer
        raise PushError(Evidence(origin=Origin.ENGINE, message=answer, kind=kind))

    @property
    def images(self) -> "tuple[Whole]":
        """The one image, after its last blob."""
        if self._reading.answer != "ok":
            raise RuntimeError("the images are known after the last blob")
        return (Whole(self._manifests),)


@dataclass(frozen=True, slots=True)
class Whole:
    """An image that came whole."""

    manifests: tuple[Manifest, ...]
    notice: str | None = None


class Upload:
    """A blob on its way into a repository, which takes it by ``take``."""

    def __init__(self, take: Take, repository: Repository, blob: BlobOut) -> None:
        self.bytes_sent = 0
        self._take = take
        self._repository = repository
        self._blob = blob

    async def attempt(self, mount_from: Repository | None = None) -> Landed:
        """Try once."""
        if self._blob.released.is_set():
            raise RuntimeError("the blob was released, and is to be read")
        landed = await self._take(self._repository, self._blob.digest, mount_from)
        self.bytes_sent += self._blob.size if landed is Landed.SENT else 0
        return landed

"""What a reading thread needs: temporary space, processor cores, and a way to stop it."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, Self, TypeVar

from ghcr_push.references import Digest
from ghcr_push.sources import recipe
from ghcr_push.sources.spool import Spool, SpooledBlob

P = ParamSpec("P")
T = TypeVar("T")


class CpuMeter:
    """Adds up processor time of threads; ``clock`` reads that of the calling thread."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.seconds = 0.0
        self._clock = clock
        self._lock = threading.Lock()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the time of this thread while the block runs."""
        began = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self.seconds += self._clock() - began


class _Metered(Executor):
    """The threads of ``pool``, with their time counted by ``meter``."""

    def __init__(self, pool: Executor, meter: CpuMeter) -> None:
        self._pool = pool
        self._meter = meter

    def submit(self, work: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> Future[T]:
        def counted() -> T:
            with self._meter.counting():
                return work(*args, **named)

        return self._pool.submit(counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCompressor:
    """Creates blobs; ``cores`` threads compress.

    ``compressing`` counts processor time, not elapsed time: so the cost of compression does not
    depend on how busy the machine is with reading, hashing and sending.
    """

    spool: Spool
    cores: int
    compressing: CpuMeter = field(default_factory=CpuMeter)
    stopping: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def on_all_cores(cls, spool: Spool) -> Self:
        """Return a compressor that uses every core of the machine."""
        return cls(spool=spool, cores=os.cpu_count() or 1)

    def spooled(
        self,
        chunks: Iterable[bytes | bytearray],
        algorithm: str = "sha256",
        diff_id: Callable[[], Digest] | None = None,
        *,
        most: int,
    ) -> SpooledBlob:
        """Return a blob of ``chunks``, at most ``most`` bytes; calls ``diff_id`` at the end."""
        file = self.spool.file(algorithm, self.stopping, most)
        try:
            for chunk in chunks:
                file.write(chunk)
            return file.finished(diff_id() if diff_id else None)
        except BaseException:
            file.discarded()
            raise

    def compressed(self, pieces: Iterable[bytearray], size: int) -> SpooledBlob:
        """Return the blob of a layer compressed by the recipe, with its DiffID."""
        sha256 = hashlib.sha256()

        def hashed() -> Iterator[bytearray]:
            for piece in pieces:
                sha256.update(piece)
                yield piece

        def diff_id() -> Digest:
            return Digest(f"sha256:{sha256.hexdigest()}")

        with ThreadPoolExecutor(self.cores) as pool:
            # two more than the cores, so that no core waits for the hash or the disk
            metered = _Metered(pool, self.compressing)
            stream = recipe.compressed(hashed(), size, pool=metered, ahead=self.cores + 2)
            return self.spooled(stream, diff_id=diff_id, most=recipe.most(size))

    @property
    def waits_for_space(self) -> bool:
        """Whether a blob that is being written waits for temporary space."""
        return self.spool.is_awaited_by(self.stopping)

    def stop(self) -> None:
        """Stop the thread at its next write."""
        self.stopping.set()
        self.spool.wake()

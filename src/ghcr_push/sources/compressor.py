"""What a reading thread needs: temporary space, processor cores, and a way to stop it."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

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

    def run(self, work: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> T:
        """Return the result of ``work``, and count the time that it takes this thread."""
        began = self._clock()
        try:
            return work(*args, **named)
        finally:
            with self._lock:
                self.seconds += self._clock() - began


class _MeteredPool(ThreadPoolExecutor):
    """Threads whose processor time is added to ``meter``."""

    def __init__(self, threads: int, meter: CpuMeter) -> None:
        super().__init__(threads)
        self._meter = meter

    def submit(self, work: Callable[P, T], /, *args: P.args, **named: P.kwargs) -> Future[T]:
        return super().submit(self._meter.run, work, *args, **named)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCompressor:
    """Creates blobs; ``cores`` threads compress, by default one for each core of the machine.

    ``compressing`` counts processor time, not elapsed time: so the cost of compression does not
    depend on how busy the machine is with reading, hashing and sending.
    """

    spool: Spool
    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    compressing: CpuMeter = field(default_factory=CpuMeter)
    stopping: threading.Event = field(default_factory=threading.Event)

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

    def compressed(
        self, pieces: Iterable[bytearray], size: int, algorithm: str = "sha256"
    ) -> SpooledBlob:
        """Return the blob of a layer compressed by the recipe, with its DiffID by ``algorithm``."""
        found = hashlib.new(algorithm)

        def hashed() -> Iterator[bytearray]:
            for piece in pieces:
                found.update(piece)
                yield piece

        def diff_id() -> Digest:
            return Digest(f"{algorithm}:{found.hexdigest()}")

        with _MeteredPool(self.cores, self.compressing) as pool:
            # two more than the cores, so that no core waits for the hash or the disk
            stream = recipe.compressed(hashed(), size, pool=pool, ahead=self.cores + 2)
            return self.spooled(stream, diff_id=diff_id, most=recipe.most(size))

    @property
    def waits_for_space(self) -> bool:
        """Whether a blob that is being written waits for temporary space."""
        return self.spool.is_awaited_by(self.stopping)

    def stop(self) -> None:
        """Stop the thread at its next write."""
        self.stopping.set()
        self.spool.wake()

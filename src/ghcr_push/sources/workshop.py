"""What a reading thread works with: temporary space, cores, and word of when to stop."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ghcr_push.references import Digest
from ghcr_push.sources import recipe
from ghcr_push.sources.spool import Spool, SpooledBlob


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Where blobs are made; ``cores`` threads compress."""

    spool: Spool
    cores: int
    stopping: threading.Event = field(default_factory=threading.Event)

    def spooled(
        self,
        chunks: Iterable[bytes | bytearray],
        algorithm: str = "sha256",
        diff_id: Callable[[], Digest] | None = None,
    ) -> SpooledBlob:
        """Return a blob of ``chunks``; ``diff_id`` is asked after the last one."""
        file = self.spool.file(algorithm, self.stopping)
        try:
            for chunk in chunks:
                file.write(chunk)
            return file.finished(diff_id() if diff_id else None)
        except BaseException:
            file.discarded()
            raise

    def compressed(self, pieces: Iterable[bytearray], size: int) -> SpooledBlob:
        """Return the blob of a layer, by the recipe; it knows its DiffID."""
        sha256 = hashlib.sha256()

        def hashed() -> Iterator[bytearray]:
            for piece in pieces:
                sha256.update(piece)
                yield piece

        def diff_id() -> Digest:
            return Digest(f"sha256:{sha256.hexdigest()}")

        with ThreadPoolExecutor(self.cores) as pool:
            # two more than there are cores, so that none waits for the hash or the disk
            stream = recipe.compressed(hashed(), size, pool=pool, ahead=self.cores + 2)
            return self.spooled(stream, diff_id=diff_id)

    def stop(self) -> None:
        """End the thread at its next write."""
        self.stopping.set()
        self.spool.wake()

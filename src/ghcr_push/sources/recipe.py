"""The recipe: how a layer becomes the gzip stream whose digest names it in a registry.

The bytes must not depend on the sizes in which the layer arrives or the number of threads, so that
a later run finds the layer by its digest. The tar is cut every MiB; each piece is compressed on its
own and ends with a sync flush, the last one with a finish; together they are one gzip member. The
measurements behind library, level and cut are in ``docs/layer-compression.md``. Changing any of
these changes the digests of all images and must be in the changelog.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Final

from isal import isal_zlib

CHUNK_SIZE: Final = 1 << 20
"""Uncompressed bytes per compressed piece."""

LEVEL: Final = 2
"""Of ``isal``: one of the levels whose code does not depend on the processor."""

_GROWTH: Final = 1 << 14
"""Maximum growth in bytes of an incompressible piece; the largest measured was 400."""

_RAW_DEFLATE = -15
_HEADER: Final = bytes.fromhex("1f8b 08 00 00000000 00 ff")
"""RFC 1952: deflate, no flags, no time, no level named, unknown system."""


def most(size: int) -> int:
    """Return an upper bound on the size of the gzip stream of ``size`` bytes."""
    return size + _GROWTH * (size // CHUNK_SIZE + 2)


def compressed(
    pieces: Iterable[bytes | bytearray], size: int, *, pool: Executor, ahead: int
) -> Iterator[bytes]:
    """Yield the gzip stream of ``pieces``, each ``CHUNK_SIZE`` bytes but the last, ``size`` in all.

    At most ``ahead`` pieces are in ``pool``, or done and not yet fetched.
    """
    yield _HEADER
    checksum = done = 0
    jobs: deque[Future[bytes]] = deque()
    try:
        for piece in pieces if size else (b"",):
            done += len(piece)
            jobs.append(pool.submit(_deflated, piece, last=done == size))
            checksum = isal_zlib.crc32(piece, checksum)
            if len(jobs) >= ahead:
                yield jobs.popleft().result()
        while jobs:
            yield jobs.popleft().result()
    finally:
        for job in jobs:
            job.cancel()
    yield struct.pack("<II", checksum, size % (1 << 32))


def _deflated(piece: bytes | bytearray, *, last: bool) -> bytes:
    compressor = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, _RAW_DEFLATE)
    flush = isal_zlib.Z_FINISH if last else isal_zlib.Z_SYNC_FLUSH
    return compressor.compress(piece) + compressor.flush(flush)

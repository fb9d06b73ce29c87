"""Compares libraries and levels for compressing layers: speed, size, and equal bytes everywhere.

    uv run --with zlib-ng python -m bench.recipe FILE    a table of speeds and sizes
    uv run --with zlib-ng python -m bench.recipe         digests, to compare between processors

FILE is a tar of ordinary files, such as a layer. Only the standard library and the candidates are
needed, so that a bare Python under an emulator can print the digests.
"""

import hashlib
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

CHUNK_SIZE = 1 << 20
CANDIDATES = {
    "isal.isal_zlib": (0, 1, 2, 3),
    "zlib_ng.zlib_ng": (1, 2, 3, 4, 5, 6),
    "zlib": (1, 6),
}
ROUNDS = 3

Deflate = Callable[[bytes], bytes]


def candidates() -> Iterator[tuple[str, Deflate]]:
    for library, levels in CANDIDATES.items():
        try:
            module = import_module(library)
        except ImportError:
            print(f"{library} is not installed", file=sys.stderr)
            continue
        for level in levels:
            yield f"{library.rpartition('.')[2]} {level}", deflating(module, level)


def deflating(module: Any, level: int) -> Deflate:
    def deflate(piece: bytes) -> bytes:
        compressor = module.compressobj(level, zlib.DEFLATED, -15)
        compressed: bytes = compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return compressed

    return deflate


def speeds(content: bytes) -> None:
    pieces = [content[start : start + CHUNK_SIZE] for start in range(0, len(content), CHUNK_SIZE)]
    print("| candidate | MB/s, 1 thread | MB/s, 2 threads | MB per processor second | size |")
    print("| --- | --- | --- | --- | --- |")
    for name, deflate in candidates():
        walls = [
            max(throughput(deflate, pieces, threads) for _ in range(ROUNDS)) for threads in (1, 2)
        ]
        cpu, size = max(processor_throughput(deflate, pieces) for _ in range(ROUNDS))
        share = 100 * size / len(content)
        print(
            f"| {name} | {walls[0]:.0f} | {walls[1]:.0f} | {cpu:.0f} | {share:.1f} % |", flush=True
        )


def throughput(deflate: Deflate, pieces: list[bytes], threads: int) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(deflate, pieces):
            pass
    return sum(map(len, pieces)) / 1e6 / (time.perf_counter() - start)


def processor_throughput(deflate: Deflate, pieces: list[bytes]) -> tuple[float, int]:
    start = time.thread_time()
    size = sum(len(deflate(piece)) for piece in pieces)
    return sum(map(len, pieces)) / 1e6 / (time.thread_time() - start), size


def sample() -> bytes:
    """Return 8 MiB of text, noise, repeats and zeros, the same everywhere."""
    random = Random(1)
    words = [random.randbytes(random.randrange(2, 12)).hex().encode() for _ in range(4000)]
    blocks: list[bytes] = []
    for number in range(64):
        match number % 4:
            case 0 | 1:
                text = b" ".join(random.choices(words, k=16_000))
                blocks.append(text[: 1 << 17].ljust(1 << 17))
            case 2:
                blocks.append(random.randbytes(1 << 17))
            case _:
                blocks.append(bytes(1 << 16) + blocks[random.randrange(number)][: 1 << 16])
    return b"".join(blocks)


def digests() -> None:
    content = sample()
    pieces = [content[start : start + CHUNK_SIZE] for start in range(0, len(content), CHUNK_SIZE)]
    print(f"sample {hashlib.sha256(content).hexdigest()[:16]}")
    for name, deflate in candidates():
        whole = b"".join(map(deflate, pieces))
        print(f"{name:10} {hashlib.sha256(whole).hexdigest()[:16]} {len(whole)}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        speeds(Path(sys.argv[1]).read_bytes())
    else:
        digests()

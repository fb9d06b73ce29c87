"""The digests of layers are the same on emulated older and newer processors."""

import platform
import shutil
import subprocess
import sys
import sysconfig

import pytest
from tests.support.engines import ROOT, script_environment

PROCESSORS = ("Nehalem", "Haswell", "max")
"""SSE4.2 without AVX; AVX2 without AVX-512; everything that the emulator has."""

PROGRAM = """
import hashlib, sys
from concurrent.futures import ThreadPoolExecutor
from random import Random
sys.path[:0] = sys.argv[1:]
from ghcr_push.sources import recipe

random = Random(3)
words = [random.randbytes(4).hex().encode() for _ in range(500)]
raw = b" ".join(random.choices(words, k=100_000)) + random.randbytes(100_000) + bytes(500_000)
cuts = [raw[start : start + recipe.CHUNK_SIZE] for start in range(0, len(raw), recipe.CHUNK_SIZE)]
for threads in 1, 2:
    with ThreadPoolExecutor(threads) as pool:
        stream = b"".join(recipe.compressed(cuts, len(raw), pool=pool, ahead=3))
    print(hashlib.sha256(stream).hexdigest())
"""


def digests(*emulator: str) -> list[str]:
    """Compress on one thread and on two, and return the digests."""
    paths = [str(ROOT / "src"), sysconfig.get_path("platlib")]
    command = [*emulator, sys.executable, "-I", "-S", "-c", PROGRAM, *paths]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


@pytest.fixture(scope="module")
def emulator() -> str:
    if platform.machine() != "x86_64":
        pytest.skip(f"processors of x86-64 are not emulated on {platform.machine()}")
    try:
        path = script_environment("tools-get", "emulator")["PATH"]
    except RuntimeError as error:
        pytest.skip(f"no emulator of processors: {error}")
    found = shutil.which("qemu-x86_64-static", path=path)
    assert found is not None
    return found


@pytest.mark.parametrize("processor", PROCESSORS)
def test_other_processors_give_the_same_digests(emulator: str, processor: str) -> None:
    here = digests()
    assert len(set(here)) == 1
    assert digests(emulator, "-cpu", processor) == here

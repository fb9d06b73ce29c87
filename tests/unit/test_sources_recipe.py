"""The bytes of a compressed layer are always the same, and gzip decompresses them."""

import gzip
import hashlib
import platform
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.saved import Choppy, tar

from ghcr_push.sources import recipe
from ghcr_push.sources.tarstream import TarStream

MACHINE = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())

# recorded once; changing one of them changes the digests of all users' layers
RECORDED = {
    "x86_64": {
        "empty": "ac73670af3abed54ac6fb4695131f4099be9fbe39d6076c5d0264a6bbdae9d83",
        "one byte": "94992c9e182d4a5387b07e699a54922d1a21f9358a69504eb8c56922a31a21f8",
        "a cut of zeros": "106a465c932affb464b214d7ccce1c1e87141c5eb321763154696f864e515e12",
        "two cuts and a byte": "fc43f5066f5c83c9187be2b95359465ca16381de71d84c59f94256e88971d0ce",
        "noise": "e612742d9ab203a4d9c09cddab8b15ac2eb2c1249daea328b898aca064b8af62",
    },
    "aarch64": {
        "empty": "ac73670af3abed54ac6fb4695131f4099be9fbe39d6076c5d0264a6bbdae9d83",
        "one byte": "94992c9e182d4a5387b07e699a54922d1a21f9358a69504eb8c56922a31a21f8",
        "a cut of zeros": "dd5ca8ef992c64bfbb838ad8833275f15601445840d8d16a1d715059c18569c4",
        "two cuts and a byte": "5a32cb9d409b7a344311fe9fd40d43e7d4dab47b742f403ecbe86909146bd918",
        "noise": "aafbb93e1ef913f4acb02d964b53a5ab67e7c04afa77660a517f392310259cfe",
    },
}
CONTENTS = tuple(RECORDED["x86_64"])


def content(name: str) -> bytes:
    random = Random(7)
    words = [random.randbytes(5).hex().encode() for _ in range(900)]
    return {
        "empty": b"",
        "one byte": b"a",
        "a cut of zeros": bytes(recipe.CHUNK_SIZE),
        "two cuts and a byte": b" ".join(random.choices(words, k=250_000))[
            : 2 * recipe.CHUNK_SIZE + 1
        ],
        "noise": random.randbytes(recipe.CHUNK_SIZE + 12_345),
    }[name]


def compressed(raw: bytes, threads: int = 2, ahead: int = 4) -> bytes:
    pieces = [
        raw[start : start + recipe.CHUNK_SIZE] for start in range(0, len(raw), recipe.CHUNK_SIZE)
    ]
    with ThreadPoolExecutor(threads) as pool:
        return b"".join(recipe.compressed(pieces, len(raw), pool=pool, ahead=ahead))


@pytest.mark.skipif(MACHINE not in RECORDED, reason=f"nothing was recorded on {MACHINE}")
@pytest.mark.parametrize("name", CONTENTS)
def test_gives_the_digests_that_were_recorded(name: str) -> None:
    assert hashlib.sha256(compressed(content(name))).hexdigest() == RECORDED[MACHINE][name]


@pytest.mark.parametrize("name", CONTENTS)
def test_is_gzip_of_the_content(name: str) -> None:
    assert gzip.decompress(compressed(content(name))) == content(name)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("ahead", [1, 2, 9])
def test_gives_the_same_bytes_on_any_number_of_threads(threads: int, ahead: int) -> None:
    raw = content("two cuts and a byte")
    assert compressed(raw, threads, ahead) == compressed(raw)


@given(st.lists(st.integers(512, 3 * recipe.CHUNK_SIZE), min_size=1, max_size=8))
@example([1, recipe.CHUNK_SIZE, recipe.CHUNK_SIZE])
@example([recipe.CHUNK_SIZE - 1])
@example([65_536])
def test_gives_the_same_bytes_for_any_feed_sizes(sizes: list[int]) -> None:
    raw = content("two cuts and a byte")
    stream = TarStream(Choppy(tar({"layer": raw}), sizes))
    entry = next(stream.entries())
    with ThreadPoolExecutor(2) as pool:
        pieces = recipe.compressed(stream.pieces(recipe.CHUNK_SIZE), entry.size, pool=pool, ahead=3)
        assert b"".join(pieces) == compressed(raw)


def test_an_error_of_the_input_is_raised_and_no_job_remains() -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(recipe.CHUNK_SIZE)
        raise EOFError

    with ThreadPoolExecutor(1) as pool, pytest.raises(EOFError):
        list(recipe.compressed(pieces(), 2 * recipe.CHUNK_SIZE, pool=pool, ahead=9))

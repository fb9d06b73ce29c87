"""The order of blobs that are read in place."""

from dataclasses import dataclass
from typing import cast

import anyio
from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.pushing.ports import Blob
from ghcr_push.sources.content import Ready
from ghcr_push.sources.images import SavedImage


@dataclass
class Sized:
    size: int


@given(st.lists(st.integers(0, 5)))
def test_every_blob_comes_once_the_largest_first(sizes: list[int]) -> None:
    async def read() -> list[int]:
        blobs = cast("list[Blob]", [Sized(size) for size in sizes])
        return [blob.size async for blob in Ready(cast("SavedImage", None), blobs)]

    assert anyio.run(read) == sorted(sizes, reverse=True)

"""Which images ``docker push`` uploads first, because the engine pushes them faster than we can."""

from typing import Final

from ghcr_push.model import Image

QUICKER_FROM: Final = 32 << 20
"""Bytes of an image from which ``docker push`` is faster for a containerd store.

That store exports 50 MB/s, in reads of 32 KiB each, and pushes 180 MB/s (``bench/one_image.py``).
"""


def engine_is_quicker(image: Image) -> bool:
    """Return whether the engine pushes the image faster than it exports it.

    Of an index with missing platforms, newer engines push one under the tag of all.
    """
    there = image.in_engine and image.has_all_platforms is not False and image.digest is not None
    return there and image.size >= QUICKER_FROM

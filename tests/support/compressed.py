"""Archives as tools compress them."""

import gzip
import sys
from collections.abc import Callable, Mapping

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CHECKSUM = {int(zstd.CompressionParameter.checksum_flag): 1}
_SKIPPED = b"\x50\x2a\x4d\x18\x04\0\0\0none"
"""A skippable frame, such as pzstd writes before each other frame."""


def _several_frames(raw: bytes) -> bytes:
    half = len(raw) // 2
    return b"".join(_SKIPPED + zstd.compress(each) for each in (raw[:half], raw[half:]))


PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": lambda raw: zstd.compress(raw, options=_CHECKSUM),
    "pzstd": _several_frames,
}

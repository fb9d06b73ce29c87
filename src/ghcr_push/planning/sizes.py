"""Amounts of bytes as users write them: ``2GiB``, ``500MB``, a bare number of bytes."""

import re
from typing import Final

_SIZE: Final = re.compile(r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?) ?(?P<unit>[a-z]*)")

_UNITS: Final = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", start=1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", start=1)},
}
"""IEC 80000-13: a kilobyte is 1000 bytes, a kibibyte 1024. A bare ``G``, whose meaning varies, is
rejected."""


def parse_size(text: str) -> int:
    """Return a number of bytes, rounded down; raise ``ValueError`` on any other text."""
    parts = _SIZE.fullmatch(text.lower())
    if not parts or parts["unit"] not in _UNITS:
        raise ValueError("is not a size; write it like `2GiB`, `500MB` or a number of bytes")
    return int(float(parts["number"]) * _UNITS[parts["unit"]])

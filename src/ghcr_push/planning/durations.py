"""Durations as users write them: ``500ms``, ``2s``, ``1m30s``, ``5m``, ``1h``, bare seconds."""

import re

_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_BARE = re.compile(_NUMBER)
_PARTS = re.compile(
    rf"(?:(?P<h>{_NUMBER})h)?(?:(?P<m>{_NUMBER})m(?!s))?"
    rf"(?:(?P<s>{_NUMBER})s)?(?:(?P<ms>{_NUMBER})ms)?"
)
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def parse_duration(text: str) -> float:
    """Return a duration in seconds, finite and not negative; raise ``ValueError`` on other text.

    The notation is Go's (``time.ParseDuration``), familiar from Docker, with units in falling order
    and no signs; a bare number is seconds.
    """
    if _BARE.fullmatch(text):
        return float(text)
    parts = _PARTS.fullmatch(text)
    if not text or not parts:
        raise ValueError("is not a duration; write it like `500ms`, `2s`, `1m30s`, `5m` or `1h`")
    return sum(float(parts[unit] or 0) * seconds for unit, seconds in _SECONDS.items())

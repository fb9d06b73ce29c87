"""Whether a registry makes any progress at present."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ghcr_push.pushing.ports import Upload
from ghcr_push.pushing.pressure.limiter import Limiter

QUIET: Final = 5.0
"""Seconds in which a registry with requests in flight neither answers one nor accepts a byte."""

IN_TROUBLE: Final = 2.0
"""Seconds in which a registry returned only 5xx and broken connections."""

COMMIT_RATE: Final = 20e6
"""Bytes per second at which a registry is expected to store a layer it has received."""


class Progress:
    """Watches a registry and the uploads to it."""

    def __init__(self, limiter: Limiter, clock: Callable[[], float]) -> None:
        self._limiter = limiter
        self._clock = clock
        self._uploads: list[tuple[Upload, int]] = []
        self._seen = (float("-inf"), 0)
        self._since = clock()

    @contextmanager
    def of(self, upload: Upload, size: int) -> Iterator[None]:
        """Watch an upload of ``size`` bytes while the block runs."""
        entry = (upload, size)
        self._uploads.append(entry)
        try:
            yield
        finally:
            self._uploads.remove(entry)

    def stalled(self) -> bool:
        """Return whether the registry makes no progress: an outage, a hold, or silence."""
        outage = self._limiter.outage
        seen = (outage.answered_at, sum(upload.bytes_sent for upload, _ in self._uploads))
        idle = outage.answers and not self._limiter.busy
        if seen != self._seen or idle:
            self._seen, self._since = seen, self._clock()
        now = self._clock()
        if outage.answers and now - self._since > QUIET + self._committing:
            outage.record_overdue()
        in_trouble = not outage.answers and now - outage.answered_at > IN_TROUBLE
        return self._limiter.blocked or in_trouble

    @property
    def _committing(self) -> float:
        """Seconds that the registry may take to store the bytes that it has received."""
        sent = (size for upload, size in self._uploads if upload.bytes_sent >= size)
        return sum(sent) / COMMIT_RATE

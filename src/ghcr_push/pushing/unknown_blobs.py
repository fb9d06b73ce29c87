"""Blobs that a repository reports as present, but as missing when a manifest names them."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

import anyio

from ghcr_push.failures import PushError
from ghcr_push.references import Digest

TIMES: Final = 2
"""Refused writes in a row after which a missing blob is sent again: the first refusal is mostly a
race that a wait ends."""

_CODES: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})
_DIGEST: Final = re.compile(r"\bsha256:[0-9a-f]{64}\b")


class UnknownBlobs:
    """The blobs that a repository's refusals report as missing; ``send_again`` uploads them."""

    def __init__(self, send_again: Callable[[frozenset[Digest]], Awaitable[None]]) -> None:
        self._send_again = send_again
        self._named: Counter[tuple[Hashable, Digest]] = Counter()
        self._sent: set[Digest] = set()
        self._turn = anyio.Lock()

    def note(self, write: Hashable, error: PushError) -> None:
        """Record how the write of a manifest, under ``write``, was refused."""
        if error.evidence.code in _CODES:
            self._named.update((write, Digest(d)) for d in _DIGEST.findall(error.evidence.message))

    async def resend_reported(self) -> None:
        """Send blobs again, once, that were reported too often; call before a write."""
        async with self._turn:
            often = {digest for (_, digest), times in self._named.items() if times >= TIMES}
            due = frozenset(often - self._sent)
            self._sent |= due
            if due:
                await self._send_again(due)

"""Blobs that a repository says it holds, and not to hold where a manifest names them."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

import anyio

from ghcr_push.failures import PushError
from ghcr_push.references import Digest

TIMES: Final = 2
"""Writes in a row that name a blob as unknown before it is sent again: the first is mostly a race
that a wait ends."""

_CODES: Final = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})
_DIGEST: Final = re.compile(r"\bsha256:[0-9a-f]{64}\b")


class UnknownBlobs:
    """What the refusals of a repository's manifests name as unknown; ``send_again`` brings it."""

    def __init__(self, send_again: Callable[[frozenset[Digest]], Awaitable[None]]) -> None:
        self._send_again = send_again
        self._named: Counter[tuple[Hashable, Digest]] = Counter()
        self._sent: set[Digest] = set()
        self._turn = anyio.Lock()

    def note(self, write: Hashable, error: PushError) -> None:
        """Note how the write of a manifest, under ``write``, was refused."""
        if error.evidence.code in _CODES:
            self._named.update((write, Digest(d)) for d in _DIGEST.findall(error.evidence.message))

    async def mend(self) -> None:
        """Send again, once, what was named too often; to be called before a write."""
        async with self._turn:
            often = {digest for (_, digest), times in self._named.items() if times >= TIMES}
            due = frozenset(often - self._sent)
            self._sent |= due
            if due:
                await self._send_again(due)

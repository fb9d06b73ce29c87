"""All or nothing: no tag is written before the content of every target is in its registry."""

from collections.abc import Iterable
from typing import Final

import anyio

from ghcr_push.model import Failure, Group, Kind, Target
from ghcr_push.pushing.context import ours

ONLY_ENGINE: Final = (
    "only the Docker Engine reaches the registry, and `docker push` writes the tag with the "
    "layers: `all-or-nothing` cannot be kept there"
)


class Together:
    """Makes ``groups`` wait for each other; ``wanted`` is False if none has to."""

    def __init__(self, groups: Iterable[Group], *, wanted: bool) -> None:
        self.wanted = wanted
        self.refusal: Failure | None = None
        """Why no tag is written in this run; None if there is no reason."""
        self._missing = set(groups)
        self._decided = anyio.Event()

    async def all_ready(self, group: Group) -> bool:
        """Report that ``group`` is ready; wait for the others; False: no tag may be written."""
        self.needs_nothing(group)
        if self.wanted:
            await self._decided.wait()
        return self.refusal is None

    def needs_nothing(self, group: Group) -> None:
        """Report that no group need wait for ``group``."""
        self._missing.discard(group)
        if not self._missing:
            self._decided.set()

    def refuse(self, target: Target, failure: Failure) -> None:
        """Report that ``target`` failed permanently: no tag is written unless some already were."""
        if not self.wanted or self._decided.is_set():
            return
        message = f"no tag was written, because {target} failed: {failure.message}"
        self.refusal = ours(Kind.HELD_BACK, message)
        self._decided.set()

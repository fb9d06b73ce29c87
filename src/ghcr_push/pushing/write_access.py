"""Permission to write to a repository: checked once, before the first layer is sent."""

from collections.abc import Callable
from typing import Final

import anyio

from ghcr_push.model import Failure, Kind
from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.pressure.limiter import Limiter, Slot
from ghcr_push.pushing.reads import READ_TIMEOUT, answered
from ghcr_push.references import Repository

REFUSALS: Final = frozenset({Kind.DENIED, Kind.UNAUTHORIZED, Kind.CREDENTIALS, Kind.NAME_REFUSED})
"""Failures that hold for a whole repository: its other groups end with them, untried."""


class WriteAccess:
    """The repositories of one registry that refuse us permanently; ``may_ask`` permits a check.

    The check starts an upload: docker hides the answer's text, and parallel uploads would all be
    refused. If the check fails for another reason, the writes themselves will show it.
    """

    def __init__(self, context: RunContext, limiter: Limiter, may_ask: Callable[[], bool]) -> None:
        self._context = context
        self._limiter = limiter
        self._may_ask = may_ask
        self._refused: dict[Repository, Failure] = {}
        self._asking: dict[Repository, anyio.Lock] = {}
        self._asked: set[Repository] = set()

    def learn(self, repository: Repository, failure: Failure) -> None:
        """Record how a write to ``repository`` failed, if that is a permanent refusal."""
        if failure.kind in REFUSALS:
            self._refused[repository] = failure

    def known_refusal(self, repository: Repository) -> Failure | None:
        """Return why ``repository`` refuses us, if that is known."""
        return self._refused.get(repository)

    async def refusal(self, repository: Repository) -> Failure | None:
        """Return why ``repository`` refuses us, checked once if needed; None if it does not."""
        async with self._asking.setdefault(repository, anyio.Lock()):
            if repository not in self._asked and self._may_ask():
                self._asked.add(repository)
                await self._ask(repository)
        return self.known_refusal(repository)

    async def _ask(self, repository: Repository) -> None:
        while True:
            async with self._limiter.write(repository) as slot:
                if self._limiter.outage.given_up is not None:
                    return
                if slot.begin():  # otherwise a hold came between admission and now: wait for it
                    await self._ask_in(slot, repository)
                    return

    async def _ask_in(self, slot: Slot, repository: Repository) -> None:
        try:
            request = self._context.registry.check_write_access(repository)
            await answered(request, within=READ_TIMEOUT)
            slot.answered()
        except Exception as error:  # noqa: BLE001 - an internal error must not fail other groups
            failure = self._context.classify(error, repository)
            slot.failed(failure)
            self.learn(repository, failure)

"""Several tags of one manifest in one request, where the registry knows how.

The distribution-spec's main branch, after v1.1.1: ``PUT manifests/<digest>?tag=a&tag=b``,
answered by an ``OCI-Tag`` header for each tag that it took. A registry that does not know the
query stores the manifest under its digest and names no tag: one write wasted, once per run.
"""

from collections.abc import Callable, Sequence
from typing import Final

import anyio

from ghcr_push.failures import PushError
from ghcr_push.model import Kind, Step
from ghcr_push.pushing.backoff import AttemptError
from ghcr_push.pushing.content import InRegistry
from ghcr_push.pushing.gate import Gate, Slot
from ghcr_push.pushing.reads import answered
from ghcr_push.pushing.shared import Shared, ours
from ghcr_push.pushing.target import MAY_HAVE_LANDED, Sent, TargetRun

BATCH: Final = 10
"""Tags per request that a registry should at least accept, by the specification."""

WORTH: Final = 4
"""Tags from which the one write that asks whether the registry takes several pays off."""

_UNKNOWN_QUERY: Final = frozenset({400, 405, 501})


class Batches:
    """The batches of one registry, and whether it takes them; asked by one batch at a time."""

    def __init__(self, shared: Shared, gate: Gate) -> None:
        self._shared = shared
        self._gate = gate
        self._asking = anyio.Lock()
        self._taken: bool | None = None
        """Whether the registry takes several tags at once; None: not known yet."""

    async def write(
        self, runs: Sequence[TargetRun], content: InRegistry, land: Callable[[TargetRun], None]
    ) -> None:
        """Write in batches what can be; each run is then to be landed, batched or not.

        While one batch asks whether the registry takes several, ``land`` starts as many others as
        there are slots beside it. A run that is unchanged has its result afterwards.
        """
        together = [run for run in runs if not run.protected]
        async with self._asking:
            while self._taken is None and len(together) >= WORTH:
                beside = BATCH + self._gate.limit - 1
                for run in together[BATCH:beside]:
                    land(run)
                await self._batch(together[:BATCH], content)
                together = together[beside:]
        if self._taken and len(together) >= WORTH:
            async with anyio.create_task_group() as tasks:
                for start in range(0, len(together), BATCH):
                    tasks.start_soon(self._batch, together[start : start + BATCH], content)

    async def _batch(self, runs: Sequence[TargetRun], content: InRegistry) -> None:
        joining = await self._joining(runs, content)
        if not joining:
            return
        try:
            await content.prepare()
        except AttemptError:
            self._leave(joining)  # each meets the same on its own, where it is retried
            return
        async with self._gate.write(tuple(run.target for run in joining)) as slot:
            if slot.open and all(run.may_begin for run in joining):
                await self._send(joining, content, slot)
            else:
                self._leave(joining)

    async def _joining(self, runs: Sequence[TargetRun], content: InRegistry) -> list[TargetRun]:
        joining: list[TargetRun] = []

        async def look(run: TargetRun) -> None:
            if run.may_begin and await run.joins(content):
                joining.append(run)

        async with anyio.create_task_group() as tasks:
            for run in runs:
                tasks.start_soon(look, run)
        return joining

    async def _send(self, runs: Sequence[TargetRun], content: InRegistry, slot: Slot) -> None:
        """Send one request for all, in the slot, and tell each run how it ended."""
        for run in runs:
            run.begin_write(Step.RETAG, slot.limit)
        try:
            request = content.send_together([run.tag for run in runs])
            named = await answered(request, within=self._shared.attempt_timeout)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not sink other targets
            self._sort_failed(runs, error, slot)
        else:
            slot.succeeded()
            self._taken = bool(named)
            self._sort(runs, named)

    def _sort(self, runs: Sequence[TargetRun], named: frozenset[str]) -> None:
        """Believe of the answer the tags that it names."""
        sentence = "the registry took other tags of the batch, not this one"
        missing = AttemptError(ours(Kind.NOT_VISIBLE, sentence), charged=True)
        for run in runs:
            if run.tag in named:
                run.end_batch(Sent())
            elif named:
                run.end_batch(Sent(missing, doubtful=True))
        if not named:
            self._take_back(runs)

    def _sort_failed(self, runs: Sequence[TargetRun], error: Exception, slot: Slot) -> None:
        failure = self._shared.judge(error, runs[0].repository)
        charged = slot.failed(failure)
        if isinstance(error, PushError) and failure.status in _UNKNOWN_QUERY:
            self._taken = False
            self._take_back(runs)
            return
        for run in runs:
            failed = AttemptError(failure, charged=charged)
            run.end_batch(Sent(failed, doubtful=failure.kind in MAY_HAVE_LANDED))

    def _take_back(self, runs: Sequence[TargetRun]) -> None:
        for run in runs:
            run.take_back_write()

    def _leave(self, runs: Sequence[TargetRun]) -> None:
        for run in runs:
            run.leave_batch()

"""The queue: seeds first, then the rest; it ends with every target's one outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

import anyio
from anyio.abc import TaskGroup

from ghcr_push.model import (
    Failure,
    Group,
    Hold,
    Image,
    Kind,
    LimitChange,
    Manifest,
    Plan,
    Source,
    TargetResult,
)
from ghcr_push.pushing.backoff import AttemptError
from ghcr_push.pushing.batch import Batches
from ghcr_push.pushing.carry import Carrier, Holdings
from ghcr_push.pushing.content import InEngine, InRegistry, Manifests
from ghcr_push.pushing.gate import Ceiling, Gate
from ghcr_push.pushing.journal import ContentLog
from ghcr_push.pushing.limit import AdaptiveLimit, FixedLimit, Limit
from ghcr_push.pushing.reads import READ_TIMEOUT, Reader, answered
from ghcr_push.pushing.target import NotStartedError, Shared, TargetRun, ours
from ghcr_push.references import Repository

LAST_LOOK = 2.0
"""Seconds, at most, to read the tags whose writes were in flight when the run was cut off."""

REFUSALS = frozenset({Kind.DENIED, Kind.UNAUTHORIZED, Kind.CREDENTIALS, Kind.NAME_REFUSED})
"""Failures that hold for a whole repository: its other groups end with them, untried."""

REASONS = {
    Kind.CANCELLED: "the run was cancelled",
    Kind.DEADLINE: "the run's time was up",
    Kind.FAIL_FAST: "another target had failed, and fail-fast is on",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a run may do at once, and for how long (seconds; infinity for no end)."""

    max_parallel: int
    adaptive: bool
    timeout: float
    fail_fast: bool


class PushQueue:
    """One run over a plan: every target gets a task; a slot is held only while writing."""

    def __init__(
        self,
        plan: Plan,
        images: Mapping[Source, Image | Failure],
        *,
        shared: Shared,
        limits: Limits,
        random: Random,
    ) -> None:
        self._plan = plan
        self._images = images
        self._shared = shared
        self._limits = limits
        self._random = random
        self._scope = anyio.CancelScope()
        self._cancelled = False
        self._failing_fast = False
        self._gates: dict[str, Gate] = {}
        self._batches: dict[str, Batches] = {}
        self._turns: dict[Repository, anyio.Lock] = {}
        self._holdings: dict[str, Holdings] = {}
        self._refused: dict[Repository, Failure] = {}
        self._asking: dict[Repository, anyio.Lock] = {}
        self._asked: set[Repository] = set()
        self._runs: list[TargetRun] = []

    @property
    def limit_changes(self) -> tuple[LimitChange, ...]:
        """Every change of a limit, in the order of time."""
        changes = (change for gate in self._gates.values() for change in gate.changes)
        return tuple(sorted(changes, key=lambda change: change.at))

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Every hold of a registry's queue, in the order of time."""
        holds = (hold for gate in self._gates.values() for hold in gate.holds)
        return tuple(sorted(holds, key=lambda hold: hold.at))

    def cancel(self) -> None:
        """End the run now; callable at any time, also before it began."""
        self._cancelled = True
        self._scope.cancel()

    async def run(self) -> tuple[TargetResult, ...]:
        """Push everything; return one result per target, in the plan's order."""
        self._scope.deadline = self._shared.start + self._limits.timeout
        async with anyio.create_task_group() as timers:
            self._set_up(timers)
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    for group, runs in self._grouped():
                        tasks.start_soon(self._run_group, group, runs)
            await self._end_all()
            timers.cancel_scope.cancel()
        return tuple(run.result for run in self._runs if run.result is not None)

    def break_off(self, failure: Failure) -> tuple[TargetResult, ...]:
        """End what has no outcome with ``failure``, after ``run`` raised; return all results."""
        return tuple(run.result or run.cut_off(failure) for run in self._runs)

    def _set_up(self, timers: TaskGroup) -> None:
        ceiling = Ceiling(self._limits.max_parallel)
        for target in self._plan.targets:
            registry = target.reference.repository.registry
            if registry not in self._gates:
                gate = Gate(
                    registry,
                    limit=self._new_limit(),
                    ceiling=ceiling,
                    tasks=timers,
                    observer=self._shared.observer,
                    random=self._random,
                    clock=self._shared.clock,
                    start=self._shared.start,
                )
                self._gates[registry] = gate
                self._batches[registry] = Batches(self._shared, gate)
            run = TargetRun(target, self._shared, self._gates[registry], self._may_start)
            self._runs.append(run)

    def _new_limit(self) -> Limit:
        most = self._limits.max_parallel
        return AdaptiveLimit(ceiling=most) if self._limits.adaptive else FixedLimit(value=most)

    def _grouped(self) -> list[tuple[Group, list[TargetRun]]]:
        runs = iter(self._runs)
        return [(group, [next(runs) for _ in group.targets]) for group in self._plan.groups]

    # -- a group ------------------------------------------------------------------------------

    async def _run_group(self, group: Group, runs: list[TargetRun]) -> None:
        image = self._images[group.source]
        if isinstance(image, Failure):
            self._fail_all(runs, image)
            return
        reachable = group.repository.registry not in self._shared.beyond_reach
        manifests = self._manifests(group.repository) if reachable else None
        turn = self._turns.setdefault(group.repository, anyio.Lock())
        held = InEngine(
            group.source,
            image,
            engine=self._shared.engine,
            manifests=manifests,
            turn=turn,
        )
        if manifests is None:
            await self._land_all(runs, held)
        elif self._shared.direct:
            await self._carry_and_write(group, image, runs, held, manifests)
        else:
            await self._push_and_retag(group, runs, held, manifests)

    # -- the layers go up by our own hand ---------------------------------------------------

    async def _carry_and_write(
        self,
        group: Group,
        image: Image,
        runs: list[TargetRun],
        held: InEngine,
        manifests: Manifests,
    ) -> None:
        """Carry the content, unless the first tag names it already; then write every tag."""
        seed, repository = runs[0], group.repository
        seed.seed = True
        if await seed.finds(held) and seed.result and seed.result.digest:
            digest = seed.result.digest
        elif self._may_start() and (manifest := await self._carry(group, image, seed, runs)):
            digest = manifest.digest
            manifests.know(manifest)
        else:
            return
        content = InRegistry(
            repository, digest, registry=self._shared.registry, manifests=manifests
        )
        await self._write_all([run for run in runs if run.result is None], content)

    async def _carry(
        self, group: Group, image: Image, seed: TargetRun, runs: list[TargetRun]
    ) -> Manifest | None:
        """Return the manifest of the carried content; None where there is none.

        All ``runs`` have failed with it then, unless the run was ended before it was tried.
        """
        if refusal := self._refused.get(group.repository):
            self._fail_all(runs, refusal)
            return None
        registry = group.repository.registry
        seed.content = ContentLog()
        carrier = Carrier(
            group,
            image,
            shared=self._shared,
            gate=self._gates[registry],
            holdings=self._holdings.setdefault(registry, Holdings()),
            refusal=lambda: self._refusal(group.repository),
            may_begin=lambda: seed.may_begin,
            log=seed.content,
        )
        try:
            return await carrier.carry()
        except NotStartedError:
            return None
        except AttemptError as failed:
            failure = failed.failure
        except Exception as error:  # noqa: BLE001 - a fault of ours must not sink other groups
            failure = self._shared.judge(error, group.repository)
        finally:
            for run in runs:
                run.tries_of_content = seed.content.tries
        if failure.kind in REFUSALS:
            self._refused[group.repository] = failure
        self._fail_all(runs, failure)
        return None

    # -- the layers go up by docker push ----------------------------------------------------

    async def _push_and_retag(
        self, group: Group, runs: list[TargetRun], held: InEngine, manifests: Manifests
    ) -> None:
        if refusal := await self._refusal(group.repository):
            self._fail_all(runs, refusal)
            return
        rest = list(runs)
        while rest:
            seed = rest.pop(0)
            seed.seed = True
            if await self._land_seed(seed, held, rest):
                await self._retag(seed, rest, group.repository, manifests)
                return
            if seed.result is None:
                return

    def _manifests(self, repository: Repository) -> Manifests:
        gate = self._gates[repository.registry]
        reader = Reader(gate, lambda error: self._shared.judge(error, repository))
        return Manifests(repository, self._shared.registry, reader)

    async def _refusal(self, repository: Repository) -> Failure | None:
        """Return why ``repository`` refuses us for good, before the first layer is sent.

        Asked once, by an upload that is begun and abandoned: docker hides the answer's words, and
        uploads side by side would all be refused. Where anything else comes of it, the writes
        themselves will tell.
        """
        async with self._asking.setdefault(repository, anyio.Lock()):
            if repository not in self._asked and self._may_start():
                self._asked.add(repository)
                await self._ask_to_write(repository)
        return self._refused.get(repository)

    async def _ask_to_write(self, repository: Repository) -> None:
        async with self._gates[repository.registry].write(repository) as slot:
            try:
                # its success says little of how a push fares: the slot is not told
                request = self._shared.registry.ask_to_write(repository)
                await answered(request, within=READ_TIMEOUT)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not sink other groups
                failure = self._shared.judge(error, repository)
                slot.failed(failure)
                if failure.kind in REFUSALS:
                    self._refused[repository] = failure

    async def _land_seed(self, seed: TargetRun, held: InEngine, rest: list[TargetRun]) -> bool:
        """Carry the content with ``seed``; where that failed for all, end ``rest`` with it."""
        await self._land(seed, held)
        for run in rest:
            run.tries_of_content = max(run.tries_of_content, seed.tries)
        result = seed.result
        if result is None or result.failure is None:
            return result is not None
        if not result.failure.about_tag:
            self._fail_all(rest, _not_carried(result.failure, seed))
            rest.clear()
        return False

    async def _retag(
        self,
        seed: TargetRun,
        rest: list[TargetRun],
        repository: Repository,
        manifests: Manifests,
    ) -> None:
        digest = seed.result.digest if seed.result else None
        if digest is None:
            return
        content = InRegistry(
            repository, digest, registry=self._shared.registry, manifests=manifests
        )
        await self._write_all(rest, content)

    async def _write_all(self, runs: list[TargetRun], content: InRegistry) -> None:
        """Write the tags of a manifest, together where the registry takes several."""
        if runs and self._may_start():
            await self._batches[runs[0].repository.registry].write(runs, content)
        await self._land_all([run for run in runs if run.result is None], content)

    async def _land_all(self, runs: list[TargetRun], content: InEngine | InRegistry) -> None:
        async with anyio.create_task_group() as tasks:
            for run in runs:
                tasks.start_soon(self._land, run, content)

    async def _land(self, run: TargetRun, content: InEngine | InRegistry) -> None:
        refusal = self._refused.get(run.repository)
        if refusal is not None and not run.tried:
            run.fail(refusal)
            return
        result = await run.land(content)
        if result is not None and result.failure is not None:
            if result.failure.kind in REFUSALS:
                self._refused[run.repository] = result.failure
            self._note_failure()

    def _note_failure(self) -> None:
        self._failing_fast = self._limits.fail_fast

    def _may_start(self) -> bool:
        """Say whether targets that were never tried may still be."""
        return not (self._cancelled or self._failing_fast)

    # -- the end ------------------------------------------------------------------------------

    def _fail_all(self, runs: list[TargetRun], failure: Failure) -> None:
        for run in runs:
            run.fail(failure)
            self._note_failure()

    async def _end_all(self) -> None:
        """Give an outcome to every target that the run left without one."""
        unfinished = [run for run in self._runs if run.result is None]
        with anyio.move_on_after(LAST_LOOK, shield=True):
            async with anyio.create_task_group() as tasks:
                for run in unfinished:
                    tasks.start_soon(run.look_a_last_time)
        for run in unfinished:
            if run.result is None:
                kind = self._what_ended(run)
                run.cut_off(ours(kind, REASONS[kind]))

    def _what_ended(self, run: TargetRun) -> Kind:
        if self._cancelled:
            return Kind.CANCELLED
        return Kind.FAIL_FAST if self._failing_fast and not run.tried else Kind.DEADLINE


def _not_carried(failure: Failure, seed: TargetRun) -> Failure:
    """Say for the other targets of a group why their content is not there."""
    return replace(
        failure, message=f"the image was not carried with {seed.target}: {failure.message}"
    )

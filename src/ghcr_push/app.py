"""The composition root: settings in, a report out; the only place that knows every adapter."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    nullcontext,
)
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TypeVar

import anyio
from anyio import to_thread

from ghcr_push import tracing
from ghcr_push.credentials import (
    GHCR,
    Credential,
    docker_config_folder,
    engine_auth,
    private_docker_config,
    resolve,
    token_registry,
)
from ghcr_push.engine import CONTENT_TRUST, DockerEngine, trusts_content
from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.model import (
    Failure,
    Image,
    Kind,
    Outcome,
    Plan,
    Source,
    TargetResult,
)
from ghcr_push.planning.locations import parse_location, repositories_of
from ghcr_push.planning.plan import build_plan, regroup, unresolved
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import OnProtected, Settings, Transport
from ghcr_push.pushing.context import TOLD_EVERY, RunContext, internal, ours
from ghcr_push.pushing.events import Event, Noticed, Observer, Planned
from ghcr_push.pushing.group import engine_is_quicker
from ghcr_push.pushing.preflight import Preflight, Reach
from ghcr_push.pushing.pressure.retry import Backoff, Tries
from ghcr_push.pushing.run import PushRun, RunOptions
from ghcr_push.references import Repository
from ghcr_push.registry.client import RegistryClient
from ghcr_push.reporting import outputs
from ghcr_push.reporting.build import build
from ghcr_push.reporting.records import Report
from ghcr_push.signals import Interruption
from ghcr_push.sources import Spool
from ghcr_push.sources.locations import DiskSources, Sources
from ghcr_push.sources.remote import RegistrySources

T = TypeVar("T")


def push(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    observer: Observer,
    interruption: Interruption,
    told_every: float = TOLD_EVERY,
) -> Report:
    """Do what ``settings`` ask and report it; nothing that happens on the way is raised.

    ``told_every`` are the seconds between two events on how far a carriage is. Raises
    ``InputError`` only: where the engine tells that one target has two images.
    """
    return asyncio.run(Run(settings, environ, observer, interruption, told_every).report())


async def push_async(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    observer: Observer,
    interruption: Interruption,
) -> Report:
    """Do as ``push`` does, in the asyncio loop that runs already."""
    return await Run(settings, environ, observer, interruption).report()


def exit_status(report: Report, settings: Settings, interruption: Interruption) -> int:
    """Return 0, 1 or, where a signal ended the run, 130 or 143."""
    if report.cancelled and interruption.exit_status is not None:
        return interruption.exit_status
    return outputs.exit_status(report, fail_on_error=settings.fail_on_error)


class Run:
    """One run, from settings to report."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        observer: Observer,
        interruption: Interruption,
        told_every: float = TOLD_EVERY,
    ) -> None:
        self._settings = settings
        self._told_every = told_every
        self._environ = environ
        self._observer = _unfailing(observer)
        self._interruption = interruption
        self._plan = build_plan(settings)
        self._random = Random()  # noqa: S311 - jitter, not a secret
        self._notices: list[str] = []
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._start = 0.0
        self._queue: PushRun | None = None

    async def report(self) -> Report:
        """Carry the run out and report how every target ended, though a fault of ours end it."""
        self._start = anyio.current_time()
        for sentence in self._settings.notices:
            self._notice(sentence)
        try:
            async with AsyncExitStack() as stack:
                return self._report(await self._results(stack))
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 - what landed must be told all the same
            return self._report(self._broken_off(error))
        finally:
            self._interruption.tell_nobody()  # the loop ends, and cannot be woken any more

    async def _results(self, stack: AsyncExitStack) -> tuple[TargetResult, ...]:
        adapters: tuple[Sources, RegistryClient] | None = None
        with self._before_queue():
            adapters = await self._adapters(stack)
            if self._settings.conflicts:  # no registry is asked before the inputs are good
                self._know(await adapters[0].inspect_all(self._sources()))
        if adapters is None:
            return self._ended_before_queue()
        reach = Reach()
        async with self._preflight(reach, *adapters):
            return await self._pushed(*adapters, reach)

    async def _pushed(
        self, engine: Sources, registry: RegistryClient, reach: Reach
    ) -> tuple[TargetResult, ...]:
        with self._before_queue():
            images = await engine.inspect_all(self._sources())
            self._know(images)
            if self._settings.dry_run:
                self._observe(Planned(self._plan))
                return planned(self._plan, images)
            shared = self._context(engine, registry, reach)
            self._tell_who_pushes_first(images, shared)
            self._queue = self._new_queue(images, shared)
            self._listen(self._queue.cancel)
        if self._queue is None:
            return self._ended_before_queue()
        return await self._queue.run()

    def _preflight(
        self, reach: Reach, engine: Sources, registry: RegistryClient
    ) -> AbstractAsyncContextManager[None]:
        """Ask who reaches which registry, while the block runs."""
        without_engine = all(parse_location(source.image) for source in self._sources())
        direct = self._settings.transport is Transport.DIRECT or without_engine
        if direct or self._settings.dry_run:
            return nullcontext()
        repositories = [group.repository for group in self._plan.groups]
        preflight = Preflight(
            reach, repositories, ours=registry, engine=engine, notice=self._notice
        )
        return preflight.asking()

    def _before_queue(self) -> anyio.CancelScope:
        """Return a scope that ends where the run's time is up or a signal comes."""
        scope = anyio.CancelScope(deadline=self._deadline)
        self._listen(scope.cancel)
        return scope

    def _ended_before_queue(self) -> tuple[TargetResult, ...]:
        kind = Kind.DEADLINE if self._interruption.signal is None else Kind.CANCELLED
        failure = ours(kind, "the run ended before anything was tried")
        return all_ended(self._plan, Outcome.SKIPPED, failure)

    @property
    def _deadline(self) -> float:
        timeout = self._settings.timeout
        return self._start + (float("inf") if timeout is None else timeout)

    def _broken_off(self, error: Exception) -> tuple[TargetResult, ...]:
        causes = tracing.leaves(error)
        if all(isinstance(cause, OSError) for cause in causes):
            evidence = ErrorInfo(origin=Origin.RUN, message=tracing.described(error))
            failure = classify(evidence)
        else:
            failure = internal(error, "the run as a whole")
        if self._queue is None:
            return all_ended(self._plan, Outcome.FAILED, failure)
        return self._queue.break_off(failure)

    # -- before the queue -------------------------------------------------------------------

    def _listen(self, cancel: Callable[[], None]) -> None:
        """Have a signal call ``cancel``: handed to the loop, which may be asleep in a wait."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(cancel)

        self._interruption.tell(wake)

    async def _adapters(self, stack: AsyncExitStack) -> tuple[Sources, RegistryClient]:
        targets = {group.repository.registry for group in self._plan.groups}
        registries = sorted({*targets, *(each.registry for each in self._source_repositories)})
        known = await to_thread.run_sync(
            resolve, registries, self._explicit(), self._environ, abandon_on_cancel=True
        )
        for sentence in known.notices:
            self._notice(sentence)
        if GHCR in registries and self._has_a_server_token and GHCR not in known.credentials:
            self._notice(
                f"{GHCR} goes without credentials: `token` is the job's own on this GitHub server, "
                f"and {GHCR} does not accept it. Give `username` and `password`."
            )
        if trusts_content(self._environ):
            self._notice(
                f"{CONTENT_TRUST} is set, and nothing is signed: this action writes tags without "
                "signatures; sign the digests of its output `images` instead."
            )
        place = private_place(self._environ)
        folder = private_docker_config(
            known.credentials, docker_config_folder(self._environ), place
        )
        spool = Spool(self._settings.spool_size, place)
        headers = {name: engine_auth(name, given) for name, given in known.credentials.items()}
        platform = self._settings.platform
        engine = DockerEngine(stack.enter_context(folder), self._environ, headers, spool, platform)
        disk = DiskSources(self._settings.path_of, spool, platform)
        client = RegistryClient(
            known.credentials,
            insecure_registries=self._settings.insecure_registries,
            environ=self._environ,
        )
        remote = RegistrySources(client, self._persist, platform)
        return Sources(engine, disk, remote), await stack.enter_async_context(client)

    @property
    def _source_repositories(self) -> list[Repository]:
        """The repositories that content comes from; within a registry it is mounted from there."""
        locations = (parse_location(source.image) for source in self._sources())
        return [each for location in locations for each in repositories_of(location)]

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try a read of a source again, as every attempt is."""
        return await self._backoff.run(attempt, Tries(), lambda *_: None, lambda: True)

    @property
    def _backoff(self) -> Backoff:
        settings = self._settings
        return Backoff(
            initial=settings.backoff_initial,
            maximum=settings.backoff_max,
            max_attempts=settings.max_attempts,
            random=self._random,
            deadline=self._deadline,
        )

    def _explicit(self) -> dict[str, Credential]:
        """Give the inputs' credentials; a login stands in place of the token for its registry."""
        settings = self._settings
        explicit = {}
        if settings.token and (registry := token_registry(self._environ)):
            user = self._environ.get("GITHUB_ACTOR") or "token"
            explicit[registry] = Credential(
                username=user, password=settings.token, own_service=True
            )
        for login in settings.logins:
            explicit[login.registry] = Credential(username=login.username, password=login.password)
        return explicit

    @property
    def _has_a_server_token(self) -> bool:
        return bool(self._settings.token) and token_registry(self._environ) != GHCR

    def _sources(self) -> list[Source]:
        conflicting = (source for each in self._settings.conflicts for source in each.sources)
        sources = (target.source for target in self._plan.targets)
        return list(dict.fromkeys([*sources, *conflicting]))

    def _know(self, images: Mapping[Source, Image | Failure]) -> None:
        """Join groups that the engine shows to be of one image; refuse targets of two."""
        ids = {source: image.id for source, image in images.items() if isinstance(image, Image)}
        if problems := unresolved(self._settings.conflicts, ids):
            raise InputError(problems)
        self._plan = regroup(self._plan, ids)

    def _tell_who_pushes_first(
        self, images: Mapping[Source, Image | Failure], shared: RunContext
    ) -> None:
        there = (image for image in images.values() if isinstance(image, Image))
        if shared.engine_first and any(engine_is_quicker(image) for image in there):
            self._notice(
                "large images go up by docker push first, since the engine's containerd image "
                "store pushes them sooner than it hands them out; what fails so, we carry"
            )

    def _context(self, engine: Sources, registry: RegistryClient, reach: Reach) -> RunContext:
        settings = self._settings
        return RunContext(
            engine=engine,
            registry=registry,
            backoff=self._backoff,
            observer=self._observe,
            clock=anyio.current_time,
            start=self._start,
            attempt_timeout=settings.attempt_timeout,
            verify=settings.verify,
            protect=settings.protect,
            all_or_nothing=settings.all_or_nothing,
            keep_protected=settings.on_protected is OnProtected.KEEP,
            direct=settings.transport is not Transport.ENGINE,
            engine_first=settings.transport is Transport.AUTO and not settings.all_or_nothing,
            mount_from=(*settings.mount_from, *self._source_repositories),
            told_every=self._told_every,
            reach=reach,
        )

    def _new_queue(self, images: Mapping[Source, Image | Failure], shared: RunContext) -> PushRun:
        settings = self._settings
        limits = RunOptions(
            max_parallel=settings.max_parallel,
            adaptive=settings.adaptive,
            timeout=self._deadline - self._start,
            fail_fast=settings.fail_fast,
        )
        return PushRun(self._plan, images, context=shared, limits=limits, random=self._random)

    # -- after it ---------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        """Pass on what happens, and keep for the report what is said of the run as a whole."""
        if isinstance(event, Noticed):
            self._notices.append(event.sentence)
        self._observer(event)

    def _notice(self, sentence: str) -> None:
        self._observe(Noticed(sentence))

    def _report(self, results: tuple[TargetResult, ...]) -> Report:
        return build(
            results,
            started_at=self._started_at,
            duration=anyio.current_time() - self._start,
            cancelled=self._interruption.signal is not None,
            max_parallel=self._settings.max_parallel,
            limit_changes=self._queue.limit_changes if self._queue else (),
            holds=self._queue.holds if self._queue else (),
            notices=self._notices,
        )


def planned(plan: Plan, images: Mapping[Source, Image | Failure]) -> tuple[TargetResult, ...]:
    """Say what a run would write; what has no image in the engine fails here already."""
    results = []
    for group in plan.groups:
        image = images[group.source]
        failure = image if isinstance(image, Failure) else None
        outcome = Outcome.FAILED if failure else Outcome.PLANNED
        results += [
            TargetResult(target=target, outcome=outcome, failure=failure)
            for target in group.targets
        ]
    return tuple(results)


def all_ended(plan: Plan, outcome: Outcome, failure: Failure) -> tuple[TargetResult, ...]:
    """End every target of a run that was broken off before its queue began."""
    return tuple(
        TargetResult(target=target, outcome=outcome, failure=failure) for target in plan.targets
    )


def private_place(environ: Mapping[str, str]) -> Path | None:
    """Say where private temporary files go; None: where temporary files go anyhow.

    Where /tmp cannot be written, Python falls back on the working folder, which is the workspace
    in a container action, and that is what later steps publish.
    """
    temporary = environ.get("RUNNER_TEMP")
    fell_back = Path(tempfile.gettempdir()) == Path.cwd()
    return Path(temporary) if temporary and fell_back else None


def _unfailing(observer: Observer) -> Observer:
    """Have what ``observer`` raises stop no push: its first fault is told, with its traceback.

    A log that nobody reads any more is none of its faults.
    """
    told = False

    def observe(event: Event) -> None:
        nonlocal told
        try:
            observer(event)
        except BrokenPipeError:
            return
        except Exception as error:  # noqa: BLE001 - what is pushed matters more
            if not told:
                told = True
                tracing.fault(f"nothing was told of {type(event).__name__}", error)

    return observe

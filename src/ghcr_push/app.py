"""The composition root: settings in, a report out; the only place that knows every adapter."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from random import Random
from typing import TypeVar

import anyio
from anyio import to_thread

from ghcr_push import credentials
from ghcr_push.engine import DockerEngine, content_trust_notices
from ghcr_push.model import Failure, Image, Plan, Source
from ghcr_push.planning.locations import parse_location, repositories_of
from ghcr_push.planning.settings import OnProtected, Settings, Transport
from ghcr_push.pushing.context import TOLD_EVERY, RunContext
from ghcr_push.pushing.events import Event, Noticed, Observer, Started, unfailing
from ghcr_push.pushing.execution import Adapters, Execution
from ghcr_push.pushing.preflight import Reach
from ghcr_push.pushing.pressure.retry import Backoff, Tries
from ghcr_push.pushing.run import PushRun, RunOptions
from ghcr_push.references import Repository
from ghcr_push.registry.client import RegistryClient
from ghcr_push.reporting import outputs
from ghcr_push.reporting.build import build
from ghcr_push.reporting.records import Report
from ghcr_push.signals import Interruption
from ghcr_push.sources import Spool, temporary_folder
from ghcr_push.sources.locations import DiskSources, SourcesByLocation
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

    ``told_every`` are the seconds between two events on how far an upload is. Raises
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
    """One run, from settings to report: builds the adapters, and hands them to the execution."""

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
        self._observer = unfailing(observer)
        self._interruption = interruption
        self._random = Random()  # noqa: S311 - jitter, not a secret
        self._notices: list[str] = []
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._start = 0.0

    async def report(self) -> Report:
        """Run, and report how every target ended, even if a bug in this code ends the run."""
        self._start = anyio.current_time()
        for sentence in self._settings.notices:
            self._notice(sentence)
        self._execution = Execution(
            self._settings,
            deadline=self._deadline,
            listen=self._listen,
            interrupted=lambda: self._interruption.signal is not None,
            observer=self._observe,
        )
        self._observe(Started(self._execution.plan, self._settings.max_parallel))
        try:
            async with AsyncExitStack() as stack:
                results = await self._execution.results(
                    lambda: self._adapters(stack), self._new_run
                )
        finally:
            self._interruption.tell_nobody()  # the loop ends, and cannot be woken any more
        run = self._execution.run
        return build(
            results,
            started_at=self._started_at,
            duration=anyio.current_time() - self._start,
            cancelled=self._interruption.signal is not None,
            max_parallel=self._settings.max_parallel,
            limit_changes=run.limit_changes if run else (),
            holds=run.holds if run else (),
            notices=self._notices,
        )

    async def _adapters(self, stack: AsyncExitStack) -> Adapters:
        settings, environ = self._settings, self._environ
        targets = {group.repository.registry for group in self._execution.plan.groups}
        registries = sorted({*targets, *(each.registry for each in self._source_repositories)})
        known = await to_thread.run_sync(
            credentials.resolve_for_job,
            registries,
            settings.token,
            settings.logins,
            environ,
            abandon_on_cancel=True,
        )
        for sentence in (*known.notices, *content_trust_notices(environ)):
            self._notice(sentence)
        place = temporary_folder(environ)
        folder = credentials.private_docker_config(
            known.credentials, credentials.docker_config_folder(environ), place
        )
        spool = Spool(settings.spool_size, place)
        headers = {
            name: credentials.engine_auth(name, given) for name, given in known.credentials.items()
        }
        engine = DockerEngine(
            stack.enter_context(folder),
            environ,
            headers,
            spool,
            settings.platform,
            compress=settings.compress_layers,
        )
        client = await stack.enter_async_context(
            RegistryClient(
                known.credentials,
                insecure_registries=settings.insecure_registries,
                environ=environ,
            )
        )
        sources = SourcesByLocation(
            engine,
            DiskSources(
                settings.path_of,
                spool,
                settings.platform,
                referrers=settings.referrers,
                compress=settings.compress_layers,
            ),
            RegistrySources(client, self._persist, settings.platform, referrers=settings.referrers),
            settings.annotations,
        )
        return Adapters(sources, client, engine)

    def _new_run(
        self,
        plan: Plan,
        images: Mapping[Source, Image | Failure],
        adapters: Adapters,
        reach: Reach,
    ) -> PushRun:
        settings = self._settings
        context = RunContext(
            sources=adapters.sources,
            registry=adapters.registry,
            engine=adapters.engine,
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
        options = RunOptions(
            max_parallel=settings.max_parallel,
            adaptive=settings.adaptive,
            timeout=self._deadline - self._start,
            fail_fast=settings.fail_fast,
        )
        return PushRun(plan, images, context=context, limits=options, random=self._random)

    @property
    def _deadline(self) -> float:
        timeout = self._settings.timeout
        return self._start + (float("inf") if timeout is None else timeout)

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

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try a read of a source again, as every attempt is."""
        return await self._backoff.run(attempt, Tries(), lambda *_: None, lambda: True)

    @property
    def _source_repositories(self) -> list[Repository]:
        """The repositories that content comes from; within a registry it is mounted from there."""
        locations = (parse_location(source.image) for source in self._execution.sources)
        return [each for location in locations for each in repositories_of(location)]

    def _listen(self, cancel: Callable[[], None]) -> None:
        """Have a signal call ``cancel``: handed to the loop, which may be asleep in a wait."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(cancel)

        self._interruption.tell(wake)

    def _observe(self, event: Event) -> None:
        """Pass on what happens, and keep for the report what is said of the run as a whole."""
        if isinstance(event, Noticed):
            self._notices.append(event.sentence)
        self._observer(event)

    def _notice(self, sentence: str) -> None:
        self._observe(Noticed(sentence))

"""The composition root: settings in, a report out; the only place that knows every adapter."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from random import Random
from typing import Final
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from ghcr_push.credentials import (
    Credential,
    docker_config_folder,
    engine_auth,
    private_docker_config,
    resolve,
)
from ghcr_push.engine import DockerEngine
from ghcr_push.failures import PushError, classify
from ghcr_push.model import Failure, Image, Kind, Outcome, Plan, Report, Source, TargetResult
from ghcr_push.planning.plan import build_plan, regroup, unresolved
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, Transport
from ghcr_push.pushing.backoff import Backoff
from ghcr_push.pushing.events import Event, Noticed, Observer
from ghcr_push.pushing.ports import Engine, Registry
from ghcr_push.pushing.queue import Limits, PushQueue
from ghcr_push.pushing.target import Shared, ours
from ghcr_push.references import Repository
from ghcr_push.registry.client import RegistryClient
from ghcr_push.reporting import outputs
from ghcr_push.signals import Interruption

NOT_REACHED: Final = frozenset({Kind.NETWORK, Kind.TIMEOUT, Kind.HOST_UNKNOWN, Kind.CERTIFICATE})
"""Failures of a first request that mean: no answer came from there."""


def push(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    observer: Observer,
    interruption: Interruption,
) -> Report:
    """Do what ``settings`` ask and report it; nothing that happens on the way is raised.

    Raises ``InputError`` only: where the engine tells that one target has two images.
    """
    return asyncio.run(Run(settings, environ, observer, interruption).report())


def exit_status(report: Report, settings: Settings, interruption: Interruption) -> int:
    """Return 0, 1 or, where a signal ended the run, 130 or 143."""
    if interruption.exit_status is not None:
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
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._observer = observer
        self._interruption = interruption
        self._plan = build_plan(settings)
        self._random = Random()  # noqa: S311 - jitter, not a secret
        self._notices = list(settings.notices)
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._start = 0.0
        self._queue: PushQueue | None = None

    async def report(self) -> Report:
        """Carry the run out and report how every target ended."""
        self._start = anyio.current_time()
        with anyio.CancelScope() as scope:
            self._listen(scope.cancel)
            async with AsyncExitStack() as stack:
                engine, registry = await self._adapters(stack)
                images = await engine.inspect_all(self._sources())
                self._know(images)
                if self._settings.dry_run:
                    return self._report(planned(self._plan, images))
                shared = self._shared(engine, registry)
                if self._settings.transport is not Transport.DIRECT:
                    await self._find_beyond_reach(shared)
                self._queue = self._new_queue(images, shared)
                self._listen(self._queue.cancel)
                return self._report(await self._queue.run())
        return self._report(never_tried(self._plan, Kind.CANCELLED))

    # -- before the queue -------------------------------------------------------------------

    def _listen(self, cancel: Callable[[], None]) -> None:
        """Have a signal call ``cancel``: handed to the loop, which may be asleep in a wait."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(cancel)

        self._interruption.tell(wake)

    async def _adapters(self, stack: AsyncExitStack) -> tuple[DockerEngine, RegistryClient]:
        registries = sorted({group.repository.registry for group in self._plan.groups})
        known = await to_thread.run_sync(resolve, registries, self._explicit(), self._environ)
        for sentence in known.notices:
            self._notice(sentence)
        folder = private_docker_config(known.credentials, docker_config_folder(self._environ))
        headers = {name: engine_auth(name, given) for name, given in known.credentials.items()}
        engine = DockerEngine(stack.enter_context(folder), self._environ, headers)
        client = RegistryClient(
            known.credentials, insecure_registries=self._settings.insecure_registries
        )
        return engine, await stack.enter_async_context(client)

    def _explicit(self) -> dict[str, Credential]:
        """Give the inputs' credentials; a login stands in place of the token for its registry."""
        settings = self._settings
        explicit = {}
        if settings.token:
            user = self._environ.get("GITHUB_ACTOR") or "token"
            for registry in token_registries(self._environ):
                explicit[registry] = Credential(username=user, password=settings.token)
        for login in settings.logins:
            explicit[login.registry] = Credential(username=login.username, password=login.password)
        return explicit

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

    async def _find_beyond_reach(self, shared: Shared) -> None:
        """Find the registries that only the engine reaches; there, everything goes through it."""
        firsts = {group.repository.registry: group.repository for group in self._plan.groups}
        for registry, repository in firsts.items():
            if not await _reached(shared.registry, repository) and await _reached(
                shared.engine, repository
            ):
                shared.beyond_reach.add(registry)
                self._notice(
                    f"{registry} is out of this process's reach but not of the engine's: "
                    "every tag goes up by docker push, and the engine reads it back"
                )

    def _shared(self, engine: DockerEngine, registry: RegistryClient) -> Shared:
        settings = self._settings
        timeout = settings.timeout if settings.timeout is not None else float("inf")
        return Shared(
            engine=engine,
            registry=registry,
            backoff=Backoff(
                initial=settings.backoff_initial,
                maximum=settings.backoff_max,
                max_attempts=settings.max_attempts,
                random=self._random,
                deadline=self._start + timeout,
            ),
            observer=self._observe,
            clock=anyio.current_time,
            start=self._start,
            attempt_timeout=settings.attempt_timeout,
            verify=settings.verify,
            protect=settings.protect,
            direct=settings.transport is not Transport.ENGINE,
        )

    def _new_queue(self, images: Mapping[Source, Image | Failure], shared: Shared) -> PushQueue:
        settings = self._settings
        limits = Limits(
            max_parallel=settings.max_parallel,
            adaptive=settings.adaptive,
            timeout=shared.backoff.deadline - self._start,
            fail_fast=settings.fail_fast,
        )
        return PushQueue(self._plan, images, shared=shared, limits=limits, random=self._random)

    # -- after it ---------------------------------------------------------------------------

    def _observe(self, event: Event) -> None:
        """Pass on what happens, and keep for the report what is said of the run as a whole."""
        if isinstance(event, Noticed):
            self._notices.append(event.sentence)
        self._observer(event)

    def _notice(self, sentence: str) -> None:
        self._observe(Noticed(sentence))

    def _report(self, results: tuple[TargetResult, ...]) -> Report:
        return Report(
            started_at=self._started_at,
            duration=anyio.current_time() - self._start,
            cancelled=self._interruption.signal is not None,
            max_parallel=self._settings.max_parallel,
            results=results,
            limit_changes=self._queue.limit_changes if self._queue else (),
            holds=self._queue.holds if self._queue else (),
            notices=tuple(self._notices),
        )


def token_registries(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Name the registries that the job's token is for: GitHub's own, and its Enterprise Server's.

    GitHub Docs, "Working with the Container registry": ``containers.HOSTNAME`` there.
    """
    server = urlsplit(environ.get("GITHUB_SERVER_URL") or "https://github.com").hostname or ""
    if server in {"", "github.com"}:
        return ("ghcr.io",)
    return ("ghcr.io", f"containers.{server}")


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


def never_tried(plan: Plan, kind: Kind) -> tuple[TargetResult, ...]:
    """End every target of a run that was broken off before its queue began."""
    failure = ours(kind, "the run ended before anything was tried")
    return tuple(
        TargetResult(target=target, outcome=Outcome.SKIPPED, failure=failure)
        for target in plan.targets
    )


async def _reached(port: Engine | Registry, repository: Repository) -> bool:
    """Say whether any answer comes from the registry through ``port``, be it a refusal."""
    try:
        await port.head(repository, "latest")
    except PushError as error:
        return classify(error.evidence).kind not in NOT_REACHED
    return True

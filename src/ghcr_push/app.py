"""The composition root, wiring only: settings, adapters, execution, report."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random

import anyio

from ghcr_push.adapters import new_adapters
from ghcr_push.model import Hold, LimitChange
from ghcr_push.planning.settings import Settings
from ghcr_push.pushing.context import PROGRESS_EVERY
from ghcr_push.pushing.events import (
    Event,
    Held,
    LimitChanged,
    Noticed,
    Observer,
    Started,
    unfailing,
)
from ghcr_push.pushing.execution import Execution
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.reporting.build import build
from ghcr_push.reporting.records import Report
from ghcr_push.signals import Interruption


async def push(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    observer: Observer,
    interruption: Interruption,
    progress_every: float = PROGRESS_EVERY,
) -> Report:
    """Push as ``settings`` say and report how every target ended, even if a bug ends the run.

    Runs on asyncio. ``progress_every`` is the number of seconds between two progress events of an
    upload. Raises only ``InputError``: if one target turns out to have two images.
    """
    started_at, start = datetime.now(UTC), anyio.current_time()
    report = unfailing(observer)
    notices: list[str] = []
    limit_changes: list[LimitChange] = []
    holds: list[Hold] = []

    def observe(event: Event) -> None:
        match event:
            case Noticed(sentence):
                notices.append(sentence)
            case LimitChanged(change):
                limit_changes.append(change)
            case Held(hold):
                holds.append(hold)
        report(event)

    def notice(sentence: str) -> None:
        observe(Noticed(sentence))

    def listen(cancel: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(cancel)  # the loop may be waiting

        interruption.set_listener(wake)

    random = Random()  # noqa: S311 - jitter, not a secret
    backoff = Backoff(
        initial=settings.backoff_initial,
        maximum=settings.backoff_max,
        max_attempts=settings.max_attempts,
        random=random,
        deadline=start + (float("inf") if settings.timeout is None else settings.timeout),
    )
    for sentence in settings.notices:
        notice(sentence)
    execution = Execution(
        settings,
        start=start,
        backoff=backoff,
        listen=listen,
        interrupted=lambda: interruption.signal is not None,
        observer=observe,
        progress_every=progress_every,
    )
    observe(Started(execution.plan, settings.max_parallel))
    adapters = new_adapters(settings, environ, execution.registries, backoff=backoff, notice=notice)
    try:
        results = await execution.results(adapters)
    finally:
        interruption.remove_listener()  # the loop ends and cannot be woken any more
    return build(
        results,
        started_at=started_at.isoformat(timespec="milliseconds"),
        duration=anyio.current_time() - start,
        cancelled=interruption.signal is not None,
        max_parallel=settings.max_parallel,
        limit_changes=limit_changes,
        holds=holds,
        notices=notices,
    )

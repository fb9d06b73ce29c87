"""A run from settings to results: every target gets one, whatever ends the run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import cast

import anyio

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.model import Kind, Outcome, Source, TargetResult
from ghcr_push.planning.settings import Settings, read_settings
from ghcr_push.pushing.execution import Adapters, Execution
from ghcr_push.pushing.ports import Engine, Registry, Sources
from ghcr_push.pushing.pressure.retry import Backoff

DAMAGED = classify(ErrorInfo(origin=Origin.RUN, kind=Kind.SOURCE_INVALID, message="no layout"))


class OnlyDamaged:
    """Sources of which none can be found."""

    async def inspect_all(self, sources: list[Source]) -> dict[Source, object]:
        return dict.fromkeys(sources, DAMAGED)


@asynccontextmanager
async def hard_to_close() -> AsyncIterator[Adapters]:
    sources, nobody = cast("Sources", OnlyDamaged()), object()
    yield Adapters(sources, cast("Registry", nobody), cast("Engine", nobody))
    raise RuntimeError("the folder is not empty")


async def results_of(settings: Settings) -> tuple[TargetResult, ...]:
    execution = Execution(
        settings,
        start=anyio.current_time(),
        backoff=Backoff(initial=1, maximum=1, max_attempts=1, random=Random(0)),
        listen=lambda _: None,
        interrupted=lambda: False,
        observer=lambda _: None,
    )
    return await execution.results(hard_to_close())


def test_a_fault_while_the_adapters_close_costs_no_result() -> None:
    settings = read_settings({"tags": "ghcr.io/acme/app:1", "source": "oci-layout:gone"})
    (result,) = asyncio.run(results_of(settings))
    assert result.outcome is Outcome.FAILED
    assert result.failure == DAMAGED

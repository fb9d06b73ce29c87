"""What the tests of ``pushing/pressure`` share: timers in a running loop, and failures."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import anyio

from ghcr_push.model import Failure, Kind
from ghcr_push.pushing.pressure.timers import Timers

BROKEN = Failure(kind=Kind.SERVER_ERROR, message="", advice="", retryable=True, pressure=True)
CUT_OFF = replace(BROKEN, kind=Kind.NETWORK, pressure=False)
SECONDARY = replace(BROKEN, kind=Kind.SECONDARY_LIMIT, holds=True)
BURST = replace(BROKEN, kind=Kind.THROTTLED, counts=False)


@asynccontextmanager
async def running_timers(
    wake: Callable[[], object] = lambda: None, clock: Callable[[], float] = anyio.current_time
) -> AsyncIterator[Timers]:
    async with anyio.create_task_group() as tasks:
        yield Timers(tasks, Random(1), clock, wake)
        tasks.cancel_scope.cancel()

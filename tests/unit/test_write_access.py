"""Permission to write is checked once, and never during a hold of the registry."""

from dataclasses import dataclass, field
from random import Random
from typing import cast

import anyio
import trio
from trio.testing import MockClock

from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.ports import Engine, Registry
from ghcr_push.pushing.pressure.global_limit import GlobalLimit
from ghcr_push.pushing.pressure.limit import Limit
from ghcr_push.pushing.pressure.limiter import Limiter
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.pushing.write_access import WriteAccess
from ghcr_push.references import Repository

APP = Repository("ghcr.io", "acme/app")


@dataclass
class Asked:
    """A registry that permits writes, and the times of the checks."""

    at: list[float] = field(default_factory=list)

    async def check_write_access(self, _: Repository) -> None:
        self.at.append(anyio.current_time())


def test_a_hold_that_begins_when_the_slot_is_given_is_obeyed() -> None:
    registry = Asked()

    async def run() -> None:
        context = RunContext(
            engine=cast("Engine", None),
            registry=cast("Registry", registry),
            backoff=Backoff(initial=2.0, maximum=60.0, max_attempts=8, random=Random(1)),
            observer=lambda _: None,
            start=0.0,
            attempt_timeout=900.0,
            verify=True,
            protect=(),
        )
        async with anyio.create_task_group() as tasks:
            limiter = Limiter(
                "ghcr.io",
                limit=Limit(1),
                global_limit=GlobalLimit(1),
                tasks=tasks,
                observer=lambda _: None,
                random=Random(1),
            )
            access = WriteAccess(context, limiter, lambda: True)
            async with anyio.create_task_group() as asking:
                async with limiter.write("another"):
                    asking.start_soon(access.refusal, APP)
                    await anyio.sleep(1.0)
                # the slot is passed to the next waiter when it is left, and not used yet
                limiter.holds.hold(30.0, "throttled")
                began = anyio.current_time()
            assert await access.refusal(APP) is None
            assert [at - began >= 30.0 for at in registry.at] == [True]
            tasks.cancel_scope.cancel()

    trio.run(run, clock=MockClock(autojump_threshold=0))

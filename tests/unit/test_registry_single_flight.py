"""One call serves all tasks that need its result at the same time."""

import anyio
import pytest

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.registry.single_flight import SingleFlight

pytestmark = pytest.mark.anyio


class Calls:
    """A call that waits until it is released, and counts."""

    def __init__(self, error: Exception | None = None) -> None:
        self.made = 0
        self.error = error
        self.go = anyio.Event()

    async def call(self) -> int:
        self.made += 1
        await self.go.wait()
        if self.error:
            raise self.error
        return self.made


async def test_waiting_callers_share_one_call() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    calls, results = Calls(), list[int]()

    async def ask() -> None:
        results.append(await flights.join("key", calls.call))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        calls.go.set()
    assert (results, calls.made) == ([1] * 5, 1)
    assert await flights.join("key", calls.call) == 2


async def test_keys_do_not_wait_for_each_other() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    slow, quick = Calls(), Calls()
    quick.go.set()
    async with anyio.create_task_group() as group:
        group.start_soon(flights.join, "slow", slow.call)
        await anyio.wait_all_tasks_blocked()
        assert await flights.join("quick", quick.call) == 1
        slow.go.set()


async def test_a_failure_is_shared_and_not_kept() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    calls = Calls(PushError(ErrorInfo(origin=Origin.REGISTRY, message="no")))
    seen = list[str]()

    async def ask() -> None:
        with pytest.raises(PushError) as raised:
            await flights.join("key", calls.call)
        seen.append(raised.value.evidence.message)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        calls.go.set()
    calls.error = None
    assert (seen, calls.made) == (["no"] * 3, 1)
    assert await flights.join("key", calls.call) == 2


async def test_a_waiting_task_takes_over_from_a_cancelled_one() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    calls, results, first = Calls(), list[int](), anyio.CancelScope()

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            results.append(await flights.join("key", calls.call))

    async with anyio.create_task_group() as group:
        group.start_soon(ask, first)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(ask, anyio.CancelScope())
        group.start_soon(ask, anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        calls.go.set()
    assert (results, calls.made) == ([2, 2], 2)

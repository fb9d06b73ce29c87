"""Those who wait are admitted in the order in which they came."""

import anyio
import pytest

from ghcr_push.pushing.pressure.queues import Window

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


async def test_no_more_are_inside_than_may_be_and_first_come_is_first_served() -> None:
    window, inside, most, order = Window(lambda: 2), 0, 0, []

    async def visit(number: int) -> None:
        nonlocal inside, most
        async with window.enter():
            order.append(number)
            inside += 1
            most = max(most, inside)
            await anyio.lowlevel.checkpoint()
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(visit, number)
            await anyio.lowlevel.checkpoint()
    assert most == 2
    assert sorted(order) == list(range(20))


async def test_more_are_admitted_when_the_maximum_rises() -> None:
    allowed = 1
    window = Window(lambda: allowed)
    begun: list[int] = []
    leave = anyio.Event()

    async def stay(number: int) -> None:
        async with window.enter():
            begun.append(number)
            await leave.wait()

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(stay, number)
        await anyio.wait_all_tasks_blocked()
        assert len(begun) == 1
        allowed = 3
        leave.set()
    assert len(begun) == 3


@pytest.mark.parametrize("was_admitted", [True, False])
async def test_a_cancelled_waiter_leaves_its_place_to_the_next(was_admitted: bool) -> None:
    window, cancelled, begun = Window(lambda: 1), anyio.CancelScope(), list[int]()

    async def visit(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            async with window.enter():
                begun.append(number)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            async with window.enter():
                for number, scope in enumerate([cancelled, anyio.CancelScope()]):
                    tasks.start_soon(visit, number, scope)
                    await anyio.wait_all_tasks_blocked()
                if not was_admitted:
                    cancelled.cancel()
                    await anyio.wait_all_tasks_blocked()
            cancelled.cancel()  # it was admitted and has not run yet
    assert begun == [1]

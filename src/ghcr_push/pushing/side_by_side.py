"""Runs tasks in parallel; the first failure ends them all."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def for_each(items: Iterable[T], do: Callable[[T], Awaitable[object]]) -> None:
    """Run it for all; raise the first error unwrapped, without a task group's group."""
    errors: list[Exception] = []

    async def one(item: T) -> None:
        try:
            await do(item)
        except Exception as error:  # noqa: BLE001 - raised below, whatever it is
            errors.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for item in items:
            tasks.start_soon(one, item)
    if errors:
        raise errors[0]

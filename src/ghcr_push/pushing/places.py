"""Those who wait for a place at one registry, and the places of all registries together."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio


class Ceiling:
    """``max-parallel``: the writes in flight over all registries together."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._offers: list[Callable[[], object]] = []

    def join(self, offer: Callable[[], object]) -> None:
        """Have ``offer`` called when a place comes free."""
        self._offers.append(offer)

    def take(self) -> bool:
        """Take a place if there is one."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """Free a place and offer it round, the registry after the last one first."""
        self._free += 1
        self._offers.append(self._offers.pop(0))
        for offer in self._offers:
            offer()


@dataclass(slots=True, eq=False)
class Waiter:
    """One who waits to be let in; ``level`` is how many were inside then, itself among them."""

    let_in: anyio.Event = field(default_factory=anyio.Event)
    level: int = 0


@dataclass(slots=True)
class Line:
    """Those who wait, first come first served, and how many are in."""

    inside: int = 0
    waiting: OrderedDict[Waiter, None] = field(default_factory=OrderedDict)

    def admit(self) -> None:
        """Let in who came first."""
        waiter, _ = self.waiting.popitem(last=False)
        self.inside += 1
        waiter.level = self.inside
        waiter.let_in.set()

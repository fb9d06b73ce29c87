"""Those who wait for a place at one registry, and the places of all registries together."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio


class GlobalLimit:
    """``max-parallel``: the writes in flight over all registries together.

    While a registry has work, one place is kept for it, if there are as many places as registries,
    and no other takes more than an even share while it waits. A registry that has not answered a
    write yet, or did not answer the last one, gets one place at most while others have work: one
    that never answers holds up no other.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._shares: list[Share] = []

    def join(self, offer: Callable[[], object], waits: Callable[[], bool]) -> "Share":
        """Return the share of one more registry.

        ``offer`` is called when a place comes free; ``waits`` says whether it could use one.
        """
        share = Share(self, offer, waits)
        self._shares.append(share)
        return share

    def has_place_for(self, share: "Share") -> bool:
        """Say whether ``share`` may take a place now."""
        others = [each for each in self._shares if each is not share]
        if not others or not share.held:
            return self._free > 0
        if not share.answers:
            return False
        kept = sum(not each.held for each in others)
        rivals = [each for each in others if each.answers]
        even = self._most // (len(rivals) + 1)
        contested = share.held >= even and any(each.waits() for each in rivals)
        return self._free > kept and not contested

    def move(self, places: int) -> None:
        """Add to the free places, and offer them round, the registry after the last one first."""
        self._free += places
        if places > 0:
            self._shares.append(self._shares.pop(0))
            self.offer_round()

    def leave(self, share: "Share") -> None:
        """Keep no place for a registry that has no work any more."""
        if share in self._shares:
            self._shares.remove(share)
            self.offer_round()

    def offer_round(self) -> None:
        """Have every registry take what it may."""
        for share in list(self._shares):
            share.offer()


@dataclass(slots=True, eq=False)
class Share:
    """The places of one registry."""

    ceiling: GlobalLimit
    offer: Callable[[], object]
    waits: Callable[[], bool]
    held: int = 0
    answers: bool = False
    """Whether the registry answered the last write that ended."""

    @property
    def free(self) -> bool:
        """Whether a place may be taken now."""
        return self.ceiling.has_place_for(self)

    def take(self) -> bool:
        """Take a place if there is one."""
        if not self.free:
            return False
        self.held += 1
        self.ceiling.move(-1)
        return True

    def give_back(self) -> None:
        """Free a place."""
        self.held -= 1
        self.ceiling.move(1)

    def leave(self) -> None:
        """Need no place any more: others may have them all."""
        self.ceiling.leave(self)


@dataclass(slots=True, eq=False)
class Waiter:
    """One who waits to be let in; ``level`` is how many were inside then, itself among them."""

    let_in: anyio.Event = field(default_factory=anyio.Event)
    level: int = 0


@dataclass(slots=True)
class FifoQueue:
    """Those who wait, first come first served, and how many are in."""

    inside: int = 0
    waiting: OrderedDict[Waiter, None] = field(default_factory=OrderedDict)

    def admit(self) -> None:
        """Let in who came first."""
        waiter, _ = self.waiting.popitem(last=False)
        self.inside += 1
        waiter.level = self.inside
        waiter.let_in.set()

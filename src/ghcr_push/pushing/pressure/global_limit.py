"""The slots of all registries together."""

from collections.abc import Callable
from dataclasses import dataclass


class GlobalLimit:
    """``max-parallel``: the writes in flight over all registries together.

    While a registry has work, one slot is reserved for it (if there are as many slots as
    registries), and no other takes more than an even share while it waits. A registry that has not
    answered a write yet, or did not answer the last one, gets at most one slot while others have
    work, so that a registry that never answers delays no other.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._shares: list[Share] = []

    def join(self, offer: Callable[[], object], waits: Callable[[], bool]) -> "Share":
        """Return the share of one more registry.

        ``offer`` is called when a slot is free; ``waits`` returns whether it could use one.
        """
        share = Share(self, offer, waits)
        self._shares.append(share)
        return share

    def has_slot_for(self, share: "Share") -> bool:
        """Return whether ``share`` may take a slot now."""
        free = self._most - sum(each.slots for each in self._shares)
        others = [each for each in self._shares if each is not share]
        if not others or not share.slots:
            return free > 0
        if not share.answers:
            return False
        kept = sum(not each.slots for each in others)
        rivals = [each for each in others if each.answers]
        even = self._most // (len(rivals) + 1)
        contested = share.slots >= even and any(each.waits() for each in rivals)
        return free > kept and not contested

    def freed(self) -> None:
        """Offer a slot that is free now to all registries, each time in another order."""
        self._shares.append(self._shares.pop(0))
        self.offer_round()

    def leave(self, share: "Share") -> None:
        """Reserve no slot for a registry without work."""
        if share in self._shares:
            self._shares.remove(share)
            self.offer_round()

    def offer_round(self) -> None:
        """Let every registry take the slots that it may."""
        for share in list(self._shares):
            share.offer()


@dataclass(slots=True, eq=False)
class Share:
    """The slots of one registry."""

    global_limit: GlobalLimit
    offer: Callable[[], object]
    waits: Callable[[], bool]
    slots: int = 0
    answers: bool = False
    """Whether the registry answered the last write that ended."""

    def take(self) -> bool:
        """Take a slot if one is free."""
        if not self.global_limit.has_slot_for(self):
            return False
        self.slots += 1
        return True

    def give_back(self) -> None:
        """Free a slot."""
        self.slots -= 1
        self.global_limit.freed()

    def leave(self) -> None:
        """Release the share: other registries may use all slots."""
        self.global_limit.leave(self)

"""The arithmetic of limits, apart from clocks and connections.

Every `now` is in seconds on one clock that never goes back; none of these objects reads it itself.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from random import Random

from tests.support.front.behaviour import Bucket, Faults, Schedule, Secondary


def limit_at(given: int | Schedule | None, now: float) -> int | None:
    """Return the limit at `now`; None if there is none."""
    if given is None or isinstance(given, int):
        return given
    return next((number for start, number in reversed(given) if start <= now), None)


def strikes(faults: Faults, random: Random) -> Iterator[bool]:
    """Decides for each request in turn whether it gets a fault."""
    while True:
        if faults.evenly and faults.rate:
            among = round(1 / faults.rate)
            struck = random.randrange(among)
            yield from (place == struck for place in range(among))
        else:
            yield random.random() < faults.rate


class WriteSlots:
    """Counts the admitted writes, and never admits more than the limit allows."""

    def __init__(self) -> None:
        self.taken = 0

    def enter(self, limit: int | None) -> bool:
        """Take a slot if one is free under `limit`; None is no limit."""
        if limit is not None and self.taken >= limit:
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        self.taken -= 1


class TokenBucket:
    """Lets `per_minute` requests pass on average, and at most `burst` at once."""

    def __init__(self, rule: Bucket) -> None:
        self._rate = rule.per_minute / 60
        self._burst = rule.burst
        self._level = float(rule.burst)
        self._at = 0.0

    def take(self, now: float) -> float:
        """Return 0 if the request passes, else the seconds until the next one would."""
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        # Refills are sums of small floats: a wait that was honoured to the microsecond passes.
        if self._level >= 1 - 1e-6 * self._rate:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self._rate


class SecondaryLimit:
    """Refuses all writes for a while once there were too many manifest PUTs within a window."""

    def __init__(self, rule: Secondary) -> None:
        self._rule = rule
        self._puts: deque[float] = deque()
        self._until = float("-inf")

    def refuses(self, now: float, *, manifest_put: bool) -> bool:
        """Decide on one write, counting it if it is a manifest PUT."""
        if now < self._until:
            if self._rule.extends:
                self._until = now + self._rule.penalty
            return True
        if not manifest_put:
            return False
        while self._puts and self._puts[0] <= now - self._rule.window:
            self._puts.popleft()
        if len(self._puts) >= self._rule.writes:
            self._until = now + self._rule.penalty
            self._puts.clear()
            return True
        self._puts.append(now)
        return False


class TagHistory:
    """The history of each tag, and when reads show each change, for reads that lag."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, list[tuple[float, str]]] = {}

    def wrote(self, tag: Hashable, *, old: str, new: str, visible_at: float) -> None:
        """Record that `tag` changed from digest `old` to `new`; an empty one means no such tag."""
        self._seen.setdefault(tag, [(float("-inf"), old)]).append((visible_at, new))

    def read(self, tag: Hashable, now: float) -> str | None:
        """Return the digest that a read sees, empty for none; None if it sees the present."""
        versions = self._seen.get(tag)
        if versions is None:
            return None
        if all(visible_at <= now for visible_at, _ in versions):
            del self._seen[tag]
            return None
        return [digest for visible_at, digest in versions if visible_at <= now][-1]


class Pacer:
    """Spreads bytes so that all senders together keep to `rate` bytes per second.

    A sender that woke late may catch up to 20 ms: timers of an event loop are no finer than
    a millisecond, and at 1 Gbit/s a chunk is due more often than that.
    """

    GRACE = 0.02

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0

    def reserve(self, size: int, now: float) -> float:
        """Return the seconds to wait before `size` bytes may pass on."""
        self._free_at = max(self._free_at, now - self.GRACE) + size / self._rate
        return max(0.0, self._free_at - now)

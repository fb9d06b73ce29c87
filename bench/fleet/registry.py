"""One registry that many runners share: a limit on writes, buckets of requests, a penalty.

Each runner has a modelled world of its own (log, tags, blobs: ``tests.simulation.world``); what
is refused is decided here, for all of them together.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import anyio
from tests.simulation.images import Saved
from tests.simulation.records import Request, Traffic
from tests.simulation.refusals import REFUSAL, Refusals, pass_time
from tests.simulation.scenario import Scenario
from tests.simulation.world import World

from ghcr_push.model import Source

MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the registry behaves to all runners together.

    ``writes`` is the capacity; writes beyond it get 500. Buckets are requests a minute and how many
    at once; requests beyond them get 429 with the wait for the next token, mostly milliseconds.
    ``reads`` is None if reads share the bucket of ``requests``. After more than ``abuse`` refusals
    within a minute all writes get 403 for ``penalty`` seconds, and again after it if refusals went
    on.
    """

    writes: int
    requests: tuple[float, int]
    reads: tuple[float, int] | None
    abuse: int
    penalty: float


@dataclass(slots=True)
class Bucket:
    """Tokens, filled at ``rate`` a second up to ``most``."""

    rate: float
    most: int
    tokens: float = field(init=False)
    counted: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.tokens = self.most

    def take(self, now: float) -> float | None:
        """Take a token; if there is none, return the seconds until there is."""
        self.tokens = min(self.most, self.tokens + self.rate * (now - self.counted))
        self.counted = now
        if self.tokens < 1:
            return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal: its name in the simulation, its status, text and named wait."""

    answer: str
    status: int
    text: str = ""
    wait: float = 0.0


class SharedRegistry:
    """Decides on every request as it arrives; refused requests use no capacity."""

    def __init__(self, setting: Setting) -> None:
        self.penalties: list[float] = []
        """When each began."""
        self._setting = setting
        self._requests = _bucket(setting.requests)
        self._reads = self._requests if setting.reads is None else _bucket(setting.reads)
        self._accepted: list[Request] = []
        self._refused: deque[float] = deque()

    def read_refusal(self) -> Refusal | None:
        """Return why a read that arrives now is refused, or None."""
        return self._noted(_throttled(self._reads))

    def write_refusal(self, request: Request) -> Refusal | None:
        """Return why a write that arrives now is refused, or None if it is accepted."""
        if self._penalised:
            text = "You have exceeded a secondary rate limit. Please wait a few minutes."
            return self._noted(Refusal("secondary", 403, text))
        if throttled := _throttled(self._requests):
            return self._noted(throttled)
        self._accepted = [write for write in self._accepted if write.ended == float("inf")]
        if len(self._accepted) >= self._setting.writes:
            return self._noted(Refusal("broken", 500))
        self._accepted.append(request)
        return None

    @property
    def _penalised(self) -> bool:
        ends = self.penalties[-1] + self._setting.penalty if self.penalties else float("-inf")
        return anyio.current_time() < ends

    def _noted(self, refusal: Refusal | None) -> Refusal | None:
        """Count a refusal; too many within a minute start a penalty."""
        if refusal is None:
            return None
        now = anyio.current_time()
        self._refused.append(now)
        while self._refused[0] < now - MINUTE:
            self._refused.popleft()
        if len(self._refused) > self._setting.abuse and not self._penalised:
            self.penalties.append(now)
        return refusal


def _bucket(of: tuple[float, int]) -> Bucket:
    return Bucket(of[0] / MINUTE, of[1])


def _throttled(bucket: Bucket) -> Refusal | None:
    wait = bucket.take(anyio.current_time())
    if wait is None:
        return None
    return Refusal("throttled", 429, f"allowed: {bucket.rate * MINUTE:.0f}/minute", wait)


class SharedRefusals(Refusals):
    """Refuses one runner's requests as the shared registry decides, and for no other reason."""

    def __init__(
        self,
        scenario: Scenario,
        random: Random,
        traffic: dict[str, Traffic],
        shared: SharedRegistry,
    ) -> None:
        super().__init__(scenario, random, traffic)
        self._shared = shared

    def refuse_read(self, request: Request) -> None:
        """Refuse a read that the registry refuses."""
        self._answer(request, self._shared.read_refusal())

    async def refuse_write(self, request: Request) -> None:
        """Refuse a write that the registry refused when it arrived."""
        refusal = self._shared.write_refusal(request)
        await pass_time(self._random, REFUSAL)
        self._answer(request, refusal)

    def _answer(self, request: Request, refusal: Refusal | None) -> None:
        if refusal is not None:
            self.refuse(request, refusal.answer, refusal.status, refusal.text, wait=refusal.wait)


class RunnerWorld(World):
    """The world of one runner with a shared registry; nothing else goes wrong in it."""

    def __init__(self, scenario: Scenario, random: Random, shared: SharedRegistry) -> None:
        super().__init__(scenario, random)
        self.refusals = SharedRefusals(scenario, random, self.traffic, shared)

    @asynccontextmanager
    async def save(self, source: Source) -> AsyncIterator[Saved]:
        """Let an image be read from a fast engine."""
        async with super().save(source) as saved:
            saved._pause = 0.01  # noqa: SLF001 - the model draws up to 3 s, other contenders do not
            yield saved

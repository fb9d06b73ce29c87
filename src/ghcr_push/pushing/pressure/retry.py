"""How long a unit waits after a failure and when it gives up: the policy, on top of tenacity.

The table of waits follows what GHCR's failures need to clear (seconds for races on blobs and
manifests, tens of seconds for authorisation blips), scaled by ``backoff-initial``. Jitter is at
most half of a wait: jitter over all of it may draw almost nothing and hammer a registry in trouble.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeVar

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from ghcr_push.model import Failure, Kind

T = TypeVar("T")

UNCOUNTED_SPREAD = 0.5
"""Seconds of jitter, at most, after a refusal that cost no attempt."""

SPARE_SHARE, SPARE_LONGEST = 0.25, 2.0
"""Share of the jitter, and of waits of at most so many seconds also of the minimum, that is kept
while a slot is free and no write waits for it: such a wait is idle time, and the failures before it
may be chance (``docs/pressure.md``). Longer waits keep their minimum, so that eight attempts last
half a minute, and a long ``backoff-initial`` is obeyed.
"""

BURST_FLOOR, BURST_SPREAD, BURST_DOUBLINGS = 1.0, 2.0, 5
"""Seconds to wait after a 429 at first, its jitter, and how often that wait doubles (to 32 s).

A burst limiter asks for milliseconds only.
"""

SLOWER: Final = {Kind.NOT_VISIBLE: 8.0, Kind.AUTH_BLIP: 12.0, Kind.UNKNOWN: 10.0, Kind.MANGLED: 4.0}
"""First wait of a kind, as a multiple of ``backoff-initial``; 1 for all others.

A random refusal needs no long wait, and a refusal that is due to the limit lowers the limit. The
causes of these kinds take longer to clear.
"""


class AttemptError(Exception):
    """One attempt of a unit failed; ``counts`` says whether that spends one of its attempts."""

    def __init__(self, failure: Failure, *, counts: bool) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.counts = counts


@dataclass(slots=True)
class FailureCount:
    """How often one unit has failed so far."""

    total: int = 0
    """Failures that count as attempts."""
    by_kind: Counter[Kind] = field(default_factory=Counter)
    throttled: int = 0
    """Failures of kind ``THROTTLED`` in a row, whether or not they count as attempts."""

    def add(self, failed: AttemptError) -> None:
        """Count a failed attempt."""
        self.by_kind[failed.failure.kind] += failed.counts
        self.total += failed.counts
        self.throttled = self.throttled + 1 if failed.failure.kind is Kind.THROTTLED else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The policy: seconds to wait, and when to give up.

    ``deadline`` is on the same clock as ``clock``; a wait that would pass it is not begun.
    """

    initial: float
    maximum: float
    max_attempts: int
    random: Random
    clock: Callable[[], float] = anyio.current_time
    deadline: float = float("inf")

    def wait(self, failed: AttemptError, count: FailureCount, *, spare: bool = False) -> float:
        """Return the seconds before the unit asks for a slot again, at least as the registry asked.

        ``spare``: a slot is free and no write waits for it, so the wait is shorter.
        """
        failure = failed.failure
        asked = failure.asked_wait or 0.0
        if failure.holds:
            return 0.0  # the limiter holds all units, this one too
        if failure.kind is Kind.THROTTLED:
            doubled = BURST_FLOOR * 2.0 ** min(count.throttled - 1, BURST_DOUBLINGS)
            return max(asked, doubled) + self.random.uniform(0, BURST_SPREAD)
        if not failed.counts:
            return asked + self.random.uniform(0, UNCOUNTED_SPREAD)
        first = self.initial * SLOWER.get(failure.kind, 1.0)
        # the exponent is bounded because 2.0**1024 overflows
        grown = min(self.maximum, first * 2.0 ** min(count.total - 1, 32))
        least = spread = grown / 2
        if spare:
            spread *= SPARE_SHARE
            if grown <= SPARE_LONGEST and failure.kind not in SLOWER:
                least *= SPARE_SHARE
        return max(asked, least) + self.random.uniform(0, spread)

    def passes_deadline(self, wait: float) -> bool:
        """Return whether a wait from now on would end after the deadline."""
        return self.clock() + wait > self.deadline

    def gives_up(self, failed: AttemptError, count: FailureCount, wait: float) -> bool:
        """Return whether to give up: a permanent failure, the deadline, or too many attempts."""
        failure = failed.failure
        if not failure.retryable or self.passes_deadline(wait):
            return True
        if failure.cap is not None and count.by_kind[failure.kind] >= failure.cap:
            return True
        return count.total >= self.max_attempts

    def spent(self, failure: Failure, count: FailureCount) -> tuple[int, int]:
        """Return how many attempts have counted, and the maximum: of the kind if it has a cap."""
        if failure.cap is not None and failure.cap < self.max_attempts:
            return count.by_kind[failure.kind], failure.cap
        return count.total, self.max_attempts

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        count: FailureCount,
        before_wait: Callable[[AttemptError, float], None],
        spare: Callable[[], bool],
    ) -> T:
        """Call ``attempt`` until it returns; raise its last ``AttemptError`` when giving up.

        ``spare`` returns whether a slot is free and no write waits for it.
        """

        def next_wait(state: RetryCallState) -> float:
            failed = _failure_of(state)
            count.add(failed)
            return self.wait(failed, count, spare=spare())

        def stop(state: RetryCallState) -> bool:
            return self.gives_up(_failure_of(state), count, state.upcoming_sleep)

        def report(state: RetryCallState) -> None:
            before_wait(_failure_of(state), state.upcoming_sleep)

        async def one() -> T:
            # tenacity awaits only what it sees to be a coroutine function
            return await attempt()

        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, AttemptError)),
            wait=next_wait,
            stop=stop,
            before_sleep=report,
            sleep=anyio.sleep,
            reraise=True,
        )
        return await retrying(one)

    async def persist(
        self,
        attempt: Callable[[], Awaitable[T]],
        before_wait: Callable[[AttemptError, float], None] = lambda *_: None,
    ) -> T:
        """Retry as ``run`` does an attempt that needs no slot."""
        return await self.run(attempt, FailureCount(), before_wait, lambda: True)


def _failure_of(state: RetryCallState) -> AttemptError:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, AttemptError):
        raise TypeError("tenacity asked about an attempt that did not fail")
    return error

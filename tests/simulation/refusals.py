"""How the modelled registry refuses: for its conditions, its limits, or the request itself."""

from random import Random
from typing import NoReturn

import anyio

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import Kind
from ghcr_push.references import TagReference
from tests.simulation.records import Request, Traffic
from tests.simulation.scenario import Conditions, Scenario

REFUSAL = 0.2
"""Seconds that a refusal takes, give or take a quarter."""

SILENCE = 60.0
"""Seconds after which our client, and docker, give up a connection without an answer."""


async def pass_time(random: Random, seconds: float) -> None:
    """Let about ``seconds`` pass, give or take a quarter."""
    await anyio.sleep(seconds * random.uniform(0.8, 1.25))


class Refusals:
    """The reasons to refuse a request; the scenario's times count from ``start``."""

    def __init__(self, scenario: Scenario, random: Random, traffic: dict[str, Traffic]) -> None:
        self.start = 0.0
        self._scenario = scenario
        self._random = random
        self._traffic = traffic

    def begin(self) -> None:
        """Let the scenario's times count from now, with full buckets."""
        self.start = anyio.current_time()
        for name, traffic in self._traffic.items():
            bucket = self._scenario.conditions[name].bucket
            traffic.tokens, traffic.counted = float(bucket[1] if bucket else 0), self.start

    async def wait_if_silent(self, request: Request) -> None:
        """Let the client wait until it gives up, if the registry answers nothing."""
        if self._conditions(request).silent_from <= self._now:
            await anyio.sleep(SILENCE)
            self.refuse(request, "silent")

    def refuse_read(self, request: Request) -> None:
        """Refuse a read for the first reason that applies."""
        conditions = self._conditions(request)
        beyond = request.repository.registry in self._scenario.beyond_reach
        if beyond and request.operation != "engine-head":
            self.refuse(request, "unreachable")
        self._refuse_if_down_or_throttled(request, conditions)
        if conditions.read_bugs and self._random.random() < conditions.read_bugs:
            self._break(request)
        if self._random.random() < conditions.read_faults:
            self.refuse(request, "broken", self._random.choice((500, 502, 503)))

    async def refuse_write(self, request: Request) -> None:
        """Refuse a write for the first reason that applies."""
        conditions, traffic = self._conditions(request), self._traffic[request.repository.registry]
        now = self._now
        over = traffic.in_flight > conditions.limit(now)
        await pass_time(self._random, REFUSAL / 2)
        self._refuse_permanently(request, conditions)
        self._refuse_if_down_or_throttled(request, conditions)
        self._refuse_by_secondary_limit(request, conditions, traffic)
        await pass_time(self._random, REFUSAL / 2)
        burst = any(begins <= now < ends for begins, ends in conditions.bursts)
        if (
            over
            or (burst and self._random.random() < 0.8)
            or self._random.random() < conditions.faults
        ):
            if conditions.refusal > REFUSAL:
                await pass_time(self._random, conditions.refusal - REFUSAL)
            self.refuse(request, "broken", self._random.choice((500, 502, 503)))
        if self._random.random() < conditions.odd:
            self.refuse(
                request, "odd", *self._random.choice(((404, "x", "BLOB_UNKNOWN"), (418, "?", None)))
            )

    def _refuse_permanently(self, request: Request, conditions: Conditions) -> None:
        """Refuse permanently, or raise an internal error as our client might."""
        if self._random.random() < conditions.bugs:
            self._break(request)
        if request.repository in self._scenario.denied:
            self.refuse(request, "denied", 403, "permission_denied: write_package")
        references = {TagReference(request.repository, tag) for tag in request.tags}
        if references & self._scenario.refused_tags:
            self.refuse(request, "tag-refused", 400, "no such tag here", code="TAG_INVALID")

    def _break(self, request: Request) -> NoReturn:
        request.answer = "bug"
        raise RuntimeError("the adapter broke")

    def _refuse_if_down_or_throttled(self, request: Request, conditions: Conditions) -> None:
        """Refuse a request for an outage or an empty bucket."""
        for outage in conditions.outages:
            if outage.covers(self._now, write=request.writes):
                if outage.connection:
                    self.refuse(request, "unreachable")
                self.refuse(request, "down", 503)
        if conditions.bucket is None:
            return
        rate, most = conditions.bucket
        traffic = self._traffic[request.repository.registry]
        now = anyio.current_time()
        traffic.tokens = min(most, traffic.tokens + rate * (now - traffic.counted))
        traffic.counted = now
        if traffic.tokens >= 1:
            traffic.tokens -= 1
        else:
            self.refuse(
                request,
                "throttled",
                429,
                f"allowed: {rate:g}/second",
                wait=(1 - traffic.tokens) / rate,
            )

    def _refuse_by_secondary_limit(
        self, request: Request, conditions: Conditions, traffic: Traffic
    ) -> None:
        if conditions.secondary is None:
            return
        most, penalty = conditions.secondary
        now = anyio.current_time()
        while traffic.recent and traffic.recent[0] < now - 60:
            traffic.recent.popleft()
        traffic.recent.append(now)
        if now >= traffic.penalty_ends and len(traffic.recent) > most:
            traffic.penalty_ends = now + penalty
        if now < traffic.penalty_ends:
            self.refuse(request, "secondary", 403, "You have exceeded a secondary rate limit.")

    def refuse(
        self,
        request: Request,
        answer: str,
        status: int | None = None,
        text: str = "",
        code: str | None = None,
        *,
        wait: float = 0.0,
    ) -> NoReturn:
        """Answer ``request`` with a refusal, and with a wait if the registry names waits."""
        request.answer = answer
        header = None
        if (
            self._conditions(request).names_waits
            and status in {403, 429, 503}
            and answer in {"throttled", "secondary", "down"}
        ):
            header = float(self._random.choice((1, 7, 30)))
        if answer == "throttled":
            text = f"retry-after: {wait * 1000:.4f}ms, {text}"
        request.asked = max(wait - 1e-6, header or 0.0)
        raise PushError(_evidence(request, answer, status, text, code, header))

    def _conditions(self, request: Request) -> Conditions:
        return self._scenario.conditions[request.repository.registry]

    @property
    def _now(self) -> float:
        return anyio.current_time() - self.start


_WORDS = {
    "denied": "denied: permission_denied: write_package",
    "secondary": "denied: You have exceeded a secondary rate limit. Please wait.",
    "silent": "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
    "unreachable": "dial tcp 192.0.2.1:443: connect: connection refused",
}


def _evidence(
    request: Request,
    answer: str,
    status: int | None,
    text: str,
    code: str | None,
    header: float | None,
) -> ErrorInfo:
    """Word an answer as our own client or as docker would."""
    if request.operation not in {"push", "engine-head"}:
        if answer == "silent":
            return ErrorInfo(origin=Origin.REGISTRY, message="no answer", kind=Kind.TIMEOUT)
        text = text or ("connection refused" if status is None else "")
        return ErrorInfo(
            origin=Origin.REGISTRY, message=text, status=status, code=code, retry_after=header
        )
    words = _WORDS.get(answer) or (
        f"toomanyrequests: {text}"
        if answer == "throttled"
        else f"received unexpected HTTP status: {status}"
    )
    if answer == "tag-refused":
        words = "the tag is immutable"
    if header is not None:
        words += f" (retry-after: {header:g}s)"
    return ErrorInfo(origin=Origin.ENGINE, message=words)

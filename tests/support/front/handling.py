"""Handles one request: the limits, rules and faults before it reaches the registry.

The order is that of a service behind an edge: outage, sign-on, request bucket, secondary limit,
write slots; within the slot the rules, the random faults, the delay and the registry. The slot is
free again when the answer is known, before it goes out, so that a client that sends its next write
on the last byte of an answer is never refused for its own sake.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator

from aiohttp import web

from tests.support.front import answers
from tests.support.front.answers import Answer
from tests.support.front.behaviour import Behaviour, Rule
from tests.support.front.delivery import Delivery, Shared
from tests.support.front.limits import SecondaryLimit, TokenBucket, limit_at, strikes
from tests.support.front.rules import RuleBook
from tests.support.front.stats import Entry
from tests.support.front.steps import WRITES, Call, Step
from tests.support.front.upstream import BodyCutError, Landed
from tests.support.front.wire import dawdle

Reply = Answer | Landed


class Handling:
    """Handles requests by one behaviour; `clock` gives the seconds since it was set."""

    def __init__(self, behaviour: Behaviour, shared: Shared, clock: Callable[[], float]) -> None:
        self.behaviour = behaviour
        self._shared = shared
        self._clock = clock
        self._rules = RuleBook(behaviour.rules, shared.random)
        self._bucket = TokenBucket(behaviour.bucket) if behaviour.bucket else None
        self._secondary = SecondaryLimit(behaviour.secondary) if behaviour.secondary else None
        self._delivery = Delivery(behaviour, shared)
        self._refusals = itertools.cycle(behaviour.refusals)
        if faults := behaviour.faults:
            self._strikes = strikes(faults, shared.random)
            self._faults = itertools.cycle(faults.answers)
        self._outages: list[Iterator[Answer]] = [
            itertools.cycle(outage.answers) for outage in behaviour.outages
        ]

    async def reply(
        self, request: web.BaseRequest, call: Call, entry: Entry, *, elsewhere: bool
    ) -> Reply:
        """Return the answer for the client; `elsewhere`: the request came to the other host.

        Raises `ClientGoneError` if the client does not wait for it.
        """
        refused = self._refused(request, call, elsewhere=elsewhere)
        if refused is not None:
            await dawdle(request, refused)
            reply: Reply = refused
        elif call.step not in WRITES:
            reply = await self._admitted(request, call, entry)
        elif self._shared.slots.enter(limit_at(self.behaviour.max_writes, self._clock())):
            self._shared.ledger.let_in(self._shared.slots.taken)
            try:
                reply = await self._admitted(request, call, entry)
            finally:
                self._shared.slots.leave()
        else:
            entry.refused = True
            await asyncio.sleep(self.behaviour.refusal_delay)
            reply = next(self._refusals)
            await dawdle(request, reply)
        self._rules.answered(call, reply.status)
        return reply

    def _refused(self, request: web.BaseRequest, call: Call, *, elsewhere: bool) -> Answer | None:
        """Return an answer given before the registry; None if the request passes."""
        now = self._clock()
        for outage, turn in zip(self.behaviour.outages, self._outages, strict=True):
            if outage.holds(now) and call.step in outage.steps:
                return next(turn)
        if call.step is not Step.TOKEN and not elsewhere:
            header = request.headers.get("Authorization", "")
            if turned_away := self._shared.doorkeeper.check(call, header, self._shared.now()):
                return turned_away
        bucket = self.behaviour.bucket
        if bucket and self._bucket and call.step in bucket.steps:
            wait = self._bucket.take(now)
            if wait:
                return answers.too_many_requests(wait, bucket.per_minute, header=bucket.header)
        if (
            self._secondary
            and call.step in WRITES
            and self._secondary.refuses(now, manifest_put=call.step is Step.MANIFEST_PUT)
        ):
            return answers.secondary_limit(f"{self._shared.random.getrandbits(64):016X}")
        return None

    async def _admitted(self, request: web.BaseRequest, call: Call, entry: Entry) -> Reply:
        end = self._clock() + self.behaviour.takes.get(call.step, 0.0)
        reply = await self._handled(request, call, entry)
        await asyncio.sleep(max(0.0, end - self._clock()))
        return reply

    async def _handled(self, request: web.BaseRequest, call: Call, entry: Entry) -> Reply:
        rule = self._rules.choose(call, self._clock()) or self._fault(call)
        await asyncio.sleep(self._delay(call.step))
        if rule:
            answer = rule.answer.filled(self._shared.words(call.path))
            rule = rule.model_copy(update={"answer": answer})
        if rule and rule.effect == "before":
            await dawdle(request, rule.answer)
            return rule.answer
        try:
            cut_after = rule.cut_after if rule and rule.effect == "cut" else None
            reply = await self._served(request, call, entry, cut_after)
        except BodyCutError:
            if rule is None:
                raise
            await dawdle(request, rule.answer)
            return rule.answer
        if rule and rule.effect == "after":
            if isinstance(reply, Landed) and reply.stream is not None:
                reply.stream.close()
            await dawdle(request, rule.answer)
            return rule.answer
        if rule and rule.effect == "alter" and isinstance(reply, Landed):
            await dawdle(request, rule.answer)
            reply.headers.update(rule.answer.headers)
        return reply

    def _fault(self, call: Call) -> Rule | None:
        """Return a random fault as a rule, or None."""
        faults = self.behaviour.faults
        if faults is None or call.step not in faults.steps or not next(self._strikes):
            return None
        lost = self._shared.random.random() < faults.lost
        return Rule(answer=next(self._faults), effect="after" if lost else "before")

    def _delay(self, step: Step) -> float:
        jitter = self.behaviour.jitter
        return self.behaviour.delays.get(step, 0.0) * self._shared.random.uniform(
            1 - jitter, 1 + jitter
        )

    async def _served(
        self, request: web.BaseRequest, call: Call, entry: Entry, cut_after: int | None
    ) -> Reply:
        if call.step is Step.TOKEN and self.behaviour.auth.mode == "token":
            header = request.headers.get("Authorization", "")
            return self._shared.doorkeeper.token(call, header, self._shared.now())
        entry.forwarded = True
        return await self._delivery.deliver(request, call, cut_after)

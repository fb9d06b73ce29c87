"""Selects the rule, if any, for a request."""

from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from random import Random

from tests.support.front.behaviour import Event, Match, Rule
from tests.support.front.steps import Call


def fits(match: Match, call: Call) -> bool:
    """Return whether `call` is of the steps, repository, reference and size in `match`."""
    return (
        call.step in match.steps
        and call.size > match.larger_than
        and fnmatchcase(call.repository, match.repository)
        and fnmatchcase(call.reference, match.reference)
    )


class RuleBook:
    """Selects for each request the first rule that applies, and counts for each rule."""

    def __init__(self, rules: Iterable[Rule], random: Random) -> None:
        self._rules = tuple(rules)
        self._random = random
        self._matches: Counter[tuple[int, str]] = Counter()
        self._events = {i: Counter[str]() for i, rule in enumerate(self._rules) if rule.after}

    def choose(self, call: Call, now: float) -> Rule | None:
        """Return the first rule that applies; the rules after it do not count the request."""
        for number, rule in enumerate(self._rules):
            if fits(rule.match, call) and self._strikes(number, rule, call, now):
                return rule
        return None

    def answered(self, call: Call, status: int) -> None:
        """Record how a request ended, for rules that wait for an event."""
        for number, rule in enumerate(self._rules):
            event = rule.after
            if event and fits(event, call) and _counts(event, status):
                self._events[number][_key(event, call)] += 1

    def _strikes(self, number: int, rule: Rule, call: Call, now: float) -> bool:
        if not rule.window.holds(now):
            return False
        if rule.after and self._events[number][_key(rule.after, call)] < rule.after.count:
            return False
        own = {"rule": "", "repository": call.repository, "reference": _reference(call)}[rule.per]
        self._matches[number, own] += 1
        place = self._matches[number, own] - rule.skip
        if place < 1 or (rule.first is not None and place > rule.first):
            return False
        if rule.every is not None and place % rule.every:
            return False
        return rule.probability >= 1 or self._random.random() < rule.probability


def _reference(call: Call) -> str:
    return f"{call.repository}@{call.reference}"


def _counts(event: Event, status: int) -> bool:
    return status in event.statuses if event.statuses else status < 400


def _key(event: Event, call: Call) -> str:
    repository = call.repository if event.same_repository or event.same_reference else "*"
    return f"{repository} {call.reference if event.same_reference else '*'}"

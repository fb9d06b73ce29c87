"""Every mutation of the table fails a check."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from scripts.failures_guide import guide
from tests.support.failure_examples import examples_of
from tests.unit.test_failures_recorded import Recorded, recordings

from ghcr_push.failures.classify import recognised
from ghcr_push.failures.error_text import parse
from ghcr_push.failures.policies import POLICIES
from ghcr_push.failures.rule import Classification, Rule
from ghcr_push.failures.rules import RULES, UNKNOWN
from ghcr_push.model import Kind

KNOWN = [rule for rule in RULES if rule is not UNKNOWN]
GUIDE = guide()


def name(rule: Rule) -> str:
    return "-".join(rule.rows)


def put(old: Rule, *new: Rule) -> tuple[Rule, ...]:
    """Return the table with ``new`` in the place of ``old``."""
    place = RULES.index(old)
    return (*RULES[:place], *new, *RULES[place + 1 :])


def examples_fail(old: Rule, rules: Sequence[Rule], rows: tuple[str, ...]) -> bool:
    return any(recognised(parse(e.evidence), rules).rows != rows for e in examples_of(old))


@pytest.mark.parametrize("rule", KNOWN, ids=name)
def test_a_missing_rule_fails_its_examples(rule: Rule) -> None:
    assert examples_fail(rule, put(rule), rule.rows)


@pytest.mark.parametrize("rule", KNOWN, ids=name)
def test_a_missing_match_fails_an_example(rule: Rule) -> None:
    for sign in rule.signs:
        fewer = replace(rule, signs=tuple(s for s in rule.signs if s is not sign))
        assert examples_fail(rule, put(rule, fewer), rule.rows), sign


@pytest.mark.parametrize("rule", KNOWN, ids=name)
def test_a_match_with_a_missing_part_fails_an_example(rule: Rule) -> None:
    for sign in rule.signs:
        parts = [part for part in ("text", "status", "code") if getattr(sign, part) is not None]
        assert parts, sign
        for part in parts if len(parts) > 1 else ():
            wider = replace(sign, **{part: None})
            signs = tuple(wider if each is sign else each for each in rule.signs)
            changed = put(rule, replace(rule, signs=signs))
            assert any(examples_fail(each, changed, each.rows) for each in KNOWN), (sign, part)


def turned(verdict: Classification) -> Iterator[Classification]:
    """Yield the policy with each of its parts inverted."""
    usual = POLICIES[verdict.kind]
    yield replace(verdict, kind=Kind.UNKNOWN if verdict.kind is not Kind.UNKNOWN else Kind.DENIED)
    yield replace(verdict, kind=Kind.SERVER_ERROR if not usual.retryable else Kind.INPUT)
    retryable = usual.retryable if verdict.retryable is None else verdict.retryable
    yield replace(verdict, retryable=not retryable)
    if retryable:
        yield replace(verdict, cap=(verdict.cap or usual.cap or 0) + 1)
    yield replace(verdict, advice=f"{verdict.advice} or not")


@pytest.mark.parametrize("rule", RULES, ids=name)
def test_a_changed_policy_fails_the_guide(rule: Rule) -> None:
    for verdict in turned(rule.classification):
        assert guide(put(rule, replace(rule, classification=verdict))) != GUIDE, verdict
    if rule.after_success is None:
        other = Classification(kind=Kind.TIMEOUT)
        assert guide(put(rule, replace(rule, after_success=other))) != GUIDE
        return
    assert guide(put(rule, replace(rule, after_success=None))) != GUIDE
    for verdict in list(turned(rule.after_success))[:2]:
        assert guide(put(rule, replace(rule, after_success=verdict))) != GUIDE, verdict


def by_rule() -> dict[tuple[str, ...], list[Recorded]]:
    found: dict[tuple[str, ...], list[Recorded]] = {}
    for recorded in recordings():
        found.setdefault(recognised(recorded.reading).rows, []).append(recorded)
    return found


def test_a_changed_kind_fails_the_recordings() -> None:
    """The expected kinds of the recordings are in their scenarios, not derived from the table."""
    for rows, recorded in by_rule().items():
        rule = next(rule for rule in RULES if rule.rows == rows)
        for other in set(Kind) - {rule.classification.kind}:
            assert any(other not in r.right for r in recorded), (rows, other)

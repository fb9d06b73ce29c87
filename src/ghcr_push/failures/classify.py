"""Judging: the first rule that recognises the evidence decides."""

import re
from collections.abc import Sequence

from ghcr_push.failures.errors import ErrorInfo, Origin
from ghcr_push.failures.policies import POLICIES, Cause
from ghcr_push.failures.reading import ErrorText, read
from ghcr_push.failures.rule import Classification, Match, Rule
from ghcr_push.failures.rules import RULES
from ghcr_push.failures.secrets import without_secrets
from ghcr_push.model import Failure, Kind

_OWN = frozenset({Cause.ENGINE, Cause.INPUT, Cause.RUN})
"""Where the cause of what an engine says of its own images can lie."""

MOST_SHOWN = 2_000
"""Characters of a message that a failure keeps, from its beginning."""

MOST_DETAILS = 6_000
"""The same of what a maintainer needs."""

TOLD_IN_FULL = frozenset({Kind.UNKNOWN, Kind.ENGINE_ERROR, Kind.INTERNAL})
"""Kinds that somebody has to look into."""


def classify(
    evidence: ErrorInfo,
    *,
    after_success: bool = False,
    held: bool = False,
    rules: Sequence[Rule] = RULES,
) -> Failure:
    """Judge ``evidence``; ``after_success`` says that its repository accepted a push in this run.

    ``held`` says that the repository holds the bytes which were sent. Pure, and total: every
    evidence gets a failure, and nothing is raised.
    """
    reading = read(evidence)
    if evidence.kind is not None:
        return _failure(
            Classification(kind=evidence.kind, unconnected=evidence.unconnected), reading
        )
    rule = recognised(reading, rules)
    if evidence.origin is Origin.STORE and POLICIES[rule.classification.kind].cause not in _OWN:
        return _failure(Classification(kind=Kind.ENGINE_ERROR), reading)
    if rule.held is not None and held:
        return _failure(rule.held, reading)
    if rule.after_success is not None and (after_success or reading.landed):
        return _failure(rule.after_success, reading)
    return _failure(rule.classification, reading)


def recognised(reading: ErrorText, rules: Sequence[Rule] = RULES) -> Rule:
    """Return the first of ``rules`` with a sign that holds; the last one recognises anything."""
    return next(
        (rule for rule in rules if any(holds(sign, reading) for sign in rule.signs)), rules[-1]
    )


def holds(sign: Match, reading: ErrorText) -> bool:
    """Say whether all that ``sign`` asks for is there."""
    return (
        (sign.answered is None or sign.answered == reading.answered)
        and (sign.status is None or reading.status in sign.status)
        and (sign.code is None or reading.code == sign.code)
        and (
            sign.text is None
            or re.search(sign.text, reading.masked, re.IGNORECASE | re.MULTILINE) is not None
        )
    )


def _failure(classification: Classification, reading: ErrorText) -> Failure:
    """Return the policy of the kind, with what the classification says differently."""
    policy = POLICIES[classification.kind]
    retryable = policy.retryable if classification.retryable is None else classification.retryable
    return Failure(
        kind=classification.kind,
        message=without_secrets(reading.text[:MOST_SHOWN])[:MOST_SHOWN],
        advice=classification.advice or policy.advice,
        retryable=retryable,
        pressure=policy.pressure and retryable,
        cap=classification.cap or policy.cap,
        counts=not (policy.free_with_wait and reading.wait is not None),
        holds=policy.holds and retryable,
        unconnected=classification.unconnected,
        tag_only=policy.tag_only,
        wait=reading.wait,
        status=reading.status,
        code=reading.code,
        details=_details(reading) if classification.kind in TOLD_IN_FULL else "",
    )


def _details(reading: ErrorText) -> str:
    """Return what a maintainer needs: cut first, since outside text can be of any length."""
    return without_secrets(reading.details[:MOST_DETAILS])

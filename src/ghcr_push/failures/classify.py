"""Classification: the first rule that matches the evidence decides."""

import re
from collections.abc import Sequence

from ghcr_push.failures.error_text import ErrorText, parse
from ghcr_push.failures.errors import ErrorInfo, Origin
from ghcr_push.failures.policies import POLICIES, Cause
from ghcr_push.failures.rule import Classification, Match, Rule
from ghcr_push.failures.rules import RULES
from ghcr_push.failures.secrets import without_secrets
from ghcr_push.model import Failure, Kind

_OWN = frozenset({Cause.ENGINE, Cause.INPUT, Cause.NONE})
"""The possible causes of an engine's errors about its own images."""

MOST_SHOWN = 2_000
"""Maximum characters of a message that a failure keeps, from its start."""

MOST_DETAILS = 6_000
"""The same for the details for a maintainer."""

TOLD_IN_FULL = frozenset({Kind.UNKNOWN, Kind.ENGINE_ERROR, Kind.INTERNAL})
"""Kinds that a maintainer has to look into."""


def classify(
    evidence: ErrorInfo,
    *,
    after_success: bool = False,
    already_there: bool = False,
    rules: Sequence[Rule] = RULES,
) -> Failure:
    """Classify ``evidence``; ``after_success``: its repository accepted a push in this run.

    ``already_there``: the repository holds the same bytes already. Pure, and total: every evidence
    gets a failure, and nothing is raised.
    """
    error_text = parse(evidence)
    if evidence.kind is not None:
        return _failure(
            Classification(kind=evidence.kind, unconnected=evidence.unconnected), error_text
        )
    rule = recognised(error_text, rules)
    if evidence.origin is Origin.STORE and POLICIES[rule.classification.kind].cause not in _OWN:
        return _failure(Classification(kind=Kind.ENGINE_ERROR), error_text)
    if rule.already_there is not None and already_there:
        return _failure(rule.already_there, error_text)
    if rule.after_success is not None and (after_success or error_text.layer_accepted):
        return _failure(rule.after_success, error_text)
    return _failure(rule.classification, error_text)


def recognised(error_text: ErrorText, rules: Sequence[Rule] = RULES) -> Rule:
    """Return the first of ``rules`` with a matching sign; the last rule matches anything."""
    return next(
        (rule for rule in rules if any(holds(sign, error_text) for sign in rule.signs)), rules[-1]
    )


def holds(sign: Match, error_text: ErrorText) -> bool:
    """Return whether all parts of ``sign`` match."""
    return (
        (sign.answered is None or sign.answered == error_text.answered)
        and (sign.status is None or error_text.status in sign.status)
        and (sign.code is None or error_text.code == sign.code)
        and (
            sign.text is None
            or re.search(sign.text, error_text.masked, re.IGNORECASE | re.MULTILINE) is not None
        )
    )


def _failure(classification: Classification, error_text: ErrorText) -> Failure:
    """Return the policy of the kind, with the differences of the classification."""
    policy = POLICIES[classification.kind]
    retryable = policy.retryable if classification.retryable is None else classification.retryable
    return Failure(
        kind=classification.kind,
        message=without_secrets(error_text.text[:MOST_SHOWN])[:MOST_SHOWN],
        advice=classification.advice or policy.advice,
        retryable=retryable,
        pressure=policy.pressure and retryable,
        cap=classification.cap or policy.cap,
        counts=not (policy.free_with_wait and error_text.wait is not None),
        holds=policy.holds and retryable,
        unconnected=classification.unconnected,
        tag_only=policy.tag_only,
        asked_wait=error_text.wait,
        status=error_text.status,
        code=error_text.code,
        # cut first, since outside text can have any length
        details=without_secrets(error_text.details[:MOST_DETAILS]) or None
        if classification.kind in TOLD_IN_FULL
        else None,
    )

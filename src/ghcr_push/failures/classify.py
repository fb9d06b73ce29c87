"""Judging: the first rule that recognises the evidence decides."""

import re
from collections.abc import Sequence

from ghcr_push.failures.evidence import Evidence, Origin
from ghcr_push.failures.reading import Reading, read
from ghcr_push.failures.rule import Rule, Sign, Verdict
from ghcr_push.failures.rules import RULES
from ghcr_push.failures.secrets import without_secrets
from ghcr_push.failures.treatments import TREATMENTS, Cause
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
    evidence: Evidence,
    *,
    witness: bool = False,
    held: bool = False,
    rules: Sequence[Rule] = RULES,
) -> Failure:
    """Judge ``evidence``; ``witness`` says that its repository accepted a push in this run.

    ``held`` says that the repository holds the bytes which were sent. Pure, and total: every
    evidence gets a failure, and nothing is raised.
    """
    reading = read(evidence)
    if evidence.kind is not None:
        return _failure(Verdict(kind=evidence.kind), reading)
    rule = recognised(reading, rules)
    if evidence.origin is Origin.STORE and TREATMENTS[rule.verdict.kind].cause not in _OWN:
        return _failure(Verdict(kind=Kind.ENGINE_ERROR), reading)
    if rule.held is not None and held:
        return _failure(rule.held, reading)
    if rule.witnessed is not None and (witness or reading.landed):
        return _failure(rule.witnessed, reading)
    return _failure(rule.verdict, reading)


def recognised(reading: Reading, rules: Sequence[Rule] = RULES) -> Rule:
    """Return the first of ``rules`` with a sign that holds; the last one recognises anything."""
    return next(
        (rule for rule in rules if any(holds(sign, reading) for sign in rule.signs)), rules[-1]
    )


def holds(sign: Sign, reading: Reading) -> bool:
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


def _failure(verdict: Verdict, reading: Reading) -> Failure:
    """Return the treatment of the verdict's kind, with what the verdict says differently."""
    treatment = TREATMENTS[verdict.kind]
    retryable = treatment.retryable if verdict.retryable is None else verdict.retryable
    return Failure(
        kind=verdict.kind,
        message=without_secrets(reading.text[:MOST_SHOWN])[:MOST_SHOWN],
        advice=verdict.advice or treatment.advice,
        retryable=retryable,
        pressure=treatment.pressure and retryable,
        cap=verdict.cap or treatment.cap,
        charged=not (treatment.free_with_wait and reading.wait is not None),
        holds=treatment.holds and retryable,
        about_tag=treatment.about_tag,
        wait=reading.wait,
        status=reading.status,
        code=reading.code,
        details=_details(reading) if verdict.kind in TOLD_IN_FULL else "",
    )


def _details(reading: Reading) -> str:
    """Return what a maintainer needs: cut first, since outside text can be of any length."""
    return without_secrets(reading.details[:MOST_DETAILS])

"""The referrers copied in a run, in a sentence; plain text, not escaped."""

from collections import Counter
from collections.abc import Iterable

from ghcr_push.model import ReferrerRecord
from ghcr_push.reporting.phrases import count
from ghcr_push.reporting.records import Report

_COSIGN = {"sig": "cosign signature", "att": "cosign attestation", "sbom": "cosign SBOM"}
"""What cosign's tags contain, by their suffixes."""

_MOST_TYPES = 4


def referrers_of(report: Report) -> str:
    """Return the sentence for a whole run; empty if none were copied."""
    return referrers_text(each for target in report.targets for each in target.referrers)


def referrers_text(referrers: Iterable[ReferrerRecord]) -> str:
    """Return the number of signatures and other referrers, by type; empty for none."""
    brought = tuple(referrers)
    if not brought:
        return ""
    uploaded = sum(each.uploaded for each in brought)
    there = len(brought) - uploaded
    parts = [f"{uploaded:,} uploaded"] * bool(uploaded) + [f"{there:,} there already"] * bool(there)
    types = Counter(map(_type, brought)).most_common()
    counted = ", ".join(f"{n:,} \N{MULTIPLICATION SIGN} {name}" for name, n in types[:_MOST_TYPES])
    more = f", {count(len(types) - _MOST_TYPES, 'more type')}" if len(types) > _MOST_TYPES else ""
    return f"{count(len(brought), 'referrer')}, {' and '.join(parts)}: {counted}{more}"


def _type(referrer: ReferrerRecord) -> str:
    ending = (referrer.tag or "").rpartition(".")[2]
    return _COSIGN.get(ending) or referrer.artifact_type or "no type"

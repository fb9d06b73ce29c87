"""The action's outputs for later steps."""

import json
from collections.abc import Iterable

from ghcr_push.failures.policies import Cause
from ghcr_push.model import Outcome, Result
from ghcr_push.reporting.build import build
from ghcr_push.reporting.escape import utf16_length
from ghcr_push.reporting.records import Report, TargetRecord

BUDGET = 450_000
"""Maximum UTF-16 characters of all outputs; runners accept 1 MB per job, in UTF-16 bytes."""

_GIVEN_UP = (
    "unchanged",
    "kept",
    "pushed",
    "planned",
    "digests",
    "images",
    "retried",
    "skipped",
    "failed",
)
"""Outputs that grow with the targets, the first to be emptied first."""


def outputs(report: Report, report_path: str) -> dict[str, str]:
    """Return all outputs by name; over the size limit a list is emptied rather than cut.

    ``report_path`` is the path of the JSON report for later steps; empty if none was written.
    """
    digests = {
        result.reference: result.digest for result in report.landed if result.digest is not None
    }
    shared = {result.digest for result in report.landed}
    values = {
        "result": str(report.result),
        "cause": str(report.cause),
        **{outcome.value: _names(report.ended(outcome)) for outcome in Outcome},
        "retried": _names(report.retried),
        "digest": (shared.pop() or "") if len(shared) == 1 else "",
        "digests": _compact(digests),
        "images": "\n".join(images(report)),
        "attempts": str(report.totals.attempts),
        "retries": str(report.totals.retries),
        "lowest-parallel": str(report.totals.lowest_parallel),
        "duration": f"{report.duration:.1f}",
        "report": report_path,
        "truncated": "false",
    }
    return _within_budget(values)


def refused_outputs() -> dict[str, str]:
    """Return all outputs of a run that was rejected before its first request."""
    nothing = build((), started_at="", duration=0.0, cancelled=False, max_parallel=0)
    return outputs(nothing, "") | {
        "result": str(Result.FAILURE),
        "cause": str(Cause.INPUT),
        "lowest-parallel": "",
    }


def _names(results: Iterable[TargetRecord]) -> str:
    return _compact([result.reference for result in results])


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def images(report: Report) -> list[str]:
    """Return ``registry/repository@digest`` of what landed, each once, in the targets' order."""
    return list(
        dict.fromkeys(
            f"{result.parsed.repository}@{result.digest}"
            for result in report.landed
            if result.digest is not None
        )
    )


def _within_budget(values: dict[str, str]) -> dict[str, str]:
    """Empty lists of ``values``, the least important first, until the rest fits.

    An empty list stays ``[]``, which is short and valid.
    """
    size = sum(utf16_length(name) + utf16_length(value) for name, value in values.items())
    for name in _GIVEN_UP:
        if size <= BUDGET:
            break
        if values[name] not in {"[]", "{}", ""}:
            size -= utf16_length(values[name])
            values |= {name: "", "truncated": "true"}
    return values

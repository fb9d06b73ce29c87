"""Copied referrers are counted and named in one sentence."""

from dataclasses import replace

from tests.support.reports import all_good, digest

from ghcr_push.model import ReferrerRecord
from ghcr_push.reporting.referrers import referrers_of, referrers_text
from ghcr_push.reporting.report import from_json, to_json
from ghcr_push.reporting.summary import summary
from ghcr_push.reporting.terminal import terminal


def record(artifact_type: str, *, tag: str | None = None, uploaded: bool = True) -> ReferrerRecord:
    return ReferrerRecord(
        digest=digest(1),
        subject=digest(2),
        artifact_type=artifact_type,
        tag=tag,
        uploaded=uploaded,
    )


TIMES = "\N{MULTIPLICATION SIGN}"
SIGNED = [
    record("c/1", tag="sha256-00.sig"),
    record("x/sbom"),
    record("x/sbom", uploaded=False),
    record(""),
]


def test_they_are_counted_and_named() -> None:
    assert referrers_text(SIGNED) == (
        "4 referrers, 3 uploaded and 1 there already: "
        f"2 {TIMES} x/sbom, 1 {TIMES} cosign signature, 1 {TIMES} no type"
    )
    assert referrers_text([record("x", uploaded=False)]) == (
        f"1 referrer, 1 there already: 1 {TIMES} x"
    )
    assert referrers_text([]) == ""


def test_many_types_are_shortened() -> None:
    assert referrers_text(record(f"x/{n}") for n in range(9)).endswith("5 more types")


def test_summary_terminal_and_report_have_them() -> None:
    report = all_good(3)
    first = replace(report.targets[0], referrers=SIGNED)
    report = replace(report, targets=[first, *report.targets[1:]])
    assert referrers_of(report) in terminal(report)
    assert "4 referrers, 3 uploaded" in summary(report)
    assert from_json(to_json(report)).targets[0].referrers == SIGNED


def test_types_are_outside_text() -> None:
    report = all_good(3)
    hostile = [record("<b>\x1b[31m::error::")]
    report = replace(report, targets=[replace(report.targets[0], referrers=hostile)])
    assert "\x1b" not in terminal(report)
    assert "<b>" not in summary(report)

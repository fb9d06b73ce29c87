"""A terminal shows the run in a few lines, and obeys none of its texts."""

import unicodedata

from hypothesis import given
from tests.support.reports import (
    DENIED,
    all_failed,
    cancelled_run,
    hostile_run,
    partly_failed,
    reports,
    retried_run,
)

from ghcr_push.reporting.phrases import headline
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.terminal import terminal


def test_failed_targets_come_with_their_cause_and_the_advice_they_share() -> None:
    lines = terminal(partly_failed()).splitlines()
    assert lines[0] == headline(partly_failed())
    assert lines[4:8] == [
        "  ✗ ghcr.io/acme/ops:1.0.9: denied (403), 1 attempt",
        "  ✗ ghcr.io/acme/ops:1.1.0: denied (403), 1 attempt",
        "      denied: permission_denied: write_package",
        f"      {DENIED.advice}",
    ]
    assert lines[-1] == "17 pushed · 3 failed"


def test_retried_and_skipped_targets_are_named() -> None:
    assert (
        "  ↻ ghcr.io/acme/app:1.0.7 pushed after retries: "
        "2 \N{MULTIPLICATION SIGN} server error (500) on tag write"
    ) in terminal(retried_run())
    assert "  - ghcr.io/acme/app:1.1.9 skipped: cancelled" in terminal(cancelled_run())


def test_long_lists_are_cut_and_counted() -> None:
    assert "  … 60 more tags (failed)" in terminal(all_failed(100))


def test_no_text_moves_the_cursor() -> None:
    assert "\x1b" not in terminal(hostile_run())


@given(reports)
def test_no_line_has_control_characters(subject: Report) -> None:
    for line in terminal(subject).splitlines():
        assert not {unicodedata.category(c) for c in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}

"""A terminal shows the run in a few lines, and executes no control characters of texts."""

import unicodedata
from dataclasses import replace

from hypothesis import given
from tests.support.reports import (
    DENIED,
    SERVER_ERROR,
    all_failed,
    all_good,
    cancelled_run,
    digest,
    dry_run,
    failure,
    hostile_run,
    not_landed,
    partly_failed,
    report,
    reports,
    retried_run,
    target,
    tried,
)

from ghcr_push.model import Kind, Outcome, Step
from ghcr_push.reporting.headline import headline
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.terminal import landed_lines, terminal


def test_failed_targets_come_with_their_cause_and_the_advice_they_share() -> None:
    lines = terminal(partly_failed()).splitlines()
    assert lines[0] == headline(partly_failed())
    assert lines[4:7] == [
        "  ✗ ghcr.io/acme/ops: 1.0.9, 1.1.0",
        "      denied (403), 1 attempt: denied: permission_denied: write_package",
        f"      {DENIED.advice}",
    ]
    assert lines[-1] == "17 pushed · 3 failed"


def test_equal_failures_are_reported_once() -> None:
    lines = terminal(all_failed(200)).splitlines()
    assert len(lines) == 5
    assert lines[1].endswith("1.0.8, 1.0.9 and 190 more")


def test_a_failure_of_shared_content_says_how_often_it_was_tried() -> None:
    content = tried([SERVER_ERROR] * 3, started=0.0, landed=False, step=Step.UPLOAD)
    refused = [
        replace(not_landed(target(tag), SERVER_ERROR), attempts=(), content_attempts=attempts)
        for tag, attempts in (("1", content), ("2", ()))
    ]
    text = terminal(report(refused))
    assert "server-error (500), its content in 3 attempts: received" in text


def test_a_source_that_fails_is_no_refusal_of_the_registry() -> None:
    for kind in (Kind.SOURCE_INVALID, Kind.SOURCE_UNREACHABLE):
        failed = replace(not_landed(target("1"), failure(kind, "no", 500)), attempts=())
        assert f"      {kind} (500): no\n" in terminal(report([failed]))


def test_three_texts_of_a_cause_are_shown() -> None:
    failures = [replace(DENIED, message=f"no image {number}") for number in range(9)]
    text = terminal(report(not_landed(target(f"{n}"), each) for n, each in enumerate(failures)))
    assert [f"no image {number}" in text for number in range(9)] == [True] * 3 + [False] * 6
    assert "      … and 6 other texts\n" in text


def test_retried_and_skipped_targets_are_named() -> None:
    retried = "2 \N{MULTIPLICATION SIGN} "
    assert f"  ↻ ghcr.io/acme/app:1.0.7 pushed after {retried}" in terminal(retried_run())
    assert "1.1.9 skipped: cancelled\n" in terminal(cancelled_run())


def test_landed_targets_are_shown_as_they_can_be_pulled() -> None:
    text = terminal(all_good(200))
    first, *_, second = f"ghcr.io/acme/app@{digest(1)} pushed:\n      1.0.0, 1.0.1, ".split("\n")
    assert first in text
    assert second in text
    assert " and 190 more\n" in text
    [_, named] = landed_lines(all_good(12), most=12)
    assert named.strip() == ", ".join(f"1.{n // 10}.{n % 10}" for n in range(12))


def test_a_dry_run_names_every_tag() -> None:
    planned = [target for target in dry_run().targets if target.outcome is Outcome.PLANNED]
    text = terminal(dry_run())
    assert all(f"{target.parsed.tag}" in text for target in planned)


def test_no_text_moves_the_cursor() -> None:
    assert "\x1b" not in terminal(hostile_run())


@given(reports)
def test_no_line_has_control_characters(subject: Report) -> None:
    for line in terminal(subject).splitlines():
        assert not {unicodedata.category(c) for c in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}

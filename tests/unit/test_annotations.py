"""Annotations name what failed, at most ten of a kind, none too long."""

from collections import Counter

from hypothesis import given
from tests.support.reports import (
    DENIED,
    all_failed,
    all_good,
    hostile_run,
    huge,
    partly_failed,
    reports,
    retried_run,
)

from ghcr_push.model import Outcome, Report
from ghcr_push.reporting.annotations import LONGEST, MOST, Level, annotations
from ghcr_push.reporting.escape import utf16_length


def test_a_good_run_has_none() -> None:
    assert annotations(all_good(20)) == ()


def test_a_failed_target_gets_its_cause_and_advice() -> None:
    errors = [a for a in annotations(partly_failed()) if a.level is Level.ERROR]
    assert [error.title for error in errors] == [
        "ghcr.io/acme/app:1.0.5 was not pushed",
        "ghcr.io/acme/ops:1.0.9 was not pushed",
        "ghcr.io/acme/ops:1.1.0 was not pushed",
    ]
    assert errors[0].message.startswith("time-out, 5 attempts: no answer after 15 minutes — ")
    assert errors[0].message.endswith("It may have landed all the same.")
    assert errors[1].message == (
        f"denied (403), 1 attempt: denied: permission_denied: write_package — {DENIED.advice}"
    )


def test_retried_targets_share_one_warning() -> None:
    (warning,) = annotations(retried_run())
    assert warning.level is Level.WARNING
    assert warning.title == "4 tags needed more than one try"
    assert "3 \N{MULTIPLICATION SIGN} server error (500) on tag write" in warning.message
    assert "ghcr.io/acme/app:1.0.3" in warning.message


def test_the_tenth_error_is_for_all_that_are_left() -> None:
    errors = annotations(all_failed(20))
    assert len(errors) == MOST
    assert errors[-1].title == "11 more tags failed"
    assert errors[-1].message.endswith("ghcr.io/acme/app:1.1.9")


def test_ten_errors_stay_ten() -> None:
    assert annotations(all_failed(10))[-1].title == "ghcr.io/acme/app:1.0.9 was not pushed"


def test_long_runs_stay_within_what_a_runner_keeps() -> None:
    given_out = annotations(huge())
    assert max(utf16_length(annotation.message) for annotation in given_out) <= LONGEST


@given(reports)
def test_never_more_than_ten_of_a_kind_nor_too_long(subject: Report) -> None:
    given_out = annotations(subject)
    levels = Counter(annotation.level for annotation in given_out)
    assert levels[Level.ERROR] == min(subject.counts[Outcome.FAILED], MOST)
    assert levels[Level.WARNING] == any(result.retried for result in subject.results)
    assert all(utf16_length(annotation.message) <= LONGEST for annotation in given_out)


def test_messages_are_one_line_without_control_characters() -> None:
    for annotation in annotations(hostile_run()):
        assert annotation.message.isprintable()

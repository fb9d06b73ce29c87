"""Annotations name what failed, at most ten of a kind, none too long."""

from collections import Counter

from hypothesis import given
from tests.support.reports import (
    DENIED,
    all_failed,
    all_good,
    failure,
    hostile_run,
    huge,
    not_landed,
    partly_failed,
    report,
    reports,
    retried_run,
    target,
)

from ghcr_push.model import Kind, Outcome
from ghcr_push.reporting.annotations import LONGEST, MOST_ANNOTATIONS, Level, annotations
from ghcr_push.reporting.escape import utf16_length
from ghcr_push.reporting.records import Report


def test_a_good_run_has_none() -> None:
    assert annotations(all_good(20)) == ()


def test_targets_that_failed_alike_share_an_error_with_cause_and_advice() -> None:
    errors = [a for a in annotations(partly_failed()) if a.level is Level.ERROR]
    assert [error.title for error in errors] == [
        "ghcr.io/acme/app:1.0.5 was not pushed: timeout",
        "2 tags were not pushed: denied (403)",
    ]
    assert errors[0].message.startswith("5 attempts: no answer after 15 minutes — ")
    assert errors[0].message.endswith("It may be there all the same.")
    assert errors[1].message == (
        f"1 attempt: denied: permission_denied: write_package — {DENIED.advice} "
        "Tags: ghcr.io/acme/ops:1.0.9, ghcr.io/acme/ops:1.1.0"
    )


def test_retried_targets_share_a_notice_where_all_went_well() -> None:
    (notice,) = annotations(retried_run())
    assert notice.level is Level.NOTICE
    assert notice.title == "4 tags needed more than one try"
    assert "3 \N{MULTIPLICATION SIGN} server-error (500) on tag write" in notice.message
    assert "ghcr.io/acme/app:1.0.3" in notice.message


def test_retries_are_a_warning_where_something_failed() -> None:
    assert annotations(partly_failed())[-1].level is Level.WARNING


def test_two_hundred_tags_that_failed_alike_are_one_error() -> None:
    (error,) = annotations(all_failed(200))
    assert error.title == "200 tags were not pushed: denied (403)"


def failed_each_its_own_way(number: int) -> Report:
    return report(
        not_landed(target(f"{n}"), failure(Kind.UNKNOWN, "no", 400 + n)) for n in range(number)
    )


def test_the_tenth_error_is_for_all_that_are_left() -> None:
    errors = annotations(failed_each_its_own_way(20))
    assert len(errors) == MOST_ANNOTATIONS
    assert errors[-1].title == "11 more tags failed"
    assert errors[-1].message.endswith("ghcr.io/acme/app:19")


def test_ten_errors_stay_ten() -> None:
    assert annotations(failed_each_its_own_way(10))[-1].title.startswith("ghcr.io/acme/app:9 was")


def test_long_runs_stay_within_what_a_runner_keeps() -> None:
    given_out = annotations(huge())
    assert max(utf16_length(annotation.message) for annotation in given_out) <= LONGEST


@given(reports)
def test_never_more_than_ten_of_a_kind_nor_too_long(subject: Report) -> None:
    given_out = annotations(subject)
    levels = Counter(annotation.level for annotation in given_out)
    assert levels[Level.ERROR] <= min(subject.counts[Outcome.FAILED], MOST_ANNOTATIONS)
    assert bool(levels[Level.ERROR]) is bool(subject.counts[Outcome.FAILED])
    retries = levels[Level.WARNING] + levels[Level.NOTICE]
    assert retries == any(result.retried for result in subject.targets)
    assert all(utf16_length(annotation.message) <= LONGEST for annotation in given_out)


def test_messages_are_one_line_without_control_characters() -> None:
    for annotation in annotations(hostile_run()):
        assert annotation.message.isprintable()

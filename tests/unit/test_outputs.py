"""Outputs list what landed and what did not, within the runner's limits."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from tests.support.reports import (
    APP,
    DENIED,
    OPS,
    all_failed,
    all_good,
    cancelled_run,
    digest,
    dry_run,
    huge,
    not_landed,
    partly_failed,
    pushed,
    report,
    reports,
    target,
)

from ghcr_push.fronts.delivery import Delivery, exit_status
from ghcr_push.model import Outcome, TargetResult
from ghcr_push.planning.settings import read_settings
from ghcr_push.reporting.escape import utf16_length
from ghcr_push.reporting.outputs import BUDGET, outputs
from ghcr_push.reporting.records import Report
from ghcr_push.signals import Interruption

NAMES = [
    *("result", "cause", "pushed", "unchanged", "kept", "failed", "skipped", "planned", "retried"),
    "digest",
    *("digests", "images", "attempts", "retries", "lowest-parallel", "duration", "report"),
    "truncated",
]


def size(values: dict[str, str]) -> int:
    return sum(utf16_length(name) + utf16_length(value) for name, value in values.items())


@given(reports)
def test_every_target_is_in_the_list_of_its_outcome(subject: Report) -> None:
    values = outputs(subject, "report.json")
    assert list(values) == NAMES
    for outcome in Outcome:
        assert json.loads(values[outcome]) == [
            result.reference for result in subject.targets if result.outcome is outcome
        ]
    assert values["truncated"] == "false"


def test_a_run_of_two_repositories() -> None:
    values = outputs(
        report(
            [
                pushed(target("1"), content=digest(1), failures=(DENIED,)),
                pushed(target("2"), content=digest(1), before=digest(1)),
                pushed(target("1", OPS), content=digest(2)),
                not_landed(target("2", OPS), DENIED),
            ]
        ),
        "out/report.json",
    )
    assert values == {
        "result": "partial",
        "cause": "permission",
        "pushed": '["ghcr.io/acme/app:1","ghcr.io/acme/ops:1"]',
        "unchanged": '["ghcr.io/acme/app:2"]',
        "kept": "[]",
        "failed": '["ghcr.io/acme/ops:2"]',
        "skipped": "[]",
        "planned": "[]",
        "retried": '["ghcr.io/acme/app:1"]',
        "digest": "",
        "digests": json.dumps(
            {
                f"{APP}:1": digest(1),
                f"{APP}:2": digest(1),
                f"{OPS}:1": digest(2),
            },
            separators=(",", ":"),
        ),
        "images": f"{APP}@{digest(1)}\n{OPS}@{digest(2)}",
        "attempts": "4",
        "retries": "1",
        "lowest-parallel": "4",
        "duration": "2.4",
        "report": "out/report.json",
        "truncated": "false",
    }


def test_a_digest_that_all_tags_share_is_shown() -> None:
    assert outputs(all_good(3), "")["digest"] == digest(1)


def test_no_digest_is_shared_where_one_is_not_known() -> None:
    known = pushed(target("1"))
    unknown = replace(pushed(target("2")), digest=None)
    assert outputs(report([known, unknown]), "")["digest"] == ""
    assert outputs(report([unknown]), "")["digest"] == ""
    assert outputs(report([unknown]), "")["digests"] == "{}"


def long_run(number: int, outcome: Outcome) -> Report:
    """Return a run of that many targets with references of maximum length."""
    results = [TargetResult(target=target(f"{n:0128}"), outcome=outcome) for n in range(number)]
    return report([*results, not_landed(target("x"), DENIED), pushed(target("y"))])


def test_the_least_needed_lists_go_first() -> None:
    values = outputs(huge(), "report.json")
    assert size(values) <= BUDGET
    assert values["truncated"] == "true"
    assert len(json.loads(values["failed"])) == 2000
    assert values["unchanged"] == "[]"
    assert values["pushed"] == values["digests"] == ""
    assert len(json.loads(values["skipped"])) == 2000


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.SKIPPED])
def test_a_list_is_whole_or_empty(outcome: Outcome) -> None:
    values = outputs(long_run(4000, outcome), "report.json")
    assert size(values) <= BUDGET
    assert values[outcome] == ""
    assert values["truncated"] == "true"
    if outcome is Outcome.SKIPPED:
        assert json.loads(values["failed"]) == ["ghcr.io/acme/app:x"]


def test_a_list_that_just_fits_stays() -> None:
    values = outputs(long_run(3000, Outcome.FAILED), "report.json")
    assert len(json.loads(values["failed"])) == 3001
    assert values["truncated"] == "false"


@pytest.mark.parametrize(
    ("subject", "result", "status"),
    [
        (all_good(3), "success", 0),
        (partly_failed(), "partial", 1),
        (all_failed(), "failure", 1),
        (cancelled_run(), "cancelled", 1),
        (dry_run(), "success", 0),
        (report(()), "success", 0),
    ],
    ids=["good", "partly", "failed", "cancelled", "dry", "nothing"],
)
def test_the_result_and_the_status(subject: Report, result: str, status: int) -> None:
    assert outputs(subject, "")["result"] == result
    for fails, expected in (("true", status), ("false", 0)):
        given = read_settings({"tags": "ghcr.io/acme/app:1", "fail-on-error": fails})
        assert exit_status(Delivery(subject, "", (), ()), given, Interruption()) == expected

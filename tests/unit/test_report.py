"""The JSON report holds everything, as the published schema says."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
from hypothesis import given
from tests.support.reports import hostile_run, partly_failed, report, reports, retried_run

from ghcr_push.reporting.records import Report
from ghcr_push.reporting.report import json_schema, to_json

PUBLISHED = Path(__file__).parents[2] / "docs" / "report.schema.json"


def read(subject: Report) -> Any:
    return json.loads(to_json(subject))


def strict(schema: Any) -> Any:
    """Return ``schema`` with unknown fields forbidden."""
    if isinstance(schema, dict):
        closed = {key: strict(value) for key, value in schema.items()}
        return closed | {"additionalProperties": False} if "properties" in schema else closed
    return [strict(item) for item in schema] if isinstance(schema, list) else schema


def test_the_published_schema_is_up_to_date() -> None:
    assert json.loads(PUBLISHED.read_text()) == json_schema(), (
        "run: python -m ghcr_push.reporting.report > docs/report.schema.json"
    )


def test_the_schema_is_one_and_describes_every_field() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"]
    for described in (schema, *schema["$defs"].values()):
        assert described["description"]
        assert all(field["description"] for field in described.get("properties", {}).values())


@given(reports)
def test_every_report_is_by_the_schema(subject: Report) -> None:
    jsonschema.Draft202012Validator(strict(json_schema())).validate(read(subject))


@given(reports)
def test_totals_are_those_of_the_run(subject: Report) -> None:
    written = read(subject)
    totals = written["totals"]
    assert len(written["targets"]) == totals["targets"] == len(subject.targets)
    outcomes = ("pushed", "unchanged", "kept", "failed", "skipped", "planned")
    assert [totals[outcome] for outcome in outcomes] == [
        sum(target["outcome"] == outcome for target in written["targets"]) for outcome in outcomes
    ]
    assert totals["attempts"] == sum(len(target["attempts"]) for target in written["targets"])


def test_a_failed_target_has_all_that_is_known() -> None:
    failed = [t for t in read(partly_failed())["targets"] if t["outcome"] == "failed"]
    assert failed[0]["reference"] == "ghcr.io/acme/app:1.0.5"
    assert failed[0]["source"] == "app:build"
    assert failed[0]["may_have_landed"] is True
    assert failed[0]["retried"] is True
    assert failed[0]["failure"]["kind"] == "timeout"
    assert len(failed[0]["attempts"]) == 5
    assert failed[0]["attempts"][0] == {
        "number": 1,
        "step": "retag",
        "started": 3.0,
        "seconds": 0.4,
        "limit": 4,
        "failure": {
            "kind": "server-error",
            "status": 500,
            "code": None,
            "message": "received unexpected HTTP status: 500 Internal Server Error",
            "advice": failed[0]["attempts"][0]["failure"]["advice"],
            "retryable": True,
            "asked_wait": None,
            "kept_failing": None,
            "details": None,
        },
        "wait": 1.3,
        "answered": None,
    }


def test_changes_of_the_limit_and_holds_are_there() -> None:
    written = read(retried_run())
    assert written["limit_changes"][0] == {
        "at": 3.1,
        "registry": "ghcr.io",
        "old": 4,
        "new": 2,
        "reason": "server error (500)",
    }
    assert written["holds"] == [
        {"at": 4.6, "registry": "ghcr.io", "seconds": 1.2, "reason": "secondary rate limit"}
    ]
    assert written["notices"] == ["`image` was lowered to `ghcr.io/acme/app`."]


def test_hostile_text_is_kept_word_for_word() -> None:
    messages = [t["failure"]["message"] for t in read(hostile_run())["targets"] if t["failure"]]
    assert "<script>alert(1)</script>" in messages[0]
    assert "\x1b[31m" in messages[0]


def test_characters_outside_utf8_are_escaped() -> None:
    assert read(report((), notices=("a\udc80b",)))["notices"] == ["a\\udc80b"]

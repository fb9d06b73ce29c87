"""A saved report renders like a fresh one, and the reports of many jobs are one."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from tests.support.rendered import Rendered
from tests.support.reports import (
    APP,
    SERVER_ERROR,
    all_good,
    cancelled_run,
    change,
    dry_run,
    hostile_run,
    not_landed,
    partly_failed,
    pushed,
    report,
    reports,
    retried_run,
    target,
)
from tests.support.stories import outage

from ghcr_push.fronts.report_command import RENDERERS, report_command
from ghcr_push.model import Outcome, Result
from ghcr_push.references import Repository
from ghcr_push.reporting.headline import headline
from ghcr_push.reporting.html import page
from ghcr_push.reporting.merge import merged
from ghcr_push.reporting.metrics import COLUMNS, to_csv, to_openmetrics
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.report import UnreadableReportError, from_json, to_json
from ghcr_push.reporting.summary import summary
from ghcr_push.reporting.terminal import terminal

STORIES = (all_good(12), retried_run(), partly_failed(), cancelled_run(), dry_run(), hostile_run())


@given(reports)
def test_an_image_is_saved_the_same_way_again(subject: Report) -> None:
    assert to_json(from_json(to_json(subject))) == to_json(subject)


@pytest.mark.parametrize("subject", STORIES)
def test_a_saved_report_renders_like_a_fresh_one(subject: Report) -> None:
    saved = from_json(to_json(subject))
    assert summary(saved) == summary(subject)
    assert terminal(saved) == terminal(subject)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"\xff", b'{"schema_version": "2"}', b"null", b"1" * 5000]
)
def test_a_file_that_is_no_report_is_rejected(text: bytes) -> None:
    with pytest.raises(UnreadableReportError, match="not a report of ghcr-push"):
        from_json(text)


# -- many jobs --------------------------------------------------------------------------------


def job(tag: str, started_at: str, *, good: bool = True) -> Report:
    subject = target(tag)
    result = pushed(subject) if good else not_landed(subject, SERVER_ERROR)
    return replace(
        report([result], limit_changes=(change(0.1, 4, 2, "busy"),)), started_at=started_at
    )


def test_jobs_are_timed_from_the_start_of_the_first() -> None:
    whole = merged(
        [
            ("arm64", job("arm64", "2026-03-01T02:00:30Z")),
            ("amd64", job("amd64", "2026-03-01T02:00:00Z")),
        ]
    )
    assert whole.started_at == "2026-03-01T02:00:00Z"
    assert [result.parsed.tag for result in whole.targets] == ["amd64", "arm64"]
    assert whole.targets[1].attempts[0].started == 30.0
    assert whole.duration == pytest.approx(30.7)
    assert [(each.registry, each.at) for each in whole.limit_changes] == [
        ("ghcr.io (amd64)", 0.1),
        ("ghcr.io (arm64)", 30.1),
    ]


def test_a_job_that_failed_makes_the_whole_partial() -> None:
    good, bad = job("1", "2026-03-01T02:00:00Z"), job("2", "2026-03-01T02:00:00Z", good=False)
    assert merged([("a", good), ("b", bad)]).result is Result.PARTIAL


def test_a_target_of_several_jobs_counts_once_as_the_newest_left_it() -> None:
    old = job("1", "2026-03-01T02:00:00Z", good=False)
    new = job("1", "2026-03-01T03:00:00Z")
    whole = merged([("new", new), ("old", old)])
    assert [result.outcome for result in whole.targets] == [Outcome.PUSHED]
    assert any("are in several reports" in notice for notice in whole.notices)


# -- pages, tables, numbers -------------------------------------------------------------------


@pytest.mark.parametrize("subject", STORIES)
def test_a_page_needs_nothing_else(subject: Report) -> None:
    text = page(subject)
    assert "<script" not in text
    loaded = re.findall(r"(?:src|href)=.([^\"'>]+)", text)
    assert all(address.startswith("https://") for address in loaded)
    assert not re.search(r"src=|@import|url\(", text)


def test_a_page_draws_the_timeline_itself() -> None:
    text = page(partly_failed())
    assert "<svg" in text
    assert "mermaid" not in text
    assert text.count('class="failed"') >= 2


def test_hostile_text_stays_text_on_a_page() -> None:
    known = {
        *("html", "head", "meta", "title", "style", "body", "main", "h2", "h3", "p", "strong"),
        *("table", "thead", "tbody", "tr", "th", "td", "code", "br", "details", "summary", "a"),
        *("ul", "li", "pre", "svg", "line", "text", "g", "rect", "i", "sub"),
    }
    assert set(Rendered(page(hostile_run())).elements) <= known


@given(reports)
def test_a_table_has_a_row_per_target(subject: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(subject), newline="")))
    assert [row["outcome"] for row in rows] == [str(r.outcome) for r in subject.targets]
    assert all(tuple(row) == tuple(COLUMNS) for row in rows)


def test_a_source_is_no_formula_for_a_spreadsheet() -> None:
    subject = report([pushed(target("1", APP, source="=HYPERLINK(1)"))])
    assert "'=HYPERLINK(1)" in to_csv(subject)


@given(reports)
def test_numbers_are_by_openmetrics(subject: Report) -> None:
    lines = to_openmetrics(subject).splitlines()
    assert lines[-1] == "# EOF"
    sample = re.compile(r'ghcr_push_[a-z_]+(\{[a-z]+="[a-z-]+"\})? \d+(\.\d+)?')
    comment = re.compile(r"# (TYPE|UNIT|HELP) ghcr_push_[a-z_]+ \S.*")
    assert all(sample.fullmatch(line) or comment.fullmatch(line) for line in lines[:-1])


def test_numbers_say_what_a_dashboard_watches() -> None:
    text = to_openmetrics(partly_failed())
    assert 'ghcr_push_targets{outcome="pushed"} 17' in text
    assert 'ghcr_push_targets_not_pushed{cause="permission"} 2' in text
    assert 'ghcr_push_failed_attempts{kind="server-error"} 8' in text
    assert "ghcr_push_retries 8\n" in text


# -- the command ------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> list[str]:
    files = [tmp_path / "web.json", tmp_path / "worker.json"]
    other = report([pushed(target("9", Repository("ghcr.io", "acme/web")))])
    for file, subject in zip(files, (partly_failed(), other), strict=True):
        file.write_bytes(to_json(subject))
    return [str(file) for file in files]


@pytest.mark.parametrize("form", RENDERERS)
def test_every_format_is_made_of_several_files(form: str, saved: list[str]) -> None:
    done = CliRunner().invoke(report_command, [*saved, "--format", form])
    assert done.exit_code == 0
    assert "acme/web" in done.output or "18" in done.output


def test_one_cancelled_job_does_not_make_all_of_them_cancelled() -> None:
    jobs = [("a", cancelled_run()), ("b", all_good(3))]
    assert (merged(jobs).cancelled, merged(jobs).result) == (False, Result.PARTIAL)
    assert merged([("a", cancelled_run()), ("b", cancelled_run())]).cancelled


def test_a_dry_run_among_the_jobs_does_not_hide_what_was_pushed() -> None:
    moved = report([pushed(target("9.9"))])
    text = headline(merged([("dry", dry_run(3)), ("real", moved)]))
    assert text.startswith("✅ 1 of 4 tags pushed in ")
    assert text.endswith("3 planned")


def test_dashboards_see_how_long_a_registry_was_down() -> None:
    metrics = to_openmetrics(outage())
    assert re.search(r"^ghcr_push_down_seconds (19|20)\.\d+$", metrics, re.MULTILINE)


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_kinds_are_linked_to_the_guide_that_is_named(form: str, saved: list[str]) -> None:
    options = ["--format", form, "--guide", "https://example.com/guide"]
    done = CliRunner().invoke(report_command, [*saved, *options])
    assert '<a href="https://example.com/guide#denied">' in done.output


def test_standard_input_is_read(saved: list[str]) -> None:
    done = CliRunner().invoke(report_command, ["-"], input=Path(saved[0]).read_bytes())
    assert "3 of 20 tags failed" in done.output


def test_a_file_is_written(saved: list[str], tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done = CliRunner().invoke(report_command, [*saved, "--format", "html", "-o", str(out)])
    assert (done.exit_code, done.output) == (0, "")
    assert out.read_text().startswith("<!doctype html>")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    odd = tmp_path / "odd.json"
    odd.write_text("{}")
    for file, why in ((tmp_path / "none.json", "could not be read"), (odd, "is not a report")):
        done = CliRunner().invoke(report_command, [str(file)])
        assert done.exit_code == 2
        assert f"{file} {why}" in done.output

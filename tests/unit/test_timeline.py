"""The picture has a row per target, shows waits, and is within GitHub's limits."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from tests.support.reports import (
    SERVER_ERROR,
    all_good,
    change,
    dry_run,
    huge,
    partly_failed,
    pushed,
    report,
    reports,
    retried_run,
    target,
)
from tests.support.stories import STORIES

from ghcr_push.model import Attempt, Step
from ghcr_push.references import Repository
from ghcr_push.reporting.gantt import LONGEST, gantt
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.svg import svg
from ghcr_push.reporting.timeline import MOST_ROWS, legend, limit_history, rows_left_out

LINE = re.compile(
    r"    (?:section [A-Za-z0-9 ._/+\N{RATIO}\N{MIDDLE DOT}-]+|dateFormat .*|axisFormat .*|"
    r"tickInterval 1second|"
    r"[a-z0-9\N{ZERO WIDTH SPACE} -]+ :(?:(?:active|crit|done), )?(?:down\d+x\d+, )?"
    r"2000-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}, \d+ms)"
)


def sections(subject: Report) -> list[str]:
    return re.findall(r"^    section (.*)$", gantt(subject), re.MULTILINE)


def test_nothing_tried_draws_nothing() -> None:
    assert gantt(dry_run()) == ""
    assert gantt(report(())) == ""


def test_failed_attempts_and_waits_have_bars_of_their_own() -> None:
    drawn = gantt(report([pushed(target("1"), failures=(SERVER_ERROR,))]))
    assert drawn.splitlines()[-4:] == [
        "    section \N{RATIO}1",
        "    500 :crit, 2000-01-01 00:00:00.000, 400ms",
        "    wait :done, 2000-01-01 00:00:00.400, 1300ms",
        "    write :2000-01-01 00:00:01.700, 500ms",
    ]


def test_the_limit_and_the_holds_are_on_top() -> None:
    assert sections(retried_run())[:2] == ["parallel writes", "held as asked"]
    assert "    4 :active, 2000-01-01 00:00:00.000, 3100ms" in gantt(retried_run())


def test_a_run_in_which_nothing_happened_draws_nothing() -> None:
    assert gantt(all_good(200)) == ""


def test_a_long_run_is_drawn_though_nothing_happened() -> None:
    assert sections(replace(all_good(5), duration=61.0)) == ["5 other tags"]


def test_no_row_is_named_by_a_whole_number() -> None:
    subject = report(pushed(target(tag), failures=(SERVER_ERROR,)) for tag in ("1", "20260101"))
    assert not any(name.isdigit() for name in sections(subject))


def test_a_failure_of_zero_length_is_visible() -> None:
    (result,) = (pushed(target("1"), failures=(SERVER_ERROR,)),)
    refused = replace(result.attempts[0], seconds=0.0)
    subject = replace(
        report([replace(result, attempts=(refused, *result.attempts[1:]))]), duration=100.0
    )
    assert re.search(r":crit, \S+ \S+, 1000ms", gantt(subject))


@given(reports)
def test_every_line_is_one_that_mermaid_knows(subject: Report) -> None:
    lines = gantt(subject).splitlines()
    assert all(LINE.fullmatch(line) for line in lines[5:])


@given(reports)
def test_no_two_rows_have_one_name(subject: Report) -> None:
    assert len(sections(subject)) == len(set(sections(subject)))


def test_targets_of_one_tag_in_namesake_repositories_have_rows_of_their_own() -> None:
    namesakes = [Repository("ghcr.io", "a/app"), Repository("ghcr.io", "b/app")]
    drawn = sections(
        report(
            pushed(target("latest", repository), failures=(SERVER_ERROR,))
            for repository in namesakes
        )
    )
    assert drawn == ["app\N{RATIO}latest", "app\N{RATIO}latest +2"]


def test_long_runs_show_what_went_wrong_first() -> None:
    drawn = sections(huge())
    assert len(drawn) == MOST_ROWS + 1
    assert drawn[-1] == "4·000 other tags"
    assert rows_left_out(huge()) == 4000 - MOST_ROWS
    assert rows_left_out(all_good(MOST_ROWS)) == 0
    names = {name.partition("\N{RATIO}")[2] for name in sections(partly_failed(1000))}
    assert {"1.0.5", "1.0.2"} <= names


def test_the_longest_picture_is_drawn() -> None:
    attempts = tuple(
        Attempt(
            number=n,
            step=Step.RETAG,
            started=n * 1000.0,
            seconds=500.0,
            limit=1,
            failure=SERVER_ERROR,
            wait=500.0,
        )
        for n in range(1, 101)
    )
    results = [
        replace(pushed(target(f"{n:0128}", Repository("ghcr.io", "x" * 200))), attempts=attempts)
        for n in range(100)
    ]
    changes = tuple(
        replace(change(n * 1.0, 1 + n % 64, 2 + n % 64), registry=f"registry{n % 5}.example:5000")
        for n in range(1000)
    )
    assert 20_000 < len(gantt(report(results, limit_changes=changes))) <= LONGEST


def test_a_wait_ends_with_the_run() -> None:
    (result,) = (pushed(target("1"), failures=(SERVER_ERROR,)),)
    cut = replace(result, attempts=(replace(result.attempts[0], wait=60.0),))
    subject = replace(report([cut], cancelled=True), duration=2.0)
    assert "wait :done, 2000-01-01 00:00:00.400, 1600ms" in gantt(subject)


def test_a_read_back_that_took_long_is_no_part_of_the_write() -> None:
    (result,) = (pushed(target("1"), failures=(SERVER_ERROR,)),)
    held = replace(result.attempts[1], seconds=60.0, answered=0.5)
    drawn = gantt(report([replace(result, attempts=(result.attempts[0], held))]))
    assert re.search(
        r":2000-01-01 00:00:01.700, 500ms\n    read back :done, \S+ \S+, 59500ms", drawn
    )


def test_a_hold_makes_no_write_longer() -> None:
    attempts = [each for result in STORIES["rate-limit"]().targets for each in result.attempts]
    assert max(each.seconds for each in attempts) > 60
    assert max(each.answered or 0.0 for each in attempts) < 2


def test_a_long_history_is_cut_in_its_middle() -> None:
    changes = tuple(change(float(n), n % 9 + 1, n % 9 + 2) for n in range(100))
    (sentence,) = limit_history(report((), limit_changes=changes))
    assert "88 more changes" in sentence
    assert len(sentence) < 1000


@pytest.mark.parametrize(
    ("last", "axis"),
    [
        (0.0, "%-S.%L s"),
        (6.0, "%-S s\n    tickInterval 1second"),
        (60.0, "%M:%S"),
        (3599.9, "%H:%M:%S"),
    ],
)
def test_ticks_are_distinguishable(last: float, axis: str) -> None:
    limit = (change(0.0, 4, 3),)
    tags = [pushed(target("1")), pushed(target("2"), at=last)]
    drawn = gantt(report(tags, limit_changes=limit))
    assert f"\n    axisFormat {axis}\n" in drawn


def test_an_outage_has_a_row_without_uploads() -> None:
    drawn = gantt(STORIES["outage"]())
    row = r"section ghcr.io down\n    down 20 s :crit, down0x0, \S+ \S+, (19|20)\d{3}ms"
    assert re.search(row, drawn)
    assert re.search(r"    layers :2000-01-01 00:00:2\d", drawn)


def test_an_outage_reaches_through_all_rows_where_styles_are_obeyed() -> None:
    assert "rect[id*=down0x]{height:calc(100% - 102px);" in gantt(STORIES["outage"]())
    assert "themeCSS" not in gantt(STORIES["rate-limit"]())


def test_a_tag_that_was_refused_is_seen_and_not_among_those_that_went_well() -> None:
    drawn = gantt(STORIES["partly-failed"]())
    assert re.search(r"section app\N{RATIO}1.0.2\n    \S+ :crit, ", drawn)
    assert "section 5 other tags" in drawn


def test_rows_name_the_repository_where_the_run_had_several() -> None:
    assert "layers of part3\N{RATIO}latest" in sections(STORIES["five-jobs"]())


def test_a_failure_that_is_drawn_longer_states_its_length() -> None:
    result = pushed(target("1"), failures=(SERVER_ERROR,))
    subject = replace(report([result]), duration=500.0)
    assert "<title>500: 0.4 s from 0.0 s</title>" in svg(subject)


def test_the_legend_has_what_is_drawn() -> None:
    assert legend(STORIES["outage"]()) == (
        "🟩 a request · 🟥 one that failed · light red: the registry was down"
    )
    assert "🟦 writes allowed in parallel" in legend(STORIES["rate-limit"]())


def test_an_outage_is_a_band_behind_all_rows_of_a_page() -> None:
    (band,) = re.findall(
        r'<rect class="band" x="(\S+)" y="24" width="(\S+)"', svg(STORIES["outage"]())
    )
    assert float(band[1]) == pytest.approx(760 * 20.13 / 25.5, rel=0.01)

"""Log lines: their content, and that no outside text is executed by a runner or terminal."""

import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.commands import COMMANDS, obeyed

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.fronts.lines import MOST_OF_A_MESSAGE, engine_lines, escape_commands, words_of
from ghcr_push.fronts.runlog import MOST_QUOTES, OFTEN, SELDOM, SINGLY, RunLog
from ghcr_push.model import (
    Failure,
    Group,
    Hold,
    Kind,
    LimitChange,
    Outcome,
    Plan,
    Source,
    Step,
    Target,
    TargetResult,
    TransferStats,
)
from ghcr_push.pushing.events import (
    Began,
    ContentDone,
    ContentProgress,
    Ended,
    EngineSaid,
    Event,
    Held,
    LimitChanged,
    Noticed,
    Resumed,
    Started,
    StillWaiting,
    Waiting,
    WentDown,
)
from ghcr_push.references import Digest, parse_tag_reference

REFERENCE = parse_tag_reference("ghcr.io/acme/app:1.0")
TARGET = Target(REFERENCE, Source("app"))
DIGEST = Digest(f"sha256:{'ab' * 32}")
OTHER = Digest(f"sha256:{'cd' * 32}")
MORE = re.compile(r"([\d,]+) more pushed")

# parts of commands, and characters that might hide between them
PIECES = st.sampled_from(
    [
        *(
            "::",
            ":",
            "##[",
            "#",
            "[",
            "]",
            "error",
            "set-env name=PATH",
            "add-mask",
            "stop-commands",
        ),
        *("\n", "\r", "\r\n", "\x1b[2K", "\x08", "\x00", "\u200b", "\u2028", "\u2029", "\x85"),
        *("\\", " ", "\t", "\xa0", "\u3000", "\ufeff", "\u034f", "\ud800", "x", "%0A", "::error::"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))


def failure(message: str) -> Failure:
    return classify(ErrorInfo(origin=Origin.REGISTRY, message=message, status=500))


def target(name: str) -> Target:
    """Return a target whose source is any text."""
    return Target(REFERENCE, Source(name))


def result(outcome: Outcome, message: str = "", **more: object) -> TargetResult:
    bad = outcome in {Outcome.FAILED, Outcome.SKIPPED}
    return TargetResult(
        target=TARGET,
        outcome=outcome,
        digest=None if bad else DIGEST,
        failure=failure(message) if bad else None,
        **more,  # type: ignore[arg-type] # fields that the caller names
    )


def controls(line: str) -> list[str]:
    """Return characters that move a cursor, hide, reorder, break a line or cannot be encoded."""
    return [each for each in line if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


# -- the runner's parsers, as the test has them ---------------------------------------------


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("::error::no", "error"),
        ("  \t::error file=x,line=1::no", "error"),
        ("\u3000::set-env name=PATH::/tmp", "set-env"),
        ("words ##[error]no", "error"),
        ("##[set-env name=PATH;]/tmp", "set-env"),
        ("words ::error::no", ""),
        ("::error:no", ""),
        ("::nothing::", ""),
        ("##[error", ""),
        ("##[nothing]", ""),
    ],
)
def test_the_parsers_obey_what_a_runner_obeys(line: str, name: str) -> None:
    assert obeyed(line) == name


# -- nothing is executed ----------------------------------------------------------------------


@given(TEXTS)
@example("##[error]x")
@example("###[error]x")
@example("##\u200b[error]x")
@example("::error::x")
@example("\u2003::error::x")
@example("\n::error::x")
@example(":\u200b:error::x")
def test_no_text_is_obeyed_or_moves_a_cursor(text: str) -> None:
    line = escape_commands(text)
    assert obeyed(line) == ""
    assert not controls(line)
    line.encode()


@given(TEXTS, st.sampled_from(sorted(COMMANDS)))
def test_no_command_comes_through_whatever_stands_around_it(text: str, name: str) -> None:
    for command in (f"::{name}::", f"::{name} a=b::x", f"##[{name}]x", f"##[{name} a=b]"):
        assert obeyed(escape_commands(text + command)) == ""
        assert obeyed(escape_commands(command + text)) == ""


@given(st.text(st.characters(categories=["L", "N", "P", "S"], codec="utf-8"), max_size=50))
def test_harmless_text_is_unchanged(text: str) -> None:
    expected = text.replace("##[", "##\\[")
    expected = expected.replace("::", ":\\:", 1) if expected.startswith("::") else expected
    assert escape_commands(text) == expected


@given(TEXTS)
def test_no_event_is_obeyed(text: str) -> None:
    hostile = target(text)
    events: list[Event] = [
        Noticed(text),
        Started(Plan((Group(Source(text), REFERENCE.repository, (TARGET,)),)), 4),
        Began(hostile, Step.PUSH, 2, 4),
        Waiting(hostile, Step.READ, 1, 8, failure(text), 2.0),
        *[Ended(result(Outcome.FAILED, text)), Ended(result(Outcome.SKIPPED, text))],
        LimitChanged(LimitChange(at=0, registry=text, old=4, new=2, reason=text)),
        *[Held(Hold(at=0, registry=text, seconds=60, reason=text))] * (SINGLY + 2),
        StillWaiting(text, 10.0, 50.0),
        WentDown(text, failure(text)),
        StillWaiting(text, 10.0, None),
        Resumed(text, 30.0, outage=True),
        Resumed(text, 30.0, outage=False),
    ]
    log = RunLog()
    lines = [line for event in events for line in log.lines(event)]
    lines += log.rest()
    lines += engine_lines(EngineSaid(TARGET, (text, "Pushed")))
    for line in lines:
        assert obeyed(line) == ""
        assert obeyed(f"    1.0 s  {line}") == ""
        assert not controls(line)


# -- lines ------------------------------------------------------------------------------------


class PrintedLog:
    """A log with its own clock, and its lines so far."""

    def __init__(self, *repositories: str, tags: int = 200) -> None:
        self.now = 0.0
        self.log = RunLog(clock=lambda: self.now)
        groups = tuple(
            Group(Source("app"), reference.repository, (Target(reference, Source("app")),) * tags)
            for reference in (parse_tag_reference(f"{name}:1") for name in repositories)
        )
        self.lines = list(self.log.lines(Started(Plan(groups), 4)) if groups else ())

    def print(self, *events: Event, after: float = 0.0) -> list[str]:
        """Return the lines that ``events`` add, each ``after`` seconds after the one before."""
        added: list[str] = []
        for event in events:
            self.now += after
            added += self.log.lines(event)
        self.lines += added
        return added


def lines_of(*events: Event) -> list[str]:
    return PrintedLog().print(*events)


def pushed(number: int, repository: str = "ghcr.io/acme/app") -> Ended:
    reference = parse_tag_reference(f"{repository}:{number}")
    ended = result(Outcome.PUSHED, known_before=True, verified=True)
    return Ended(replace(ended, target=Target(reference, Source("app"))))


def failed(number: int, status: int = 403) -> Ended:
    why = classify(ErrorInfo(origin=Origin.REGISTRY, message="no", status=status))
    return Ended(replace(pushed(number).result, outcome=Outcome.FAILED, failure=why))


def waiting(status: int, *, number: int = 1, seconds: float = 0.3) -> Waiting:
    why = classify(ErrorInfo(origin=Origin.REGISTRY, message="boom", status=status))
    return Waiting(TARGET, Step.RETAG, number, 8, why, seconds)


def test_the_first_line_says_what_is_pushed_and_where_to() -> None:
    [line] = PrintedLog("ghcr.io/acme/app", tags=3).lines
    assert re.fullmatch(
        r"ghcr-push \S+: 3 tags of app to ghcr.io/acme/app; at most 4 writes at a time", line
    )
    [line] = PrintedLog("ghcr.io/acme/app", "ghcr.io/acme/web", tags=1).lines
    assert "2 tags of app to 2 repositories: ghcr.io/acme/app, ghcr.io/acme/web;" in line


@pytest.mark.parametrize(
    ("repositories", "name"),
    [
        (["ghcr.io/acme/app"], "1"),
        (["ghcr.io/acme/app", "ghcr.io/acme/web"], "acme/app:1"),
        (["ghcr.io/acme/app", "quay.io/acme/app"], "ghcr.io/acme/app:1"),
        ([], "ghcr.io/acme/app:1"),
    ],
)
def test_the_common_part_of_all_names_is_left_out(repositories: list[str], name: str) -> None:
    [line] = PrintedLog(*repositories).print(pushed(1))
    assert line == f"✓ {name} pushed, sha256:abababababab, new"


def test_only_long_steps_are_reported_at_their_start() -> None:
    assert lines_of(Began(TARGET, Step.RETAG, 1, 4)) == []
    assert lines_of(Began(TARGET, Step.PUSH, 3, 1)) == ["ghcr.io/acme/app:1.0: docker push, try 3"]


@pytest.mark.parametrize(("tags", "most"), [(20, 8), (200, 10), (2_000, 20)])
def test_many_clean_tags_take_few_lines(tags: int, most: int) -> None:
    printed = PrintedLog("ghcr.io/acme/app", tags=tags)
    printed.print(*map(pushed, range(tags)), after=0.1)
    lines = [*printed.lines, *printed.log.rest()]
    assert SINGLY + 1 < len(lines) <= most
    assert f"({tags:,} of {tags:,} tags done): " in lines[-1]
    # none is left out
    more = [int(each[1].replace(",", "")) for line in lines if (each := MORE.search(line))]
    assert SINGLY + sum(more) == tags


def test_a_long_run_reports_its_progress_now_and_then() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    printed.print(*map(pushed, range(SINGLY + 600)), after=3.0)
    assert len(printed.lines) == pytest.approx(1800 / SELDOM, rel=0.5)
    last = printed.now
    [line] = printed.print(pushed(1), after=SELDOM)
    assert printed.now - last <= SELDOM
    assert " more pushed (" in line


def test_two_hundred_equal_failures_are_reported_once() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    printed.print(*map(failed, range(200)))
    assert printed.lines[1:] == [
        "✗ 0 FAILED: auth-blip (403): no",
        *[f"✗ {number} FAILED: auth-blip (403)" for number in range(1, SINGLY + 1)],
    ]
    assert list(printed.log.rest()) == [
        "✗ 196 more FAILED: auth-blip (403): 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 and 186 more"
    ]


def test_texts_of_failures_are_shown_while_they_are_few() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    for number in range(200):
        why = replace(failure(f"no image {number}"), status=None)
        printed.print(Ended(replace(failed(number).result, failure=why)))
    assert [line for line in printed.lines if "no image" in line] == [
        f"✗ {number} FAILED: server-error: no image {number}" for number in range(MOST_QUOTES)
    ]
    assert len(printed.lines) == 1 + MOST_QUOTES + SINGLY


def test_the_end_of_a_run_is_not_repeated_for_each_tag() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    ended = classify(ErrorInfo(origin=Origin.RUN, kind=Kind.CANCELLED, message="cancelled"))
    results = [replace(failed(number).result, failure=ended) for number in range(20)]
    assert printed.print(*map(Ended, results)) == ["✗ 0 FAILED: cancelled"]
    [line] = printed.log.rest()
    assert line.startswith("✗ 19 more FAILED: cancelled: 1, 2, ")


def test_a_failure_of_another_kind_is_reported_at_once() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    printed.print(*map(pushed, range(20)), *map(failed, range(20)))
    assert printed.print(failed(77, 401)) == ["✗ 77 FAILED: unauthorized (401)"]


def test_a_failed_try_names_what_failed_how_and_which_try_it_was() -> None:
    assert lines_of(waiting(500)) == [
        "↻ ghcr.io/acme/app:1.0: tag write failed, try 1 of 8: server-error (500): boom"
    ]
    [line] = PrintedLog("ghcr.io/acme/app").print(
        replace(waiting(500, number=2, seconds=8.4), step=Step.UPLOAD, blob=DIGEST)
    )
    assert line == (
        "↻ layer sha256:abababababab: upload failed, try 2 of 8: server-error (500): boom; "
        "next try in 8 s or later"
    )
    assert "upload failed" in lines_of(replace(waiting(500), step=Step.UPLOAD, blob=DIGEST))[0]
    assert "failed, not counted as a try: " in lines_of(waiting(500, number=0))[0]


def test_many_failed_attempts_are_counted_and_each_kind_is_shown_once() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    added = printed.print(*[waiting(500)] * 30, waiting(502), waiting(502), waiting(503))
    assert len(added) == 1 + SINGLY + 2
    assert list(printed.log.rest()) == [
        (
            "↻ 27 more tries failed: "
            "26 \N{MULTIPLICATION SIGN} server-error (500), "
            "1 \N{MULTIPLICATION SIGN} server-error (502)"
        )
    ]


@pytest.mark.parametrize(
    "message",
    [
        "PUT https://ghcr.io/v2/a/b/manifests/1: 500 Internal Server Error, without a text",
        (
            "HEAD https://ghcr.io/v2/a/b/manifests/1: 429 Too Many Requests, "
            "answers to HEAD have no text"
        ),
        "Internal Server Error",
        "502 Bad Gateway",
        "",
    ],
)
def test_an_error_that_says_nothing_is_not_quoted(message: str) -> None:
    assert words_of(replace(failure("x"), message=message)) == ""


def test_a_page_and_a_long_message_are_shortened() -> None:
    unicorn = "Unicorn! \u00b7 GitHub - We had issues producing the response to your request."
    assert words_of(failure(unicorn)) == "GitHub's Unicorn page"
    text = words_of(failure("x" * 1999))
    assert text == "x" * MOST_OF_A_MESSAGE + "…"


def test_a_failure_says_that_it_may_have_landed() -> None:
    [line] = lines_of(Ended(result(Outcome.FAILED, "boom", may_have_landed=True)))
    assert line == (
        "✗ ghcr.io/acme/app:1.0 FAILED: server-error (500) "
        "(a write was in flight: it may have landed): boom"
    )


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (
            result(Outcome.UNCHANGED, known_before=True, verified=True),
            "✓ ghcr.io/acme/app:1.0 unchanged, sha256:abababababab",
        ),
        (
            result(Outcome.PUSHED),
            "✓ ghcr.io/acme/app:1.0 pushed, sha256:abababababab, not verified",
        ),
        (
            replace(result(Outcome.KEPT), digest=None, before=DIGEST),
            "= ghcr.io/acme/app:1.0 kept, names sha256:abababababab",
        ),
        (
            result(Outcome.PUSHED, verified=True, known_before=True, before=OTHER),
            "✓ ghcr.io/acme/app:1.0 pushed, sha256:abababababab, was sha256:cdcdcdcdcdcd",
        ),
    ],
)
def test_an_outcome_has_a_line(ended: TargetResult, said: str) -> None:
    assert lines_of(Ended(ended)) == [said]


# -- holds and outages -----------------------------------------------------------------------


def test_an_outage_is_reported_at_its_start_while_it_lasts_and_at_its_end() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    assert printed.print(
        WentDown("ghcr.io", failure("boom")),
        *[waiting(503)] * 3,
        StillWaiting("ghcr.io", 10.0, None),
        *[waiting(504)] * 3,
        Resumed("ghcr.io", 23.4, outage=True),
    ) == [
        ("ghcr.io: requests fail: server-error (500); sending one at a time until one succeeds"),
        "ghcr.io: no request has succeeded for 10 s",
        "ghcr.io: requests succeed again, after 23 s",
    ]
    assert len(printed.print(waiting(503))) == 1


def test_a_hold_is_reported_at_its_start_while_it_lasts_and_at_its_end() -> None:
    hold = Hold(at=1, registry="ghcr.io", seconds=61.4, reason="secondary-limit (403)")
    limited = replace(failure("slow down"), holds=True)
    assert lines_of(
        Held(hold),
        Waiting(TARGET, Step.RETAG, 1, 8, limited, 0.0),
        StillWaiting("ghcr.io", 10.0, 51.4),
        Resumed("ghcr.io", 61.4, outage=False),
    ) == [
        "ghcr.io: on hold for 61 s: secondary-limit (403)",
        "ghcr.io: on hold for another 51 s",
        "ghcr.io: going on, after 61 s on hold",
    ]


def test_short_holds_are_counted_and_their_ends_are_no_news() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    hold = Hold(at=1, registry="ghcr.io", seconds=2.0, reason="throttled 429")
    for _ in range(13):
        printed.print(Held(hold), Resumed("ghcr.io", 2.0, outage=False))
    assert len(printed.lines) == 1 + SINGLY
    assert list(printed.log.rest()) == ["10 more holds: 10 \N{MULTIPLICATION SIGN} throttled 429"]


def test_a_repeatedly_falling_limit_is_reported_only_now_and_then() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    change = LimitChange(at=1, registry="ghcr.io", old=4, new=2, reason="server-error (500)")
    assert printed.print(LimitChanged(change)) == [
        "ghcr.io: parallel writes 4 → 2: server-error (500)"
    ]
    assert printed.print(*[LimitChanged(change)] * 9, after=1.0) == []
    assert printed.print(LimitChanged(replace(change, new=5)), after=OFTEN) == []
    assert len(printed.print(LimitChanged(change), after=OFTEN)) == 1


# -- uploads ---------------------------------------------------------------------------------


def test_a_finished_upload_has_a_line_with_bytes_and_rate() -> None:
    sent = TransferStats(blobs_sent=2, bytes_sent=12_300_000)
    assert PrintedLog("ghcr.io/acme/app").print(ContentDone(TARGET, sent, 8.2)) == [
        "2 blobs uploaded, 12.3 MB in 8.2 s (1.5 MB/s)"
    ]
    some = replace(sent, blobs_found=1, blobs_mounted=1, bytes_saved=1_400_000)
    assert lines_of(ContentDone(TARGET, some, 8.2)) == [
        (
            "ghcr.io/acme/app: 2 blobs uploaded, 12.3 MB in 8.2 s (1.5 MB/s); "
            "1 there already, 1 mounted (1.4 MB)"
        )
    ]
    assert lines_of(
        ContentDone(TARGET, TransferStats(blobs_found=6, bytes_saved=1_400_000), 0.1)
    ) == ["ghcr.io/acme/app: nothing to upload: 6 there already (1.4 MB)"]


def test_a_long_upload_reports_its_progress_unless_nothing_moves() -> None:
    printed = PrintedLog("ghcr.io/acme/app")
    progress = ContentProgress(
        TARGET, TransferStats(), 6, done=12_300_000, size=72_000_000, whole=True
    )
    assert printed.print(*[progress] * 3, after=5.0) == ["uploading: 12.3 of 72.0 MB"]
    part = replace(progress, whole=False)
    assert printed.print(part, after=OFTEN) == ["uploading: 12.3 of 72.0 MB known so far"]
    printed.print(WentDown("ghcr.io", failure("boom")))
    assert printed.print(progress, after=OFTEN) == []


def test_uploads_side_by_side_share_a_line() -> None:
    printed = PrintedLog("ghcr.io/acme/app", "ghcr.io/acme/web")
    web = Target(parse_tag_reference("ghcr.io/acme/web:1"), Source("web"))
    one = ContentProgress(TARGET, TransferStats(), 6, done=1_000_000, size=2_000_000, whole=True)
    other = replace(one, seed=web)
    assert printed.print(one, other, after=OFTEN) == ["2 repositories: uploading: 2.0 of 4.0 MB"]


# -- the engine's output ---------------------------------------------------------------------


def test_a_countdown_of_the_engine_is_printed_once() -> None:
    said = [f"0a1b2c: Retrying in {left} seconds" for left in (5, 4, 3, 2)]
    said += ["0a1b2c: Retrying in 1 second", "ffff00: Retrying in 2 seconds"]
    said += ["0a1b2c: Pushed", "0a1b2c: Retrying in 10 seconds"]
    assert list(engine_lines(EngineSaid(TARGET, tuple(said)))) == [
        "  | 0a1b2c: Retrying in 5 seconds",
        "  | ffff00: Retrying in 2 seconds",
        "  | 0a1b2c: Pushed",
        "  | 0a1b2c: Retrying in 10 seconds",
    ]


def test_engine_output_is_no_event_line() -> None:
    assert lines_of(EngineSaid(TARGET, ("Pushed",))) == []

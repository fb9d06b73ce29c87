"""Log lines: what a run tells, and that no text from outside is obeyed by a runner or terminal."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.commands import COMMANDS, obeyed

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.fronts.lines import (
    Log,
    engine_lines,
    event_lines,
    failure_text,
    harmless,
    plan_lines,
)
from ghcr_push.model import (
    Failure,
    Group,
    Hold,
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
    Planned,
    Waiting,
)
from ghcr_push.references import Digest, parse_tag_reference

REFERENCE = parse_tag_reference("ghcr.io/acme/app:1.0")
TARGET = Target(REFERENCE, Source("app"))
DIGEST = Digest(f"sha256:{'ab' * 32}")

# pieces of which commands are made, and what might hide between them
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
    """Give a target whose source is any text."""
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
    """Give what moves a cursor, hides, reorders, breaks a line or cannot be encoded."""
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


# -- nothing is obeyed ------------------------------------------------------------------------


@given(TEXTS)
@example("##[error]x")
@example("###[error]x")
@example("##\u200b[error]x")
@example("::error::x")
@example("\u2003::error::x")
@example("\n::error::x")
@example(":\u200b:error::x")
def test_no_text_is_obeyed_or_moves_a_cursor(text: str) -> None:
    line = harmless(text)
    assert obeyed(line) == ""
    assert not controls(line)
    line.encode()


@given(TEXTS, st.sampled_from(sorted(COMMANDS)))
def test_no_command_comes_through_whatever_stands_around_it(text: str, name: str) -> None:
    for command in (f"::{name}::", f"::{name} a=b::x", f"##[{name}]x", f"##[{name} a=b]"):
        assert obeyed(harmless(text + command)) == ""
        assert obeyed(harmless(command + text)) == ""


@given(st.text(st.characters(categories=["L", "N", "P", "S"], codec="utf-8"), max_size=50))
def test_what_is_harmless_is_left_as_it_is(text: str) -> None:
    expected = text.replace("##[", "##\\[")
    expected = expected.replace("::", ":\\:", 1) if expected.startswith("::") else expected
    assert harmless(text) == expected


@given(TEXTS)
def test_no_event_is_obeyed(text: str) -> None:
    hostile = target(text)
    events: list[Event] = [
        Began(hostile, Step.PUSH, 2, 4),
        Waiting(TARGET, 1, failure(text), 2.0),
        Ended(result(Outcome.FAILED, text)),
        Ended(result(Outcome.SKIPPED, text)),
        LimitChanged(LimitChange(at=0, registry=text, old=4, new=2, reason=text)),
        Held(Hold(at=0, registry=text, seconds=60, reason=text)),
        Planned(Plan((Group(Source(text), REFERENCE.repository, (TARGET,)),))),
        Noticed(text),
    ]
    lines = [line for event in events for line in event_lines(event)]
    lines += engine_lines(EngineSaid(TARGET, (text, "Pushed")))
    for line in lines:
        assert obeyed(line) == ""
        assert obeyed(f"    1.0 s  {line}") == ""
        assert not controls(line)


# -- what is told ---------------------------------------------------------------------------


def lines_of(event: Event) -> list[str]:
    return list(event_lines(event))


def test_only_what_takes_long_is_told_when_it_starts() -> None:
    assert lines_of(Began(TARGET, Step.RETAG, 1, 4)) == []
    assert lines_of(Began(TARGET, Step.PUSH, 3, 1)) == ["ghcr.io/acme/app:1.0: docker push, try 3"]


def pushed(number: int) -> Ended:
    reference = parse_tag_reference(f"ghcr.io/acme/app:{number}")
    ended = result(Outcome.PUSHED, known_before=True, verified=True)
    return Ended(replace(ended, target=Target(reference, Source("app"))))


def test_two_hundred_clean_tags_take_few_lines() -> None:
    log = Log()
    lines = [line for number in range(200) for line in log.lines(pushed(number))]
    assert len(lines) == 10 + 190 // 25
    assert lines[10].endswith("(and 24 more like it)")


def test_what_went_wrong_is_told_beside_what_went_well() -> None:
    log = Log()
    for number in range(12):
        list(log.lines(pushed(number)))
    assert len(list(log.lines(Ended(result(Outcome.FAILED, "boom"))))) == 1
    again = replace(pushed(99).result, retried=True)
    assert len(list(log.lines(Ended(again)))) == 1


def test_a_wait_says_why_and_how_long() -> None:
    [line] = lines_of(Waiting(TARGET, 2, failure("boom\nat night"), 3.25))
    assert line == (
        "ghcr.io/acme/app:1.0: try 2 failed: server-error: boom at night; "
        "next try after 3.2 s, when a slot is free"
    )


def test_a_failure_says_that_it_may_have_landed() -> None:
    [line] = lines_of(Ended(result(Outcome.FAILED, "boom", may_have_landed=True)))
    assert line == (
        "ghcr.io/acme/app:1.0: ✗ FAILED: server-error: boom "
        "(a write was in flight: it may have landed)"
    )


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (
            result(Outcome.PUSHED, known_before=True, verified=True),
            "✓ pushed sha256:abababababab, new",
        ),
        (
            result(Outcome.UNCHANGED, known_before=True, verified=True),
            "✓ unchanged sha256:abababababab",
        ),
        (result(Outcome.PUSHED), "✓ pushed sha256:abababababab, not verified"),
        (result(Outcome.PLANNED), "… planned"),
    ],
)
def test_an_outcome_is_told_in_a_line(ended: TargetResult, said: str) -> None:
    assert lines_of(Ended(ended)) == [f"ghcr.io/acme/app:1.0: {said}"]


def test_a_moved_tag_says_what_it_was() -> None:
    before = Digest(f"sha256:{'cd' * 32}")
    moved = result(Outcome.PUSHED, known_before=True, before=before, verified=True)
    assert lines_of(Ended(moved))[0].endswith(", was sha256:cdcdcdcdcdcd")


def test_limits_and_holds_are_told() -> None:
    change = LimitChange(at=1, registry="ghcr.io", old=4, new=2, reason="server-error 500")
    assert lines_of(LimitChanged(change)) == ["ghcr.io: parallel writes 4 → 2 (server-error 500)"]
    assert lines_of(LimitChanged(replace(change, new=5))) == []
    hold = Hold(at=1, registry="ghcr.io", seconds=61.4, reason="secondary-limit 403")
    assert lines_of(Held(hold)) == ["ghcr.io: nothing is sent for 61 s (secondary-limit 403)"]


def test_a_carriage_says_how_far_it_is() -> None:
    half = TransferStats(sent=2, found=1, mounted=1, bytes_sent=12_300_000, bytes_saved=1_400_000)
    told = "2 sent (12.3 MB), 2 there already (1.4 MB)"
    assert lines_of(ContentProgress(TARGET, half, 6)) == [
        f"ghcr.io/acme/app:1.0: uploading layers: {told}, 2 to come"
    ]
    assert lines_of(ContentProgress(TARGET, half)) == [
        f"ghcr.io/acme/app:1.0: uploading layers: {told}"
    ]
    assert lines_of(ContentDone(TARGET, half, 7.25)) == [
        f"ghcr.io/acme/app:1.0: layers uploaded in 7.2 s: {told}"
    ]


def test_a_long_message_is_cut() -> None:
    text = failure_text(failure("x" * 1999))
    assert len(text) < 600
    assert text.endswith("…")


def test_a_countdown_of_the_engine_is_told_once() -> None:
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


def test_a_plan_names_ten_tags_of_a_group_and_counts_the_rest() -> None:
    targets = tuple(
        Target(parse_tag_reference(f"ghcr.io/acme/app:{number}"), Source("app"))
        for number in range(12)
    )
    [line] = plan_lines(Plan((Group(Source("app"), REFERENCE.repository, targets),)))
    assert line == "app → ghcr.io/acme/app: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"

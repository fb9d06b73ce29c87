"""Outside text is shown exactly, and has no effect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rendered import Rendered
from tests.support.reports import HOSTILE

from ghcr_push.reporting.escape import (
    advice,
    clipped,
    code,
    escape,
    mermaid,
    prose,
    utf16_length,
    visible,
)

PIECES = st.sampled_from(
    [
        *"|`<>*_~[]()!#$\\:^={}@&;-+.1 \n\t\r\"'/",
        *("www.", "https://x.example/", "a@b.example", "mailto:", "&lt;", "&#1;", "-->", "<!--"),
        *("```", ":tada:", "@acme", "</code>", "</details>", "|---|", "\u202e", "\x00", "\ud800"),
        *("\u00a0", "\u3000", "\u2028", "é", "😀"),
    ]
)
TEXTS = st.lists(PIECES | st.characters(), max_size=12).map("".join)
TABLE = ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]


@given(TEXTS)
def test_a_cell_shows_exactly_the_text(text: str) -> None:
    shown = Rendered(f"| a | b |\n| --- | --- |\n| {escape(text)} | x |\n")
    assert shown.elements == TABLE
    assert shown.rows == [["a", "b"], [visible(text), "x"]]


@given(TEXTS)
def test_code_shows_exactly_the_text(text: str) -> None:
    shown = Rendered(f"| a | b |\n| --- | --- |\n| {code(text)} | x |\n")
    assert shown.elements == [*TABLE[:-1], "code", "td"]
    assert shown.rows[1] == [visible(text), "x"]


@given(TEXTS)
def test_a_paragraph_stays_a_paragraph(text: str) -> None:
    shown = Rendered(f"{escape(text)}\n")
    assert shown.elements in (["p"], [])
    assert shown.text.strip("\n") == visible(text)


@given(TEXTS)
def test_prose_has_code_and_nothing_else(text: str) -> None:
    assert set(Rendered(f"- {prose(text)}\n").elements) <= {"ul", "li", "code"}


@given(TEXTS)
def test_visible_text_is_one_line_of_valid_utf8(text: str) -> None:
    assert len(visible(text).splitlines()) <= 1
    visible(text).encode()
    assert visible(visible(text)) == visible(text)


@given(TEXTS)
def test_a_mermaid_label_has_no_syntax(text: str) -> None:
    label = mermaid(text)
    assert label.strip() == label
    assert label
    assert not set(label) & set(":;#%<>\"'`{}()[]|\n\r\\")


def test_hostile_text_is_one_line_and_mentions_nobody() -> None:
    assert "\n" not in escape(HOSTILE)
    assert "@" not in escape(HOSTILE)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("root@evil.example", "root<!-- -->&#64;evil.example"),
        ("https://evil.example", "https&#58;//evil.example"),
        ("WWW.evil.example", "WWW&#46;evil.example"),
        (":tada:", "&#58;tada:"),
        ("ghcr.io/acme/app:1.0", "ghcr.io/acme/app:1.0"),
    ],
)
def test_texts_that_github_would_turn_into_links_and_emoji_are_broken_up(
    text: str, escaped: str
) -> None:
    assert escape(text) == escaped


def test_backticks_make_code_in_prose() -> None:
    assert prose("Set `packages: write` now.") == "Set <code>packages: write</code> now."


def test_words_that_mention_become_code() -> None:
    assert prose("ask @acme/ops") == "ask <code><!-- -->&#64;acme/ops</code>"


def test_advice_links_its_addresses() -> None:
    assert advice("look at https://www.githubstatus.com, then `retry`") == (
        'look at <a href="https://www.githubstatus.com">https&#58;//www&#46;githubstatus.com</a>, '
        "then <code>retry</code>"
    )


@given(st.text(), st.integers(1, 20))
def test_clipped_text_fits_and_begins_alike(text: str, most: int) -> None:
    short = clipped(text, most)
    assert utf16_length(short) <= most
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@pytest.mark.parametrize(("text", "length"), [("", 0), ("abc", 3), ("é", 1), ("😀", 2)])
def test_length_is_that_of_utf16(text: str, length: int) -> None:
    assert utf16_length(text) == length

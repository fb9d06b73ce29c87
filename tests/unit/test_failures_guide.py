"""The user's guide is generated from the table."""

from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from scripts.failures_guide import guide, usual

from ghcr_push.failures.policies import POLICIES
from ghcr_push.failures.rules import RULES
from ghcr_push.model import Kind

PAGE = Path(__file__).parents[2] / "docs" / "failures.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == guide(), (
        "run: python -m scripts.failures_guide > docs/failures.md"
    )


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_heading_that_its_links_reach_and_its_advice(kind: Kind) -> None:
    text = guide()
    assert f"\n### {kind}\n" in text
    assert f"(#{kind})" in text
    assert POLICIES[kind].advice in text


def test_every_rule_is_shown_once_with_its_reason() -> None:
    text = guide()
    for rule in RULES:
        assert text.count(f"#### {rule.title} ({', '.join(rule.rows)})\n") == 1
        assert rule.why in text
        assert (rule.classification.advice or "") in text


def test_the_page_is_sound_markdown() -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(guide())
    assert {t.type for t in tokens if t.type.startswith("html")} == set()
    shown = [t.content for t in tokens if t.type == "fence"]
    assert len(shown) == len(RULES)
    rows = [t for t in tokens if t.type == "tr_open"]
    assert len(rows) == 1 + 6 + 1 + len(Kind)


def test_the_page_opens_with_the_six_usual_failures_as_the_readme_has_them() -> None:
    readme = (PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    assert "\n".join(usual("docs/failures.md")) in readme
    assert guide().index("## The six most common failures") < guide().index("## All kinds")

"""Snippets in the documents parse, and the names in them exist."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from ruamel.yaml import YAML
from tests.support import action_yml

from ghcr_push.fronts import cli
from ghcr_push.planning.inputs import INPUT_BY_NAME

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
ACTION = "OWNER/ghcr-push-action@"


@dataclass(frozen=True)
class Snippet:
    """A fenced block of a document."""

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def snippets(language: str) -> list[Snippet]:
    return [
        Snippet(document, (token.map or [0])[0] + 1, token.info.strip(), token.content)
        for document in DOCUMENTS
        for token in MarkdownIt("commonmark").parse(document.read_text(encoding="utf-8"))
        if token.type == "fence" and token.info.strip() == language
    ]


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping in a YAML document, at any depth."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from mappings(each)


def our_steps(snippet: Snippet) -> list[dict[str, Any]]:
    parsed = YAML(typ="safe", pure=True).load(snippet.text)
    return [each for each in mappings(parsed) if str(each.get("uses", "")).startswith(ACTION)]


@pytest.mark.parametrize("snippet", snippets("yaml"), ids=str)
def test_every_yaml_snippet_parses_and_names_inputs_that_exist(snippet: Snippet) -> None:
    named = {name for step in our_steps(snippet) for name in step.get("with", {})}
    assert named <= INPUT_BY_NAME.keys()


@pytest.mark.parametrize("snippet", snippets("yaml"), ids=str)
def test_every_yaml_snippet_reads_outputs_that_exist(snippet: Snippet) -> None:
    named = set(re.findall(r"steps\.push\.outputs\.([\w-]+)", snippet.text))
    assert named <= action_yml.ACTION["outputs"].keys()


@pytest.mark.parametrize("snippet", snippets("python"), ids=str)
def test_every_python_snippet_parses(snippet: Snippet) -> None:
    ast.parse(snippet.text)


@pytest.mark.parametrize("snippet", snippets("sh"), ids=str)
def test_every_command_line_is_one_that_the_command_takes(snippet: Snippet) -> None:
    text = snippet.text.replace("\\\n", " ")
    for words in re.findall(r"(?:^|\| )ghcr-push (?!report)([^|#\n]+)", text, re.MULTILINE):
        context = cli.command().make_context("ghcr-push", shlex.split(words))
        assert context.params["targets"] or context.params["tags"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_snippets_are_found() -> None:
    assert any(our_steps(snippet) for snippet in snippets("yaml"))
    assert snippets("python")


def test_every_page_of_docs_is_linked_from_another_document() -> None:
    text = {document: document.read_text(encoding="utf-8") for document in DOCUMENTS}
    pages = [document for document in DOCUMENTS if document.parent.name == "docs"]
    unlinked = [
        page.name
        for page in pages
        if not any(page.name in words for other, words in text.items() if other != page)
    ]
    assert unlinked == []

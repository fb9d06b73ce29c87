"""The table of inputs, ``action.yml`` and the README agree."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from tests.support.action_yml import ACTION

from ghcr_push.planning.inputs import INPUT_BY_NAME, INPUTS, Input

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

FROM_CONTEXT = {"token": "${{ github.token }}"}
"""Defaults that only the runner knows."""

DESCRIPTIONS = {
    name: each["description"]
    for table in ("inputs", "outputs")
    for name, each in ACTION[table].items()
}

needs_readme = pytest.mark.skipif(not README.strip(), reason="README.md is still empty")


def test_action_yml_has_the_inputs_of_the_table_in_its_order() -> None:
    assert list(ACTION["inputs"]) == [each.name for each in INPUTS]


@pytest.mark.parametrize("each", INPUTS, ids=lambda each: each.name)
def test_action_yml_describes_each_input_as_the_table_does(each: Input) -> None:
    # none is required: a list of tags may be in a file, and we report missing inputs ourselves
    assert ACTION["inputs"][each.name] == {
        "description": each.description,
        "required": False,
        "default": FROM_CONTEXT.get(each.name, each.default),
    }


def test_outputs_have_no_value_in_action_yml() -> None:
    # a container action's process writes them
    assert all(each.keys() == {"description"} for each in ACTION["outputs"].values())


def test_action_yml_names_the_action_and_how_it_runs() -> None:
    assert ACTION.keys() == {
        *("name", "description", "author", "branding", "inputs", "outputs", "runs")
    }
    assert ACTION["branding"] == {"icon": "upload-cloud", "color": "blue"}
    assert ACTION["runs"]["using"] == "docker"
    # the Dockerfile on the main line, the published image by its digest in a release
    assert re.fullmatch(r"Dockerfile|docker://\S+@sha256:[0-9a-f]{64}", ACTION["runs"]["image"])


@pytest.mark.parametrize(("name", "description"), DESCRIPTIONS.items(), ids=DESCRIPTIONS)
def test_descriptions_are_one_sentence(name: str, description: str) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
    assert description[0].isupper() or description[0] == "`"
    assert description.endswith(".")
    assert not re.search(r"\. [A-Z]", description)


def test_names_become_options_with_their_hyphens() -> None:
    assert INPUT_BY_NAME["max-parallel"].option == "--max-parallel"


def test_secrets_are_known() -> None:
    assert {each.name for each in INPUTS if each.secret} == {"token", "password", "registry-auth"}
    assert all(not each.default for each in INPUTS if each.secret)


def test_the_table_imports_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; import ghcr_push.planning.inputs; "
        "print({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in re.findall(r"'(\w+)'", done.stdout) if not name.startswith("_")}
    assert loaded == {"ghcr_push"}


def table_rows(text: str, heading: str) -> Iterator[list[str]]:
    """Return the cells, as Markdown, of each row of the tables under ``heading``."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    under = inside = False
    row: list[str] = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline" and before and before.type == "heading_open":
            under = token.content.strip() == heading
        if under and token.type == "tbody_open":
            inside = True
        elif inside and token.type == "tbody_close":
            inside = False
        elif inside and token.type == "tr_open":
            row = []
        elif inside and token.type == "inline":
            row.append(token.content)
        elif inside and token.type == "tr_close":
            yield row


def default_in_readme(cell: str) -> str:
    """Read a default: the text in back quotes, nothing where the cell explains it in words."""
    code = re.fullmatch(r"`(.*)`", cell.strip())
    return code[1] if code else ""


def test_tables_are_found_under_their_headings() -> None:
    text = (
        "# x\n\n| a |\n|---|\n| no |\n\n## Inputs\n\nWords.\n\n| input | default |\n|---|---|\n"
        "| `a` | `1` |\n| `b` | all |\n| `c` | |\n\n## Outputs\n\n| output |\n|---|\n| `d` |\n"
    )
    rows = list(table_rows(text, "Inputs"))
    assert [(row[0], default_in_readme(row[1])) for row in rows] == [
        *(("`a`", "1"), ("`b`", ""), ("`c`", ""))
    ]
    assert list(table_rows(text, "Outputs")) == [["`d`"]]


@needs_readme
def test_the_readme_has_every_input_with_its_default() -> None:
    documented = [(row[0], default_in_readme(row[1])) for row in table_rows(README, "Inputs")]
    known = [(f"`{each.name}`", FROM_CONTEXT.get(each.name, each.default)) for each in INPUTS]
    assert sorted(documented) == sorted(known)


@needs_readme
def test_the_readme_has_every_output() -> None:
    documented = [row[0] for row in table_rows(README, "Outputs")]
    assert sorted(documented) == sorted(f"`{name}`" for name in ACTION["outputs"])

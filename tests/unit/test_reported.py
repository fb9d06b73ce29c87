"""docs/reported.md, docs/planted.md and docs/tried.md name tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reported.md"

ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| report |", "| --- |"))
]
TESTS = {
    name: path
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}


def test_each_row_names_a_report_what_happens_and_tests_that_exist() -> None:
    for report, happens, tests in ROWS:
        assert re.search(r"[\w.-]+/[\w.-]+(?:#\d+|@[\w.]+)", report), report
        assert happens, report
        named = re.findall(r"\b(test_\w+)", tests)
        assert named, report
        unknown = [name for name in named if name not in TESTS and not _is_file(name)]
        assert unknown == [], report


def _is_file(name: str) -> bool:
    return any(path.stem == name for path in TESTS.values())


def test_each_planted_bug_names_tests_that_exist() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in (ROOT / "docs" / "planted.md").read_text().splitlines()
        if line.startswith("| ") and not line.endswith(("| test that failed |", "| --- |"))
    ]
    assert {row[0] for row in rows} >= set("ABCDEFGHIJKLMNOPQRSTUV")
    for row in rows:
        named = re.findall(r"\b(test_\w+)", row[2])
        assert named, row
        assert [name for name in named if name not in TESTS and not _is_file(name)] == [], row


def test_each_finding_of_a_newcomer_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "tried.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| \d\.", line)]
    assert len(rows) > 50
    for row in rows:
        cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
        assert len(cells) == 4 and all(cells), row  # noqa: PT018 - one shape
        named = re.findall(r"\b(test_\w+)", cells[3])
        assert [name for name in named if name not in TESTS and not _is_file(name)] == [], row

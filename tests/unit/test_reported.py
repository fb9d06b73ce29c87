"""docs/reported.md names tests that exist."""

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
        assert re.search(r"[\w.-]+/[\w.-]+#\d+", report), report
        assert happens, report
        named = re.findall(r"\b(test_\w+)", tests)
        assert named, report
        unknown = [name for name in named if name not in TESTS and not _is_file(name)]
        assert unknown == [], report


def _is_file(name: str) -> bool:
    return any(path.stem == name for path in TESTS.values())

"""Prints the table of `docs/pressure.md` out of `docs/pressure.csv`: `python -m bench.limits_page`.

Rows of 100 tags; where nothing but the capacity refuses writes, only those of a ceiling of 8.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

CELLS: Final = Path(__file__).parents[1] / "docs/pressure.csv"

COLUMNS: Final = {
    "AIMD": "best simple rival",
    "AIMD with memory": "best simple rival",
    "before": "before",
    "shipped": "now",
}
"""The heading for each rule of the file; of two rules with one heading, the quicker one counts."""

Row = Mapping[str, str]


def table(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lines of the table; each cell has time and refused requests."""
    cells: dict[tuple[str, str], dict[str, tuple[float, float]]] = defaultdict(dict)
    for row in rows:
        if row["tags"] == "100" and _is_shown(row):
            cell = float(row["time"]), float(row["refused"])
            column = f"{COLUMNS[row['rule']]}, {row['registry']}"
            found = cells[row["ceiling"], row["capacity"]]
            found[column] = min(cell, found.get(column, cell))
    headings = [f"{name}, {kind}" for kind in ("plain", "strict") for name in _names()]
    yield f"| ceiling | capacity | {' | '.join(headings)} |"
    yield f"|---:|---|{'---|' * len(headings)}"
    for case, found in cells.items():
        texts = (
            f"{time:.2f}, {refused:.0f}" for time, refused in (found[each] for each in headings)
        )
        yield f"| {' | '.join([*case, *texts])} |"


def _names() -> list[str]:
    return list(dict.fromkeys(COLUMNS.values()))


def _is_shown(row: Row) -> bool:
    return row["ceiling"] == "8" or not row["capacity"].isdigit()


def rows() -> list[Row]:
    """Return the cells of the file."""
    with CELLS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    print("\n".join(table(rows())))

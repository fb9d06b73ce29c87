"""Measure, print tables, and keep what was measured: `python -m bench.push`.

Contenders take turns within a round, so that a slow minute of the machine hits all of them. A
whole round takes about half an hour; with `--append`, `--conditions` and `--contenders` it can be
done in pieces. Needs root on Debian.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

from bench import plots
from bench.push import measuring, tables
from bench.push.conditions import COMPARED
from bench.push.contenders import CONTENDERS


def report(results: Path, folder: Path) -> None:
    """Make the page and its picture from a file of measurements; print the page's overview."""
    measured = measuring.read(results)
    by_condition = tables.by_condition(measured)
    picture = folder / "measured.svg"
    plots.draw(by_condition, picture)
    print(tables.overview(by_condition))
    page = tables.document(measured, results=str(results), picture=picture.name)
    (folder / "measured.md").write_text(page, "utf-8")


def main() -> None:
    """Read the command line and do what it asks."""
    parser = argparse.ArgumentParser(prog="python -m bench.push", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--conditions", nargs="+", choices=COMPARED, default=list(COMPARED), metavar="NAME"
    )
    parser.add_argument(
        "--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME"
    )
    parser.add_argument("--append", type=Path, help="keep the measurements in this file too")
    parser.add_argument(
        "--report", type=Path, help="measure nothing; make docs/measured.* from this file"
    )
    given = parser.parse_args()
    if given.report:
        report(given.report, Path("docs"))
        return
    done = measuring.read(given.append) if given.append else []
    measured = []
    turns = list(product(given.conditions, given.contenders)) * given.rounds
    for each in measuring.measurements(turns, done):
        print(each, file=sys.stderr)
        measured.append(each)
        if given.append:
            measuring.append(each, given.append)
    by_condition = tables.by_condition(measured)
    for condition, runs in by_condition.items():
        print(f"{tables.table(condition, runs)}\n")
    print(tables.overview(by_condition))


if __name__ == "__main__":
    main()

"""Measures the cost of failed writes against the goals: `python -m bench.chance`.

The built action at `max-parallel: 8` and, if a tenth of all writes fail at random, crane, as
`bench.push` runs them and with its conditions. Contenders take turns, so that a slow minute of the
machine affects all of them. Each ratio is of one round; a goal is the maximum of their median.

The bound with the same failures is computed from the failures that the front saw in that round
(`Condition.bound_with`): each failed write once more, as long as a good one, eight at a time,
everything else in no time.

All rounds take about twenty minutes; with `--append` they can be done in pieces. Needs root on
Debian. Exits with 1 if a goal is missed.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench.push import measuring, tables
from bench.push.conditions import CONDITIONS
from bench.push.measuring import Measurement

OURS = "ours-8"
PAIRS = (("sixty", OURS), ("sixty-10", OURS), ("sixty-20", OURS))
ROUNDS = (
    ("faults", "crane"),
    ("faults", OURS),
    ("limit-1", OURS),
    ("limit-2", OURS),
    ("limit-3", OURS),
)

HEAD = "| what | to | rounds | ratio | at most | |\n| --- | --- | ---: | ---: | ---: | --- |"


def ratios(
    measured: Sequence[Measurement],
) -> Iterator[tuple[str, str, list[float], float]]:
    """Yield each condition, what ours is compared with, the ratio of each round, and the goal.

    A round of which only one side is measured yet is left out.
    """
    seconds = {(each.condition, each.contender, each.round): each.seconds for each in measured}
    ours = [each for each in measured if each.contender == OURS]

    def to(name: str, condition: str, contender: str) -> list[float]:
        return [
            each.seconds / seconds[other]
            for each in ours
            if each.condition == name and (other := (condition, contender, each.round)) in seconds
        ]

    yield "sixty-10", "the same without faults", to("sixty-10", "sixty", OURS), 1.4
    yield "sixty-20", "the same without faults", to("sixty-20", "sixty", OURS), 1.9
    yield "faults", "crane", to("faults", "faults", "crane"), 0.6
    for name, bound, asked in (
        ("faults", "the bound with the same failures", 2.2),
        ("limit-1", "the bound", 1.2),
        ("limit-2", "the bound", 1.2),
        ("limit-3", "the bound", 1.2),
    ):
        condition = CONDITIONS[name]
        chance = condition.behaviour.faults is not None
        yield (
            name,
            bound,
            [
                each.seconds / condition.bound_with(each.failed_writes if chance else {})
                for each in ours
                if each.condition == name
            ],
            asked,
        )


def main() -> int:
    """Measure, print the ratios, and the seconds that they are of."""
    parser = argparse.ArgumentParser(prog="python -m bench.chance", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="of 60 tags with and without faults")
    parser.add_argument("--rounds", type=int, default=15, help="of all else")
    parser.add_argument("--append", type=Path, help="keep the measurements in this file, and go on")
    given = parser.parse_args()
    measured = measuring.read(given.append) if given.append else []
    turns = [*PAIRS * given.pairs, *ROUNDS * given.rounds]
    for each in measuring.measurements(turns, measured, "chance") if turns else ():
        print(each, file=sys.stderr)
        measured.append(each)
        if given.append:
            measuring.append(each, given.append)
    missed = False
    print(HEAD)
    for name, other, rounds, asked in ratios(measured):
        if rounds:
            middle = median(rounds)
            missed |= middle > asked
            cells = (
                CONDITIONS[name].title,
                other,
                f"{len(rounds)}",
                f"{middle:.2f} ({min(rounds):.2f} to {max(rounds):.2f})",
                f"{asked:.1f}",
                "**missed**" if middle > asked else "met",
            )
            print(f"| {' | '.join(cells)} |")
    print(f"\n{tables.overview(tables.by_condition(measured))}")
    return missed


if __name__ == "__main__":
    sys.exit(main())

"""Many runners against one registry: `python -m bench.fleet` prints the tables of docs/fleet.md.

Each runner pushes 20 to 200 tags of an image of its own, all at one modelled registry that they
share, in one event loop on a virtual clock. ``ours`` is the real queue, one for each runner.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

from bench.fleet.contenders import CONTENDERS, NAIVE
from bench.fleet.measuring import SETTINGS, Measurement, measure

SEEDS = {1: 20, 10: 10, 100: 5, 1000: 1}


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--runners", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument(
        "--seeds", type=int, help="fleets for each row; by default fewer large ones"
    )
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--timeout", type=float, default=float("inf"), help="seconds for each job")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs, max_tasks_per_child=1) as pool:
        for setting in options.settings:
            print(f"\n{setting}: {SETTINGS[setting]}\n\n{HEAD}")
            for count in options.runners:
                fleets = options.seeds or SEEDS.get(count, 1)
                seeds = range(options.first, options.first + fleets)
                jobs = {
                    name: [
                        pool.submit(measure, name, setting, count, seed, options.timeout)
                        for seed in seeds
                    ]
                    for name in options.only
                }
                played = {name: [job.result() for job in jobs[name]] for name in options.only}
                for name in options.only:
                    print(row(count, name, played[name], played.get(NAIVE)), flush=True)
    return 0


HEAD = """\
| runners | contender | seconds | ÷ perfect | failed tags | refused | of naive's | requests a tag \
| fairness | slowest ÷ median | penalties |
|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""


def row(
    count: int, name: str, ours: Sequence[Measurement], naive: Sequence[Measurement] | None
) -> str:
    """Return a row of means."""

    def mean(of: Callable[[Measurement], float]) -> float:
        return statistics.fmean(of(one) for one in ours)

    refused = mean(lambda one: one.refused)
    fraction = "-"
    if naive and (most := statistics.fmean(one.refused for one in naive)):
        fraction = f"{refused / most:.3f}"
    landed = sum(one.landed for one in ours)
    each = f"{sum(one.requests for one in ours) / landed:.2f}" if landed else "-"
    failed = 1 - landed / sum(one.tags for one in ours)
    cells = (
        f"{count}",
        name,
        f"{mean(lambda one: one.seconds):,.0f}",
        f"{mean(lambda one: one.seconds / one.perfect):.2f}",
        f"{mean(lambda one: one.tags - one.landed):,.1f} ({failed:.1%})",
        f"{refused:,.1f}",
        fraction,
        each,
        f"{mean(lambda one: one.jain):.3f}",
        f"{mean(lambda one: one.spread):.2f}",
        f"{mean(lambda one: one.penalties):.1f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())

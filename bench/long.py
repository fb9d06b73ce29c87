"""Measures the cost of a target in a long queue: `python -m bench.long` prints CPU and memory.

The real queue on the virtual clock against the modelled registry of ``tests/simulation``, whose own
cost is in the numbers: a registry that accepts two writes at once and fails one in twenty. The
report, the outputs and the summary are built at the end. Each row is a separate process.
"""

import argparse
import resource
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from time import process_time

from tests.simulation.test_long_queues import long_run, rendered, report_of

TAGS = (100, 1000, 10_000)


def measured(tags: int, direct: bool) -> tuple[float, float, float]:  # noqa: FBT001 - a pool's
    """Return the CPU seconds of the run and of its report, and the peak in MB."""
    began = process_time()
    played = long_run(tags, direct=direct)
    ran = process_time()
    rendered(report_of(played))
    reported = process_time()
    return ran - began, reported - ran, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.long", description=__doc__)
    parser.add_argument("--tags", nargs="*", type=int, default=TAGS)
    options = parser.parse_args()
    print("| transport | tags | CPU s | ms/tag | report: CPU s | ms/tag | peak MB | KB/tag |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    spawn = get_context("spawn")
    for name, direct in (("direct", True), ("engine", False)):
        base = 0.0
        for tags in (1, *options.tags):
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                run, reported, memory = pool.submit(measured, tags, direct).result()
            base = base or memory
            if tags == 1:  # what the interpreter and its imports take
                continue
            each = (memory - base) * 1024 / tags
            print(
                f"| {name} | {tags} | {run:.2f} | {1000 * run / tags:.2f} | {reported:.2f} "
                f"| {1000 * reported / tags:.2f} | {memory:.0f} | {each:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

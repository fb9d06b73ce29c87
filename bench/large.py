"""One layer of 5 GB, from a layout and from a registry: `python -m bench.large`; Debian, as root.

Prints what the command took: seconds, its peak of memory, and what it wrote to disks. Needs three
times the layer's size on disk: the layout, and two registries that hold it.
"""

import argparse
import sys

from tests.integration.test_large_layer import DISK, MEMORY, pushes


def main() -> None:
    """Measure and print; exit with 1 if it is more than promised."""
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=__doc__)
    parser.add_argument("--gigabytes", type=int, default=5)
    size = parser.parse_args().gigabytes * 10**9 >> 20 << 20
    print("| from a | s | peak MB | MB written to disks |\n| --- | ---: | ---: | ---: |")
    missed = False
    for push in pushes(size):
        memory, written = push.memory / 1e6, push.written / 1e6
        print(f"| {push.source} | {push.seconds:.1f} | {memory:.0f} | {written:.1f} |", flush=True)
        missed |= push.memory > MEMORY or push.written > DISK
    sys.exit(missed)


if __name__ == "__main__":
    main()

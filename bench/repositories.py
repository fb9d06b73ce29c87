"""Pushes one image to one repository, and to five: `python -m bench.repositories`; root on Debian.

The image is read and compressed once, and its layers are uploaded once and mounted into the others.
So five take as long as one, except for the mounts and one manifest each. Prints Markdown.
"""

import argparse
import sys
from dataclasses import dataclass
from statistics import median

from bench.one_image import GIGABIT, OURS, TAKES, measured
from tests.support.engines import Engine, running_engine
from tests.support.front import Behaviour, Step, running_front
from tests.support.registry import running_registry

REPOSITORIES = (1, 5)
IMAGE, LAYERS, LAYER = "bench/repositories:1", 8, 10_000_000

LONGER = 1.3
"""The maximum factor by which the content may take longer for five repositories than for one."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """The seconds of one run, and the blobs that were sent and mounted."""

    seconds: float
    sent: int
    mounted: int


def push(engine: Engine, repositories: int) -> Push:
    """Push the image to so many repositories of a new registry."""
    behaviour = Behaviour(takes=TAKES, bandwidth=GIGABIT)
    with running_registry() as registry, running_front(registry.address, behaviour) as front:
        tags = [f"{front.address}/acme/app{number}:1" for number in range(repositories)]
        options = ["--source", IMAGE, "--transport", "direct", "--tags", "\n".join(tags)]
        taken = measured(engine, front, [[sys.executable, "-c", OURS, *options]])
        stats = front.stats()
        if taken.failed or len(stats.manifest_writes) != repositories:
            raise RuntimeError("not all tags landed")
        return Push(
            seconds=taken.seconds, sent=taken.blobs, mounted=sum(stats.blob_mounts.values())
        )


def main() -> None:
    """Measure in turn, print the medians and the maximum; exit with 1 if it is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    pushes: dict[int, list[Push]] = {count: [] for count in REPOSITORIES}
    with running_engine("bench-repositories") as engine:
        engine.make_image(IMAGE, layers=LAYERS, size=LAYER)
        for _ in range(rounds):
            for count in REPOSITORIES:
                pushes[count].append(push(engine, count))
    print("| repositories | s | layers and configs sent | mounted |\n| ---: | ---: | ---: | ---: |")
    for count, runs in pushes.items():
        seconds = median(each.seconds for each in runs)
        print(f"| {count} | {seconds:.1f} | {runs[-1].sent} | {runs[-1].mounted} |")
    one, many = (median(each.seconds for each in runs) for runs in pushes.values())
    extra = (REPOSITORIES[-1] - 1) * TAKES[Step.MANIFEST_PUT]
    allowed = LONGER * one + extra
    print(f"\n{REPOSITORIES[-1]} repositories may take {allowed:.1f} s.")
    sys.exit(many > allowed)


if __name__ == "__main__":
    main()

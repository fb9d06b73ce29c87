"""Measures the length of the log and of the summary: `python -m bench.output [FOLDER]`.

The action runs from .venv with a runner's variables against a real registry behind a front: for 1
to 2,000 tags of one image, without faults, with a capacity of two and a tenth of all writes
failing, and with every tag refused. Prints a Markdown table; FOLDER keeps the logs and summaries.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.engines import Engine
from tests.support.front import Behaviour, Faults, Front, Rule, Step, answers, on, running_front
from tests.support.layouts import one_image
from tests.support.registry import running_registry
from tests.support.runner import Job

TAGS: Final = (1, 20, 200, 2_000)
DELAYS: Final = {Step.UPLOAD_POST: 0.02, Step.UPLOAD_PUT: 0.05, Step.MANIFEST_PUT: 0.05}
REFUSED: Final = Rule(match=on(Step.UPLOAD_POST), answer=answers.WRITE_PACKAGE)
WORLDS: Final = {
    "clean": Behaviour(delays=DELAYS),
    "faults": Behaviour(delays=DELAYS, max_writes=2, faults=Faults(rate=0.1)),
    "all refused": Behaviour(delays=DELAYS, rules=(REFUSED,)),
}


@dataclass(frozen=True)
class Output:
    """The size of a step's log and summary."""

    lines: int
    visible: int
    """Lines that a runner shows unfolded, including the titles of groups."""
    log: int
    summary: int


def measured(log: str, summary: str) -> Output:
    """Count lines, and bytes of log and summary."""
    folded, visible = False, 0
    lines = log.splitlines()
    for line in lines:
        folded &= not line.startswith("::endgroup::")
        visible += not folded and not line.startswith("::endgroup::")
        folded |= line.startswith("::group::")
    return Output(len(lines), visible, len(log.encode()), len(summary.encode()))


def run(front: Front, tags: int) -> tuple[str, str]:
    """Push so many tags of an image of two layers; return the step's log and summary."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        job = Job(Path(folder), Engine(dict(os.environ)))
        workspace = job.folder / "workspace"
        one_image()[0].written(workspace / "image")
        names = (f"{front.address}/acme/app:1.{number}" for number in range(tags))
        (workspace / "tags.txt").write_text("\n".join(names))
        step = job.run_here({"tags-file": "tags.txt", "source": "oci-layout:image"})
        return step.log, step.summary


@contextmanager
def world(behaviour: Behaviour) -> Iterator[Front]:
    """Run an empty registry behind a front."""
    with running_registry() as registry, running_front(registry.address, behaviour) as front:
        yield front


def main() -> None:
    """Measure and print."""
    print("| tags | registry | lines | visible | log | summary |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for tags in TAGS:
        for name, behaviour in WORLDS.items():
            with world(behaviour) as front:
                log, summary = run(front, tags)
            if sys.argv[1:]:
                kept = Path(sys.argv[1]) / f"{name.replace(' ', '-')}-{tags}"
                kept.with_suffix(".log").write_text(log)
                kept.with_suffix(".md").write_text(summary)
            output = measured(log, summary)
            sizes = f"{output.log / 1000:.1f} kB | {output.summary / 1000:.1f} kB"
            print(
                f"| {tags:,} | {name} | {output.lines:,} | {output.visible} | {sizes} |", flush=True
            )


if __name__ == "__main__":
    main()

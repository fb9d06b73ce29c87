"""Twenty tags of a fifteen-layer image, pushed by several clients in turn: `python -m bench.push`.

Every measurement has an image of its own (an engine remembers which layers it has uploaded
where), and an empty registry behind a front of its own. Contenders take turns within a round, so
that a slow minute of the machine hits all of them. Prints Markdown; needs root on Debian.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic

from tests.support.engines import Engine, running_engine, script_environment
from tests.support.front import Behaviour, Faults, Front, Step, running_front
from tests.support.registry import running_registry
from tests.support.runner import Job

TAGS = 20
LAYERS = 15
DELAYS = {Step.UPLOAD_POST: 0.1, Step.UPLOAD_PUT: 0.25, Step.MANIFEST_PUT: 0.4}
"""Seconds a request takes at a registry across the internet, about."""

CONDITIONS = {
    "healthy": Behaviour(delays=DELAYS),
    "at most 2 writes in flight": Behaviour(delays=DELAYS, max_writes=2, refusal_delay=0.2),
    "10 % of writes fail": Behaviour(delays=DELAYS, faults=Faults(rate=0.1)),
}


@dataclass(frozen=True)
class Task:
    """What a contender has to do: push the local image under every reference."""

    engine: Engine
    image: str
    references: Sequence[str]


@dataclass(frozen=True)
class Measurement:
    """What came of it; ``failed`` counts references that the registry does not hold."""

    failed: int
    seconds: float
    manifest_writes: int
    requests: int
    peak_writes: int


def docker_push(task: Task, parallel: int) -> None:
    """Run `docker push` for every tag, ``parallel`` at a time, as the field does."""
    for reference in task.references:
        task.engine.docker("tag", task.image, reference)
    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(lambda ref: task.engine.docker("push", ref, check=False), task.references))


def action(task: Task, parallel: int) -> None:
    """Run the action from .venv."""
    inputs = {
        "source": task.image,
        "tags": "\n".join(task.references),
        "max-parallel": str(parallel),
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Job(Path(folder), task.engine).run_here(inputs)


def crane(task: Task) -> None:
    """Save the image, have crane push it, and tag it as often as needed, one after the other."""
    environ = script_environment("tools-get", "peers")
    first, *rest = task.references
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tar = f"{folder}/image.tar"
        task.engine.docker("save", "--output", tar, task.image)
        _quietly(["crane", "push", tar, first], environ)
        for reference in rest:
            _quietly(["crane", "tag", first, reference.rpartition(":")[2]], environ)


def _quietly(command: Sequence[str], environ: Mapping[str, str]) -> None:
    subprocess.run(command, env=dict(environ), capture_output=True, check=False)


CONTENDERS: dict[str, Callable[[Task], None]] = {
    "`docker push`, one after the other": lambda task: docker_push(task, 1),
    "`docker push`, 4 at a time": lambda task: docker_push(task, 4),
    "crane": crane,
    "this action, `max-parallel: 4`": lambda task: action(task, 4),
    "this action, `max-parallel: 8`": lambda task: action(task, 8),
}


def measure(engine: Engine, name: str, behaviour: Behaviour, seed: int) -> Measurement:
    """Let one contender push a new image to a new registry."""
    with (
        running_registry() as registry,
        running_front(registry.address, behaviour, seed=seed) as front,
    ):
        image = f"bench/image:{seed}"
        engine.make_image(image, layers=LAYERS, size=20_000, seed=seed)
        references = [f"{front.address}/acme/app:v{number}" for number in range(TAGS)]
        front.reset()
        start = monotonic()
        CONTENDERS[name](Task(engine, image, references))
        seconds = monotonic() - start
        result = _measured(front, references, seconds)
        engine.docker("image", "rm", "--force", image, *references, check=False)
        return result


def _measured(front: Front, references: Sequence[str], seconds: float) -> Measurement:
    stats = front.stats()
    landed = [ref for ref in references if stats.manifest_writes.get(ref.partition("/")[2])]
    return Measurement(
        failed=len(references) - len(landed),
        seconds=seconds,
        manifest_writes=stats.count(Step.MANIFEST_PUT),
        requests=stats.requests,
        peak_writes=stats.peak_offered,
    )


def table(condition: str, rounds: Mapping[str, Sequence[Measurement]]) -> str:
    """Give one condition's medians as a Markdown table."""
    ours = median(each.seconds for each in rounds["this action, `max-parallel: 4`"])
    lines = [
        f"### {condition}",
        "",
        "| client | lost | seconds | to ours at 4 | manifest writes | requests | peak writes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, runs in rounds.items():
        seconds = median(each.seconds for each in runs)
        lost = " ".join(str(each.failed) for each in runs)
        numbers = [
            median(each.manifest_writes for each in runs),
            median(each.requests for each in runs),
            max(each.peak_writes for each in runs),
        ]
        cells = [
            name,
            lost,
            f"{seconds:.1f}",
            f"{seconds / ours:.2f}",
            *(f"{n:g}" for n in numbers),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure every contender under every condition and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with running_engine("bench") as engine:
        version = engine.docker("version", "--format", "{{.Server.Version}}")
        print(
            f"{TAGS} tags of one image of {LAYERS} layers; Docker Engine {version}, "
            f"{platform.machine()}, medians of {rounds} rounds\n"
        )
        for condition, behaviour in CONDITIONS.items():
            runs: dict[str, list[Measurement]] = {name: [] for name in CONTENDERS}
            for turn in range(rounds):
                for place, name in enumerate(CONTENDERS):
                    seed = turn * 100 + place
                    runs[name].append(measure(engine, name, behaviour, seed))
                    print(f"{condition}: {name}: {runs[name][-1]}", file=sys.stderr)
            print(table(condition, runs), flush=True)


if __name__ == "__main__":
    main()

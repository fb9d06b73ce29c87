"""One contender under one condition, measured."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from bench.push.conditions import CONDITIONS, LAYERS
from bench.push.contenders import CONTENDERS, Task
from tests.support.engines import Engine, running_engine
from tests.support.front import WRITES, Front, Step, running_front
from tests.support.registry import running_registry
from tests.support.runner import build_action_image

BASES = ("python:3.13-slim", "docker:cli")
"""What the action's image is built from."""

LIMIT = 180.0
"""Seconds after which a contender is killed; tags that it has not pushed by then are lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The result.

    `lost` counts tags that were missing at the end; `requests` and writes count all requests to the
    registry, refused or not; `peak_writes` is the maximum in flight as the contender saw it.
    `engine` is the Docker Engine's version. `failed_writes` counts by step; older measurements have
    none.
    """

    condition: str
    contender: str
    round: int
    seconds: float
    lost: int
    manifest_writes: int
    requests: int
    refused: int
    peak_writes: int
    engine: str
    failed_writes: Mapping[Step, int] = field(default_factory=dict)


def measurements(
    turns: Sequence[tuple[str, str]], done: Iterable[Measurement], engine: str = "bench"
) -> Iterator[Measurement]:
    """Measure each pair of condition and contender in turn, on one engine of that name.

    The rounds of each pair continue after the `done` ones.
    """
    rounds = Counter((each.condition, each.contender) for each in done)
    with running_engine(engine, images=BASES) as running:
        build_action_image(running)
        for number, turn in enumerate(turns):
            yield measure(running, *turn, rounds[turn], number)
            rounds[turn] += 1


def measure(engine: Engine, condition: str, contender: str, turn: int, number: int) -> Measurement:
    """Let a contender push a new image, the `number`th of this engine, to a new registry.

    The layers are new, since an engine remembers which layers it has uploaded where. `turn` is the
    round, which seeds the faults.
    """
    given = CONDITIONS[condition]
    with (
        running_registry() as registry,
        running_front(registry.address, given.behaviour, seed=turn) as front,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
    ):
        image = f"bench/image:{number}"
        engine.make_image(image, layers=LAYERS, size=20_000, seed=number)
        references = [f"{front.address}/{name}" for name in given.names]
        task = Task.logged_in(engine, image, references, Path(folder), LIMIT)
        front.reset()
        start = monotonic()
        CONTENDERS[contender].push(task)
        seconds = monotonic() - start
        engine.docker("image", "rm", "--force", image, *references, check=False)
        return Measurement(
            condition=condition,
            contender=contender,
            round=turn,
            seconds=round(seconds, 2),
            engine=engine.docker("version", "--format", "{{.Server.Version}}"),
            **_seen(front, given.names),
        )


def _seen(front: Front, names: Iterable[str]) -> dict[str, Any]:
    """Return the counts of a measurement, as the front has them."""
    stats = front.stats()
    failed = {
        step: sum(number for status, number in by_status.items() if status >= 500)
        for step, by_status in stats.answers.items()
    }
    return {
        "lost": sum(name not in stats.manifest_writes for name in names),
        "manifest_writes": stats.count(Step.MANIFEST_PUT),
        "requests": stats.requests,
        "refused": sum(failed.values()),
        "peak_writes": stats.peak_offered,
        "failed_writes": {
            step: number for step, number in failed.items() if step in WRITES and number
        },
    }


def append(measurement: Measurement, path: Path) -> None:
    """Add a measurement to a file, a line of JSON for each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        print(json.dumps(asdict(measurement)), file=file)


def read(path: Path) -> list[Measurement]:
    """Return the measurements of a file; none where there is no file yet."""
    if not path.exists():
        return []
    return [Measurement(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]

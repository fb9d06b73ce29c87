"""How large the action's image is and how soon it asks its registry: `python -m bench.start`."""

import tempfile
from pathlib import Path
from statistics import median
from time import monotonic

from tests.support.engines import running_engine
from tests.support.front import Front, running_front
from tests.support.registry import running_registry
from tests.support.runner import ACTION_IMAGE, Job, build_action_image

ROUNDS = 5
BASES = ("python:3.13-slim", "docker:cli")


def first_request(job: Job, front: Front) -> float:
    """Return the seconds from `docker run` to the first request at the registry."""
    front.reset()
    job.run({"tags": f"{front.address}/acme/app:1", "source": "small"})
    return front.log()[0].t


def empty_container(job: Job) -> float:
    """Return the seconds that `docker run` takes for a container that does nothing."""
    began = monotonic()
    job.engine.docker("run", "--rm", "--network", "host", "--entrypoint", "true", ACTION_IMAGE)
    return monotonic() - began


def main() -> None:
    """Measure and print."""
    with (
        running_engine("bench-start", images=BASES) as engine,
        running_registry() as registry,
        running_front(registry.address) as front,
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
    ):
        build_action_image(engine)
        engine.make_image("small")
        job = Job(Path(folder), engine)
        for name in (BASES[0], ACTION_IMAGE):
            size = int(engine.docker("image", "inspect", "--format", "{{.Size}}", name))
            print(f"{name}: {size / 1e6:.0f} MB")
        empty = median(empty_container(job) for _ in range(ROUNDS))
        asked = median(first_request(job, front) for _ in range(ROUNDS))
        print(f"docker run of an empty container: {empty:.2f} s")
        print(f"docker run to the first request at the registry: {asked:.2f} s")


if __name__ == "__main__":
    main()

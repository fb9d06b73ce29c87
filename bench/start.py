"""Measures the image's size, and the time to the first request: `python -m bench.start`."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic

from tests.support.engines import ROOT, running_engine
from tests.support.front import Front, running_front
from tests.support.registry import running_registry
from tests.support.runner import ACTION_IMAGE, Job, build_action_image

ROUNDS = 5
COMMAND_ROUNDS = 15
BASES = ("python:3.13-slim", "docker:cli")

Taken = tuple[float, float]
"""Seconds of processor time, and of the clock."""


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


@contextmanager
def installed() -> Iterator[Path]:
    """Yield the programs of an environment with only the package and its dependencies.

    In our own environment, httpcore2 would load trio.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        programs = Path(folder, "bin")
        subprocess.run([programs / "pip", "install", "--quiet", str(ROOT)], check=True)
        yield programs


def ended(command: list[str | Path]) -> Taken:
    """Return the time that a command took."""
    began = monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, _, used = os.wait4(process.pid, 0)
    return used.ru_utime + used.ru_stime, monotonic() - began


def asked(programs: Path) -> Taken:
    """Return the time that a run took to connect to its registry, which never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = f"127.0.0.1:{server.getsockname()[1]}/acme/app"
        began = monotonic()
        process = subprocess.Popen(
            [programs / "ghcr-push", "--quiet", "--source", f"docker://{there}:1", f"{there}:2"]
        )
        with server.accept()[0]:
            took = monotonic() - began
            process.kill()
            _, _, used = os.wait4(process.pid, 0)
    return used.ru_utime + used.ru_stime, took


def measure_command() -> None:
    """Measure the command beside bare Python, in turns, and print; with its modules compiled."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with installed() as programs:
        taken_by: dict[str, list[Taken]] = {"bare Python": [], "--help": [], "first request": []}
        asked(programs)  # compiles
        for _ in range(COMMAND_ROUNDS):
            taken_by["bare Python"].append(ended([programs / "python", "-c", "pass"]))
            taken_by["--help"].append(ended([programs / "ghcr-push", "--help"]))
            taken_by["first request"].append(asked(programs))
    for name, taken in taken_by.items():
        cpu, clock = (median(column) for column in zip(*taken, strict=True))
        print(f"ghcr-push, {name}: {cpu:.3f} s of processor time, {clock:.3f} s")


def measure_image() -> None:
    """Measure the action's image and print."""
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
        soon = median(first_request(job, front) for _ in range(ROUNDS))
        print(f"docker run of an empty container: {empty:.2f} s")
        print(f"docker run to the first request at the registry: {soon:.2f} s")


if __name__ == "__main__":
    measure_command()
    measure_image()

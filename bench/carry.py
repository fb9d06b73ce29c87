"""One image out of an engine into a registry: `python -m bench.carry`; needs root on Debian.

Ours are the parts of the direct transport with a fixed number of uploads and no retries, in a
process of its own whose start counts too. Contenders take turns within a round; each measurement
has an empty registry behind a front of its own. `docker push` spends its processor time and its
memory in the engine, which is not measured. Prints Markdown.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import anyio
from tests.support.carrying import carry, inspected
from tests.support.engines import Engine, running_engine, script_environment
from tests.support.front import Behaviour, Step, running_front
from tests.support.registry import running_registry

from ghcr_push.references import parse_tag_reference
from ghcr_push.registry import RegistryClient

LAYERS = 15
DELAYS = {Step.UPLOAD_POST: 0.1, Step.UPLOAD_PUT: 0.25, Step.MANIFEST_PUT: 0.4}
"""Seconds a request takes at a registry across the internet, about."""

BIG = 300_000_000
FILES = "/usr"
"""Where the ordinary files of a big layer come from."""


@dataclass(frozen=True)
class Scene:
    """What is pushed, and how the registry behaves; ``bound`` is the least time it can take."""

    title: str
    image: str
    behaviour: Behaviour
    parallel: int
    bound: float | None = None


@dataclass(frozen=True)
class Measurement:
    """Seconds on the wall and of processor, peak memory in MB, and what the registry saw."""

    seconds: float
    processor: float
    memory: float
    refused: int
    blobs: int
    sent: float
    status: int


def computed(parallel: int) -> float:
    """Return the time of the layers and the config in turns, and then the manifest."""
    one = DELAYS[Step.UPLOAD_POST] + DELAYS[Step.UPLOAD_PUT]
    return -(-(LAYERS + 1) // parallel) * one + DELAYS[Step.MANIFEST_PUT]


def scenes() -> list[Scene]:
    """Return all that is measured."""
    limited = [
        Scene(
            title=f"{LAYERS} layers, at most {writes} writes in flight",
            image="bench/layers:1",
            behaviour=Behaviour(delays=DELAYS, max_writes=writes),
            parallel=writes,
            bound=computed(writes),
        )
        for writes in (1, 2, 3)
    ]
    gigabit = Behaviour(bandwidth=125e6)
    return [
        *limited,
        Scene("one layer of 300 MB of ordinary files", "bench/big:1", Behaviour(), 4),
        Scene("the same through 1 Gbit/s", "bench/big:1", gigabit, 4),
    ]


def ours(scene: Scene, reference: str) -> Sequence[Sequence[str]]:
    """Carry it ourselves, in another process."""
    return [[sys.executable, "-m", "bench.carry", scene.image, reference, str(scene.parallel)]]


def docker_push(scene: Scene, reference: str) -> Sequence[Sequence[str]]:
    """Have the engine push it."""
    return [["docker", "tag", scene.image, reference], ["docker", "push", "--quiet", reference]]


def crane(scene: Scene, reference: str) -> Sequence[Sequence[str]]:
    """Save it and have crane push the file."""
    tar = f"{tempfile.gettempdir()}/bench-carry-{os.getpid()}.tar"
    return [
        ["docker", "save", "--output", tar, scene.image],
        ["crane", "push", tar, reference],
        ["rm", tar],
    ]


CONTENDERS: Mapping[str, Callable[[Scene, str], Sequence[Sequence[str]]]] = {
    "ours": ours,
    "docker push": docker_push,
    "docker save, crane push": crane,
}


def measure(engine: Engine, scene: Scene, name: str) -> Measurement:
    """Let one contender push the image to a new registry."""
    environ = {**engine.environ, "PATH": f"{peers()}:{engine.environ['PATH']}"}
    with (
        running_registry() as registry,
        running_front(registry.address, scene.behaviour) as front,
    ):
        commands = CONTENDERS[name](scene, f"{front.address}/acme/app:v1")
        start, processor, memory, status = monotonic(), 0.0, 0, 0
        for command in commands:
            with subprocess.Popen(
                command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            ) as process:
                usage, peak = watched(process)
                if process.returncode and process.stderr:
                    print(process.stderr.read().decode()[-2000:], file=sys.stderr)
            status = status or process.returncode
            processor += usage.ru_utime + usage.ru_stime
            memory = max(memory, peak)
        seconds, stats = monotonic() - start, front.stats()
    return Measurement(
        seconds=seconds,
        processor=processor,
        memory=memory / 1024,
        refused=stats.refused_writes,
        blobs=sum(sum(counts.values()) for counts in stats.blob_uploads.values()),
        sent=stats.upload_bytes / 1e6,
        status=status,
    )


def watched(process: subprocess.Popen[bytes]) -> tuple[resource.struct_rusage, int]:
    """Wait for the end of a process; return what it used, and its peak memory in kB.

    The peak is read as it runs: the one that the system gives at the end counts our own too.
    """
    status, peak = Path(f"/proc/{process.pid}/status"), 0
    while True:
        found = re.search(r"^VmHWM:\s*(\d+)", status.read_text(), re.MULTILINE)
        peak = max(peak, int(found[1])) if found else peak
        pid, ended, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(ended)
            return usage, peak
        sleep(0.01)


def peers() -> str:
    """Return where crane is."""
    return script_environment("tools-get", "peers")["PATH"]


def make_images(engine: Engine) -> None:
    """Have the engine hold both images."""
    engine.make_image("bench/layers:1", layers=LAYERS, size=20_000)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        context = Path(folder)
        with tarfile.open(context / "files.tar", "w") as archive:
            for path in ordinary_files(BIG):
                archive.add(path, recursive=False)
        (context / "Dockerfile").write_text("FROM scratch\nADD files.tar /\n")
        engine.docker("build", "--quiet", "--tag", "bench/big:1", folder)


def ordinary_files(size: int) -> list[Path]:
    """Return regular files of ``size`` bytes together, about."""
    found: list[Path] = []
    for path in sorted(Path(FILES).rglob("*")):
        if size > 0 and path.is_file() and not path.is_symlink():
            size -= path.stat().st_size
            found.append(path)
    return found


def table(scene: Scene, rounds: Mapping[str, Sequence[Measurement]]) -> str:
    """Give one scene's medians as a Markdown table."""
    bound = f" (at least {scene.bound:.1f} s)" if scene.bound else ""
    lines = [
        f"### {scene.title}{bound}",
        "",
        "| client | seconds | to ours | processor s | peak MB | refused | blobs | MB | failed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    least = median(each.seconds for each in rounds["ours"])
    for name, runs in rounds.items():
        seconds = median(each.seconds for each in runs)
        cells = [
            name,
            f"{seconds:.1f}",
            f"{seconds / least:.2f}",
            f"{median(each.processor for each in runs):.1f}",
            f"{max(each.memory for each in runs):.0f}",
            f"{median(each.refused for each in runs):g}",
            f"{median(each.blobs for each in runs):g}",
            f"{median(each.sent for each in runs):.0f}",
            f"{sum(each.status != 0 for each in runs)} of {len(runs)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


async def carry_one(image: str, reference: str, parallel: int) -> None:
    """Carry an image of the engine that the environment names; what our contender runs."""
    engine, target = Engine(dict(os.environ)), parse_tag_reference(reference)
    wanted = inspected(engine, image)
    async with RegistryClient({}) as client:
        await carry(engine, image, target, client, image=wanted, parallel=parallel)


def main() -> None:
    """Measure every contender in every scene and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default="trixie")
    parser.add_argument("--store", default="classic")
    parser.add_argument("--only", default="", help="scenes whose title has this in it")
    given = parser.parse_args()
    with running_engine("bench-carry", release=given.engine, store=given.store) as engine:
        version = engine.docker("version", "--format", "{{.Server.Version}}")
        print(f"Docker Engine {version}, {given.store} store, medians of {given.rounds} rounds\n")
        make_images(engine)
        for scene in scenes():
            if given.only not in scene.title:
                continue
            runs: dict[str, list[Measurement]] = {name: [] for name in CONTENDERS}
            for _ in range(given.rounds):
                for name in CONTENDERS:
                    runs[name].append(measure(engine, scene, name))
                    print(f"{scene.title}: {name}: {runs[name][-1]}", file=sys.stderr)
            print(table(scene, runs), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 1 or sys.argv[1].startswith("-"):
        main()
    else:
        anyio.run(carry_one, sys.argv[1], sys.argv[2], int(sys.argv[3]))

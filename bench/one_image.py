"""Pushes one image from an engine to a registry: `python -m bench.one_image`; as root on Debian.

Contenders take turns within a round; each measurement has an empty registry behind its own front,
and begins when the disk has written everything of the one before. Ours is the whole command with
its default settings, including the start of Python; it does not know the registry's capacity.
Processor seconds are those of the client with all its processes, and separately the engine's; peak
memory is that of the client's largest process. Prints Markdown.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from statistics import fmean, median
from time import monotonic, sleep

from tests.support.engines import Engine, running_engine, script_environment
from tests.support.front import Behaviour, Faults, Front, Step, running_front
from tests.support.registry import running_registry

LAYERS = 15
TAKES = {Step.UPLOAD_POST: 0.1, Step.UPLOAD_PUT: 0.25, Step.MANIFEST_PUT: 0.4}
"""Minimum seconds that the front takes to answer, about as long as a registry on the internet."""

PARALLEL = 4
"""The action's default `max-parallel`."""

FAULTS = 0.1
DRAWS = 1000
SHORTEST_WAIT = 0.25
"""Seconds: the first wait is at least half of ``backoff-initial``; each further wait is doubled."""

BIG = 1_000_000_000
BIG_LAYERS = 10
GIGABIT = 125e6
"""Bytes a second."""

HUGE_LAYERS = 10
HUGE_LAYER = 1 << 30
"""Bytes, half of them random and half zeros."""

FILES = "/usr"
"""Where the ordinary files of the big image come from."""

OURS = "import sys; sys.modules['trio'] = None; from ghcr_push.fronts.cli import main; main()"
"""The command, without the library that only our simulation needs; httpx2 would load it."""


@dataclass(frozen=True)
class Kind:
    """An engine, by the Debian release that has it, and its image store."""

    release: str
    store: str


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An image, and how the registry behaves; ``bound`` is the minimum time for a push."""

    title: str
    image: str
    behaviour: Behaviour
    bound: float | None = None
    again: bool = False
    """Whether the same client has pushed the image before, from another engine."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Seconds on the wall and of processors, peak memory in MB, and what the registry saw."""

    seconds: float
    client: float
    engine: float
    memory: float
    refused: int
    blobs: int
    sent: float
    failed: bool


def computed(parallel: int, faults: float = 0.0) -> float:
    """Return the time of the layers and the config on ``parallel`` slots, and then the manifest.

    With ``faults`` it is the mean of ``DRAWS`` draws, for a client that retries after the shortest
    waits that ``backoff-initial`` allows, without holding a slot.
    """
    random = Random(0)
    blob = (TAKES[Step.UPLOAD_POST], TAKES[Step.UPLOAD_PUT])
    draws = DRAWS if faults else 1
    return fmean(
        scheduled([blob] * (LAYERS + 1), parallel, faults, random)
        + scheduled([(TAKES[Step.MANIFEST_PUT],)], 1, faults, random)
        for _ in range(draws)
    )


def scheduled(
    units: Sequence[Sequence[float]], parallel: int, faults: float, random: Random
) -> float:
    """Return when the last unit is done; the requests of a unit follow each other in one slot."""
    slots, end = [0.0] * parallel, 0.0
    ready = [(0.0, SHORTEST_WAIT, list(unit)) for unit in units]
    while ready:
        since, wait, requests = heappop(ready)
        now = max(since, heappop(slots))
        while requests:
            now += requests[0]
            if random.random() < faults:
                heappush(ready, (now + wait, 2 * wait, requests))
                break
            requests.pop(0)
        else:
            end = max(end, now)
        heappush(slots, now)
    return end


def scenes() -> list[Scene]:
    """Return everything that is measured."""
    limited = [
        Scene(
            title=f"{LAYERS} layers, at most {writes} writes in flight",
            image="bench/layers:1",
            behaviour=Behaviour(takes=TAKES, max_writes=writes),
            bound=computed(writes),
        )
        for writes in (1, 2, 3)
    ]
    faulty = Scene(
        title=f"{LAYERS} layers, {FAULTS:.0%} of writes fail",
        image="bench/layers:1",
        behaviour=Behaviour(takes=TAKES, faults=Faults(rate=FAULTS)),
        bound=computed(PARALLEL, FAULTS),
    )
    gigabit = Behaviour(bandwidth=GIGABIT)
    big = f"1 GB of ordinary files in {BIG_LAYERS} layers, 1 Gbit/s"
    return [
        *limited,
        faulty,
        Scene(title=big, image="bench/big:1", behaviour=gigabit),
        Scene(
            title=f"{big}, again from a fresh engine",
            image="bench/big:1",
            behaviour=gigabit,
            again=True,
        ),
    ]


HUGE = Scene(title="10 GB in 10 layers", image="bench/huge:1", behaviour=Behaviour())
"""Only on request: it takes 40 GB of disk and minutes for each client."""


# -- contenders -----------------------------------------------------------------------------------


Commands = Iterable[Sequence[str]]


def ours(scene: Scene, reference: str) -> Commands:
    """Run the whole command."""
    return [[sys.executable, "-c", OURS, "--source", scene.image, "--tags", reference]]


def docker_push(scene: Scene, reference: str) -> Commands:
    """Have the engine push it."""
    return [["docker", "tag", scene.image, reference], ["docker", "push", "--quiet", reference]]


def crane(scene: Scene, reference: str) -> Commands:
    """Save it and have crane push the file."""
    tar = f"{tempfile.gettempdir()}/bench-one-image-{os.getpid()}.tar"
    return [
        ["docker", "save", "--output", tar, scene.image],
        ["crane", "push", tar, reference],
        ["rm", tar],
    ]


CONTENDERS: Mapping[str, Callable[[Scene, str], Commands]] = {
    "ours": ours,
    "`docker push`": docker_push,
    "`docker save`, `crane push`": crane,
}


# -- measuring ------------------------------------------------------------------------------------


def measure(kind: Kind, engine: Engine, scene: Scene, name: str, seed: int) -> Measurement:
    """Let one contender push the image to a new registry; ``seed`` decides which requests fail."""
    with (
        running_registry() as registry,
        running_front(registry.address, scene.behaviour, seed=seed) as front,
    ):
        commands = list(CONTENDERS[name](scene, f"{front.address}/acme/app:v1"))
        if not scene.again:
            return measured(engine, front, commands)
        for command in commands:
            subprocess.run(command, env=environment(engine), check=True, stdout=subprocess.DEVNULL)
        with fresh_engine(kind, engine, scene.image) as fresh:
            return measured(fresh, front, commands)


def measured(engine: Engine, front: Front, commands: Commands) -> Measurement:
    """Run the commands of one contender; measure them and the registry."""
    os.sync()
    earlier = front.stats()
    start, client, memory, failed = monotonic(), 0.0, 0, False
    engine_before = processor_of(engine)
    for command in commands:
        with subprocess.Popen(
            command, env=environment(engine), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            usage, peak = watched(process)
            if process.returncode and process.stderr:
                print(process.stderr.read().decode()[-2000:], file=sys.stderr)
        failed = failed or process.returncode != 0
        client += usage.ru_utime + usage.ru_stime
        memory = max(memory, peak)
    seconds, stats = monotonic() - start, front.stats()
    return Measurement(
        seconds=seconds,
        client=client,
        engine=processor_of(engine) - engine_before,
        memory=memory / 1024,
        refused=stats.refused_writes - earlier.refused_writes,
        blobs=count(stats.blob_uploads.values()) - count(earlier.blob_uploads.values()),
        sent=(stats.upload_bytes - earlier.upload_bytes) / 1e6,
        failed=failed,
    )


def count(uploads: Iterable[Mapping[str, int]]) -> int:
    """Return how many blobs were sent; a blob sent twice counts twice."""
    return sum(sum(counts.values()) for counts in uploads)


def environment(engine: Engine) -> dict[str, str]:
    """Return the environment for a client of the engine, with crane on the PATH."""
    environ = {**engine.environ, "PATH": f"{peers()}:{engine.environ['PATH']}"}
    # an installed package has compiled modules
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return environ


def peers() -> str:
    """Return where crane is."""
    return script_environment("tools-get", "peers")["PATH"]


def watched(process: subprocess.Popen[bytes]) -> tuple[resource.struct_rusage, int]:
    """Wait for the end of a process; return what it used, and its peak memory in kB.

    The peak is read while it runs: the system's own figure at the end includes our process.
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


def processor_of(engine: Engine) -> float:
    """Return the processor seconds of the engine's processes: those in its namespace."""
    outer = int((Path(engine.environ["ENGINE_DIR"]) / "pid").read_text())
    namespace = Path(f"/proc/{outer}/ns/pid_for_children").readlink()
    ticks = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns" / "pid").readlink() == namespace:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                ticks += sum(int(each) for each in fields[11:13])
        except OSError:
            continue  # it has ended meanwhile
    return ticks / os.sysconf("SC_CLK_TCK")


# -- images ---------------------------------------------------------------------------------------


def make_images(engine: Engine) -> None:
    """Create both images in the engine."""
    engine.make_image("bench/layers:1", layers=LAYERS, size=20_000)
    files = ordinary_files(BIG)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        names = [f"files-{number}.tar" for number in range(BIG_LAYERS)]
        for number, name in enumerate(names):
            with tarfile.open(Path(folder, name), "w") as archive:
                for path in files[number::BIG_LAYERS]:
                    archive.add(path, recursive=False)
        steps = "".join(f"ADD {name} /\n" for name in names)
        Path(folder, "Dockerfile").write_text(f"FROM scratch\n{steps}")
        engine.docker("build", "--quiet", "--tag", "bench/big:1", folder)


def make_huge_image(engine: Engine) -> None:
    """Create an image of 10 GB in the engine, one file for each layer."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(HUGE_LAYERS):
            with Path(folder, f"part-{number}").open("wb") as part:
                pieces = range(HUGE_LAYER >> 21)
                part.writelines(os.urandom(1 << 20) + bytes(1 << 20) for _ in pieces)
        steps = "".join(f"ADD part-{number} /\n" for number in range(HUGE_LAYERS))
        Path(folder, "Dockerfile").write_text(f"FROM scratch\n{steps}")
        engine.docker("build", "--quiet", "--tag", HUGE.image, folder)


def ordinary_files(size: int) -> list[Path]:
    """Return regular files of about ``size`` bytes in total."""
    found: list[Path] = []
    for path in sorted(Path(FILES).rglob("*")):
        if size > 0 and path.is_file() and not path.is_symlink():
            size -= path.stat().st_size
            found.append(path)
    return found


@contextmanager
def fresh_engine(kind: Kind, engine: Engine, image: str) -> Iterator[Engine]:
    """Run another engine of the same kind that has the image and has never pushed."""
    with (
        running_engine("bench-fresh", release=kind.release, store=kind.store) as fresh,
        subprocess.Popen(
            ["docker", "save", image], env=environment(engine), stdout=subprocess.PIPE
        ) as saving,
    ):
        subprocess.run(
            ["docker", "load", "--quiet"],
            env=environment(fresh),
            stdin=saving.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        yield fresh


# -- the result -----------------------------------------------------------------------------------


def table(scene: Scene, rounds: Mapping[str, Sequence[Measurement]]) -> str:
    """Give one scene's medians as a Markdown table."""
    bound = f" (at least {scene.bound:.1f} s)" if scene.bound else ""
    lines = [
        f"### {scene.title}{bound}",
        "",
        "| client | s | to ours | own CPU s | engine's | peak MB | refused | blobs | MB | failed |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    least = median(each.seconds for each in rounds["ours"])
    for name, runs in rounds.items():
        seconds = median(each.seconds for each in runs)
        cells = [
            name,
            f"{seconds:.1f}",
            f"{seconds / least:.2f}",
            f"{median(each.client for each in runs):.1f}",
            f"{median(each.engine for each in runs):.1f}",
            f"{max(each.memory for each in runs):.0f}",
            f"{median(each.refused for each in runs):g}",
            f"{median(each.blobs for each in runs):g}",
            f"{median(each.sent for each in runs):.0f}",
            f"{sum(each.failed for each in runs)} of {len(runs)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if scene.bound:
        mean = fmean(each.seconds for each in rounds["ours"])
        lines += ["", f"Ours takes {mean / scene.bound:.2f} times the least time, on average."]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure every contender in every scene and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default="trixie")
    parser.add_argument("--store", default="classic")
    parser.add_argument("--only", default="", help="scenes whose title has this in it")
    parser.add_argument("--huge", action="store_true", help="an image of 10 GB, nothing else")
    given = parser.parse_args()
    kind = Kind(given.engine, given.store)
    with running_engine("bench-one-image", release=kind.release, store=kind.store) as engine:
        if given.huge:
            make_huge_image(engine)
        else:
            make_images(engine)
        version = engine.docker("version", "--format", "{{.Server.Version}}")
        print(f"Docker Engine {version}, {kind.store} store, medians of {given.rounds} rounds\n")
        for scene in [HUGE] if given.huge else scenes():
            if given.only not in scene.title:
                continue
            runs: dict[str, list[Measurement]] = {name: [] for name in CONTENDERS}
            for seed in range(given.rounds):
                for name in CONTENDERS:
                    runs[name].append(measure(kind, engine, scene, name, seed))
                    print(f"{scene.title}: {name}: {runs[name][-1]}", file=sys.stderr)
            print(table(scene, runs), flush=True)


if __name__ == "__main__":
    main()

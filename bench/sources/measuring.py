"""Measures one client: its commands, and the requests that the registry got."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic

import httpx2
from bench.one_image import OURS
from bench.sources.scenes import Scene
from tests.support.engines import script_environment
from tests.support.front import Behaviour, Stats
from tests.support.registry import running_registry

LONGEST = 60.0
"""Seconds after which a client is killed; tags that it has not pushed by then are lost."""

SKOPEO_RETRIES = 3
"""The number in skopeo's own documentation; without it skopeo tries once."""

# -- clients --------------------------------------------------------------------------------------

Commands = Sequence[Sequence[str]]


def ours(source: str, references: Sequence[str]) -> Commands:
    """Run the whole command once."""
    return [[sys.executable, "-c", OURS, "--source", source, "--tags", ",".join(references)]]


def crane(source: str, references: Sequence[str]) -> Commands:
    """Push or copy once, then tag."""
    form, _, place = source.partition(":")
    first, *others = references
    begin = ["push", place] if form == "oci-layout" else ["copy", place.removeprefix("//")]
    tags = [["crane", "tag", first, other.rpartition(":")[2]] for other in others]
    return [["crane", *begin, first], *tags]


def skopeo(source: str, references: Sequence[str]) -> Commands:
    """Copy to each tag."""
    place = source.replace("oci-layout:", "oci:")
    options = ["--all", "--quiet", f"--retry-times={SKOPEO_RETRIES}"]
    options += ["--src-tls-verify=false", "--dest-tls-verify=false"]
    return [["skopeo", "copy", *options, place, f"docker://{each}"] for each in references]


CLIENTS = {"ours": ours, "crane": crane, "skopeo": skopeo}


# -- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Seconds on the wall and of processors, tags not written, blobs sent, writes refused."""

    seconds: float
    processor: float
    lost: int
    blobs: int
    refused: int


@contextmanager
def front_process(upstream: str, behaviour: Behaviour, seed: int = 0) -> Iterator[str]:
    """Run a front in a separate process while the block runs; yield its address."""
    command = [sys.executable, "-m", "tests.support.front", "--upstream", upstream]
    command += ["--seed", str(seed), "--behaviour", behaviour.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline() if process.stdout else "")["address"]
        finally:
            process.terminate()
            process.communicate()


def measure(scene: Scene, client: str, source: str, seed: int) -> Measurement:
    """Let a client push `source` to a new registry; `seed` decides which requests fail."""
    with (
        running_registry() as registry,
        front_process(registry.address, scene.behaviour, seed) as address,
        tempfile.TemporaryDirectory(prefix="bench-") as home,
    ):
        names = [f"acme/app:v{number}" for number in range(scene.tags)]
        commands = CLIENTS[client](source, [f"{address}/{name}" for name in names])
        environ = environment(home)
        os.sync()
        start, before = monotonic(), processor_time()
        for command in commands:
            run(command, environ, start + LONGEST)
        seconds, processor = monotonic() - start, processor_time() - before
        stats = Stats.model_validate_json(httpx2.get(f"http://{address}/_front/stats").text)
    return Measurement(
        seconds=seconds,
        processor=processor,
        lost=sum(name not in stats.manifest_writes for name in names),
        blobs=sum(sum(counts.values()) for counts in stats.blob_uploads.values()),
        refused=stats.refused_writes,
    )


def run(command: Sequence[str], environ: Mapping[str, str], deadline: float) -> None:
    """Run a command until it ends, with any status, or until the deadline."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(
            command,
            env=environ,
            capture_output=True,  # without a pipe to read, its end is noticed up to 50 ms later
            timeout=max(0.0, deadline - monotonic()),
            check=False,
        )


def processor_time() -> float:
    """Return the seconds used by our processes that ended: front and registry still run."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def environment(home: str) -> dict[str, str]:
    """Return the environment for the clients; an installed package has compiled modules."""
    environ = {**script_environment("tools-get", "peers"), "HOME": home}
    for name in ("PYTHONDONTWRITEBYTECODE", "DOCKER_HOST", "DOCKER_CONFIG"):
        environ.pop(name, None)
    return environ

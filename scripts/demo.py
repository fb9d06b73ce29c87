"""A demonstration of the main job: `make demo`.

Twenty tags of two images go to a registry behind a front that refuses every write beyond two in
flight and, by chance, every tenth. Where a Docker Engine can run, the engine holds the images and
the action's built image pushes them, run as GitHub's runner runs it. Where none can (no Linux, no
root), or with `--no-engine`, the images are OCI layouts and the installed package pushes them. With
`--failing` one tag is immutable and a third repository refuses: the step fails, and says why.
What a later step would read lies in out/ afterwards.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.support.engines import ROOT, SCRIPTS, Engine, running_engine
from tests.support.front import (
    WRITES,
    Behaviour,
    Faults,
    Front,
    Rule,
    Step,
    answers,
    on,
    running_front,
)
from tests.support.front.upstream import Backend
from tests.support.layouts import Made
from tests.support.memory import MemoryRegistry
from tests.support.registry import running_registry
from tests.support.runner import Job, build_action_image
from tests.support.runner import Step as StepOfJob

OUT = ROOT / "out"
STAND_INS = ("python:3.13-slim", "docker:cli")
WIDTH = 100
GOOD = (200, 201, 202, 204)

BEHAVIOUR = Behaviour(
    max_writes=2,
    faults=Faults(rate=0.1),
    delays={Step.UPLOAD_POST: 0.02, Step.UPLOAD_PUT: 0.05, Step.MANIFEST_PUT: 0.3},
)
IMMUTABLE = answers.oci_error(
    400, "TAG_INVALID", "The image tag '1.7' already exists and is immutable."
)
REFUSALS = (
    Rule(match=on(Step.MANIFEST_PUT, repository="acme/web", reference="1.7"), answer=IMMUTABLE),
    Rule(match=on(Step.UPLOAD_POST, repository="acme/ops"), answer=answers.WRITE_PACKAGE),
)
INPUTS = {"max-parallel": "4"}


def main() -> int:
    """Run the demo; the exit status is the action's own."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--no-engine", action="store_true", help="push OCI layouts, as a runner")
    parser.add_argument("--failing", action="store_true", help="let four tags fail, for two causes")
    given = parser.parse_args()
    behaviour = BEHAVIOUR.model_copy(update={"rules": REFUSALS * given.failing})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ghcr-push-demo-")))
        engine = None if given.no_engine else usable_engine(stack)
        front = stack.enter_context(running_front(registry(stack), behaviour, seed=2))
        if engine is None:
            step = push_layouts(folder, front.address, failing=given.failing)
        else:
            make_images(engine)
            lines = targets("demo/", front.address, failing=given.failing)
            step = run_action(engine, folder, {**INPUTS, "tags": "\n".join(lines)})
        show(step, front)
    return step.status


def say(text: str) -> None:
    """Print a heading of the demo."""
    print(f"\n\033[1m==> {text}\033[0m" if sys.stdout.isatty() else f"\n==> {text}", flush=True)


def usable_engine(stack: ExitStack) -> Engine | None:
    """Return the machine's own engine, else one that is started now, else None."""
    found = subprocess.run(
        [str(SCRIPTS / "engine-usable")], capture_output=True, text=True, check=False
    )
    if found.returncode == 0:
        say(f"using the {found.stdout.strip()}")
        return Engine({"DOCKER_HOST": "unix:///var/run/docker.sock", **os.environ})
    say("no Docker Engine is usable here: starting one, with stand-ins for the base images")
    try:
        return stack.enter_context(running_engine("demo", images=STAND_INS))
    except RuntimeError as error:
        say(f"no Docker Engine can run here, so without one: {error}")
        return None


def registry(stack: ExitStack) -> str | Backend:
    """Return the address of a real registry or, if there is none, one in memory."""
    try:
        return stack.enter_context(running_registry()).address
    except RuntimeError as error:
        say(f"no registry can be had here, so one in memory: {error}")
        return MemoryRegistry()


def targets(source: str, address: str, *, failing: bool) -> Iterator[str]:
    """Yield the lines of the input `tags`; the sources are `source` and an image's name."""
    for name in ("web", "worker"):
        yield from (f"{source}{name} => {address}/acme/{name}:1.{minor}" for minor in range(10))
    if failing:
        yield from (f"{source}web => {address}/acme/ops:1.{minor}" for minor in range(3))


def push_layouts(folder: Path, address: str, *, failing: bool = False) -> StepOfJob:
    """Write an OCI layout of each image and push it from .venv, without an engine."""
    for seed, name in enumerate(("web", "worker")):
        say(f"writing the OCI layout {name} (5 layers)")
        made = Made()
        made.tag(made.image(10 * seed, layers=5, size=200_000), None)
        made.written(folder / "workspace" / name)
    say("running the action from .venv, with no docker command and no socket to be found")
    environ = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    job = Job(folder, Engine({**environ, "PATH": "/nonexistent"}))
    lines = targets("oci-layout:", address, failing=failing)
    return job.run_here({**INPUTS, "tags": "\n".join(lines)}, echo=True)


def make_images(engine: Engine) -> None:
    """Build two small images."""
    for seed, name in enumerate(("web", "worker")):
        say(f"building the image demo/{name} (5 layers)")
        engine.make_image(f"demo/{name}", layers=5, size=200_000, seed=seed)


def run_action(engine: Engine, folder: Path, inputs: Mapping[str, str]) -> StepOfJob:
    """Run the action's image as a runner would or, if no container can run, from .venv."""
    job = Job(folder, engine)
    try:
        say("building the action's image")
        build_action_image(engine)
    except RuntimeError as error:
        say(f"no image can be built here, so straight from .venv: {error}")
        return job.run_here(inputs, echo=True)
    say("running it as GitHub's runner does")
    return job.run(inputs, echo=True)


def show(step: StepOfJob, front: Front) -> None:
    """Show the results of the step, keep them in out/, and print the registry's statistics."""
    OUT.mkdir(exist_ok=True)
    (OUT / "summary.md").write_text(step.summary)
    (OUT / "report.json").write_text(json.dumps(step.report, indent=2))
    say(f"exit status {step.status}; the outputs a later step reads")
    for name, value in step.outputs.items():
        shown = value if len(value) <= WIDTH else f"{value[:WIDTH]}…"
        print(f"  {name:16} {shown!r}")
    stats = front.stats()
    failed = stats.count(*WRITES) - sum(stats.count(*WRITES, status=good) for good in GOOD)
    say("what the front says")
    print(f"  writes asked for        {stats.count(*WRITES)}")
    print(f"  refused: too many       {stats.refused_writes}")
    print(f"  failed by chance        {failed - stats.refused_writes}")
    print(f"  most writes at a time   {stats.peak_writes}")
    print(f"  tags in the registry    {sum(key.count(':1.') for key in stats.manifest_writes)}")
    say("kept: out/summary.md, out/report.json (`make picture` draws the summary)")


if __name__ == "__main__":
    sys.exit(main())

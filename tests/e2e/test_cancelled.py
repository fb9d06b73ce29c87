"""A cancelled run: at any moment it reports each tag correctly within 5 s."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex

import pytest
from tests.support.engines import Engine
from tests.support.front import Answer, Behaviour, Event, Front, Rule, Step, on
from tests.support.outcomes import held, outcomes, prove
from tests.support.processes import command_lines, handles, processes, wait_until
from tests.support.registry import Registry
from tests.support.runner import Job, RunningStep
from tests.support.runner import Step as StepOfJob

TAGS = [f"1.{minor}" for minor in range(12)]
PROMISED = 5.0
LATE = Answer(status=500, delay=30)
HANGS = Answer(connection="hang")


@pytest.fixture(scope="module", autouse=True)
def image(classic: Engine) -> None:
    classic.make_image("middle", layers=4, size=100_000)


def inputs(front: Front) -> dict[str, str]:
    return {"image": f"{front.address}/acme/app", "tags": "\n".join(TAGS), "source": "middle"}


def arrived(front: Front, step: Step, more_than: int = 0) -> Callable[[], bool]:
    """Return whether the front has seen more than so many requests of ``step``, answered or not."""
    return lambda: sum(entry.step is step for entry in front.log()) > more_than


def check(step: StepOfJob, front: Front, registry: Registry, *, seconds: float) -> None:
    """Check the promises of every cancelled run."""
    assert seconds < PROMISED, f"{seconds:.1f} s\n{step.log}"
    assert step.outputs["result"] == "cancelled", step.log
    assert step.report["cancelled"]
    assert step.report["result"] == "cancelled"
    ended = outcomes(step)
    assert set(ended) == {f"{front.address}/acme/app:{tag}" for tag in TAGS}
    assert set(ended.values()) <= {"pushed", "failed", "skipped"}
    prove(step, registry.address)
    for each in step.report["targets"]:
        if each["outcome"] == "skipped" or not each.get("may_have_landed", False):
            landed = held(registry.address, each["reference"]) is not None
            assert landed == (each["outcome"] == "pushed"), each
    assert step.summary.startswith("## 🛑 Cancelled after "), step.log


def end(running: RunningStep, number: signal.Signals) -> tuple[StepOfJob, float]:
    """Send the signal, wait for the end, and return how long that took."""
    sent = time.monotonic()
    running.send(number)
    step = running.wait()
    return step, time.monotonic() - sent


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"]
)
def test_while_docker_push_is_under_way(
    job: Job, front: Front, registry: Registry, number: signal.Signals, status: int
) -> None:
    front.set(Behaviour(delays={Step.UPLOAD_PATCH: 4}))
    running = job.start(inputs(front) | {"transport": "engine"})
    wait_until(arrived(front, Step.UPLOAD_PATCH))
    step, seconds = end(running, number)
    assert step.status == status
    check(step, front, registry, seconds=seconds)
    assert list(outcomes(step).values()).count("failed") == 1
    assert list(outcomes(step).values()).count("skipped") == len(TAGS) - 1
    # the engine ends the current uploads, and drops the rest of the push
    wait_until(lambda: front.stats().writes_now == 0)
    time.sleep(1)
    assert front.stats().count(Step.MANIFEST_PUT) == 0


def test_while_layers_are_uploaded(job: Job, front: Front, registry: Registry) -> None:
    front.set(Behaviour(delays={Step.UPLOAD_PUT: 30}))
    running = job.start(inputs(front) | {"transport": "direct"})
    wait_until(arrived(front, Step.UPLOAD_PUT))
    step, seconds = end(running, signal.SIGTERM)
    assert step.status == 143
    check(step, front, registry, seconds=seconds)
    assert step.listed("pushed") == []


@pytest.mark.parametrize("begun", [6, 8, 11])
def test_while_tags_are_written(job: Job, front: Front, registry: Registry, begun: int) -> None:
    """Of the three writes in flight then, one does not land."""
    lost = Rule(match=on(Step.MANIFEST_PUT), answer=LATE, effect="after", skip=begun - 3)
    refused = lost.model_copy(update={"effect": "before", "first": 1})
    delays = {Step.MANIFEST_PUT: 0.2}
    front.set(Behaviour(rules=(refused, lost), delays=delays, jitter=0.5))
    running = job.start(inputs(front) | {"max-parallel": "3"})
    wait_until(arrived(front, Step.MANIFEST_PUT, begun - 1))
    step, seconds = end(running, signal.SIGTERM)
    assert step.status == 143
    check(step, front, registry, seconds=seconds)
    assert step.listed("pushed"), step.log


def test_while_answers_are_lost(job: Job, front: Front, registry: Registry) -> None:
    """A last read finds writes that took effect and were not answered before the signal."""
    rule = Rule(match=on(Step.MANIFEST_PUT, reference="1.*"), answer=LATE, effect="after", skip=2)
    front.set(Behaviour(rules=(rule,)))
    running = job.start(inputs(front) | {"max-parallel": "2"})
    wait_until(lambda: sum(front.stats().manifest_writes.values()) >= 4)
    step, seconds = end(running, signal.SIGTERM)
    check(step, front, registry, seconds=seconds)
    there = [target for target in outcomes(step) if held(registry.address, target)]
    assert sorted(there) == sorted(step.listed("pushed"))


def test_while_the_registry_falls_silent(job: Job, front: Front, registry: Registry) -> None:
    """Tags in doubt are read for 2 s; without an answer they may have landed."""
    one_write = Event(steps=frozenset({Step.MANIFEST_PUT}))
    front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_PUT), answer=HANGS, after=one_write),)))
    running = job.start(inputs(front))
    wait_until(arrived(front, Step.MANIFEST_PUT, 2))
    silence = Rule(match=on(Step.MANIFEST_HEAD, Step.MANIFEST_PUT), answer=HANGS)
    front.set(Behaviour(rules=(silence,)))
    step, seconds = end(running, signal.SIGTERM)
    assert step.status == 143
    check(step, front, registry, seconds=seconds)
    doubtful = [each for each in step.report["targets"] if each["may_have_landed"]]
    assert {each["outcome"] for each in doubtful} == {"failed"}


def test_while_the_registry_is_silent(job: Job, front: Front, registry: Registry) -> None:
    silent = Rule(match=on(Step.MANIFEST_HEAD), answer=HANGS)
    front.set(Behaviour(rules=(silent,)))
    running = job.start(inputs(front))
    wait_until(arrived(front, Step.MANIFEST_HEAD))
    step, seconds = end(running, signal.SIGTERM)
    assert step.status == 143
    check(step, front, registry, seconds=seconds)


def test_while_the_engine_is_silent(
    job: Job, front: Front, registry: Registry, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        options = ["--volume", f"{tmp_path}/silent.sock:/silent.sock"]
        options += ["--env", "DOCKER_HOST=unix:///silent.sock"]
        running = job.start(inputs(front), options=options)
        silent.settimeout(60)
        asked, _ = silent.accept()
        with asked:
            step, seconds = end(running, signal.SIGTERM)
    assert step.status == 143
    check(step, front, registry, seconds=seconds)
    assert len(step.listed("skipped")) == len(TAGS)


def test_while_it_waits_for_the_next_attempt(job: Job, front: Front, registry: Registry) -> None:
    front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_PUT)),)))
    running = job.start(inputs(front) | {"backoff-initial": "1m", "backoff-max": "1m"})
    running.wait_for("next try in")
    step, seconds = end(running, signal.SIGTERM)
    assert step.status == 143
    check(step, front, registry, seconds=seconds)
    assert step.listed("pushed") == []


@pytest.mark.parametrize("delay", [0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_at_the_very_start(job: Job, front: Front, registry: Registry, delay: float) -> None:
    """From the installation of the handlers on, which is before the heavy imports."""
    front.set(Behaviour(delays={Step.MANIFEST_PUT: 1}))  # or all may have landed by then
    name = f"E2E_RUN={token_hex(8)}"
    running = job.start(inputs(front), options=["--env", name])
    wait_until(lambda: any(processes("/entrypoint.py", having=name)))
    pid = next(processes("/entrypoint.py", having=name))
    wait_until(lambda: handles(pid, signal.SIGTERM))
    time.sleep(delay)
    sent = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    step = running.wait()
    assert step.status == 143, step.log
    check(step, front, registry, seconds=time.monotonic() - sent)


def test_a_signal_at_the_very_end_does_not_change_the_report(job: Job, front: Front) -> None:
    """The signal arrives while a report is sent to a slow reader."""
    workspace = job.folder / "workspace"
    workspace.mkdir(parents=True)
    pipe = workspace / "pipe"
    os.mkfifo(pipe)
    # declared right before the report is written
    declared = job.folder / "artifacts"
    running = job.start_here(
        inputs(front) | {"report-file": "pipe", "declare-artifacts": "true"},
        environ={"GITHUB_ARTIFACTS": str(declared)},
    )
    wait_until(declared.exists)
    running.send(signal.SIGTERM)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    step = running.wait()
    with os.fdopen(reader, "rb") as lines:
        report = json.loads(lines.read())

    assert step.status == 0, step.log
    assert step.outputs["report"] == "pipe"
    assert report["result"] == step.outputs["result"] == "success"
    assert "could not be written" not in step.log


@pytest.mark.parametrize("moment", ["docker push", "tag write"])
def test_nothing_is_left_behind(
    job: Job, front: Front, registry: Registry, tmp_path: Path, moment: str
) -> None:
    """Run on this machine: a container would remove all leftovers with itself."""
    front.set(Behaviour(delays={Step.UPLOAD_PUT: 1, Step.MANIFEST_PUT: 1}))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    mark = token_hex(8)
    environ = {"TMPDIR": str(temporary), "E2E_RUN": mark}
    running = job.start_here(inputs(front) | {"transport": "engine"}, environ=environ)
    wait_until(lambda: any(" push " in line for line in command_lines(having=mark)))
    if moment == "tag write":
        running.wait_for("pushed")
        wait_until(lambda: front.stats().writes_now > 0)
    assert list(temporary.iterdir())
    step, seconds = end(running, signal.SIGTERM)
    assert step.status == 143
    check(step, front, registry, seconds=seconds)
    assert list(command_lines(having=mark)) == []
    assert list(temporary.iterdir()) == []
    # and the engine's tags are unchanged
    names = job.engine.docker("image", "ls", "--format", "{{.Repository}}")
    assert front.address not in names


def test_a_second_signal_changes_nothing(job: Job, front: Front, registry: Registry) -> None:
    front.set(Behaviour(delays={Step.MANIFEST_PUT: 0.3, Step.MANIFEST_HEAD: 0.3}))
    running = job.start(inputs(front))
    running.wait_for("pushed")
    sent = time.monotonic()
    running.send(signal.SIGINT)
    running.send(signal.SIGTERM)
    step = running.wait()
    assert step.status == 130
    check(step, front, registry, seconds=time.monotonic() - sent)

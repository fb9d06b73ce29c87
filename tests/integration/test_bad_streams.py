"""Streams that break between engine and registry: reported clearly or retried, never half a tag.

The action runs from .venv, with a separate folder for temporary files and marked processes.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import Any

import pytest
from tests.support.engines import SCRIPTS, Engine, running_engine
from tests.support.front import Answer, Behaviour, Front, Rule, Step, oci_error, on
from tests.support.loadable import Loadable, archive_of, file, layer_of
from tests.support.outcomes import held, lacking, outcomes, prove
from tests.support.processes import command_lines, processes, wait_until
from tests.support.registry import Registry
from tests.support.runner import Job, RunningStep
from tests.support.runner import Step as StepOfJob
from tests.support.saved import digest_of

pytestmark = pytest.mark.timeout(300)

ENGINES = ("trixie-classic", "sid-containerd")
LAYER = 1_000_000
"""Bytes of each of eight layers; no pipe or socket between an engine and us holds half of that."""

PUT = Step.UPLOAD_PUT
OTHER = Answer(status=201, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"})


def image(seed: str) -> Loadable:
    """Return an image whose layers do not shrink when compressed."""
    random = Random(seed)
    files = (file(f"{seed}-{number}", random.randbytes(LAYER)) for number in range(8))
    return Loadable(layers=tuple(layer_of(each) for each in files))


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with started(request.param) as engine:
        yield engine


@contextmanager
def started(name: str) -> Iterator[Engine]:
    release, store = name.split("-")
    with running_engine(f"bs-{token_hex(3)}", release=release, store=store) as engine:
        yield engine


class Run:
    """One run of the action that pushes ``source`` to its own tag."""

    def __init__(self, folder: Path, engine: Engine, front: Front, registry: Registry) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._job = Job(folder, engine)
        self._mark = token_hex(8)
        self._registry = registry
        self._front = front
        self.target = f"{front.address}/bad/{token_hex(4)}:1"

    def start(self, source: str = "whole:1", *, spool: int = 1) -> RunningStep:
        """Start it with so many bytes of temporary space: one blob at a time, where it is 1."""
        inputs = {
            "tags": self.target,
            "source": source,
            "transport": "direct",
            "spool-size": f"{spool}",
            "backoff-initial": "100ms",
            "timeout": "1m",
        }
        environ = {"TMPDIR": str(self.temporary), "E2E_MARK": self._mark}
        return self._job.start_here(inputs, environ=environ)

    def start_and_stop_in_mid_stream(self) -> tuple[RunningStep, int]:
        """Start it; return when the first blob is being sent, and nothing is read meanwhile.

        Also return the process that saves the image, which is stopped until it is continued.
        """
        slow = Rule(match=on(PUT), answer=Answer(delay=2), effect="alter", first=1)
        self._front.set(Behaviour(rules=(slow,)))
        self._front.reset()
        running = self.start()
        wait_until(lambda: any(entry.step is PUT for entry in self._front.log()))
        [save] = processes("save", having=self._mark)
        os.kill(save, signal.SIGSTOP)
        return running, save

    def end(self, running: RunningStep, outcome: str) -> dict[str, Any]:
        """Wait for the end, check what must always hold, and return the target's report."""
        step = running.wait()
        assert outcomes(step) == {self.target: outcome}, step.log
        assert "Traceback" not in step.log
        prove(step, self._registry.address)
        if outcome == "failed":
            assert held(self._registry.address, self.target) is None
        assert lacking(self._registry.address, self.target) == []
        assert list(self.temporary.iterdir()) == []
        assert list(command_lines(having=self._mark)) == []
        return report_of(step)


def report_of(step: StepOfJob) -> dict[str, Any]:
    [target] = step.report["targets"]
    assert isinstance(target, dict)
    return target


def kinds(target: dict[str, Any], step: str) -> list[str | None]:
    """Return the failures of one step's attempts in order, None for a success."""
    return [
        (attempt["failure"] or {}).get("kind")
        for attempt in target["content_attempts"]
        if attempt["step"] == step
    ]


@pytest.fixture
def run(tmp_path: Path, engine: Engine, front: Front, registry: Registry) -> Run:
    if not engine.docker("image", "ls", "--quiet", "whole:1"):
        engine.docker("load", "--quiet", stdin=archive_of({"whole:1": image("whole")}))
    return Run(tmp_path, engine, front, registry)


# -- the engine ---------------------------------------------------------------------------------


def test_an_image_that_is_removed_while_it_is_read_is_uploaded_completely(
    run: Run, engine: Engine
) -> None:
    """Engines keep an image while they save it."""
    running, save = run.start_and_stop_in_mid_stream()
    engine.docker("image", "rm", "--force", "whole:1")
    os.kill(save, signal.SIGCONT)
    target = run.end(running, "pushed")
    assert kinds(target, "read") == []  # a single successful reading is not reported


def test_a_save_that_is_cut_off_is_read_again(run: Run, front: Front) -> None:
    running, save = run.start_and_stop_in_mid_stream()
    os.kill(save, signal.SIGKILL)
    target = run.end(running, "pushed")
    assert kinds(target, "read") == ["engine-error", None]
    assert target["retried"]
    [sent] = front.stats().blob_uploads.values()
    assert set(sent.values()) == {1}


def test_an_image_that_is_gone_when_it_must_be_read_again_is_missing(
    run: Run, engine: Engine
) -> None:
    running, save = run.start_and_stop_in_mid_stream()
    engine.docker("image", "rm", "--force", "whole:1")
    os.kill(save, signal.SIGKILL)
    target = run.end(running, "failed")
    assert kinds(target, "read") == ["engine-error", "image-missing"]
    assert target["failure"]["kind"] == "image-missing"


def test_an_engine_that_is_killed_in_mid_stream_is_said_to_be_gone(
    tmp_path: Path, front: Front, registry: Registry
) -> None:
    with started(ENGINES[0]) as engine:
        engine.docker("load", "--quiet", stdin=archive_of({"whole:1": image("whole")}))
        run = Run(tmp_path, engine, front, registry)
        running, save = run.start_and_stop_in_mid_stream()
        # by SIGKILL, with all that it has started
        name = engine.folder.name.removeprefix("engine-")
        subprocess.run([SCRIPTS / "engine-down", name], check=True)
        os.kill(save, signal.SIGCONT)
        target = run.end(running, "failed")
    first, *others = kinds(target, "read")
    assert first == "engine-error"
    assert {*others} == {"engine-restarting"}
    assert "Cannot connect to the Docker daemon" in target["failure"]["message"]


def test_a_part_that_the_engine_has_lost_is_reported_in_its_words(run: Run, engine: Engine) -> None:
    """The containerd store notices in mid-stream, writes an error into the archive, and exits 0."""
    damaged = image("damaged")
    engine.docker("load", "--quiet", stdin=archive_of({"damaged:1": damaged}))
    data, blob = engine.folder / "data", digest_of(damaged.blobs[5]).removeprefix("sha256:")
    [part] = [*data.glob(f"**/blobs/sha256/{blob}"), *data.glob("overlay2/*/diff/damaged-5")]
    part.unlink()
    target = run.end(run.start("damaged:1"), "failed")
    assert re.search("blob not found|no such file", target["failure"]["message"])


# -- temporary space ----------------------------------------------------------------------------


@contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """Have a disk of ``size`` bytes at ``folder`` while the block runs."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_temporary_disk_that_is_full_is_said_to_be_full(run: Run) -> None:
    with disk(run.temporary, LAYER // 2):
        target = run.end(run.start(), "failed")
    assert target["failure"]["kind"] == "disk-full"
    reason = f"temporary space in {run.temporary}: no space left on device"
    assert target["failure"]["message"] == reason


def test_a_temporary_disk_need_not_hold_the_image(run: Run) -> None:
    with disk(run.temporary, 2 * LAYER):
        run.end(run.start(), "pushed")


# -- the registry -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)
@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("network", Rule(answer=Answer(connection="reset"))),
        ("network", Rule(answer=Answer(connection="close"))),
        ("mangled", Rule(answer=OTHER)),
        ("not-visible", Rule(answer=oci_error(404, "BLOB_UPLOAD_UNKNOWN", "unknown upload"))),
        ("not-visible", Rule(answer=oci_error(416, "BLOB_UPLOAD_INVALID", "wrong offset"))),
    ],
    ids=["reset in mid-blob", "closed in mid-blob", "another digest", "forgotten", "lost count"],
)
def test_an_upload_that_the_registry_corrupts_is_sent_again(
    run: Run, front: Front, kind: str, rule: Rule
) -> None:
    front.set(Behaviour(rules=(rule.model_copy(update={"match": on(PUT), "first": 2}),)))
    target = run.end(run.start(spool=1 << 30), "pushed")
    assert [failed for failed in kinds(target, "upload") if failed] == [kind] * 2
    [sent] = front.stats().blob_uploads.values()
    assert set(sent.values()) == {1}


@pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)
def test_a_registry_that_always_has_other_bytes_gets_no_tag(run: Run, front: Front) -> None:
    front.set(Behaviour(rules=(Rule(match=on(PUT), answer=OTHER),)))
    target = run.end(run.start(), "failed")
    assert target["failure"]["kind"] == "mangled"
    assert front.stats().count(Step.MANIFEST_PUT) == 0


@pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)
def test_a_blob_that_the_registry_falsely_reports_is_sent_again(run: Run, front: Front) -> None:
    front.set(Behaviour(rules=(Rule(match=on(PUT), answer=Answer(status=201), first=1),)))
    target = run.end(run.start(), "pushed")
    refused = [each["failure"]["kind"] for each in target["attempts"] if each["failure"]]
    assert set(refused) == {"not-visible"}


@pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)
def test_a_registry_that_forgets_every_upload_is_not_waited_for(run: Run, front: Front) -> None:
    forgotten = oci_error(404, "BLOB_UPLOAD_UNKNOWN", "unknown upload")
    front.set(Behaviour(rules=(Rule(match=on(PUT), answer=forgotten),)))
    target = run.end(run.start(), "failed")
    assert target["failure"]["kind"] == "not-visible"
    assert front.stats().count(Step.MANIFEST_PUT) == 0

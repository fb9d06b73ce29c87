"""How a public report is written as a case: a registry, an engine, inputs; and what came of it.

    def test_a_tag_that_harbor_calls_immutable_is_refused_once(world: World) -> None:
        world.front.set(Behaviour(rules=(
            Rule(
                match=on(Step.MANIFEST_PUT, reference="1"),
                answer=oci_error(412, "PRECONDITION", "... configured as immutable."),
            ),
        )))
        end = world.push("acme/app:1", "acme/app:2")
        assert end.outcomes == {"acme/app:1": "failed", "acme/app:2": "pushed"}
        assert end.failure("acme/app:1")["kind"] == "tag-refused"
        assert world.count(Step.MANIFEST_PUT, reference="1") == 1
        assert world.registry.tags("acme/app") == {"2": end.digest("acme/app:2")}

The registry is in memory (tests/support/memory.py), its quirks are rules of the front's
`Behaviour`, the engine is a `docker` command that is data (tests/support/docker.py). What runs is
the real action: variables in; outputs, summary, report, log and exit status out, in this process.
`world` is a fixture of tests/integration/conftest.py. For more than one registry, other images or
a command of another mind, make what you need: `World(folder, registry, front, docker)`.
"""

import contextlib
import io
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from ghcr_push.fronts import action
from ghcr_push.signals import Interruption
from tests.support.commands import file_values
from tests.support.docker import FakeDocker, Says
from tests.support.front import Behaviour, Entry, Front, Step, running_front
from tests.support.loadable import Loadable, file, layer_of
from tests.support.memory import MemoryRegistry, Serves

QUICK: Mapping[str, str] = {
    "backoff-initial": "20ms",
    "backoff-max": "100ms",
    "timeout": "20s",
    "report-file": "report.json",
}
"""Default inputs of a case: short waits, and few attempts."""

LISTS = ("pushed", "unchanged", "kept", "failed", "skipped", "planned")


def image(seed: str = "app", layers: int = 2, size: int = 2000) -> Loadable:
    """Return an image of so many layers of so many bytes, different for each seed."""
    random = Random(seed)
    files = (file(f"{seed}-{n}", random.randbytes(size)) for n in range(layers))
    return Loadable(layers=tuple(layer_of(each) for each in files), labels={"seed": seed})


@dataclass(frozen=True, kw_only=True)
class End:
    """The results of one run; `here` is removed from the references that begin with it."""

    status: int
    log: str
    outputs: Mapping[str, str]
    summary: str
    workspace: Path
    here: str = ""

    @cached_property
    def report(self) -> dict[str, Any]:
        """The JSON report requested by `report-file`."""
        value: dict[str, Any] = json.loads((self.workspace / "report.json").read_text())
        return value

    @property
    def outcomes(self) -> dict[str, str]:
        """Each target's outcome by the outputs; the report must agree."""
        found = {
            self._short(target): name
            for name in LISTS
            for target in json.loads(self.outputs.get(name) or "[]")
        }
        reported = {name: each["outcome"] for name, each in self._targets.items()}
        assert found == reported, "outputs and report disagree"
        return found

    def target(self, name: str) -> dict[str, Any]:
        """Return one target of the report."""
        return self._targets[name]

    def failure(self, name: str) -> dict[str, Any]:
        """Return the failure that the report gives for one target."""
        failure = self._targets[name]["failure"]
        assert failure is not None, f"{name} did not fail"
        return dict(failure)

    def digest(self, name: str) -> str:
        """Return the digest that the outputs give for one landed target."""
        digests = json.loads(self.outputs["digests"])
        return str({self._short(key): value for key, value in digests.items()}[name])

    def listed(self, output: str) -> list[str]:
        """Return an output that is a list of references."""
        return [self._short(each) for each in json.loads(self.outputs[output])]

    @cached_property
    def _targets(self) -> dict[str, dict[str, Any]]:
        return {self._short(each["reference"]): each for each in self.report["targets"]}

    def _short(self, reference: str) -> str:
        return reference.removeprefix(f"{self.here}/")


@dataclass(kw_only=True)
class World:
    """One registry behind a front, one engine, and a folder for the results of runs."""

    folder: Path
    registry: MemoryRegistry
    front: Front
    docker: FakeDocker | None
    environ: Mapping[str, str] = field(default_factory=dict)
    runs: int = 0

    def push(self, *names: str, source: str = "app:1", **inputs: str) -> End:
        """Push `source` to the tags of this registry that are `names` (`repository:tag`).

        `inputs` are more of them, with underscores for hyphens; see `QUICK` for what they are else.
        """
        tags = "\n".join(f"{self.front.address}/{name}" for name in names)
        more = {name.replace("_", "-"): value for name, value in inputs.items()}
        return self.run({"tags": tags, "source": source, **more})

    def run(self, inputs: Mapping[str, str], environ: Mapping[str, str] | None = None) -> End:
        """Run the action with exactly these inputs on top of `QUICK`; `""` unsets one."""
        self.runs += 1
        given = {name: value for name, value in {**QUICK, **inputs}.items() if value}
        own = self.docker.environ if self.docker else {"PATH": "/nowhere"}
        return run_action(
            self.folder / f"run-{self.runs}",
            given,
            {**own, **self.environ, **(environ or {})},
            here=self.front.address,
        )

    def count(self, *steps: Step, reference: str = "*", repository: str = "*") -> int:
        """Return how many requests of these steps (none given: all) arrived."""
        return len(self.requests(*steps, reference=reference, repository=repository))

    def requests(self, *steps: Step, reference: str = "*", repository: str = "*") -> list[Entry]:
        """Return the requests of these steps (none given: all), in order of arrival."""
        return [
            entry
            for entry in self.front.log()
            if (not steps or entry.step in steps)
            and fnmatchcase(entry.reference, reference)
            and fnmatchcase(entry.repository, repository)
        ]


def run_action(
    folder: Path, inputs: Mapping[str, str], environ: Mapping[str, str], *, here: str = ""
) -> End:
    """Run the action in this process, with only these variables and the runner's own."""
    workspace = folder / "workspace"
    for name in (workspace, folder / "home", folder / "temporary"):
        name.mkdir(parents=True, exist_ok=True)
    output, summary = folder / "output", folder / "summary"
    output.touch()
    summary.touch()
    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": "octocat",
        "GITHUB_OUTPUT": str(output),
        "GITHUB_REPOSITORY": "acme/app",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_WORKSPACE": str(workspace),
        "HOME": str(folder / "home"),
        "RUNNER_TEMP": str(folder / "temporary"),
        **{f"INPUT_{name.upper()}": value for name, value in inputs.items()},
        **environ,
    }
    log = io.StringIO()
    with patch.dict(os.environ, variables, clear=True), contextlib.redirect_stdout(log):
        status = action.main(Interruption(), os.environ)
    return End(
        status=status,
        log=log.getvalue(),
        outputs=dict(file_values(output.read_text(encoding="utf-8"))),
        summary=summary.read_text(encoding="utf-8"),
        workspace=workspace,
        here=here,
    )


@contextmanager
def running_world(
    folder: Path,
    behaviour: Behaviour | None = None,
    *,
    serves: Serves | None = None,
    images: Mapping[str, Loadable] | None = None,
    says: Sequence[Says] = (),
    **docker: Any,
) -> Iterator[World]:
    """Run a registry in memory behind a front, with an engine that has `images`."""
    registry = MemoryRegistry(serves)
    engine = FakeDocker(folder / "docker", images or {"app:1": image()}, says=says, **docker)
    with running_front(registry, behaviour) as front:
        yield World(folder=folder, registry=registry, front=front, docker=engine)
        assert front.stats().front_errors == 0


@contextmanager
def closed_address() -> Iterator[str]:
    """Return an address of this machine without a listener, which stays so."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"

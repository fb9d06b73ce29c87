"""A step of a job, run as GitHub's runner runs a container action: same mounts, same variables.

After actions/runner, ``ContainerActionHandler.cs``: the workspace, a home, the file commands and
the temporary folder are mounted below /github, inputs and contexts come as variables, and the
engine's socket is there. Only the network differs: the host's, where our registries listen.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from typing import Any

from tests.support.engines import ROOT, Engine

ACTION_IMAGE = "ghcr-push-action:dev"
GITHUB = Path("/github")
COMMANDS = {
    "GITHUB_OUTPUT": "output",
    "GITHUB_STEP_SUMMARY": "summary",
    "GITHUB_ENV": "env",
    "GITHUB_STATE": "state",
    "GITHUB_PATH": "path",
}

_HEREDOC = re.compile(
    r"^(?P<name>[^=\n]+?)<<(?P<mark>\S+)\n(?P<value>.*?)\n?^(?P=mark)$", re.MULTILINE | re.DOTALL
)


def build_action_image(engine: Engine) -> None:
    """Build the action's image from the Dockerfile."""
    engine.docker("build", "--quiet", "--network", "host", "--tag", ACTION_IMAGE, str(ROOT))


@dataclass(frozen=True)
class Step:
    """The results of a step."""

    status: int
    log: str
    mounts: Mapping[str, Path]

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs, as a later step reads them."""
        text = (self.mounts["file_commands"] / "output").read_text()
        return {match["name"]: match["value"] for match in _HEREDOC.finditer(text)}

    def listed(self, name: str) -> list[str]:
        """Return an output that is a JSON array."""
        value: list[str] = json.loads(self.outputs[name])
        return value

    @property
    def summary(self) -> str:
        """The job summary in Markdown."""
        return (self.mounts["file_commands"] / "summary").read_text()

    @property
    def report(self) -> dict[str, Any]:
        """The JSON report that the output ``report`` names."""
        path = self.mounts["workspace"] / self.outputs["report"]
        value: dict[str, Any] = json.loads(path.read_text())
        return value


class Job:
    """A job's folders; each run of the action in it is a separate step."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder = folder
        self.engine = engine
        self._steps = 0

    def run(
        self,
        inputs: Mapping[str, str],
        *,
        environ: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        network: str = "host",
        echo: bool = False,
    ) -> Step:
        """Run the action's container to its end; with ``echo``, print its log as it comes."""
        running = self.start(inputs, environ=environ, options=options, network=network)
        return running.wait(echo=echo)

    def start(
        self,
        inputs: Mapping[str, str],
        *,
        environ: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        network: str = "host",
    ) -> "RunningStep":
        """Start the action's container; ``options`` are more of ``docker run``'s."""
        mounts = self._new_step()
        variables = _variables(self._asked(inputs), {name: GITHUB / name for name in mounts})
        variables |= environ or {}
        name = f"action-{token_hex(4)}"
        command = ["docker", "run", "--name", name, "--rm", "--network", network]
        command += ["--workdir", str(GITHUB / "workspace")]
        command += [word for key in variables for word in ("--env", key)]
        command += ["--volume", f"{self.engine.socket}:/var/run/docker.sock"]
        for place, folder in mounts.items():
            command += ["--volume", f"{folder}:{GITHUB / place}"]
        process = subprocess.Popen(
            [*command, *options, ACTION_IMAGE],
            env={**self.engine.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return RunningStep(name, process, mounts)

    def run_here(self, inputs: Mapping[str, str], *, echo: bool = False) -> Step:
        """Run the action from .venv, where no container can run."""
        return self.start_here(inputs).wait(echo=echo)

    def start_here(
        self,
        inputs: Mapping[str, str],
        *,
        environ: Mapping[str, str] | None = None,
        log: int = subprocess.PIPE,
    ) -> "RunningStep":
        """Start the action from .venv; its ``pid`` can be sent signals.

        ``log`` is a file descriptor for what it prints, in place of the step's own log.
        """
        mounts = self._new_step()
        process = subprocess.Popen(
            [sys.executable, "-I", "-u", str(ROOT / "entrypoint.py")],
            env={
                **self.engine.environ,
                **_variables(self._asked(inputs), mounts),
                **(environ or {}),
            },
            cwd=mounts["workspace"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        return RunningStep("", process, mounts)

    def _asked(self, inputs: Mapping[str, str]) -> dict[str, str]:
        """Request a report for this step, unless ``inputs`` have one."""
        return {"report-file": f"reports/step-{self._steps}.json", **inputs}

    def _new_step(self) -> dict[str, Path]:
        """Create a folder that the runner mounts, by its name below /github."""
        self._steps += 1
        mounts = {name: self.folder / name for name in ("workspace", "home", "runner_temp")}
        mounts["file_commands"] = self.folder / f"file_commands-{self._steps}"
        for folder in mounts.values():
            folder.mkdir(parents=True, exist_ok=True)
        for name in COMMANDS.values():
            (mounts["file_commands"] / name).touch()
        return mounts


def _variables(inputs: Mapping[str, str], places: Mapping[str, Path]) -> dict[str, str]:
    return {
        **{f"INPUT_{name.upper()}": value for name, value in inputs.items()},
        **{name: str(places["file_commands"] / file) for name, file in COMMANDS.items()},
        "HOME": str(places["home"]),
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": "octocat",
        "GITHUB_REPOSITORY": "acme/app",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_WORKSPACE": str(places["workspace"]),
        "RUNNER_OS": "Linux",
        "RUNNER_TEMP": str(places["runner_temp"]),
        "RUNNER_WORKSPACE": "/home/runner/work/app",
    }


class RunningStep:
    """A running step."""

    def __init__(
        self,
        name: str,
        process: subprocess.Popen[bytes],
        mounts: Mapping[str, Path],
    ) -> None:
        self.name = name
        """The container's; empty for a step that runs here."""
        self.pid = process.pid
        self._process = process
        self._mounts = mounts
        self._log: list[str] = []

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command, as a cancelled job does; ``docker run`` passes it on."""
        os.kill(self.pid, number)

    def wait_for(self, text: str) -> None:
        """Read the log up to the first line with ``text``; raise if it ends before."""
        for line in self._lines():
            if text in line:
                return
        raise AssertionError(f"no line of the log has {text!r}:\n{''.join(self._log)}")

    def wait(self, *, echo: bool = False) -> Step:
        """Read the log to its end and return the results of the step."""
        with self._process:
            for line in self._lines():
                if echo:
                    print(line, end="", flush=True)
        return Step(self._process.returncode, "".join(self._log), self._mounts)

    def _lines(self) -> Iterator[str]:
        for raw in self._process.stdout or ():
            self._log.append(raw.decode(errors="replace"))
            yield self._log[-1]

"""The clients that are compared: each as its users run it, logged in, sequential or in parallel."""

import base64
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from bench.push.conditions import PASSWORD, USER
from tests.support.engines import Engine, script_environment
from tests.support.runner import Job

TRIES, PAUSE = 5, 5.0
"""How often, and with how many seconds between, a hand-written loop tries."""

SKOPEO_RETRIES = 3
"""The number in skopeo's own documentation; without it skopeo tries once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The work of a contender: push the local image under every reference.

    `folder` has a Docker configuration with the login, and is the contender's own. No process that
    it starts runs beyond `deadline`, on the clock of `time.monotonic`.
    """

    engine: Engine
    image: str
    references: Sequence[str]
    folder: Path
    deadline: float

    @classmethod
    def logged_in(
        cls, engine: Engine, image: str, references: Sequence[str], folder: Path, limit: float
    ) -> "Task":
        """Return the task with a configuration for the references' registry in `folder`."""
        registry = references[0].partition("/")[0]
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
        environ = {**engine.environ, "DOCKER_CONFIG": str(folder)}
        environ["PATH"] += ":" + script_environment("tools-get", "peers")["PATH"]
        return cls(
            engine=Engine(environ),
            image=image,
            references=references,
            folder=folder,
            deadline=monotonic() + limit,
        )

    @property
    def left(self) -> float:
        """Seconds up to the deadline, none below zero."""
        return max(0.0, self.deadline - monotonic())

    def run(self, *command: str) -> bool:
        """Run a command; say whether it succeeded before the deadline."""
        if not self.left:
            return False
        try:
            done = subprocess.run(
                command,
                env=dict(self.engine.environ),
                capture_output=True,
                timeout=self.left,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def saved(self) -> str:
        """Have the engine save the image; return the file's name."""
        tar = str(self.folder / "image.tar")
        self.run("docker", "save", "--output", tar, self.image)
        return tar


def docker_push(task: Task, parallel: int, tries: int = 1) -> None:
    """Run `docker push` for every tag."""
    for reference in task.references:
        task.run("docker", "tag", task.image, reference)

    def push(reference: str) -> None:
        for number in range(tries):
            if number:
                sleep(min(PAUSE, task.left))
            if task.run("docker", "push", reference):
                return

    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(push, task.references))


def crane(task: Task) -> None:
    """Push the saved image, copy it to further repositories, tag it there."""
    tar, seeds = task.saved(), dict[str, str]()
    for reference in task.references:
        repository, _, tag = reference.rpartition(":")
        if repository in seeds:
            task.run("crane", "tag", seeds[repository], tag)
        elif not seeds:
            task.run("crane", "push", tar, reference)
        else:
            task.run("crane", "copy", next(iter(seeds.values())), reference)
        seeds.setdefault(repository, reference)


def skopeo(task: Task) -> None:
    """Copy the saved image to every tag."""
    options = [
        f"--retry-times={SKOPEO_RETRIES}",
        "--dest-tls-verify=false",
        f"--dest-authfile={task.folder / 'config.json'}",
    ]
    source = f"docker-archive:{task.saved()}"
    for reference in task.references:
        task.run("skopeo", "copy", *options, source, f"docker://{reference}")


def imagetools(task: Task) -> None:
    """Push the first tag by `docker push` and let buildx copy it to the others at once."""
    first, *rest = task.references
    task.run("docker", "tag", task.image, first)
    task.run("docker", "push", first)
    tags = [f"--tag={reference}" for reference in rest]
    task.run("docker-buildx", "imagetools", "create", "--prefer-index=false", *tags, first)


def action(task: Task, parallel: int) -> None:
    """Run the built action as the runner does."""
    inputs = {
        "source": task.image,
        "tags": "\n".join(task.references),
        "max-parallel": str(parallel),
        "registry": task.references[0].partition("/")[0],
        "username": USER,
        "password": PASSWORD,
        "timeout": f"{task.left:.0f}s",
    }
    Job(task.folder, task.engine).run(inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A way to push; `title` is Markdown, `ours` distinguishes the action from other clients."""

    title: str
    meaning: str
    push: Callable[[Task], None]
    ours: bool = False


def _pushing(parallel: int, tries: int = 1) -> Contender:
    title = "one after the other" if parallel == 1 else f"{parallel} at a time"
    meaning = "a process per tag"
    if tries > 1:
        title += f", {tries} tries"
        meaning = f"a loop in the shell's way: up to {tries} tries a tag, {PAUSE:.0f} s apart"
    return Contender(
        title=f"`docker push`, {title}",
        meaning=meaning,
        push=lambda task: docker_push(task, parallel, tries),
    )


def _ours(parallel: int) -> Contender:
    return Contender(
        title=f"this action, `max-parallel: {parallel}`",
        meaning="the built image, by `docker run` with the runner's mounts and variables",
        push=lambda task: action(task, parallel),
        ours=True,
    )


CONTENDERS: Mapping[str, Contender] = {
    "docker-1": _pushing(1),
    "docker-4": _pushing(4),
    "docker-8": _pushing(8),
    "docker-4-tries": _pushing(4, TRIES),
    "crane": Contender(
        title="crane",
        meaning=(
            "`docker save`, `crane push`, `crane copy` to further repositories, "
            "then `crane tag`, one after the other"
        ),
        push=crane,
    ),
    "skopeo": Contender(
        title="skopeo",
        meaning=(
            f"`docker save`, then `skopeo copy --retry-times={SKOPEO_RETRIES}` of the file to "
            "every tag, one after the other"
        ),
        push=skopeo,
    ),
    "imagetools": Contender(
        title="`buildx imagetools`",
        meaning=(
            "`docker push` of the first tag, then one `docker buildx imagetools create "
            "--prefer-index=false` for all others"
        ),
        push=imagetools,
    ),
    "ours-4": _ours(4),
    "ours-8": _ours(8),
}
"""By the name that the command line and the results have for it."""

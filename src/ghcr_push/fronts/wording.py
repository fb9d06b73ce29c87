"""Rewords messages written for a workflow for the command line and Python."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ghcr_push.planning.inputs import INPUT_BY_NAME, Input

PREFIX: Final = "GHCR_PUSH_"
"""The prefix of the command line's variables."""

_NAMES: Final = "|".join(sorted(INPUT_BY_NAME, key=len, reverse=True))
_QUOTED: Final = re.compile(rf"`({_NAMES})(?:: ([^`]+))?`")
_SUBJECT: Final = re.compile(rf"^({_NAMES})(?=: | )")

_ONE_AT_A_TIME: Final = "Let no two runs push the same tag at the same time"

_OUTSIDE_A_JOB: Final = (
    (" (a secret is empty in runs from forks)", ""),
    ("in an earlier step of the same job", "first"),
    ("that an earlier step wrote it completely", "that it was written completely"),
    (
        (
            " and that its socket is mounted: "
            "`-v /var/run/docker.sock:/var/run/docker.sock`, or set DOCKER_HOST for another address"
        ),
        ", and set DOCKER_HOST if it does not listen at /var/run/docker.sock",
    ),
    ("Mount /var/run/docker.sock or set DOCKER_HOST, check", "Check"),
    (
        "Add `permissions: packages: write` to the job, and in",
        "Use a token with the right to write packages (`write:packages`), and in",
    ),
    (
        "Add `permissions: {contents: read, packages: write}` to the job; in",
        "Use a token with the right to write packages (`write:packages`); in",
    ),
    (" Runs of pull requests from forks cannot push: skip the step there.", ""),
    (
        "On ghcr.io give the job `permissions: packages: write`",
        "On ghcr.io give the token the scope `write:packages`",
    ),
    ("the job needs `permissions: packages: write`", "the token needs `write:packages`"),
    ("the job has `permissions: packages: write`", "the token has `write:packages`"),
    ("(`env:` of the step, a PEM file in the workspace)", "(a PEM file)"),
    ("that the runner can", "that this machine can"),
    ("disk of the runner", "disk of this machine"),
    ("or a runner with a larger disk", "or use a larger disk"),
    ("or run the job on a runner inside", "or push from inside"),
    ("Keep runs that push the same tag apart with the workflow's `concurrency:`", _ONE_AT_A_TIME),
    ("from the job's environment", "from the environment"),
    ("are supported), or this action", "are supported), or ghcr-push"),
    ("between this job and the registry", "between this machine and the registry"),
    ("(valid for one hour) right before this step", "(valid for one hour) right before"),
    ("in this job", "here"),
    ("the runner's", "this machine's"),
    ("on the runner", "on this machine"),
    ("relative to the workspace", "relative to the current folder"),
    ("Free disk space before this step", "Free disk space"),
    ("push fewer tags in one step", "push fewer tags at once"),
)
_EMPTY: Final = "docker/metadata-action yields no tags on many pull requests; set "


def variable(name: str) -> str:
    """Return the environment variable of the option or secret called ``name``."""
    return f"{PREFIX}{name.upper().replace('-', '_')}"


@dataclass(frozen=True, slots=True)
class FrontWording:
    """The wording outside a workflow, and the names of inputs there.

    ``named`` returns an input's name, with a value if a sentence has one.
    """

    phrases: tuple[tuple[str, str], ...]
    named: Callable[[Input, str | None], str]

    def said(self, text: str) -> str:
        """Rename inputs, and remove jobs, steps and runners from a sentence."""
        for of_a_workflow, otherwise in self.phrases:
            text = text.replace(of_a_workflow, otherwise)
        return _QUOTED.sub(lambda found: f"`{self.named(INPUT_BY_NAME[found[1]], found[2])}`", text)

    def said_of_input(self, sentence: str) -> str:
        """Do the same as ``said`` for a sentence that starts with the name of an input.

        Names in a sentence about ``registry-auth`` are the keys of its entries.
        """
        text = sentence if sentence.startswith("registry-auth") else self.said(sentence)
        return _SUBJECT.sub(lambda found: self.named(INPUT_BY_NAME[found[1]], None), text)


def _option(each: Input, value: str | None) -> str:
    if each.secret:
        return variable(each.name)
    if each.is_flag and value in {"true", "false"}:
        return each.option if value == "true" else f"--no-{each.name}"
    return f"{each.option} {value}" if value else each.option


def _keyword(each: Input, value: str | None) -> str:
    name = each.name.replace("-", "_")
    if value is None:
        return name
    return f"{name}={value.capitalize() if each.is_flag else repr(value)}"


COMMAND_LINE: Final = FrontWording(
    (
        (_EMPTY, "give "),
        ("un the job again", "un the command again"),
        ("running the job again", "running the command again"),
        *_OUTSIDE_A_JOB,
    ),
    _option,
)
PYTHON: Final = FrontWording(
    (
        (_EMPTY, "set "),
        ("Run the job again", "Push again"),
        ("run the job again", "push again"),
        ("running the job again", "pushing again"),
        *_OUTSIDE_A_JOB,
    ),
    _keyword,
)

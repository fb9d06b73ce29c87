"""Sentences that were written for a workflow, in the words of a command line."""

import re
from typing import Final

from ghcr_push.fronts.options import FLAGS, NOT_HERE, variable
from ghcr_push.planning.inputs import INPUT_BY_NAME

_NAMES: Final = "|".join(sorted(INPUT_BY_NAME.keys() - NOT_HERE, key=len, reverse=True))
_QUOTED: Final = re.compile(rf"`({_NAMES})(?:: ([^`]+))?`")
_SUBJECT: Final = re.compile(rf"^({_NAMES})(?=: | )")

_PHRASES: Final = (
    ("docker/metadata-action yields no tags on many pull requests; set ", "give "),
    (" (a secret is empty in runs from forks)", ""),
    ("in an earlier step of the same job", "first"),
    ("that an earlier step wrote it whole", "that it was written whole"),
    ("in this job", "here"),
    ("un the job again", "un the command again"),
    ("running the job again", "running the command again"),
    ("the runner's", "this machine's"),
    ("on the runner", "on this machine"),
    ("relative to the workspace", "relative to the current folder"),
    ("Free disk space before this step", "Free disk space"),
    ("push fewer tags in one step", "push fewer tags at once"),
)


def for_command_line(text: str) -> str:
    """Name inputs as options, and leave jobs, steps and runners out, where sentences have them."""
    for of_a_workflow, of_a_terminal in _PHRASES:
        text = text.replace(of_a_workflow, of_a_terminal)
    return _QUOTED.sub(lambda found: f"`{_named(found[1], found[2])}`", text)


def of_an_input(sentence: str) -> str:
    """Do as ``for_command_line`` with a sentence that begins with the name of an input.

    What ``registry-auth`` names are the keys of its entries.
    """
    text = sentence if sentence.startswith("registry-auth") else for_command_line(sentence)
    return _SUBJECT.sub(lambda found: _named(found[1], None), text)


def _named(name: str, value: str | None) -> str:
    each = INPUT_BY_NAME[name]
    if each.secret:
        return variable(name)
    if each.option in FLAGS and value in {"true", "false"}:
        return each.option if value == "true" else f"--no-{name}"
    return f"{each.option} {value}" if value else each.option

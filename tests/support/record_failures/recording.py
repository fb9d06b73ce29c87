"""The output of a push, without the parts that differ from run to run."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

DATA = Path(__file__).parents[2] / "data" / "failures"

_LAST_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The output of one push; `step` is the one that got the scenario's answer."""

    scenario: str
    step: str
    exit: int
    stderr: str
    stdout: str
    """The last lines; those before them are docker's progress."""

    def as_json(self) -> dict[str, object]:
        """Return the form that files hold."""
        return asdict(self)


_PLACEHOLDERS = (
    (re.compile(r"/tmp/[\w/.-]+?/(\w+\.sock|x)\b"), r"/run/\1"),
    (re.compile(r"%2Ftmp%2F\w+"), "%2Frun"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "00000000-0000"),
    (re.compile(r"_state=[\w%=.-]+"), "_state=0"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "0" * 64),
    (re.compile(r"^[0-9a-f]{12}(?=: )", re.MULTILINE), "0" * 12),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+:\d{4,5}\b"), "192.0.2.1:50000"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+\b"), "192.0.2.1"),
)


def recording(
    scenario: str, step: str, printed: subprocess.CompletedProcess[str], hidden: Mapping[str, str]
) -> Recording:
    """Return the output; `hidden` maps texts, such as addresses, to their replacements."""

    def settled(text: str) -> str:
        for old, new in hidden.items():
            text = text.replace(old, new)
        for pattern, new in _PLACEHOLDERS:
            text = pattern.sub(new, text)
        return text

    return Recording(
        scenario=scenario,
        step=step,
        exit=printed.returncode,
        stderr=settled(printed.stderr),
        stdout=settled("\n".join(printed.stdout.splitlines()[-_LAST_LINES:])),
    )

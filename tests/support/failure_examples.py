"""Errors that each rule of the table must recognise: its tests, and what the guide shows of it."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ghcr_push.failures import ErrorInfo, Origin
from ghcr_push.failures.rule import Rule

FILE = Path(__file__).parents[1] / "data/failures/examples.toml"


class Wording(StrEnum):
    """The client whose words an example has; each words the same answer differently."""

    CLASSIC = "classic"
    CONTAINERD = "containerd"
    BUILDKIT = "buildkit"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One error; ``wait``, in seconds, must be read from it."""

    wording: Wording
    text: str = ""
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    wait: float | None = None

    @property
    def evidence(self) -> ErrorInfo:
        """The evidence that an adapter would make of it."""
        return ErrorInfo(
            origin=Origin.REGISTRY if self.wording is Wording.REGISTRY else Origin.ENGINE,
            message=self.text,
            status=self.status,
            code=self.code,
            retry_after=self.retry_after,
        )


def _of(entries: Mapping[str, list[str | dict[str, Any]]]) -> Iterator[Example]:
    for wording in Wording:
        for entry in entries.get(wording, ()):
            yield Example(wording=wording, **({"text": entry} if isinstance(entry, str) else entry))


EXAMPLES = {
    row: tuple(_of(entries)) for row, entries in tomllib.loads(FILE.read_text("utf-8")).items()
}
"""The examples of each rule, by the first of its rows."""


def examples_of(rule: Rule) -> tuple[Example, ...]:
    """Return a rule's examples: at least one that no other match and no other rule recognises."""
    return EXAMPLES[rule.rows[0]]

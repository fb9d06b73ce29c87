"""Reading ``annotations``: what the index of a merged source says of itself.

The form is that of ``docker buildx imagetools create --annotation`` and of docker/metadata-action's
output: ``LEVEL:KEY=VALUE``, several levels with commas, a platform behind one in brackets.
"""

import re
from collections.abc import Iterable
from typing import Final

from ghcr_push.model import Source
from ghcr_push.planning.locations import MergedLocation, parse_location
from ghcr_push.planning.problems import Findings, listed, quoted

_NAME: Final = "annotations"

_LEVELS: Final = ("index", "index-descriptor", "manifest", "manifest-descriptor")
_LEVEL: Final = re.compile(rf"(?:{'|'.join(_LEVELS)})(?:\[[^\]]*\])?")
_LINE: Final = re.compile(
    rf"(?:(?P<levels>{_LEVEL.pattern}(?:,{_LEVEL.pattern})*+):)?+(?P<key>[^\s=]+)=(?P<value>.*)"
)
"""Possessive: what begins as a level is none of the key."""


def read_annotations(
    text: str, sources: Iterable[Source], findings: Findings
) -> tuple[tuple[str, str], ...]:
    """Read the annotations of the index, sorted by key; of one key the last value counts.

    A line without a level is one of the index. Lines of other levels are of manifests that pass
    unchanged: they are left out with a notice, and refused where no line is of the index.
    ``sources`` that are not merged are refused, for their bytes pass unchanged too.
    """
    found: dict[str, str] = {}
    others: list[str] = []
    lines = [line for each in text.splitlines() if (line := each.strip())]
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            findings.refuse(_NAME, line, "is no annotation; write KEY=VALUE or index:KEY=VALUE")
        elif "index" in (match["levels"] or "index").split(","):
            found[match["key"]] = match["value"]
        else:
            others.append(line)
    if others and not found:
        findings.refuse(
            _NAME,
            others[0],
            "is of another level than `index`, and so are all: only the index is made here; "
            "write `index:` (with docker/metadata-action set the variable "
            "DOCKER_METADATA_ANNOTATIONS_LEVELS to `index`)",
        )
    elif others:
        findings.notices.append(
            f"{_NAME} {listed(others)} were left out: only the index is made here, and what it "
            "lists passes unchanged."
        )
    if lines:
        _check(sources, findings)
    return tuple(sorted(found.items()))


def _check(sources: Iterable[Source], findings: Findings) -> None:
    for source in sources:
        if not isinstance(parse_location(source.image), MergedLocation):
            findings.refuse(
                _NAME,
                None,
                f"go into an index that is made of several sources (`SOURCE + SOURCE`), and "
                f"{quoted(str(source))} passes unchanged; annotate it where it is built",
            )
            return

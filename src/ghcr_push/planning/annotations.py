"""Parsing ``annotations``: those of the index of a merged source and of its entries.

The form is that of ``docker buildx imagetools create --annotation`` and of docker/metadata-action's
output: ``LEVEL:KEY=VALUE``, several levels with commas, a platform after one in brackets.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ghcr_push.model import Source
from ghcr_push.planning.locations import Location, MergedLocation
from ghcr_push.planning.problems import Findings, listed, quoted

_NAME: Final = "annotations"

_INDEX: Final = "index"
_DESCRIPTOR: Final = "manifest-descriptor"
_LEVELS: Final = ("index-descriptor", _INDEX, _DESCRIPTOR, "manifest")
"""No level comes after a level that is its prefix: a level that matched is not tried again."""

_LEVEL: Final = re.compile(rf"(?:{'|'.join(_LEVELS)})(?:\[[^\]]*\])?")
_LINE: Final = re.compile(
    rf"(?:(?P<levels>{_LEVEL.pattern}(?:,{_LEVEL.pattern})*+):)?+(?P<key>[^\s=]+)=(?P<value>.*)"
)
"""Possessive: the key takes nothing that the level has matched."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """Sorted keys and values: of an index, and of its images by platform (empty: of each)."""

    index: tuple[tuple[str, str], ...] = ()
    images: tuple[tuple[str, str, str], ...] = ()


NO_ANNOTATIONS: Final = Annotations()


def read_annotations(
    text: str, locations: Mapping[Source, Location | None], findings: Findings
) -> Annotations:
    """Parse the annotations of the index and of its entries; the last value of a key counts.

    A line without a level belongs to the index. Lines of other levels belong to manifests, which
    are pushed unchanged, or to a layout: they are ignored with a notice, and rejected if no other
    lines exist. Annotations for sources that are not merged are rejected, since their bytes do
    not change either.
    """
    found: dict[tuple[str, str, str], str] = {}
    others: list[str] = []
    lines = [line for each in text.splitlines() if (line := each.strip())]
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            findings.refuse(_NAME, line, "is not an annotation; write KEY=VALUE or index:KEY=VALUE")
            continue
        levels = [
            (level, platform)
            for each in (match["levels"] or _INDEX).split(",")
            for level, _, platform in [each.removesuffix("]").partition("[")]
            if level in {_INDEX, _DESCRIPTOR}
        ]
        if any(level == _INDEX and platform for level, platform in levels):
            findings.refuse(_NAME, line, "names a platform, but the index is for all platforms")
        if not levels:
            others.append(line)
        found |= {(*level, match["key"]): match["value"] for level in levels}
    if others and not found:
        findings.refuse(
            _NAME,
            others[0],
            "is of another level than `index` and `manifest-descriptor`, and so are all: only the "
            "index is made here; write `index:` (with docker/metadata-action set the variable "
            "DOCKER_METADATA_ANNOTATIONS_LEVELS to `index`)",
        )
    elif others:
        findings.notices.append(
            f"{_NAME} {listed(others)} were ignored: only the index is created here, its "
            "images do not change."
        )
    single = [each for each, where in locations.items() if not isinstance(where, MergedLocation)]
    if lines and single:
        findings.refuse(
            _NAME,
            None,
            "are for an index made from several sources (`SOURCE + SOURCE`), and "
            f"{quoted(str(single[0]))} is pushed unchanged; annotate it where it is built",
        )
    each = sorted((*key, value) for key, value in found.items())
    return Annotations(
        index=tuple((key, value) for level, _, key, value in each if level == _INDEX),
        images=tuple(
            (platform, key, value) for level, platform, key, value in each if level == _DESCRIPTOR
        ),
    )

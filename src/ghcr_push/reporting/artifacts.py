"""The artifacts that a run declares to its runner for attestation steps.

Follows actions/runner 2.336, ``CreateArtifactsFileCommand.cs``: a line ``oci://NAME@DIGEST`` for
each artifact, at most 500 per job; a name declared earlier with another digest fails the step, and
so does an artifact beyond the limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ghcr_push.reporting.outputs import images
from ghcr_push.reporting.phrases import listed
from ghcr_push.reporting.records import Report

MOST: Final = 500
"""Number of artifacts that a runner accepts per job."""

_ATTESTED: Final = "sha256:"
"""The only digest algorithm that actions/attest accepts."""

_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Declaration:
    """Lines for the runner, and sentences about omitted artifacts."""

    lines: tuple[str, ...]
    notices: tuple[str, ...]


def declaration(report: Report, declared: Mapping[str, str]) -> Declaration:
    """Declare what landed, each name once; ``declared`` has the earlier digests by name."""
    digests: dict[str, set[str]] = {}
    for image in images(report):
        name, _, digest = image.partition("@")
        if digest.startswith(_ATTESTED):
            digests.setdefault(name, set()).add(digest)
    several = [name for name, known in digests.items() if len(known) > 1]
    single = {name: known.pop() for name, known in digests.items() if len(known) == 1}
    other = [name for name in single if declared.get(name, single[name]) != single[name]]
    new = [name for name in single if name not in declared]
    room = max(0, MOST - len(declared))
    left_out = {
        "more than one digest in this run": several,
        "another digest, declared by an earlier step": other,
        f"no room among the {MOST} that a job may declare": new[room:],
    }
    return Declaration(
        lines=tuple(f"oci://{name}@{single[name]}" for name in new[:room]),
        notices=tuple(
            f"not declared as an artifact: {listed(names, _NAMED)} (has {why})"
            for why, names in left_out.items()
            if names
        ),
    )

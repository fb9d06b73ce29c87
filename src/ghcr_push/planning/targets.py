"""Reading ``tags``, ``image`` and ``source``: text to targets, every fault collected.

An entry of ``tags`` with neither ``/`` nor ``:`` nor ``@`` is a bare tag of ``image``; any other is
a full reference, read with Docker's defaults (``app:1`` is ``docker.io/library/app:1``). Without
``image`` such an entry is refused, as it may be meant for a tag or for a name.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ghcr_push.model import Source, Target
from ghcr_push.planning.faults import (
    common_fault,
    owner_fault,
    reference_fault,
    source_fault,
    tag_fault,
)
from ghcr_push.planning.lists import split_list
from ghcr_push.planning.problems import Findings, Problem, listed, quoted
from ghcr_push.references import (
    Repository,
    TagReference,
    is_tag,
    parse_repository,
    parse_tag_reference,
)

_ARROW = "=>"
_ENGINE_PREFIX = "docker-daemon:"
_OTHER_PREFIXES = ("oci-layout:", "oci-archive:", "docker-archive:", "docker://")

_EMPTY = (
    "is empty: docker/metadata-action yields no tags on many pull requests; set `allow-empty: "
    "true` where that is a success with nothing to do, else list what to publish"
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A target with several sources; bad input unless the engine knows them as the same image."""

    reference: TagReference
    sources: tuple[Source, ...]

    @property
    def problem(self) -> Problem:
        """What to say where they are not the same image."""
        names = " and ".join(quoted(str(source)) for source in self.sources)
        return Problem(
            input="tags",
            value=str(self.reference),
            sentence=f"is given the sources {names}, not known as one image; keep one of them",
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of ``tags``; ``source`` is None where it takes the default."""

    reference: TagReference
    name: str
    source: Source | None


def read_targets(
    tags: str, *, image: str, source: str, allow_empty: bool, findings: Findings
) -> tuple[tuple[Target, ...], tuple[Conflict, ...]]:
    """Read the targets in their order, each once, and those that were given several sources.

    What is wrong and what was normalised goes to ``findings``; the targets are whole only where
    no problem was added.
    """
    repository = _read_image(image, findings) if image else None
    default = _read_source("source", source, findings) if source else None
    texts = _entries(tags, findings)
    if texts == [] and not allow_empty:
        findings.refuse("tags", None, _EMPTY)
    reader = _EntryReader(repository=repository, image_given=bool(image), findings=findings)
    entries = filter(None, map(reader.read, texts or ()))
    return _merged(entries, default, findings)


def _entries(tags: str, findings: Findings) -> list[str] | None:
    """Split ``tags``; None where it looks like JSON and is not what metadata-action writes."""
    if not tags.startswith("{"):
        return split_list(tags)
    try:
        document = json.loads(tags)
    except (ValueError, RecursionError):
        findings.refuse("tags", tags, "begins with `{` and is not JSON")
        return None
    listing = document.get("tags")
    if not isinstance(listing, list) or not all(isinstance(each, str) for each in listing):
        findings.refuse(
            "tags",
            tags,
            "is JSON without a list of references at its key `tags`; give "
            "docker/metadata-action's output `json` as it is",
        )
        return None
    return [entry for each in listing if (entry := each.strip())]


def _read_image(text: str, findings: Findings) -> Repository | None:
    lowered = text.lower()
    if lowered != text:
        findings.notices.append(
            f"image {quoted(text)} was lowered to {quoted(lowered)}: repositories are lower case."
        )
    if len(text.split()) > 1:
        findings.refuse("image", text, "is more than one word; give one repository")
        return None
    if fault := common_fault(text):
        findings.refuse("image", text, fault)
        return None
    try:
        repository = parse_repository(lowered)
    except ValueError as error:
        findings.refuse(
            "image", text, f"is not a repository: {error}; write it without a tag: ghcr.io/acme/app"
        )
        return None
    if fault := owner_fault(repository):
        findings.refuse("image", text, fault)
        return None
    return repository


def _read_source(name: str, text: str, findings: Findings) -> Source | None:
    for prefix in _OTHER_PREFIXES:
        if text.startswith(prefix):
            findings.refuse(
                name, text, f"is not supported yet (`{prefix}`); give an image of the Docker Engine"
            )
            return None
    image = text.removeprefix(_ENGINE_PREFIX)
    if fault := source_fault(image):
        findings.refuse(name, text, fault)
        return None
    return Source(image)


@dataclass(frozen=True, slots=True, kw_only=True)
class _EntryReader:
    """Reads entries of ``tags``; ``repository`` is None where ``image`` is not given or bad."""

    repository: Repository | None
    image_given: bool
    findings: Findings

    def read(self, text: str) -> _Entry | None:
        """Read one entry; None, with the problem noted, where it is bad."""
        before, arrow, after = text.rpartition(_ARROW)
        name = after.strip()
        source: Source | None = None
        if arrow:
            if not name or not before.strip():
                self.findings.refuse(
                    "tags", text, "lacks one side of its arrow; write SOURCE => TARGET"
                )
                return None
            source = _read_source("tags", before.strip(), self.findings)
            if source is None:
                return None
        if not any(c in name for c in "/:@"):
            return self._bare(name, source)
        return self._full(name, source)

    def _bare(self, tag: str, source: Source | None) -> _Entry | None:
        if not self.image_given:
            self.findings.refuse(
                "tags",
                tag,
                "is a bare tag, or a name without a tag: set `image` to the repository that it "
                "is a tag of, or write the whole reference, such as ghcr.io/acme/app:1.0",
            )
        elif not is_tag(tag):
            self.findings.refuse("tags", tag, tag_fault(tag))
        elif self.repository:
            reference = TagReference(self.repository, tag)
            return _Entry(reference, str(reference), source)
        return None

    def _full(self, name: str, source: Source | None) -> _Entry | None:
        if fault := common_fault(name):
            self.findings.refuse("tags", name, fault)
            return None
        try:
            reference = parse_tag_reference(name)
        except ValueError as error:
            self.findings.refuse("tags", name, reference_fault(name, error))
            return None
        if fault := owner_fault(reference.repository):
            self.findings.refuse("tags", name, fault)
            return None
        return _Entry(reference, name, source)


def _merged(
    entries: Iterator[_Entry], default: Source | None, findings: Findings
) -> tuple[tuple[Target, ...], tuple[Conflict, ...]]:
    """Keep the first entry of each target, and every source that its entries name.

    Entries that both take the target's own name agree, however they spell it.
    """
    names: dict[TagReference, str] = {}
    sources: dict[TagReference, list[Source | None]] = {}
    repeated: dict[TagReference, None] = {}
    for entry in entries:
        names.setdefault(entry.reference, entry.name)
        known = sources.setdefault(entry.reference, [])
        source = entry.source or default
        if not known or source not in known:
            known.append(source)
        else:
            repeated[entry.reference] = None
    if repeated:
        findings.notices.append(
            f"tags names more than once, now merged: {listed([str(each) for each in repeated])}."
        )
    targets: list[Target] = []
    conflicts: list[Conflict] = []
    for reference, known in sources.items():
        own = Source(names[reference])
        distinct = tuple(dict.fromkeys(source or own for source in known))
        targets.append(Target(reference, distinct[0]))
        if len(distinct) > 1:
            conflicts.append(Conflict(reference, distinct))
    return tuple(targets), tuple(conflicts)

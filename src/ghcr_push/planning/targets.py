"""Parsing ``tags``, ``image`` and ``source`` to targets; all errors are collected.

An entry of ``tags`` without ``/``, ``:`` and ``@`` is a bare tag of ``image``. Any other is a full
reference and must name its registry: names that Docker would silently push to Docker Hub
(``acme/app:1``, or a branch) are rejected. A reference without a tag means ``latest``.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass

from ghcr_push.model import Source, Target
from ghcr_push.planning.faults import (
    branch_fault,
    common_fault,
    lower_case,
    owner_fault,
    read_repository,
    reference_fault,
    registry_fault,
    source_fault,
    tag_fault,
    target_fault,
)
from ghcr_push.planning.lists import split_list
from ghcr_push.planning.locations import parse_location
from ghcr_push.planning.problems import Findings, Problem, listed, quoted
from ghcr_push.references import (
    Repository,
    TagReference,
    is_tag,
    parse_tag_reference,
)

_ARROW = "=>"
_ENGINE_PREFIX = "docker-daemon:"

# an IPv6 address starts like a JSON array, and a registry may be one: [::1]:5000/acme/app:1
_IPV6 = re.compile(r"\[[0-9a-fA-F:]+\][:/]")

_EMPTY = (
    "is empty: docker/metadata-action yields no tags on many pull requests; set `allow-empty: "
    "true` to accept that, else list what to publish"
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A target with several sources; bad input unless the engine says they are the same image."""

    reference: TagReference
    sources: tuple[Source, ...]

    @property
    def problem(self) -> Problem:
        """The problem to report if they are not the same image."""
        names = " and ".join(quoted(str(source)) for source in self.sources)
        return Problem(
            input="tags",
            value=str(self.reference),
            sentence=f"is given the sources {names}, not known as one image; keep one of them",
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of ``tags``; ``source`` is None for the default."""

    reference: TagReference
    name: str
    source: Source | None


def read_targets(
    lists: Mapping[str, str | None],
    *,
    image: str,
    source: str,
    allow_empty: bool,
    findings: Findings,
) -> tuple[tuple[Target, ...], tuple[Conflict, ...]]:
    """Parse the targets in their order, each once, and those that have several sources.

    ``lists`` are the texts by input, None if a text could not be read. Problems and normalised
    values go to ``findings``; the targets are complete only if no problem was added.
    """
    repository = _read_image(image, findings) if image else None
    default = _read_source("source", source, findings) if source else None
    known = len(findings.problems)
    texts = {name: text for name, text in lists.items() if text is not None}
    split = {name: _entries(name, text, findings) for name, text in texts.items()}
    unread = len(texts) < len(lists) or len(findings.problems) > known
    if not any(split.values()) and not unread and not allow_empty:
        given = next(((name, text) for name, text in texts.items() if text), None)
        name, text = given or (next(reversed(texts)), None)
        findings.refuse(name, text, _EMPTY)
    read = (
        _EntryReader(name, repository, image_given=bool(image), findings=findings).read(entry)
        for name, entries in split.items()
        for entry in entries
    )
    return _merged(filter(None, read), default, findings)


def _entries(name: str, text: str, findings: Findings) -> list[str]:
    """Split the list of the input ``name``; a JSON value of another shape gives no entries."""
    if text.startswith("{") or (text.startswith("[") and not _IPV6.match(text)):
        return _json_entries(name, text, findings)
    return split_list(text)


def _json_entries(name: str, text: str, findings: Findings) -> list[str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        findings.refuse(
            name,
            text,
            f"begins with `{text[0]}` and is not JSON; write one reference per line, or a JSON "
            "array of strings",
        )
        return []
    listing = document.get("tags") if isinstance(document, dict) else document
    if isinstance(listing, list) and all(isinstance(each, str) for each in listing):
        return [entry for each in listing if (entry := each.strip())]
    findings.refuse(
        name,
        text,
        "is JSON without a list of references at its key `tags`; give docker/metadata-action's "
        "output `json` as it is"
        if isinstance(document, dict)
        else "is a JSON array with other values than strings; give each reference as one string",
    )
    return []


def _read_image(text: str, findings: Findings) -> Repository | None:
    lowered = lower_case("image", text, findings)
    repository: Repository | None = None
    if len(text.split()) > 1:
        fault = "is more than one word; give one repository"
    elif not (fault := common_fault(text) or registry_fault(lowered)):
        fault, repository = read_repository(lowered, "ghcr.io/acme/app")
    if fault:
        findings.refuse("image", text, fault)
    return repository


def _read_source(name: str, text: str, findings: Findings) -> Source | None:
    try:
        location = parse_location(text)
    except ValueError as error:
        findings.refuse(name, text, str(error))
        return None
    if location is not None:
        return Source(str(location))
    image = text.removeprefix(_ENGINE_PREFIX)
    if fault := source_fault(image):
        findings.refuse(name, text, fault)
        return None
    return Source(image)


@dataclass(frozen=True, slots=True)
class _EntryReader:
    """Parses entries of the input ``name``; ``repository`` is None if ``image`` gives none."""

    name: str
    repository: Repository | None
    _: KW_ONLY
    image_given: bool
    findings: Findings

    def read(self, text: str) -> _Entry | None:
        """Parse one entry; on an error, report it and return None."""
        before, arrow, after = text.rpartition(_ARROW)
        target = after.strip()
        if not arrow:
            return self._target(target, None)
        if _ARROW in before:
            self._refuse(text, "has more than one arrow; write SOURCE => TARGET, one per line")
            return None
        if not target or not before.strip():
            self._refuse(text, "lacks one side of its arrow; write SOURCE => TARGET")
            return None
        source = _read_source(self.name, before.strip(), self.findings)
        return self._target(target, source) if source else None

    def _refuse(self, text: str, sentence: str) -> None:
        self.findings.refuse(self.name, text, sentence)

    def _target(self, text: str, source: Source | None) -> _Entry | None:
        if any(c in text for c in "/:@"):
            return self._full(text, source)
        return self._bare(text, source)

    def _bare(self, tag: str, source: Source | None) -> _Entry | None:
        if fault := common_fault(tag):
            self._refuse(tag, fault)
        elif not self.image_given:
            self._refuse(
                tag,
                "is a bare tag, or a name without a tag: set `image` to the repository that it "
                "is a tag of, or write the whole reference, such as ghcr.io/acme/app:1.0",
            )
        elif not is_tag(tag):
            self._refuse(tag, tag_fault(tag))
        elif self.repository:
            reference = TagReference(self.repository, tag)
            return _Entry(reference, str(reference), source)
        return None

    def _full(self, text: str, source: Source | None) -> _Entry | None:
        if fault := target_fault(text) or self._nameless(text):
            self._refuse(text, fault)
            return None
        try:
            reference = parse_tag_reference(text)
        except ValueError as error:
            self._refuse(text, reference_fault(text, error))
            return None
        if fault := owner_fault(reference.repository):
            self._refuse(text, fault)
            return None
        return _Entry(reference, text, source)

    def _nameless(self, text: str) -> str:
        """Report a ``text`` that names no registry; with ``image`` it may be meant as a tag."""
        if not self.image_given:
            return registry_fault(text)
        return branch_fault(text, self.repository.registry if self.repository else None)


def _merged(
    entries: Iterable[_Entry], default: Source | None, findings: Findings
) -> tuple[tuple[Target, ...], tuple[Conflict, ...]]:
    """Keep the first entry of each target, and every source that its entries name.

    Entries that both use the target's own name agree, whatever their spelling.
    """
    named: dict[TagReference, list[_Entry]] = {}
    for entry in entries:
        named.setdefault(entry.reference, []).append(entry)
    targets: list[Target] = []
    conflicts: list[Conflict] = []
    repeated: list[str] = []
    for reference, several in named.items():
        own = default or Source(several[0].name)
        sources = tuple(dict.fromkeys(entry.source or own for entry in several))
        if len(sources) < len(several):
            repeated.append(str(reference))
        if len(sources) > 1:
            conflicts.append(Conflict(reference, sources))
        targets.append(Target(reference, sources[0]))
    if repeated:
        findings.notices.append(f"tags names more than once, now merged: {listed(repeated)}.")
    return tuple(targets), tuple(conflicts)

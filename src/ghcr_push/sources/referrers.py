"""The referrers of an image and of its parts: signatures, SBOMs and attestations.

Found by the field ``subject`` of the image-spec, or by cosign's tags. Referrers of referrers count,
too: the signature of an SBOM.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ghcr_push.documents import Fields, as_dict, as_list
from ghcr_push.model import Manifest, Referrer, Referrers
from ghcr_push.references import Digest, is_digest, referrers_tag
from ghcr_push.sources.images import SavedImage

COSIGN: Final = (".sig", ".att", ".sbom")
"""Suffixes of cosign's tags (cosign, ``specs/SIGNATURE_SPEC.md`` and related files)."""

_COSIGN_TAG: Final = re.compile(r"(sha256)-([0-9a-f]{64})\.(?:sig|att|sbom)")

_KIND: Final = "kind"
_KINDS: Final = {
    "dev.cosignproject.cosign/sigs": ".sig",
    "dev.cosignproject.cosign/atts": ".att",
}
_SIGNED: Final = frozenset(
    {"dev.cosignproject.cosign/image", "dev.cosignproject.cosign/imageIndex"}
)
"""Annotations with which `cosign save` labels the entries of a layout."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A manifest that refers to another one, by its ``subject`` or by cosign's ``tag``."""

    digest: Digest
    tag: str | None = None


Relations = Mapping[Digest, Sequence[Relation]]
"""By the digest of the subject."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A manifest that a layout lists, with the fields of its entry."""

    digest: Digest
    names: tuple[str, ...]
    annotations: Fields
    document: Fields


def relations_of(entries: Iterable[Listed]) -> Relations:
    """Return the relations between the manifests of a layout."""
    found: defaultdict[Digest, list[Relation]] = defaultdict(list)
    listed = list(entries)
    signed = [entry.digest for entry in listed if entry.annotations.get(_KIND) in _SIGNED]
    for entry in listed:
        if subject := subject_of(entry.document):
            found[subject].append(Relation(entry.digest))
        for tag in (name.rpartition(":")[2] for name in entry.names):
            if match := _COSIGN_TAG.fullmatch(tag):
                found[Digest(f"{match[1]}:{match[2]}")].append(Relation(entry.digest, tag))
        ending = _KINDS.get(str(entry.annotations.get(_KIND)))
        if ending and len(signed) == 1:
            tag = referrers_tag(signed[0]) + ending
            found[signed[0]].append(Relation(entry.digest, tag))
    return {subject: tuple(dict.fromkeys(each)) for subject, each in found.items()}


def subject_of(document: Fields) -> Digest | None:
    """Return the digest of a manifest's subject."""
    digest = str(as_dict(document.get("subject")).get("digest"))
    return Digest(digest) if is_digest(digest) else None


def found_in(
    image: SavedImage,
    relations: Relations,
    read: Callable[[Digest], SavedImage],
    notice: str | None = None,
) -> Referrers:
    """Return all direct and indirect referrers of the parts of ``image``, each once.

    ``read`` returns a manifest after checking that all its parts exist, or raises.
    """
    waiting = deque(manifest.digest for manifest in image.manifests)
    asked: set[Digest] = set()
    found: list[Referrer] = []
    while waiting:
        subject = waiting.popleft()
        if subject in asked:
            continue
        asked.add(subject)
        for relation in relations.get(subject, ()):
            saved = read(relation.digest)
            found.append(_referrer(subject, relation, saved))
            waiting += [manifest.digest for manifest in saved.manifests]
    return Referrers(tuple(found), notice)


def _referrer(subject: Digest, relation: Relation, saved: SavedImage) -> Referrer:
    *parts, top = saved.manifests
    return Referrer(
        subject=subject,
        manifest=top,
        tag=relation.tag,
        parts=tuple(parts),
        blobs=saved.blobs,
    )


def as_content(referrers: Referrers) -> SavedImage:
    """Return all referrers as one content, to be read in one pass."""
    return SavedImage.of(each for one in referrers.found for each in (*one.parts, one.manifest))


def reaching(referrers: Iterable[Referrer], manifests: Iterable[Manifest]) -> Iterator[Referrer]:
    """Yield those that refer to one of ``manifests``, directly or indirectly.

    ``referrers`` come after their subjects, as ``found_in`` returns them.
    """
    there = {manifest.digest for manifest in manifests}
    for one in referrers:
        if one.subject in there:
            there |= {each.digest for each in (*one.parts, one.manifest)}
            yield one


def gone(digests: Sequence[Digest]) -> str | None:
    """Report listed manifests that are missing, usually after a clean-up of untagged versions."""
    if not digests:
        return None
    more = f" and {len(digests) - 1} more" if len(digests) > 1 else ""
    return (
        f"the source lists referrers that are missing there: {digests[0]}{more}; they were skipped"
    )


def entries_of(index: Manifest | None) -> list[Fields]:
    """Return the descriptors in an index; none if it is not an index."""
    entries = as_list(index.document.get("manifests")) if index else ()
    return [
        each for each in entries if isinstance(each, dict) and is_digest(str(each.get("digest")))
    ]

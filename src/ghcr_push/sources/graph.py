"""The contents of a saved OCI layout, and which part of it is an image that can be pushed.

Terms are the image-spec's. If some platforms of an image are missing (it was pulled for one), the
choice is docker's: the one complete platform, else a failure.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ghcr_push.documents import Document
from ghcr_push.model import Kind, Manifest
from ghcr_push.references import Digest
from ghcr_push.sources.disk import unusable
from ghcr_push.sources.images import SavedImage, blobs_of, incomplete

# set by buildkit: a child of an index that describes another child, and has no platform itself
_REFERENCE_TYPE: Final = "vnd.docker.reference.type"
REFERENCE_DIGEST: Final = "vnd.docker.reference.digest"

ENGINES_IMAGE: Final = "the engine's image"
"""What messages call an image of the engine; its name is beside the failure."""

_MOST_LISTED: Final = 10


@dataclass(frozen=True, slots=True)
class Child:
    """An entry of an index, with its platform; an attestation has none."""

    digest: Digest
    platform: str
    attests: bool = False


@dataclass(frozen=True, slots=True)
class ImageGraph:
    """The parts read so far: sizes of blobs, manifests and their documents, and platforms."""

    blobs: dict[Digest, int] = field(default_factory=dict)
    manifests: dict[Digest, Manifest] = field(default_factory=dict)
    documents: dict[Digest, Document] = field(default_factory=dict)
    platforms: dict[Digest, str] = field(default_factory=dict)

    def add_document(self, digest: Digest, document: Document) -> None:
        """Add the platform in a config."""
        if "os" in document and "architecture" in document:
            self.platforms[digest] = platform_of(document)

    def add_manifest(self, manifest: Manifest, document: Document) -> None:
        """Add a manifest or an index."""
        self.manifests[manifest.digest] = manifest
        self.documents[manifest.digest] = document

    def platforms_of(self, digest: Digest) -> Iterator[Child]:
        """Yield the images of an index, or an image itself, without attestations."""
        if digest not in self.documents or "manifests" not in self.documents[digest]:
            yield Child(digest, self._platform_of(digest))
            return
        for child in self._children(digest):
            nested = "manifests" in self.documents.get(child.digest, {})
            if nested:
                yield from self.platforms_of(child.digest)
            elif not child.attests:
                yield child

    def lacking(self, digest: Digest) -> Iterator[Digest]:
        """Yield the missing parts of a manifest or index, at any depth."""
        document = self.documents.get(digest)
        if document is None:
            yield digest
        elif "manifests" in document:
            for child in self._children(digest):
                yield from self.lacking(child.digest)
        else:
            for blob in blobs_of(document):
                if blob.digest not in self.blobs and blob.digest not in self.manifests:
                    yield blob.digest

    def complete_platforms(self, digest: Digest) -> list[str]:
        """Return the platforms of an image of which nothing is missing."""
        images = self.platforms_of(digest)
        return [one.platform for one in images if not any(self.lacking(one.digest))]

    def saved(self, digest: Digest, left_out: str | None = None) -> SavedImage:
        """Return a complete image, manifest or index."""
        manifests = (self.manifests[one] for one in self._children_first(digest))
        return SavedImage.of(manifests, left_out=left_out)

    def _children_first(self, digest: Digest) -> Iterator[Digest]:
        if "manifests" in self.documents[digest]:
            for child in self._children(digest):
                yield from self._children_first(child.digest)
        yield digest

    def _children(self, digest: Digest) -> Iterator[Child]:
        for descriptor in self.documents[digest]["manifests"]:
            named = Digest(descriptor["digest"])
            notes = descriptor.get("annotations") or {}
            attests = _REFERENCE_TYPE in notes and REFERENCE_DIGEST in notes
            described = descriptor.get("platform")
            platform = platform_of(described) if described else self._platform_of(named)
            yield Child(named, platform, attests)

    def _platform_of(self, digest: Digest) -> str:
        config = self.documents.get(digest, {}).get("config", {}).get("digest")
        return self.platforms.get(config, str(digest))


def chosen(digest: Digest, platform: str | None, contents: ImageGraph) -> SavedImage:
    """Return what to push of an image; raise ``PushError`` if too much of it is missing."""
    try:
        if platform is not None:
            return _one_platform(digest, platform, contents)
        return _complete_part(digest, contents)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise incomplete(f"a manifest of {digest} is invalid", Kind.MANIFEST_REFUSED) from error


def _complete_part(digest: Digest, contents: ImageGraph) -> SavedImage:
    lacking = list(dict.fromkeys(contents.lacking(digest)))
    if not lacking:
        return contents.saved(digest)
    platforms = list(contents.platforms_of(digest))
    complete = [one for one in platforms if not any(contents.lacking(one.digest))]
    missing = [one.platform for one in platforms if one not in complete]
    if len(complete) == 1 and complete[0].digest != digest:
        [one] = complete
        left_out = ", ".join(missing) or "an attestation"
        notice = f"only {one.platform} is in the engine and was pushed; left out: {left_out}"
        return contents.saved(one.digest, notice)
    what = f"platforms {', '.join(missing)}" if missing and complete else lacking[0]
    raise incomplete(f"missing content: {what}", Kind.CONTENT_MISSING)


def _one_platform(digest: Digest, platform: str, contents: ImageGraph) -> SavedImage:
    one = the_one(list(contents.platforms_of(digest)), platform, ENGINES_IMAGE)
    if any(contents.lacking(one.digest)):
        raise incomplete(f"missing content: platforms {one.platform}", Kind.CONTENT_MISSING)
    return contents.saved(one.digest)


_IMPLIED: Final = {"v8": "/arm64", "v1": "/amd64"}
"""Default variants of an architecture."""


def the_one(images: Sequence[Child], platform: str, title: str) -> Child:
    """Return the one image of ``platform``, or of its only variant; else raise ``PushError``.

    ``linux/arm`` selects ``linux/arm/v7`` if that is the only variant. The error lists the
    available platforms.
    """
    images = list({one.digest: one for one in images}.values())  # nested indexes may share some
    wanted = usual(platform)
    fitting = [one for one in images if usual(one.platform) == wanted] or [
        one for one in images if one.platform.startswith(f"{platform}/")
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting and len({one.platform for one in fitting}) == 1:  # of several versions of Windows
        digests = listed(one.digest for one in fitting)
        raise unusable(f"{title} has several images of {platform}; name one by digest: {digests}")
    found = f"{len(fitting)} images" if fitting else "no image"
    there = listed(one.platform for one in images) or "none"
    raise unusable(f"{title} has {found} of {platform}; it has {there}")


def usual(platform: str) -> str:
    """Return a platform without the variants that containerd's ``platforms.Normalize`` drops."""
    base, _, variant = platform.rpartition("/")
    return base if base.endswith(_IMPLIED.get(variant, "/none")) else platform


def listed(names: Iterable[str]) -> str:
    """Return the first of ``names`` and the number of the rest; empty if there are none."""
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _MOST_LISTED} more" if len(unique) > _MOST_LISTED else ""
    return ", ".join(unique[:_MOST_LISTED]) + more


def platform_of(fields: Document) -> str:
    """Return ``os/architecture[/variant]`` of a config or of a descriptor's platform."""
    parts = (fields.get(key) for key in ("os", "architecture", "variant"))
    return "/".join(str(part) for part in parts if part)

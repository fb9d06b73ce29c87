"""What is wrong with a reference, a tag or a source, in the words of a person's likely mistake.

Each function says it of the text, beginning with the verb; it gives an empty text where it finds
nothing.
"""

import re

from ghcr_push.planning.problems import quoted
from ghcr_push.references import Repository, is_digest, parse_tag_reference

_GHCR = "ghcr.io"
# an image ID, whole or shortened, as Docker takes it wherever it takes a name
_IMAGE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{1,64}")
# registry/name of at most 255 characters, ":", a tag of at most 128
_LONGEST = 255 + 1 + 128


def common_fault(text: str) -> str:
    """Find what the grammar would only call no reference: protocols, spaces, digests, length."""
    if len(text) > _LONGEST:
        return f"is longer than a reference can be ({_LONGEST} characters)"
    if "://" in text:
        return "has a protocol in front; leave it out"
    if re.search(r"\s", text):
        return "has a space in it; write one entry per line, or a comma between them"
    if "@" in text:
        return "names a digest, which cannot be pushed to; name a tag"
    return ""


def tag_fault(text: str) -> str:
    """Say that ``text`` is no tag, with the nearest text that is."""
    if fault := common_fault(text):
        return fault
    return (
        "is not a tag; use at most 128 letters, digits, '_', '.' and '-', and neither '.' nor '-' "
        f"at the start, such as {quoted(_nearest_tag(text))}"
    )


def _nearest_tag(text: str) -> str:
    """Give a tag like ``text``, the way metadata-action sanitises the names of branches."""
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", text).lstrip(".-")[:128] or "latest"


def reference_fault(text: str, error: ValueError, wanted: str = "registry/repository:tag") -> str:
    """Say why ``text`` was refused with ``error``: it needs lower case, or to be what is wanted."""
    if lowered := _in_lower_case(text):
        return f"must be lower case up to its tag: write {quoted(lowered)}"
    if tagged := _with_nearest_tag(text):
        return f"has no tag after its colon, but another text; write {quoted(tagged)}"
    return f"cannot be read: {error}; write {wanted}"


def _in_lower_case(text: str) -> str:
    """Give ``text`` with all but its tag in lower case, where that makes it a reference."""
    head, colon, tag = text.rpartition(":")
    lowered = text.lower() if not colon or "/" in tag else f"{head.lower()}:{tag}"
    try:
        parse_tag_reference(lowered)
    except ValueError:
        return ""
    return lowered if lowered != text else ""


def _with_nearest_tag(text: str) -> str:
    """Give ``text`` with what follows its colon made a tag, where that makes it a reference.

    A colon before the first slash is left alone: a port follows it.
    """
    head, colon, tag = text.rpartition(":")
    candidate = f"{head}:{_nearest_tag(tag)}"
    try:
        parse_tag_reference(candidate)
    except ValueError:
        return ""
    return candidate if colon and "/" in head else ""


def owner_fault(repository: Repository) -> str:
    """Say so where GHCR has no place for ``repository``: its packages belong to somebody."""
    if repository.registry == _GHCR and "/" not in repository.name:
        return f"has no owner: packages of {_GHCR} are named {_GHCR}/OWNER/{repository.name}"
    return ""


def source_fault(image: str) -> str:
    """Find what keeps ``image`` from being a name, ID or digest that the engine understands."""
    if _IMAGE_ID.fullmatch(image):
        return ""
    name, at, digest = image.partition("@")
    if at and not is_digest(digest):
        return f"has {quoted(digest)} for a digest; write sha256: and 64 hex digits"
    if fault := common_fault(name):
        return fault
    try:
        parse_tag_reference(name)
    except ValueError as error:
        return reference_fault(name, error, "the name or ID of an image")
    return ""

"""What is wrong with a reference, a tag or a source, by the most likely mistake.

Each function returns a phrase about the text that starts with the verb, or an empty text if it
finds nothing.
"""

import re

from ghcr_push.planning.problems import Findings, quoted
from ghcr_push.references import (
    DEFAULT_REGISTRY,
    DEFAULT_TAG,
    Repository,
    is_digest,
    names_registry,
    parse_repository,
    parse_tag_reference,
)

_GHCR = "ghcr.io"
# an image ID, whole or shortened, which Docker accepts as a name
_IMAGE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{1,64}")
# registry/name of at most 255 characters, ":", a tag of at most 128
_LONGEST = 255 + 1 + 128
# the namespaces of git's branches and tags; github.ref has this prefix, github.ref_name does not
_GIT_FOLDER = re.compile(r"^refs/(?:heads|tags)/")
_IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+")

# paths, and prefixes of other tools for places that are not read here
_ELSEWHERE = re.compile(
    r"(?:[a-z-]+:)?(?:\.{0,2}|~)/|(?:ocidir|oci-dir|containers-storage|ostree|sif|tarball):"
)
_SOURCE = re.compile(r"(?:oci-layout|oci-archive|docker-archive):")

_COMMON_FAULTS = tuple(
    (re.compile(pattern), hint)
    for pattern, hint in (
        (r"://", "starts with a protocol; leave it out"),
        (
            # $NAME, ${NAME} and $(command)
            r"\$[A-Za-z_({]",
            "has a shell variable in it, which is not expanded here; write ${{ … }} instead",
        ),
        (
            r"^/|//|/:|/$",
            "has an empty part, perhaps from an empty variable; fill it or leave it out",
        ),
        (r"^#", "is a comment, which lists cannot have; leave it out"),
        (r"^- ", "starts with a dash, like a YAML list; leave it out"),
        (r"\s", "has a space in it; write one entry per line, or a comma between them"),
        (r"@", "names a digest, which cannot be pushed to; name a tag"),
    )
)


def common_fault(text: str) -> str:
    """Find errors that the grammar would not explain: protocols, spaces, digests, length."""
    if len(text) > _LONGEST:
        return f"is longer than a reference can be ({_LONGEST} characters)"
    return next((hint for pattern, hint in _COMMON_FAULTS if pattern.search(text)), "")


def target_fault(text: str) -> str:
    """Find errors of a target: it is a source, or has a common fault."""
    if _SOURCE.match(text):
        return (
            "is a source; write SOURCE => TARGET (in double quotes if there is a comma in it), or "
            "set `source`"
        )
    return common_fault(text)


def tag_fault(text: str) -> str:
    """Say that ``text`` is not a tag, with the nearest text that is."""
    return (
        "is not a tag; use at most 128 letters, digits, '_', '.' and '-', and neither '.' nor '-' "
        f"at the start, such as {quoted(_nearest_tag(text))}"
    )


def _nearest_tag(text: str) -> str:
    """Return a tag similar to ``text``, sanitised as metadata-action sanitises branch names."""
    name = _GIT_FOLDER.sub("", text)
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", name).lstrip(".-")[:128] or "latest"


def reference_fault(text: str, error: ValueError, wanted: str = "registry/repository:tag") -> str:
    """Say why ``text`` was rejected with ``error``: it needs lower case or another form."""
    if lowered := _in_lower_case(text):
        return f"must be lower case up to its tag: write {quoted(lowered)}"
    if text.endswith(":") and _is_reference(text[:-1]):
        return (
            "ends in a colon without a tag, as where a variable is empty; write "
            f"{quoted(f'{text}latest')} if that is meant"
        )
    if tagged := _with_nearest_tag(text):
        return f"has an invalid tag after its colon; write {quoted(tagged)}"
    return f"cannot be read: {error}; write {wanted}"


def _in_lower_case(text: str) -> str:
    """Return ``text`` with all but its tag in lower case, if that makes it a reference."""
    lowered = _lowered(text)
    return lowered if lowered != text and _is_reference(lowered) else ""


def _lowered(text: str) -> str:
    head, colon, tag = text.rpartition(":")
    return text.lower() if not colon or "/" in tag else f"{head.lower()}:{tag}"


def _with_nearest_tag(text: str) -> str:
    """Return ``text`` with a valid tag after its colon, if that makes it a reference.

    A colon before the first slash is left alone: a port follows it.
    """
    head, colon, tag = text.rpartition(":")
    candidate = f"{head}:{_nearest_tag(tag)}"
    return candidate if colon and "/" in head and _is_reference(candidate) else ""


def _is_reference(text: str) -> bool:
    try:
        parse_tag_reference(text)
    except ValueError:
        return False
    return True


def registry_fault(text: str) -> str:
    """Say if ``text`` names no registry: Docker Hub must be written out."""
    return "" if _names_host(text) else f"names no registry: write {_with_registry(text)}"


def branch_fault(text: str, registry: str | None) -> str:
    """Say that ``text``, given beside an image of ``registry``, is neither a tag nor a reference.

    Usually it is the name of a branch. ``v1.x/fix`` may be one, or a repository of a host ``v1.x``:
    to name that host, the user must add a tag.
    """
    if _names_host(text):
        return "" if _is_surely_host(text, registry) else _either_fault(text)
    character = next(c for c in text if c in "/:@")
    meant = text.rpartition(":")[2] if ":" in text else text
    return (
        f"has {quoted(character)} in it, as no tag has, and names no registry: for a tag of "
        f"`image` write {quoted(_nearest_tag(meant))}, for a reference {_with_registry(text)}"
    )


def _names_host(text: str) -> bool:
    """Return whether the first component of ``text`` is a registry for more than its upper case.

    A host whose last label is a number must be an IPv4 address (WHATWG URL, "ends in a number"), so
    ``release-1.2/fix`` does not start with a host.
    """
    if not names_registry(text.lower()):
        return False
    host = text.partition("/")[0]
    if ":" in host:
        return True
    return _IPV4.fullmatch(host) is not None or not host.rpartition(".")[2].isdigit()


def _is_surely_host(text: str, registry: str | None) -> bool:
    """Return whether ``text`` cannot be a branch: it has a tag, a port or a known host."""
    host = text.partition("/")[0]
    known = {_GHCR, DEFAULT_REGISTRY, "localhost", registry}
    return ":" in text or host.lower() in known or _IPV4.fullmatch(host) is not None


def _either_fault(text: str) -> str:
    tagged = f"{_lowered(text)}:{DEFAULT_TAG}"
    example = quoted(tagged) if _is_reference(tagged) else "registry/repository:tag"
    return (
        "may be a tag with '/' in it, as no tag has, or a reference without a tag: for a tag of "
        f"`image` write {quoted(_nearest_tag(text))}, for a reference {example}"
    )


def _with_registry(text: str) -> str:
    """Return ``text`` on the registries that are most likely meant, if it can be on one."""
    name = _lowered(text)
    owner = "" if "/" in name else "OWNER/"
    if not _is_reference(f"{_GHCR}/{name}"):
        return "registry/repository:tag"
    return " or ".join(quoted(f"{each}/{owner}{name}") for each in (_GHCR, DEFAULT_REGISTRY))


def owner_fault(repository: Repository) -> str:
    """Say if GHCR cannot hold ``repository``: its packages need an owner."""
    if repository.registry == _GHCR and "/" not in repository.name:
        return f"has no owner: packages of {_GHCR} are named {_GHCR}/OWNER/{repository.name}"
    return ""


def read_repository(text: str, example: str) -> tuple[str, Repository | None]:
    """Parse a repository; if that fails, say why and how to write one like ``example``."""
    if fault := common_fault(text):
        return fault, None
    try:
        repository = parse_repository(text)
    except ValueError as error:
        return f"is not a repository: {error}; write it without a tag: {example}", None
    fault = owner_fault(repository)
    return fault, None if fault else repository


def lower_case(name: str, text: str, findings: Findings) -> str:
    """Return the repository in the input ``name`` in lower case, with a notice if it changed."""
    lowered = text.lower()
    if lowered != text:
        findings.notices.append(
            f"{name} {quoted(text)} was lowered to {quoted(lowered)}: repositories are lower case."
        )
    return lowered


def source_fault(image: str) -> str:
    """Find why ``image`` is not a name, ID or digest that the engine understands."""
    if _IMAGE_ID.fullmatch(image):
        return ""
    name, at, digest = image.partition("@")
    if at and not is_digest(digest):
        return f"has {quoted(digest)} for a digest; write sha256: and 64 hex digits"
    if _ELSEWHERE.match(name):
        return (
            "cannot be the name of an image (is a variable empty?); paths are written "
            "oci-layout:DIR, oci-archive:FILE or docker-archive:FILE"
        )
    if fault := common_fault(name):
        return fault
    try:
        parse_tag_reference(name)
    except ValueError as error:
        return reference_fault(name, error, "the name or ID of an image")
    return ""

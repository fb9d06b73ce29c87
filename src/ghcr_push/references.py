"""References and digests in the grammar of the OCI distribution specification.

The grammar is that of "Pulling manifests" in the distribution-spec. Defaults for names without a
registry (``docker.io``, ``library/``) are Docker's, since the names come from Docker's users.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import NewType

Digest = NewType("Digest", str)
"""``sha256:<64 hex>`` (or another registered algorithm), as in the image-spec's descriptors."""

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"

# distribution-spec, "Pulling manifests": <name>, <reference>; image-spec, "Digests"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]{32,}")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?P<ipv6>[0-9a-fA-F:]+)\])(?::(?P<port>[0-9]{{1,5}}))?"
)
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")

# image-spec, "Registered Algorithms": the number of lower-case hex digits of each
_HEX_DIGITS = {"sha256": 64, "sha512": 128}
# distribution-spec, "Pulling manifests": many clients limit the registry, "/" and <name> to this
_NAME_LIMIT = 255
_PORTS = range(1, 65536)


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A repository of a registry: ``registry`` is host[:port], ``name`` follows the grammar."""

    registry: str
    name: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class TagReference:
    """A tag of a repository."""

    repository: Repository
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


def digest_of(raw: bytes, algorithm: str = "sha256") -> Digest:
    """Return the digest of ``raw``."""
    return Digest(f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}")


def is_tag(text: str) -> bool:
    """Return whether ``text`` is a tag: at most 128 characters, with no ``.`` or ``-`` first."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Return whether ``text`` is a digest; registered algorithms need their full hex digits."""
    algorithm, _, encoded = text.partition(":")
    if digits := _HEX_DIGITS.get(algorithm):
        return re.fullmatch(rf"[0-9a-f]{{{digits}}}", encoded) is not None
    return _DIGEST.fullmatch(text) is not None


def referrers_tag(digest: Digest) -> str:
    """Return the tag that lists a manifest's referrers (distribution-spec, "Referrers Tag Schema").

    Cosign's tags are this one with a suffix.
    """
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm[:32]}-{encoded[:64]}"


def names_registry(text: str) -> bool:
    """Return whether Docker reads the first component of ``text`` as a registry.

    It does if the component has a dot, a colon or an upper-case letter, or is ``localhost``
    (distribution/reference, ``splitDockerDomain``).
    """
    first, slash, _ = text.partition("/")
    return bool(slash) and (
        any(c in first for c in ".:") or first == "localhost" or first.lower() != first
    )


def parse_registry(text: str) -> str:
    """Parse ``host[:port]`` to lower case; raise ``ValueError`` if it is not a registry.

    Docker Hub has one name here, ``docker.io``, though Docker's configuration also calls it
    ``index.docker.io``.
    """
    match = _REGISTRY.fullmatch(text)
    if not match or not _is_address(match["ipv6"]) or not _is_port(match["port"]):
        raise ValueError(f"{text!r} is not a registry host, with or without a port")
    registry = text.lower()
    return DEFAULT_REGISTRY if registry == "index.docker.io" else registry


def _is_address(ipv6: str | None) -> bool:
    if ipv6 is not None:
        try:
            IPv6Address(ipv6)
        except AddressValueError:
            return False
    return True


def _is_port(port: str | None) -> bool:
    return port is None or int(port) in _PORTS


def parse_repository(text: str) -> Repository:
    """Parse ``[registry/]name`` with Docker's defaults; raise ``ValueError`` naming the error.

    If only upper case makes the first component a registry (``Acme/app``), the text is rejected:
    Docker reads a host there, but the author meant a name.
    """
    registry, name = DEFAULT_REGISTRY, text
    if names_registry(text):
        host, _, rest = text.partition("/")
        if host == "localhost" or any(c in host for c in ".:"):
            registry, name = parse_registry(host), rest
    if not _NAME.fullmatch(name):
        if _NAME.fullmatch(name.lower()):
            raise ValueError(f"the repository name {name!r} must be lower case")
        raise ValueError(f"{name!r} is not a repository name")
    if registry == DEFAULT_REGISTRY and "/" not in name:
        name = f"library/{name}"
    if len(f"{registry}/{name}") > _NAME_LIMIT:
        raise ValueError(f"the repository name is longer than {_NAME_LIMIT} characters")
    return Repository(registry, name)


def split_tag(text: str) -> tuple[str, str]:
    """Split ``[registry/]name[:tag]`` before its tag, by default ``latest``."""
    head, colon, tag = text.rpartition(":")
    is_port = "/" in tag
    return (head, tag) if colon and not is_port else (text, DEFAULT_TAG)


def parse_tag_reference(text: str) -> TagReference:
    """Parse ``[registry/]name[:tag]``, by default ``latest``; raise ``ValueError`` on an error.

    As Docker does, it rejects 64 hex digits alone, which Docker reads as an image ID.
    """
    if "@" in text:
        raise ValueError("a digest cannot be pushed to; name a tag")
    if _IDENTIFIER.fullmatch(text):
        raise ValueError(f"{text!r} is an image ID, not a reference")
    head, tag = split_tag(text)
    if not is_tag(tag):
        raise ValueError(
            f"{tag!r} is not a tag (letters, digits, '_', '.', '-'; at most 128, "
            "not starting with '.' or '-')"
        )
    return TagReference(parse_repository(head), tag)


def is_called(name: str, references: Iterable[str]) -> bool:
    """Return whether ``name`` is one of ``references`` or its tag, with Docker's defaults."""
    return any(
        name in {each, each.rpartition(":")[2]} or _is_same(name, each) for each in references
    )


def _is_same(name: str, other: str) -> bool:
    try:
        return parse_tag_reference(name) == parse_tag_reference(other)
    except ValueError:
        return False

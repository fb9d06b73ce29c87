"""Where a source is: in the engine, on disk, or in a registry, by skopeo's prefixes."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ghcr_push.references import Repository, is_digest, is_tag, parse_repository, split_tag


class Form(StrEnum):
    """The forms of content on disk; the values are skopeo's transport names."""

    OCI_LAYOUT = "oci-layout"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"


@dataclass(frozen=True, slots=True)
class DiskLocation:
    """A layout or archive and which of its images: by tag, reference, digest, or the only one."""

    form: Form
    path: str
    name: str = ""

    def __str__(self) -> str:
        joint = "@" if is_digest(self.name) else ":"
        return f"{self.form}:{self.path}{joint + self.name if self.name else ''}"


@dataclass(frozen=True, slots=True)
class RegistryLocation:
    """An image in a registry: ``reference`` is a tag or a digest of ``repository``."""

    repository: Repository
    reference: str

    def __str__(self) -> str:
        joint = "@" if is_digest(self.reference) else ":"
        return f"{_REGISTRY}{self.repository}{joint}{self.reference}"


@dataclass(frozen=True, slots=True)
class MergedLocation:
    """Several images or indexes to join into one index, in this order."""

    members: tuple[DiskLocation | RegistryLocation, ...]

    def __str__(self) -> str:
        return " + ".join(map(str, self.members))


Location = DiskLocation | RegistryLocation | MergedLocation

_PLUS: Final = re.compile(r"\s\+(?=\s|$)")
_TIGHT_PLUS: Final = re.compile(r"\+(?:oci|oci-layout|oci-archive|docker-archive|docker):")
_REGISTRY: Final = "docker://"
_FORMS: Final = {form.value: form for form in Form} | {"oci": Form.OCI_LAYOUT}
_PREFIX: Final = re.compile(r"(?P<form>[a-z-]+):(?P<rest>.*)", re.DOTALL)


def parse_location(text: str) -> Location | None:
    """Parse ``FORM:PATH[:NAME]``, ``FORM:PATH@DIGEST``, ``docker://REFERENCE``, or several joined.

    Return None if ``text`` has no such prefix and so names an image of the engine. As in skopeo, a
    path ends at its first colon. Raise ``ValueError`` with the reason if the rest is wrong.
    """
    if _TIGHT_PLUS.search(text):
        raise ValueError("has a + without spaces around it; write SOURCE + SOURCE")
    parts = _PLUS.split(text)
    return (
        _one_location(text)
        if len(parts) == 1
        else MergedLocation(tuple(_member(part.strip()) for part in parts))
    )


def repositories_of(location: Location | None) -> tuple[Repository, ...]:
    """Return the repositories that the content comes from."""
    match location:
        case RegistryLocation():
            return (location.repository,)
        case MergedLocation():
            return tuple(each for one in location.members for each in repositories_of(one))
    return ()


def may_have_referrers(location: Location | None) -> bool:
    """Return whether the location can have referrers: an engine or docker archive cannot."""
    in_docker_archive = isinstance(location, DiskLocation) and location.form is Form.DOCKER_ARCHIVE
    return location is not None and not in_docker_archive


def _member(text: str) -> DiskLocation | RegistryLocation:
    if not text:
        raise ValueError("lacks a source beside its +")
    location = _one_location(text)
    if location is None:
        raise ValueError(
            f"joins {text!r}, an image of the Docker Engine; only layouts, archives and images in "
            "registries can be merged"
        )
    if isinstance(location, DiskLocation) and location.form is Form.DOCKER_ARCHIVE:
        raise ValueError(
            f"joins {text!r}; only OCI layouts, OCI archives and images in registries can be merged"
        )
    return location


def _one_location(text: str) -> DiskLocation | RegistryLocation | None:
    if text.startswith(_REGISTRY):
        return _in_registry(text.removeprefix(_REGISTRY))
    match = _PREFIX.fullmatch(text)
    form = _FORMS.get(match["form"]) if match else None
    if match is None or form is None:
        return None
    path, at, digest = match["rest"].partition("@")
    if at and is_digest(digest):
        name = digest
    else:
        path, _, name = match["rest"].partition(":")
    if not path:
        raise ValueError(f"names no path; write {form}:PATH or {form}:PATH:TAG")
    if "\0" in path:
        raise ValueError("has a NUL byte in its path")
    return DiskLocation(form, path, name)


def _in_registry(text: str) -> RegistryLocation:
    """Parse a reference with Docker's defaults; of a tag and a digest, the digest counts."""
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise ValueError(f"has {digest!r} for a digest; write sha256: and 64 hex digits")
    head, tag = split_tag(name)
    if not is_tag(tag):
        raise ValueError(f"has {tag!r} for a tag")
    try:
        repository = parse_repository(head)
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}; write {_REGISTRY}REGISTRY/NAME:TAG") from error
    return RegistryLocation(repository, digest or tag)

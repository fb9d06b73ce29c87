"""Where a source lies: in the engine, or in a layout or archive on disk, by skopeo's prefixes."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ghcr_push.references import is_digest


class Form(StrEnum):
    """The forms of content on disk; the values are skopeo's names of its transports."""

    OCI_LAYOUT = "oci-layout"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"


@dataclass(frozen=True, slots=True)
class Location:
    """A layout or archive, and which image of it: a tag, a reference, a digest, or the only one."""

    form: Form
    path: str
    name: str = ""

    def __str__(self) -> str:
        joint = "@" if is_digest(self.name) else ":"
        return f"{self.form}:{self.path}{joint + self.name if self.name else ''}"


_ALIASES: Final = {"oci": Form.OCI_LAYOUT}
_PREFIX: Final = re.compile(r"(?P<form>[a-z-]+):(?P<rest>.*)", re.DOTALL)


def parse_location(text: str) -> Location | None:
    """Read ``FORM:PATH[:NAME]`` or ``FORM:PATH@DIGEST``; None where ``text`` has no such prefix.

    As in skopeo, the path ends at the first colon. Raises ``ValueError`` with the reason where
    there is a prefix and no path.
    """
    match = _PREFIX.fullmatch(text)
    form = _form(match["form"]) if match else None
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
    return Location(form, path, name)


def _form(prefix: str) -> Form | None:
    try:
        return _ALIASES.get(prefix) or Form(prefix)
    except ValueError:
        return None

"""What is known of an error before it is classified."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from ghcr_push.model import Kind


class Origin(StrEnum):
    """Who reported a failure."""

    REGISTRY = "registry"
    """The registry's HTTP answer to our own client, or no answer."""
    ENGINE = "engine"
    """Output of the docker command, which may quote a registry."""
    STORE = "store"
    """Output of the docker command or engine about their own images: no registry was involved."""
    RUN = "run"
    """This action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """What is known of an error before it is classified.

    ``code`` is the distribution-spec's error code, ``message`` the text (limited by its creator,
    any characters), ``retry_after`` seconds from a header.
    """

    origin: Origin
    message: str
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    unconnected: bool = False
    """No connection was made to a registry that has not answered in this run."""
    details: str = ""
    """More for a maintainer if no rule matches: the request, the answer, a traceback."""
    kind: Kind | None = None
    """Set if the code that raised it knows the kind (``overtaken``, our own time-out)."""


class PushError(Exception):
    """An attempt failed; the only exception that adapters raise on purpose."""

    def __init__(self, evidence: ErrorInfo) -> None:
        super().__init__(evidence.message)
        self.evidence = evidence

    @classmethod
    def of(cls, origin: Origin, message: str, kind: Kind | None = None) -> Self:
        """Return the error of which ``message`` is all that is known, and maybe its kind."""
        return cls(ErrorInfo(origin=origin, message=message, kind=kind))

"""What is known of something that went wrong, before anybody judges it."""

from dataclasses import dataclass
from enum import StrEnum

from ghcr_push.model import Kind


class Origin(StrEnum):
    """Who told us of a failure."""

    REGISTRY = "registry"
    """The registry's HTTP answer to our own client, or the lack of one."""
    ENGINE = "engine"
    """Text that the docker command printed, be it a registry's."""
    STORE = "store"
    """Text of the docker command or engine about what they hold: no registry had a part in it."""
    RUN = "run"
    """Ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """What is known of something that went wrong, before anybody judges it.

    ``code`` is the distribution-spec's error code, ``message`` the text (bounded by whoever made
    the evidence, any characters), ``retry_after`` seconds from a header.
    """

    origin: Origin
    message: str
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    unconnected: bool = False
    """No connection was made to a registry that has not answered us in this run."""
    details: str = ""
    """More for a maintainer, should nobody recognise it: the request, the answer, a traceback."""
    kind: Kind | None = None
    """Set where whoever raised it knows (``overtaken``, a time-out of ours): no table needed."""


class PushError(Exception):
    """Something went wrong in one try; the only exception that adapters raise on purpose."""

    def __init__(self, evidence: ErrorInfo) -> None:
        super().__init__(evidence.message)
        self.evidence = evidence

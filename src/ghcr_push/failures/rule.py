"""The parts of a row of the table."""

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from functools import partial

from ghcr_push.failures.errors import ErrorInfo, Origin
from ghcr_push.model import Kind


class Wording(StrEnum):
    """The client whose words an example has; each words the same answer differently."""

    CLASSIC = "docker push, classic image store"
    CONTAINERD = "docker push, containerd image store"
    BUILDKIT = "docker buildx"
    API = "the registry's answer"


@dataclass(frozen=True, slots=True)
class Example:
    """An error that a rule must match: its test and its illustration; ``wait`` in seconds."""

    wording: Wording
    text: str
    status: int | None = None
    code: str | None = None
    _: KW_ONLY
    retry_after: float | None = None
    wait: float | None = None
    """The wait that must be read from it."""

    @property
    def evidence(self) -> ErrorInfo:
        """The evidence that an adapter would make of it."""
        return ErrorInfo(
            origin=Origin.REGISTRY if self.wording is Wording.API else Origin.ENGINE,
            message=self.text,
            status=self.status,
            code=self.code,
            retry_after=self.retry_after,
        )


classic = partial(Example, Wording.CLASSIC)
containerd = partial(Example, Wording.CONTAINERD)
buildkit = partial(Example, Wording.BUILDKIT)


def api(
    status: int | None,
    code: str | None = None,
    text: str = "",
    *,
    retry_after: float | None = None,
    wait: float | None = None,
) -> Example:
    """Return the evidence from our own client; no status if no answer came."""
    return Example(Wording.API, text, status, code, retry_after=retry_after, wait=wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The signs of a failure; every given part must match.

    ``text`` is a regular expression, searched case-insensitively in ``ErrorText.masked``: without
    prefixes of the client, and with URLs, references and digests replaced by ``<url>``,
    ``<reference>`` and ``<digest>``, so that an image's name cannot match as an error.
    """

    text: str | None = None
    status: tuple[int, ...] | range | None = None
    code: str | None = None
    answered: bool | None = None
    """Whether the registry answered, possibly through docker; otherwise the text is local."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """A kind, and this row's differences from the kind's policy."""

    kind: Kind
    advice: str | None = None
    retryable: bool | None = None
    cap: int | None = None
    unconnected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to fail, in every client's words."""

    rows: tuple[str, ...]
    """The names of its failures in tests, recordings and the guide."""
    title: str
    why: str
    """The reason for the classification, with public reports if there are any."""
    signs: tuple[Match, ...]
    """Any of them is enough."""
    classification: Classification
    after_success: Classification | None = None
    """The classification if the same repository accepted a push earlier in the run."""
    already_there: Classification | None = None
    """The classification if the same repository already holds the same bytes."""
    examples: tuple[Example, ...]
    """At least one that no other sign and no other rule matches in the same way."""

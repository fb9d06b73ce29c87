"""What a row of the table is made of."""

from dataclasses import dataclass
from enum import StrEnum

from ghcr_push.failures.errors import ErrorInfo, Origin
from ghcr_push.model import Kind


class Wording(StrEnum):
    """Which client's words an example is in; each words the same answer of a registry its way."""

    CLASSIC = "docker push, classic image store"
    CONTAINERD = "docker push, containerd image store"
    BUILDKIT = "docker buildx"
    API = "the registry's answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An error that a rule must recognise: its test and its illustration; ``wait`` in seconds."""

    wording: Wording
    text: str
    status: int | None = None
    code: str | None = None
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


def classic(text: str, *, wait: float | None = None) -> Example:
    """Return what ``docker push`` prints with the classic image store."""
    return Example(wording=Wording.CLASSIC, text=text, wait=wait)


def containerd(text: str, *, wait: float | None = None) -> Example:
    """Return what ``docker push`` prints with the containerd image store."""
    return Example(wording=Wording.CONTAINERD, text=text, wait=wait)


def buildkit(text: str, *, wait: float | None = None) -> Example:
    """Return what ``docker buildx build --push`` prints."""
    return Example(wording=Wording.BUILDKIT, text=text, wait=wait)


def api(
    status: int | None,
    code: str | None = None,
    text: str = "",
    *,
    retry_after: float | None = None,
    wait: float | None = None,
) -> Example:
    """Return what our own client saw; no status where no answer came."""
    return Example(
        wording=Wording.API,
        text=text,
        status=status,
        code=code,
        retry_after=retry_after,
        wait=wait,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a failure is known by; every part that is given must hold.

    ``text`` is a regular expression, searched for in any case in the text as ``reading`` cleans
    it: without prefixes of the client, and with URLs, references and digests replaced by
    ``<url>``, ``<reference>`` and ``<digest>``, so that no image's name is taken for an error.
    """

    text: str | None = None
    status: tuple[int, ...] | range | None = None
    code: str | None = None
    answered: bool | None = None
    """Whether the registry gave an answer, be it that docker repeats; else the words are local."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """A kind, and in what this row differs from the kind's policy."""

    kind: Kind
    advice: str | None = None
    retryable: bool | None = None
    cap: int | None = None
    unconnected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to fail, in every client's words."""

    rows: tuple[str, ...]
    """The names of what it recognises, in tests, recordings and the guide."""
    title: str
    why: str
    """The reason of the classification, with public reports of it where there are any."""
    signs: tuple[Match, ...]
    """Any of them is enough."""
    classification: Classification
    after_success: Classification | None = None
    """The classification where the same repository accepted a push earlier in the run."""
    held: Classification | None = None
    """The classification where the same repository holds these very bytes already."""
    examples: tuple[Example, ...]
    """At least one that no other sign and no other rule recognises in the same way."""

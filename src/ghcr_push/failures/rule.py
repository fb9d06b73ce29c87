"""The parts of a row of the table."""

from dataclasses import dataclass

from ghcr_push.model import Kind


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

"""The format of the JSON report: a class per object, a documented field per key.

Within a ``schema_version`` fields are only ever added. Times are in seconds.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, TypeVar

from ghcr_push.failures.policies import Cause
from ghcr_push.model import (
    LANDED,
    SECOND,
    AttemptRecord,
    FailureRecord,
    Hold,
    LimitChange,
    Outcome,
    ReferrerRecord,
    Result,
    Step,
    TransferStats,
)
from ghcr_push.references import TagReference, parse_tag_reference

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRecord:
    """One target: a reference to write, and how it ended."""

    reference: str
    """The full reference, registry/repository:tag."""
    source: str
    """Where the content came from, as named in the input."""
    outcome: Outcome
    """How it ended; every target has exactly one outcome."""
    digest: str | None
    """The digest that the tag names now; null unless it landed, or a dry run found it there."""
    before: str | None
    """The digest that the tag named first; null if it was new, or was not read."""
    before_known: bool
    """Whether the tag was read before it was written."""
    verified: bool
    """Whether a read of the tag from the registry returned this digest."""
    may_have_landed: bool
    """Whether a write was in flight whose result is not known."""
    seed: bool
    """Whether the layers of its group were uploaded with this target."""
    retried: bool
    """Whether its own write, or the content uploaded with it, needed more than one attempt."""
    cause: Cause
    """Where to look for the fix; none if it landed."""
    expected: Outcome | None = None
    """In a dry run: the expected outcome; null if it cannot be determined."""
    failure: FailureRecord | None
    """Why it failed or was skipped; null if it landed."""
    attempts: list[AttemptRecord]
    """Every attempt for it, in order of time."""
    content_attempts: list[AttemptRecord]
    """On a seed: every attempt for the blobs and manifests that its group shares."""
    transfer: TransferStats | None
    """On a seed whose content was uploaded through the registry's API: what that took."""
    referrers: list[ReferrerRecord] = field(default_factory=list)
    """On the target they were uploaded with: referrers of its image and of its parts."""

    def __str__(self) -> str:
        return self.reference

    @property
    def parsed(self) -> TagReference:
        """The parsed reference."""
        return parse_tag_reference(self.reference)

    @property
    def retried_layers(self) -> int:
        """Number of blobs and manifests of its content that needed more than one attempt.

        Reading the image again does not count, nor does a request to a registry that is down.
        """
        parts = (each for each in self.content_attempts if each.step not in {Step.READ, Step.LOOK})
        return sum(each.number == SECOND for each in parts)

    @property
    def all_attempts(self) -> list[AttemptRecord]:
        """Its own attempts and those of the content that it uploaded, in order of time."""
        together = (*self.content_attempts, *self.attempts)
        return sorted(together, key=lambda attempt: attempt.started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts and sums over the run."""

    targets: int
    """Number of targets."""
    pushed: int
    """Targets with this outcome."""
    unchanged: int
    """Targets with this outcome."""
    failed: int
    """Targets with this outcome."""
    skipped: int
    """Targets with this outcome."""
    planned: int
    """Targets with this outcome; dry runs only."""
    retried: int
    """Targets that needed more than one attempt, whatever their outcome."""
    attempts: int
    """Number of attempts."""
    retries: int
    """Number of attempts that were retries."""
    lowest_parallel: int
    """The lowest limit on writes in flight during the run."""
    kept: int = 0
    """Targets with this outcome: protected, and left at another image."""
    retried_layers: int = 0
    """Blobs and manifests that needed more than one attempt."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run of ghcr-push; times are in seconds, to the millisecond."""

    # the docstrings of fields, here and below, are their descriptions in the schema
    __pydantic_config__: ClassVar[dict[str, bool]] = {"use_attribute_docstrings": True}

    schema_version: Literal["1"]
    """The version of this format; fields are added within a version, never changed."""
    result: Result
    """How the run ended."""
    cause: Cause
    """The common cause of all failures, or mixed."""
    started_at: str
    """When it started: RFC 3339, UTC."""
    duration: float
    """Duration in seconds."""
    cancelled: bool
    """Whether a signal ended it."""
    max_parallel: int
    """The maximum number of writes in flight."""
    totals: Totals
    """Sums over the run."""
    targets: list[TargetRecord]
    """Every target, in the order of the plan."""
    limit_changes: list[LimitChange]
    """Every change of the limit on writes in flight, in order of time."""
    holds: list[Hold]
    """Every time that a registry's whole queue waited, in order of time."""
    notices: list[str]
    """Sentences about the run as a whole."""

    @cached_property
    def counts(self) -> Counter[Outcome]:
        """Number of targets per outcome."""
        return Counter(target.outcome for target in self.targets)

    def ended(self, *outcomes: Outcome) -> list[TargetRecord]:
        """Return the targets with one of ``outcomes``."""
        return [target for target in self.targets if target.outcome in outcomes]

    @property
    def landed(self) -> list[TargetRecord]:
        """The targets that the registry holds with the requested content."""
        return self.ended(*LANDED)

    @property
    def retried(self) -> tuple[TargetRecord, ...]:
        """The targets that needed more than one attempt, whatever their outcome."""
        return tuple(target for target in self.targets if target.retried)


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Return ``items`` by what they have in common, in the order of the first of each group."""
    groups: dict[Key, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups

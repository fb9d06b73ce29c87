"""The format of the JSON report: a class per object, a documented field per key.

Within a ``schema_version`` fields are only ever added. Times are in seconds.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from ghcr_push.model import LANDED, SECOND, Hold, Kind, LimitChange, Outcome, Result, Step
from ghcr_push.references import TagReference, parse_tag_reference
from ghcr_push.reporting.cause import CauseCategory


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """What went wrong, as judged."""

    kind: Kind
    """The kind of failure, one word of a fixed vocabulary."""
    status: int | None
    """The HTTP status, where there was an HTTP answer."""
    code: str | None
    """The registry's error code by the distribution-spec, such as TOOMANYREQUESTS."""
    message: str
    """What the registry, the engine or the network said; outside text, not escaped."""
    advice: str
    """One sentence on what to do about it."""
    retryable: bool
    """Whether trying again could help."""
    asked_wait: float | None
    """Seconds that the registry asked to wait, where it did."""
    kept_failing: Kind | None = None
    """Where the run's time was up: the kind of what had gone wrong until then."""
    details: str | None = None
    """What a maintainer needs where nobody knows what it was; outside text, secrets masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One try of one unit of work for a target."""

    number: int
    """Which try of the unit this was, from 1."""
    step: Step
    """What was tried."""
    started: float
    """Seconds from the start of the run."""
    seconds: float
    """How long it took."""
    limit: int
    """Writes that were allowed in flight at that time."""
    failure: FailureRecord | None
    """How it failed; null where it did not."""
    wait: float
    """Seconds of back-off after it; the next try may have waited for a slot or a hold beyond."""
    answered: float | None = None
    """Seconds until its write was answered, the rest being its read-back; null without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRecord:
    """What uploading the content of a group took."""

    blobs_sent: int
    """Configs and layers that were uploaded."""
    blobs_mounted: int
    """Those taken from another repository of the registry."""
    blobs_found: int
    """Those that were there already."""
    bytes_sent: int
    """Bytes of blobs on the wire; bytes sent twice count twice."""
    bytes_saved: int
    """Bytes not sent, because they were there or could be mounted."""
    seconds_reading: float
    """Time spent waiting for the next blob: for the engine, compression or temporary space."""
    seconds_compressing: float
    """Processor time spent in compression, that of all cores added up."""
    seconds_sending: float
    """Time spent in uploads, those side by side added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferrerRecord:
    """A signature, SBOM or attestation that came along with an image."""

    digest: str
    """The digest of its manifest."""
    subject: str
    """The digest that it refers to: of the image, of a part of it, or of another referrer."""
    artifact_type: str
    """What it is, by its artifactType or its config's media type."""
    tag: str | None
    """Cosign's tag that names it; null where it names its subject itself."""
    uploaded: bool
    """Whether the repository did not have it before this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRecord:
    """One target: a reference to write, and how that ended."""

    reference: str
    """The full reference, registry/repository:tag."""
    source: str
    """Where the content came from, as it was named in the input."""
    outcome: Outcome
    """How it ended; every target has exactly one outcome."""
    digest: str | None
    """The digest that the tag names now; null unless it landed, or a dry run found it there."""
    before: str | None
    """The digest that the tag named at first; null where it was new, or was not read."""
    before_known: bool
    """Whether the tag was read before it was written."""
    verified: bool
    """Whether a read of the tag from the registry gave this digest."""
    may_have_landed: bool
    """Whether a write was in flight whose end is not known."""
    seed: bool
    """Whether the layers of its group were uploaded with this target."""
    retried: bool
    """Whether its own write, or the content that went up with it, needed more than one attempt."""
    cause: CauseCategory
    """Where to look for the remedy; none where it landed."""
    expected: Outcome | None = None
    """In a dry run: how it would end, as its tag is now; null where nobody could say."""
    failure: FailureRecord | None
    """Why it failed or was skipped; null where it landed."""
    attempts: list[AttemptRecord]
    """Every attempt for it, in the order of time."""
    content_attempts: list[AttemptRecord]
    """On a seed: every attempt for the blobs and manifests that its group shares."""
    transfer: TransferRecord | None
    """On a seed whose content was uploaded through the registry's API: what that took."""
    referrers: list[ReferrerRecord] = field(default_factory=list)
    """On the target that they came along with: what refers to its image, or to parts of it."""

    def __str__(self) -> str:
        return self.reference

    @property
    def parsed(self) -> TagReference:
        """The reference in its parts."""
        return parse_tag_reference(self.reference)

    @property
    def retried_layers(self) -> int:
        """How many blobs and manifests of its content were sent, or to be, more than once.

        Reading the image again is none of them, nor is asking a registry that is down.
        """
        parts = (each for each in self.content_attempts if each.step not in {Step.READ, Step.LOOK})
        return sum(each.number == SECOND for each in parts)

    @property
    def all_attempts(self) -> list[AttemptRecord]:
        """Its own attempts and those of the content that it uploaded, in the order of time."""
        together = (*self.content_attempts, *self.attempts)
        return sorted(together, key=lambda attempt: attempt.started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counts and sums over the run."""

    targets: int
    """Targets in all."""
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
    """Attempts over the run."""
    retries: int
    """Attempts that were not the first of their unit."""
    lowest_parallel: int
    """The lowest limit on writes in flight that the run fell to."""
    kept: int = 0
    """Targets with this outcome: protected, and left at another image."""
    retried_layers: int = 0
    """Blobs and manifests that needed more than one attempt."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run of ghcr-push; times are in seconds, to the millisecond."""

    # the docstrings of fields, here and below, are their descriptions in the schema
    __pydantic_config__: ClassVar[dict[str, Any]] = {"use_attribute_docstrings": True}

    schema_version: Literal["1"]
    """The version of this format; fields are added within a version, never changed."""
    result: Result
    """How the run ended."""
    cause: CauseCategory
    """The one cause of all that did not land, or mixed."""
    started_at: str
    """When it started: RFC 3339, UTC."""
    duration: float
    """How long it took, in seconds."""
    cancelled: bool
    """Whether a signal ended it."""
    max_parallel: int
    """The ceiling on writes in flight."""
    totals: Totals
    """Sums over the run."""
    targets: list[TargetRecord]
    """Every target, in the order of the plan."""
    limit_changes: list[LimitChange]
    """Every change of the limit on writes in flight, in the order of time."""
    holds: list[Hold]
    """Every time that a registry's whole queue waited, in the order of time."""
    notices: list[str]
    """Sentences about the run as a whole."""

    @cached_property
    def counts(self) -> Counter[Outcome]:
        """How many targets ended in each outcome."""
        return Counter(target.outcome for target in self.targets)

    @property
    def landed(self) -> list[TargetRecord]:
        """The targets that the registry holds with the content asked for."""
        return [target for target in self.targets if target.outcome in LANDED]

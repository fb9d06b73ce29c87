"""Frozen records of a run: what is to be pushed, what was tried, and how it ended.

Times are seconds on the run's own clock, zero at its start; lengths and waits are seconds too.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from ghcr_push.documents import Document, as_dict, json_object
from ghcr_push.references import Digest, Repository, TagReference, digest_of


class Kind(StrEnum):
    """What went wrong, as a short name; used in reports."""

    # transient
    THROTTLED = "throttled"
    SECONDARY_LIMIT = "secondary-limit"
    SERVER_ERROR = "server-error"
    TIMEOUT = "timeout"
    NETWORK = "network"
    CUT_OFF = "cut-off"
    PROXY = "proxy"
    NOT_VISIBLE = "not-visible"
    AUTH_BLIP = "auth-blip"
    MANGLED = "mangled"
    ENGINE_RESTARTING = "engine-restarting"
    ENGINE_ERROR = "engine-error"
    SOURCE_UNREACHABLE = "source-unreachable"
    UNKNOWN = "unknown"
    # permanent: the registry or its host refuses
    DENIED = "denied"
    UNAUTHORIZED = "unauthorized"
    NAME_REFUSED = "name-refused"
    NOT_FOUND = "not-found"
    TOO_LARGE = "too-large"
    MANIFEST_REFUSED = "manifest-refused"
    UNSUPPORTED = "unsupported"
    QUOTA = "quota"
    READ_FORBIDDEN = "read-forbidden"
    CERTIFICATE = "certificate"
    HOST_UNKNOWN = "host-unknown"
    # permanent: this side
    IMAGE_MISSING = "image-missing"
    CONTENT_MISSING = "content-missing"
    SOURCE_INVALID = "source-invalid"
    IMAGE_DAMAGED = "image-damaged"
    ENGINE_UNREACHABLE = "engine-unreachable"
    ENGINE_REFUSED = "engine-refused"
    DISK_FULL = "disk-full"
    CREDENTIALS = "credentials"
    INPUT = "input"
    INTERNAL = "internal"
    # about one tag
    PROTECTED = "protected"
    OVERTAKEN = "overtaken"
    TAG_REFUSED = "tag-refused"
    # the run ended first
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    FAIL_FAST = "fail-fast"
    HELD_BACK = "held-back"


ENDED_BY_RUN = frozenset({Kind.CANCELLED, Kind.DEADLINE, Kind.FAIL_FAST, Kind.HELD_BACK})
"""Kinds that only say that the run ended."""


class Outcome(StrEnum):
    """How a target ended; every target has exactly one outcome."""

    PUSHED = "pushed"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """Protected and names another image, which it keeps."""
    FAILED = "failed"
    SKIPPED = "skipped"
    PLANNED = "planned"


SECOND = 2
"""The attempt that every retried unit has exactly once."""

LANDED = frozenset({Outcome.PUSHED, Outcome.UNCHANGED})


class Result(StrEnum):
    """How a whole run ended."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What an attempt was doing."""

    LOOK = "look"
    PUSH = "push"
    READ = "read"
    UPLOAD = "upload"
    FETCH = "fetch"
    RETAG = "retag"
    PROVE = "prove"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A manifest as a registry describes it: image-spec media type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: int


LARGEST_MANIFEST = 4 << 20
"""Bytes that are read of a manifest or a config; distribution-spec, "Pushing Manifests": registries
accept manifests of at least this size, and most no larger ones."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index with its exact bytes; ``digest`` is theirs."""

    media_type: str
    digest: Digest
    raw: bytes

    @classmethod
    def of(cls, media_type: str, raw: bytes) -> Self:
        """Return the manifest with the bytes ``raw``, named by their digest."""
        return cls(media_type, digest_of(raw), raw)

    @property
    def document(self) -> Document:
        """The parsed document, parsed on each access; empty if it is not a JSON object."""
        return json_object(self.raw) or {}

    @property
    def descriptor(self) -> Descriptor:
        """Its descriptor."""
        return Descriptor(self.media_type, self.digest, len(self.raw))

    @property
    def artifact_type(self) -> str:
        """The image-spec's ``artifactType``, else its config's media type; empty without both."""
        document = self.document
        of_config = as_dict(document.get("config")).get("mediaType")
        return str(document.get("artifactType") or of_config or "")


@dataclass(frozen=True, slots=True)
class Referrer:
    """A signature, SBOM or attestation of another manifest, the ``subject``.

    It names its subject in its field ``subject`` (image-spec) or by cosign's ``tag``.
    """

    subject: Digest
    manifest: Manifest
    tag: str | None = None
    parts: tuple[Manifest, ...] = ()
    """Of a referrer that is an index: its manifests, children before the indexes that name them."""
    blobs: tuple[Descriptor, ...] = ()
    """All that it and its parts name."""


@dataclass(frozen=True, slots=True)
class Referrers:
    """The referrers of an image, of its parts, and of other referrers."""

    found: tuple[Referrer, ...] = ()
    notice: str | None = None
    """A sentence for the reader if a listed referrer is missing."""


NO_REFERRERS = Referrers()


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an image before it is read.

    ``id`` is the config's digest in an engine's classic store, which knows no ``digest`` before a
    push, and in a docker archive; elsewhere it is the digest of the manifest or index, like
    ``digest``.
    """

    id: str
    layers: int
    digest: Digest | None = None
    diff_ids: tuple[Digest, ...] = ()
    """Digests of the uncompressed layers, in order; the engine's config verifies them."""
    size: int = 0
    """Size in bytes as the engine or source counts it."""
    platform: str = ""
    """``os/architecture[/variant]`` of the image that the engine would run."""
    in_engine: bool = False
    """Whether it is in the Docker Engine, so that ``docker push`` can push it."""
    has_all_platforms: bool | None = None
    """Whether the engine has all of them; None if it does not say, or the image is not in one."""
    template: bytes | None = None
    """Its manifest, if layers are compressed while they are read: these have no digest and size."""
    referrers: Referrers = NO_REFERRERS
    """Its referrers, if they are to be copied."""


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where a target's content comes from: an image of the local Docker Engine, by name or ID.

    Or a layout, an archive or an image in a registry, in the form of ``planning.locations``.
    """

    image: str

    def __str__(self) -> str:
        return self.image


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A tag to write, and its source."""

    reference: TagReference
    source: Source

    def __str__(self) -> str:
        return str(self.reference)


@dataclass(frozen=True, slots=True)
class Group:
    """Targets of one source in one repository, in the order they were asked for."""

    source: Source
    repository: Repository
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run has to write, each target in exactly one group."""

    groups: tuple[Group, ...]

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets, in the order of the groups."""
        return tuple(target for group in self.groups for target in group.targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """What went wrong, as classified."""

    kind: Kind
    """The kind of failure, one word of a fixed vocabulary."""
    status: int | None = None
    """The HTTP status, if there was an HTTP answer."""
    code: str | None = None
    """The registry's error code by the distribution-spec, such as TOOMANYREQUESTS."""
    message: str
    """The text from the registry, the engine or the network; outside text, not escaped."""
    advice: str
    """One sentence on what to do about it."""
    retryable: bool
    """Whether a retry could help."""
    asked_wait: float | None = None
    """Seconds that the registry asked to wait, in a header or in text, if it did."""
    kept_failing: Kind | None = None
    """If the run ran out of time: the kind of failure that was being retried."""
    details: str | None = None
    """Details for a maintainer if the failure is not recognised; outside text, secrets masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(FailureRecord):
    """A classified failure with what the queue should do about it."""

    pressure: bool = False
    """Whether it is a sign of overload, which lowers the limit."""
    cap: int | None = None
    """Attempts per unit for this kind, if fewer than ``max-attempts``."""
    counts: bool = True
    """Whether the attempt counts against ``max-attempts``; false if the registry named a wait."""
    holds: bool = False
    """Whether the whole queue of the registry waits, not only this unit."""
    unconnected: bool = False
    """No connection was made: nothing listens at that address, or it cannot be reached."""
    tag_only: bool = False
    """The tag was refused, not the content: other targets of the group may still land."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt of one unit for a target."""

    number: int
    """The number of the attempt for this unit, from 1."""
    step: Step
    """What the attempt did."""
    started: float
    """Seconds from the start of the run."""
    seconds: float
    """Duration of the attempt."""
    limit: int
    """Writes allowed in flight at that time."""
    failure: FailureRecord | None = None
    """How it failed; null if it did not."""
    wait: float = 0.0
    """Seconds of back-off after it; the next attempt may have waited longer, for a slot or a
    hold."""
    answered: float | None = None
    """Seconds until its write was answered, the rest being its read-back; null without one."""

    @property
    def ended(self) -> float:
        """Seconds from the start of the run."""
        return self.started + self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(AttemptRecord):
    """An attempt with what the queue should do about its failure."""

    failure: Failure | None = None


class BlobOutcome(StrEnum):
    """How a blob got into its repository."""

    SENT = "sent"
    MOUNTED = "mounted"
    FOUND = "found"
    """It was there: uploaded by another client meanwhile, or by us with the answer lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferStats:
    """What the upload of a group's content took, if the action uploaded it."""

    blobs_sent: int = 0
    """Configs and layers that were uploaded."""
    blobs_mounted: int = 0
    """Configs and layers that were mounted from another repository of the registry."""
    blobs_found: int = 0
    """Configs and layers that were there already."""
    bytes_sent: int = 0
    """Bytes of blobs on the wire; bytes sent twice count twice."""
    bytes_saved: int = 0
    """Bytes not sent, because they were there or could be mounted."""
    seconds_reading: float = 0.0
    """Seconds of waiting for the next blob: for the engine, compression or temporary space."""
    seconds_compressing: float = 0.0
    """Processor time for compression, summed over all cores."""
    seconds_sending: float = 0.0
    """Time in uploads, summed over parallel uploads."""

    @property
    def blobs(self) -> int:
        """Blobs that are in the repository now."""
        return self.blobs_sent + self.blobs_mounted + self.blobs_found


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferrerRecord:
    """A signature, SBOM or attestation that was copied with an image."""

    digest: Digest
    """The digest of its manifest."""
    subject: Digest
    """The digest of its subject: the image, a part of it, or another referrer."""
    artifact_type: str
    """Its type: its artifactType or its config's media type."""
    tag: str | None
    """Cosign's tag for it; null if it names its subject itself."""
    uploaded: bool
    """Whether the repository did not have it before this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChange:
    """A change of the number of writes allowed in flight on one registry."""

    at: float
    """Seconds from the start of the run."""
    registry: str
    """The registry's host, with its port if it has one."""
    old: int
    """Writes allowed before the change."""
    new: int
    """Writes allowed after the change."""
    reason: str
    """The reason for the change; may quote outside text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A time in which nothing was sent to a registry because the registry asked for it."""

    at: float
    """Seconds from the start of the run."""
    registry: str
    """The registry's host, with its port if it has one."""
    seconds: float
    """How long the queue waited."""
    reason: str
    """The registry's reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """How one target ended.

    ``before`` is the digest that the tag named first, None if it was new or not read;
    ``known_before`` tells these two apart. ``verified`` is true only if a read of the tag from the
    registry returned ``digest``.
    """

    target: Target
    outcome: Outcome
    digest: Digest | None = None
    before: Digest | None = None
    known_before: bool = False
    expected: Outcome | None = None
    """In a dry run: the expected outcome; None if it cannot be determined."""
    verified: bool = False
    may_have_landed: bool = False
    seed: bool = False
    retried: bool = False
    attempts: tuple[Attempt, ...] = ()
    content_attempts: tuple[Attempt, ...] = ()
    """On a seed: attempts of the blobs and manifests that its group shares."""
    failure: Failure | None = None
    """Why it failed or was skipped; None if it landed."""
    transfer: TransferStats | None = None
    """On a seed: what the upload of its group's content took."""
    referrers: tuple[ReferrerRecord, ...] = ()
    """On the target they were uploaded with: referrers of its image and of its parts."""

    @property
    def all_attempts(self) -> tuple[Attempt, ...]:
        """Its attempts and those of the content that it uploaded, in order of time."""
        together = (*self.content_attempts, *self.attempts)
        return tuple(sorted(together, key=lambda attempt: attempt.started))

"""Frozen records of a run: what is to be pushed, what was tried, and how it ended.

Times are seconds on the run's own clock, zero at its start; lengths and waits are seconds too.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from ghcr_push.documents import json_object
from ghcr_push.references import Digest, Repository, TagReference, digest_of


class Kind(StrEnum):
    """What went wrong, in one word; the vocabulary of reports."""

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
    # permanent: the registry or its host says no
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


class Outcome(StrEnum):
    """How a target ended; every target ends in exactly one."""

    PUSHED = "pushed"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """Protected, names another image, and is to stay so."""
    FAILED = "failed"
    SKIPPED = "skipped"
    PLANNED = "planned"


SECOND = 2
"""The attempt that every unit has once that is tried again."""

LANDED = frozenset({Outcome.PUSHED, Outcome.UNCHANGED})


class Result(StrEnum):
    """How a whole run ended."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    CANCELLED = "cancelled"


class Step(StrEnum):
    """What an attempt was doing."""

    INSPECT = "inspect"
    LOOK = "look"
    PUSH = "push"
    READ = "read"
    UPLOAD = "upload"
    FETCH = "fetch"
    RETAG = "retag"
    PROVE = "prove"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a registry says of a manifest: image-spec media type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index with its exact bytes; ``digest`` is theirs."""

    media_type: str
    digest: Digest
    raw: bytes

    @classmethod
    def of(cls, media_type: str, raw: bytes) -> Self:
        """Return what ``raw`` is, by its digest."""
        return cls(media_type, digest_of(raw), raw)

    @property
    def document(self) -> dict[str, Any]:
        """What it says, read anew each time; empty where it is no JSON object."""
        return json_object(self.raw) or {}

    @property
    def descriptor(self) -> Descriptor:
        """What names it."""
        return Descriptor(self.media_type, self.digest, len(self.raw))

    @property
    def artifact_type(self) -> str:
        """The image-spec's ``artifactType``, else its config's media type; empty without both."""
        document = self.document
        config = document.get("config")
        of_config = config.get("mediaType") if isinstance(config, dict) else None
        return str(document.get("artifactType") or of_config or "")


@dataclass(frozen=True, slots=True)
class Referrer:
    """A signature, SBOM or attestation of a manifest, the ``subject``: a manifest of its own.

    It names its subject in its field ``subject`` (image-spec), or by cosign's ``tag``.
    """

    subject: Digest
    manifest: Manifest
    tag: str | None = None
    parts: tuple[Manifest, ...] = ()
    """Of a referrer that is an index: what it names, children before the indexes that name them."""
    blobs: tuple[Descriptor, ...] = ()
    """All that it and its parts name."""


@dataclass(frozen=True, slots=True)
class Referrers:
    """What refers to an image, to a part of it, or to another referrer."""

    found: tuple[Referrer, ...] = ()
    notice: str | None = None
    """A sentence for the reader where what is listed could not be had."""


NO_REFERRERS = Referrers()


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an image before it is read.

    ``id`` is the config's digest in an engine's classic store, which knows no ``digest`` before a
    push, and in a docker archive; elsewhere it is that of the manifest or index, as ``digest`` is.
    """

    id: str
    layers: int
    digest: Digest | None = None
    diff_ids: tuple[Digest, ...] = ()
    """Digests of the uncompressed layers, in order; the engine proves them by its config."""
    size: int = 0
    """Bytes, as whoever has it counts them."""
    platform: str = ""
    """``os/architecture[/variant]``, as the engine tells it of the image that it would run."""
    in_engine: bool = False
    """Whether the Docker Engine has it, so that ``docker push`` can push it."""
    whole: bool | None = None
    """Whether no platform is missing, as the engine says; None: it does not say."""
    template: bytes | None = None
    """Its manifest, where layers are compressed as they are read: those without digest and size."""
    referrers: Referrers = NO_REFERRERS
    """What comes along with it, where that is asked for."""


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where a target's content comes from: an image of the local Docker Engine, by name or ID.

    Or a layout or archive on disk, or an image in a registry, as ``planning.locations`` writes it.
    """

    image: str

    def __str__(self) -> str:
        return self.image


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A tag that must be written, and its source."""

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
    """Everything a run has to write, each target in exactly one group."""

    groups: tuple[Group, ...]

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets, in the order of the groups."""
        return tuple(target for group in self.groups for target in group.targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A judged failure: what it was, and what the queue and the reader should do about it."""

    kind: Kind
    message: str
    """One line or many of outside text, never escaped here; bounded to 2,000 characters."""
    advice: str
    """One sentence that a person can act on."""
    retryable: bool
    pressure: bool = False
    """A sign that the registry has more than it bears: lowers the limit."""
    cap: int | None = None
    """Attempts per unit for this kind, where fewer than ``max-attempts`` make sense."""
    counts: bool = True
    """Whether the attempt counts against ``max-attempts``; not where the registry named a wait."""
    holds: bool = False
    """Whether the whole queue of the registry waits, not this unit alone."""
    unconnected: bool = False
    """No connection was made: nobody listens at that address, or nothing leads to it."""
    tag_only: bool = False
    """Refused as a tag, not as content: the other targets of the group may still land."""
    wait: float | None = None
    """Seconds that the registry asked for, by header or text."""
    status: int | None = None
    code: str | None = None
    """The distribution-spec's error code, such as ``TOOMANYREQUESTS``."""
    kept_failing: Kind | None = None
    """Where the run's time was up: what had gone wrong before, told in message and advice."""
    details: str = ""
    """What a maintainer needs, where nobody knows what it was: bounded, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one unit for a target, with the limit under which it ran."""

    number: int
    step: Step
    started: float
    seconds: float
    limit: int
    failure: Failure | None = None
    wait: float = 0.0
    """Seconds waited after it, before the next attempt."""
    answered: float | None = None
    """Seconds until its write was answered; what follows read it back. None where nothing did."""


class BlobOutcome(StrEnum):
    """How a blob came to be in its repository."""

    SENT = "sent"
    MOUNTED = "mounted"
    FOUND = "found"
    """It was there: sent by somebody else meanwhile, or by us with the answer lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferStats:
    """What uploading a group's content took, where we uploaded it ourselves."""

    sent: int = 0
    mounted: int = 0
    found: int = 0
    """Blobs, by how they came to be in the repository."""
    bytes_sent: int = 0
    """On the wire, bytes sent twice counted twice."""
    bytes_saved: int = 0
    """Not sent, because they were there or could be mounted."""
    seconds_reading: float = 0.0
    """Waiting for the next blob: for the engine, for compression, for temporary space."""
    seconds_compressing: float = 0.0
    """Processor time in compression, that of all cores added up."""
    seconds_sending: float = 0.0
    """In uploads, those side by side added up."""

    @property
    def blobs(self) -> int:
        """Blobs that are in the repository by now."""
        return self.sent + self.mounted + self.found


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferrerResult:
    """A referrer that is in its repository by now; ``uploaded``: it was not, before this run."""

    digest: Digest
    subject: Digest
    artifact_type: str
    tag: str | None
    uploaded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChange:
    """A change of the writes allowed in flight on one registry."""

    at: float
    """Seconds from the start of the run."""
    registry: str
    """The registry's host, with its port where it has one."""
    old: int
    """Writes allowed before."""
    new: int
    """Writes allowed from then on."""
    reason: str
    """What the change answered to; may quote outside text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A time in which nothing was sent to a registry, because it had asked for that."""

    at: float
    """Seconds from the start of the run."""
    registry: str
    """The registry's host, with its port where it has one."""
    seconds: float
    """How long the queue waited."""
    reason: str
    """What the registry said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """How one target ended.

    ``before`` is the digest that the tag named at first, None where it was new or not read;
    ``known_before`` tells these two apart. ``verified`` is true only where a read of the tag
    from the registry gave ``digest``.
    """

    target: Target
    outcome: Outcome
    digest: Digest | None = None
    before: Digest | None = None
    known_before: bool = False
    expected: Outcome | None = None
    """In a dry run: how it would end, as its tag is now; None where that could not be told."""
    verified: bool = False
    may_have_landed: bool = False
    seed: bool = False
    retried: bool = False
    attempts: tuple[Attempt, ...] = ()
    content_attempts: tuple[Attempt, ...] = ()
    """On a seed: attempts of the blobs and manifests that its group shares."""
    failure: Failure | None = None
    """Why it failed or was skipped; None where it landed."""
    transfer: TransferStats | None = None
    """On a seed: what uploading the content of its group took."""
    referrers: tuple[ReferrerResult, ...] = ()
    """On the target that they came along with: what refers to its image, or to parts of it."""

    @property
    def all_attempts(self) -> tuple[Attempt, ...]:
        """Its own attempts and those of the content that it uploaded, in the order of time."""
        together = (*self.content_attempts, *self.attempts)
        return tuple(sorted(together, key=lambda attempt: attempt.started))

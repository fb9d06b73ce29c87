"""The events of a run, for observers."""

from collections.abc import Callable
from dataclasses import dataclass

from ghcr_push import tracing
from ghcr_push.model import (
    Failure,
    Hold,
    LimitChange,
    Plan,
    ReferrerRecord,
    Step,
    Target,
    TargetResult,
    TransferStats,
)
from ghcr_push.references import Digest


@dataclass(frozen=True, slots=True)
class Started:
    """The run starts to push this plan."""

    plan: Plan
    max_parallel: int


@dataclass(frozen=True, slots=True)
class Began:
    """An attempt started its write."""

    target: Target
    step: Step
    number: int
    limit: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An attempt failed, and the next comes after ``seconds`` or, if no slot is free, later.

    It was number ``number`` of ``most`` counted attempts; 0 if none has counted yet. ``blob`` is
    the blob of the content that is uploaded with ``target``; None for a tag or for reading an
    image.
    """

    target: Target
    step: Step
    number: int
    most: int
    failure: Failure
    seconds: float
    blob: Digest | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A target has its outcome."""

    result: TargetResult


@dataclass(frozen=True, slots=True)
class LimitChanged:
    """The number of writes allowed in flight changed."""

    change: LimitChange


@dataclass(frozen=True, slots=True)
class Held:
    """The whole queue of a registry waits."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class WentDown:
    """No request to ``registry`` succeeds any more: one at a time is tried until one does."""

    registry: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class StillWaiting:
    """``registry`` was idle for ``seconds``; ``left`` of a hold, None in an outage."""

    registry: str
    seconds: float
    left: float | None


@dataclass(frozen=True, slots=True)
class Resumed:
    """A hold or an outage of ``registry`` ended after ``seconds``."""

    registry: str
    seconds: float
    outage: bool


@dataclass(frozen=True, slots=True)
class EngineSaid:
    """Output of the engine during one push: lines of hostile text."""

    target: Target
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContentProgress:
    """Progress of the content of ``seed``'s group.

    ``expected`` is the number of blobs of the image, None until the end of the source shows it. Of
    the blobs known so far, with ``size`` bytes, ``done`` bytes are in the repository; ``whole``
    says that no more will come.
    """

    seed: Target
    transfer: TransferStats
    expected: int | None = None
    done: int = 0
    size: int = 0
    whole: bool = False


@dataclass(frozen=True, slots=True)
class ContentDone:
    """The content of ``seed``'s group is in its repository, after ``seconds``."""

    seed: Target
    transfer: TransferStats
    seconds: float


@dataclass(frozen=True, slots=True)
class ReferrersBrought:
    """The referrers of the image of ``seed`` are in its repository."""

    seed: Target
    referrers: tuple[ReferrerRecord, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of a dry run."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Noticed:
    """A sentence about the run as a whole."""

    sentence: str


Event = (
    Started
    | Began
    | Waiting
    | Ended
    | LimitChanged
    | Held
    | WentDown
    | StillWaiting
    | Resumed
    | EngineSaid
    | ContentProgress
    | ContentDone
    | ReferrersBrought
    | Planned
    | Noticed
)
Observer = Callable[[Event], None]


def unfailing(observer: Observer) -> Observer:
    """Keep errors of ``observer`` from stopping a push: log the first one, with its traceback.

    A closed log is not an error of the observer.
    """
    reported = False

    def observe(event: Event) -> None:
        nonlocal reported
        try:
            observer(event)
        except BrokenPipeError:
            return
        except Exception as error:  # noqa: BLE001 - what is pushed matters more
            if not reported:
                reported = True
                tracing.fault(f"no report of {type(event).__name__}", error)

    return observe

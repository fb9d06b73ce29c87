"""What a run tells whoever watches it, as it happens."""

from collections.abc import Callable
from dataclasses import dataclass

from ghcr_push import tracing
from ghcr_push.model import (
    Failure,
    Hold,
    LimitChange,
    Plan,
    ReferrerResult,
    Step,
    Target,
    TargetResult,
    TransferStats,
)
from ghcr_push.references import Digest


@dataclass(frozen=True, slots=True)
class Started:
    """The run begins: this is what it is going to push."""

    plan: Plan
    max_parallel: int


@dataclass(frozen=True, slots=True)
class Began:
    """An attempt began its write."""

    target: Target
    step: Step
    number: int
    limit: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An attempt failed, and the next comes after ``seconds`` or, where no slot is free, later.

    It was the ``number``-th of ``most`` that count; 0 where none has counted yet. ``blob`` is what
    was to be sent of the content that goes up with ``target``; None where it was the tag, or the
    reading of an image.
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
    """The writes allowed in flight changed."""

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
    """Nothing was done by ``registry`` for ``seconds``; ``left`` of a hold, None in an outage."""

    registry: str
    seconds: float
    left: float | None


@dataclass(frozen=True, slots=True)
class Resumed:
    """A hold or an outage of ``registry`` is over, after ``seconds``."""

    registry: str
    seconds: float
    outage: bool


@dataclass(frozen=True, slots=True)
class EngineSaid:
    """What the engine printed during one push, lines of hostile text."""

    target: Target
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContentProgress:
    """The content of ``seed``'s group is on its way; this much is done.

    ``expected`` is the number of blobs that the image is made of, None where only the source's
    last byte tells. Of the blobs that are known so far, ``size`` bytes, ``done`` bytes are in the
    repository; ``whole`` says that no more will come.
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
    """What refers to the image of ``seed`` is in its repository."""

    seed: Target
    referrers: tuple[ReferrerResult, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """What a dry run would write."""

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
    """Have what ``observer`` raises stop no push: its first fault is told, with its traceback.

    A log that nobody reads any more is none of its faults.
    """
    told = False

    def observe(event: Event) -> None:
        nonlocal told
        try:
            observer(event)
        except BrokenPipeError:
            return
        except Exception as error:  # noqa: BLE001 - what is pushed matters more
            if not told:
                told = True
                tracing.fault(f"nothing was told of {type(event).__name__}", error)

    return observe

"""Records of the modelled world: requests, versions of tags, readings, traffic."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from ghcr_push.model import Source
from ghcr_push.references import Digest, Repository

Operation = Literal[
    "head",
    "get",
    "has-blob",
    "can-mount",
    "referrers",
    "ask",
    "upload",
    "child",
    "put",
    "push",
    "engine-head",
]


@dataclass(slots=True)
class Request:
    """One request as the registry saw it."""

    operation: Operation
    repository: Repository
    tags: tuple[str, ...]
    digest: Digest | None
    began: float
    level: int = 0
    """Writes of the run in flight at this registry when it began, including itself."""
    ended: float = float("inf")
    answer: str = "none"
    seen: Digest | None = None
    asked: float = 0.0
    uploaded: bool = False
    image_sent: bool = False
    """Whether a push had sent all of the image before the tag."""
    known: int = 0
    """Number of requests of the run that had begun when it ended; later ones knew of its end."""
    landed: float | None = None
    """When the registry accepted a blob or a child manifest."""
    mount: Repository | None = None
    """The repository to mount a blob from."""

    @property
    def writes(self) -> bool:
        """Whether it is a write."""
        return self.operation in {"ask", "upload", "child", "put", "push"}

    @property
    def good(self) -> bool:
        """Whether it succeeded."""
        return self.answer == "ok"


@dataclass(frozen=True, slots=True)
class Version:
    """What a tag names from a time on; reads may show it later."""

    at: float
    shows: float
    digest: Digest
    ours: bool


@dataclass(slots=True)
class Reading:
    """One reading of an image from the engine."""

    source: Source
    began: float
    ended: float | None = None
    answer: str = "none"


@dataclass(slots=True)
class HeldSlot:
    """A slot of the queue; ``level`` is the number held when it was given, including itself."""

    registry: str
    begins: float
    level: int
    ends: float = float("inf")


@dataclass(slots=True)
class Traffic:
    """What one registry keeps of its requests."""

    in_flight: int = 0
    reads: int = 0
    """Requests in flight now."""
    tokens: float = 0.0
    counted: float = 0.0
    recent: deque[float] = field(default_factory=deque)
    penalty_ends: float = float("-inf")

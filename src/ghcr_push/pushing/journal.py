"""What was tried, as it happens, readable at any moment."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ghcr_push.model import Attempt, Failure, Kind, Step, TransferStats
from ghcr_push.pushing.ports import Upload


class Journal:
    """What was tried for one target; ``start`` is the run's, on the same clock as ``clock``."""

    def __init__(self, clock: Callable[[], float], start: float) -> None:
        self.attempts: list[Attempt] = []
        self.number = 0
        self.step: Step | None = None
        """What the attempt under way is doing; None where none is."""
        self._clock = clock
        self._start = start
        self._began = 0.0
        self._limit = 0
        self._sent: Step | None = None
        self._answered: float | None = None

    @property
    def failing(self) -> Failure | None:
        """How the last attempt failed, where it did; one that was cut off says nothing."""
        ended = (each.failure for each in reversed(self.attempts) if not _is_cut_off(each))
        return next(ended, None)

    def open(self, step: Step, limit: int) -> None:
        """Open an attempt."""
        self.number += 1
        self._begin(step, limit)
        self._sent = None

    def send(self, step: Step, limit: int) -> None:
        """Count the attempt, opened if need be, from its write: what came before was waiting."""
        if self.step is None:
            self.number += 1
        self._begin(step, limit)
        self._sent = step

    def _begin(self, step: Step, limit: int) -> None:
        self.step = step
        self._began = self._clock()
        self._limit = limit
        self._answered = None

    def prove(self) -> None:
        """Note that the write was answered: what follows reads back what it wrote."""
        self.step = Step.PROVE
        self._answered = self._clock() - self._began

    def close(self, failure: Failure | None) -> None:
        """Record the attempt under way, if one is; one that went well is named by its write."""
        if self.step is None:
            return
        if failure is None:
            self.step = self._sent or Step.LOOK
        self.attempts.append(
            Attempt(
                number=self.number,
                step=self.step,
                started=self._began - self._start,
                seconds=self._clock() - self._began,
                limit=self._limit,
                failure=failure,
                answered=self._answered,
            )
        )
        self.step = None

    def drop(self) -> None:
        """Forget the attempt under way, if one is: it turned out that nothing was tried."""
        if self.step is not None:
            self.number -= 1
            self.step = None

    def waits(self, seconds: float) -> None:
        """Note the wait after the attempt that was recorded last."""
        self.attempts[-1] = replace(self.attempts[-1], wait=seconds)


def _is_cut_off(attempt: Attempt) -> bool:
    return attempt.failure is not None and attempt.failure.kind is Kind.CANCELLED


@dataclass(slots=True)
class ContentLog:
    """What was tried for the content of a group, and what uploading it took so far."""

    units: list[Journal] = field(default_factory=list)
    transfer: TransferStats = field(default_factory=TransferStats)
    uploads: list[Upload] = field(default_factory=list)
    """The blobs on their way, which count the bytes that they send."""
    begun: bool = False
    """Whether anything of it was tried."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt of every unit, in the order of their beginning."""
        attempts = (attempt for unit in self.units for attempt in unit.attempts)
        return tuple(sorted(attempts, key=lambda attempt: attempt.started))

    @property
    def tries(self) -> int:
        """The most attempts that any unit of the content needed."""
        return max((attempt.number for unit in self.units for attempt in unit.attempts), default=0)

    @property
    def failing(self) -> Failure | None:
        """How the unit that was tried last of those that fail failed."""
        failing = (unit for unit in self.units if unit.failing is not None)
        last = max(failing, key=lambda unit: unit.attempts[-1].started, default=None)
        return last.failing if last else None

    @property
    def bytes_sent(self) -> int:
        """Bytes of all uploads so far."""
        return sum(upload.bytes_sent for upload in self.uploads)

    def count(self, **more: float) -> None:
        """Add to the named figures of the transfer, and bring its bytes up to date."""
        values = {name: getattr(self.transfer, name) + value for name, value in more.items()}
        values["bytes_sent"] = self.bytes_sent
        self.transfer = replace(self.transfer, **values)

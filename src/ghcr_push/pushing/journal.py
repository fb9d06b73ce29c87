"""The record of attempts, readable at any moment."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ghcr_push.model import Attempt, Failure, Kind, Step, TransferStats
from ghcr_push.pushing.ports import Upload


class Journal:
    """The attempts of one unit; ``clock`` is the run's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.attempts: list[Attempt] = []
        self.number = 0
        self.step: Step | None = None
        """The step of the current attempt; None if there is none."""
        self._clock = clock
        self._began = 0.0
        self._limit = 0
        self._sent: Step | None = None
        self._answered: float | None = None

    @property
    def failing(self) -> Failure | None:
        """How the last attempt failed, if it did; None if it was cut off."""
        failures = (each.failure for each in reversed(self.attempts))
        return next(
            (each for each in failures if not each or each.kind is not Kind.CANCELLED), None
        )

    def open(self, step: Step, limit: int) -> None:
        """Start an attempt."""
        self.number += 1
        self._begin(step, limit)
        self._sent = None

    def send(self, step: Step, limit: int) -> None:
        """Count the attempt, started if needed, from its write: before it was waiting."""
        if self.step is None:
            self.number += 1
        self._begin(step, limit)
        self._sent = step

    def _begin(self, step: Step, limit: int) -> None:
        self.step = step
        self._began = self._clock()
        self._limit = limit
        self._answered = None

    def begin_verification(self) -> None:
        """Record that the write was answered; the read-back follows."""
        self.step = Step.PROVE
        self._answered = self._clock() - self._began

    def close(self, failure: Failure | None) -> None:
        """Record the current attempt, if there is one; a successful one is named by its write."""
        if self.step is None:
            return
        if failure is None:
            self.step = self._sent or Step.LOOK
        self.attempts.append(
            Attempt(
                number=self.number,
                step=self.step,
                started=self._began,
                seconds=self._clock() - self._began,
                limit=self._limit,
                failure=failure,
                answered=self._answered,
            )
        )
        self.step = None

    def drop(self) -> None:
        """Forget the current attempt, if there is one, because nothing was tried."""
        if self.step is not None:
            self.number -= 1
            self.step = None

    def waits(self, seconds: float) -> None:
        """Record the wait after the last recorded attempt."""
        self.attempts[-1] = replace(self.attempts[-1], wait=seconds)


@dataclass(slots=True)
class ContentLog:
    """The attempts for a group's content, and what its upload took so far."""

    attempts_before: int = 0
    """Attempts of ``docker push`` before we uploaded the content."""
    units: list[Journal] = field(default_factory=list)
    transfer: TransferStats = field(default_factory=TransferStats)
    uploads: list[Upload] = field(default_factory=list)
    """All uploads so far, which count the bytes that they send."""
    begun: bool = False
    """Whether anything of it was tried."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt of every unit, in the order of their start."""
        attempts = (attempt for unit in self.units for attempt in unit.attempts)
        return tuple(sorted(attempts, key=lambda attempt: attempt.started))

    @property
    def attempt_number(self) -> int:
        """The largest number of attempts of any unit of the content."""
        return max((attempt.number for unit in self.units for attempt in unit.attempts), default=0)

    @property
    def failing(self) -> Failure | None:
        """The failure of the failing unit that was tried last."""
        failing = (unit for unit in self.units if unit.failing is not None)
        last = max(failing, key=lambda unit: unit.attempts[-1].started, default=None)
        return last.failing if last else None

    def count(self, **more: float) -> None:
        """Add to the named figures of the transfer, and update its bytes."""
        values = {name: getattr(self.transfer, name) + value for name, value in more.items()}
        values["bytes_sent"] = sum(upload.bytes_sent for upload in self.uploads)
        self.transfer = replace(self.transfer, **values)

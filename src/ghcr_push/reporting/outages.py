"""When a registry was down, as far as a run's requests show."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ghcr_push.model import AttemptRecord, Kind
from ghcr_push.reporting.records import Report, TargetRecord

_DOWN = frozenset({Kind.SERVER_ERROR, Kind.NETWORK, Kind.TIMEOUT, Kind.CUT_OFF, Kind.HOST_UNKNOWN})
"""Failures of a registry that is down or unreachable."""

_LEAST_FAILURES, _LEAST_SECONDS = 3, 10.0
"""Thresholds for an outage and for reporting it (as in ``pushing.pressure.outage``)."""

_Tried = tuple[str, AttemptRecord]
"""An attempt and its target; no target if it was for the content."""


@dataclass(frozen=True, slots=True)
class Downtime:
    """A time in which every request to a registry failed as if it were down."""

    registry: str
    start: float
    end: float
    """Seconds from the start of the run: the start of the first failure, and the first success."""
    answers: tuple[str, ...]
    """The answers, each once: HTTP statuses, or kinds of failures without an answer."""
    to_the_end: bool
    """Whether nothing succeeded afterwards."""

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end - self.start


def outages(report: Report) -> list[Downtime]:
    """Return the outages of all registries, in order of time.

    A tag or blob that alone keeps failing while others succeed is no outage: the fault may be its
    own.
    """
    tried: dict[str, list[_Tried]] = defaultdict(list)
    for target in report.targets:
        tried[target.parsed.repository.registry].extend(_tried(target))
    found = (
        outage
        for registry, attempts in tried.items()
        for outage in _of(registry, sorted(attempts, key=_ended), report.duration)
    )
    return sorted(found, key=lambda outage: outage.start)


def _tried(target: TargetRecord) -> Iterator[_Tried]:
    yield from ((target.reference, attempt) for attempt in target.attempts)
    yield from (("", attempt) for attempt in target.content_attempts)


def _ended(tried: _Tried) -> float:
    return tried[1].ended


def _of(registry: str, attempts: Iterable[_Tried], duration: float) -> Iterator[Downtime]:
    down: list[_Tried] = []
    taken = False
    for tried in attempts:
        failure = tried[1].failure
        if failure and failure.kind in _DOWN:
            down.append(tried)
        elif failure is None or failure.status is not None:  # else not a registry's
            yield from _outage(registry, down, tried[1].started, taken=taken)
            down, taken = [], True
    yield from _outage(registry, down, duration, taken=taken, to_the_end=True)


def _outage(
    registry: str, down: Sequence[_Tried], end: float, *, taken: bool, to_the_end: bool = False
) -> Iterator[Downtime]:
    if len(down) < _LEAST_FAILURES or (taken and _units(down) == 1):
        return
    start = min(attempt.started for _, attempt in down)
    end = max(end, *map(_ended, down))
    if end - start >= _LEAST_SECONDS:
        answers = dict.fromkeys(
            str(attempt.failure.status or attempt.failure.kind)
            for _, attempt in down
            if attempt.failure
        )
        yield Downtime(registry, start, end, tuple(answers), to_the_end)


def _units(down: Iterable[_Tried]) -> int:
    """Return how many tags and blobs failed, at least: two blobs have a first attempt each."""
    own = {name for name, _ in down if name}
    content = Counter(attempt.number for name, attempt in down if not name)
    return len(own) + max(content.values(), default=0)

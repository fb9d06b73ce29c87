"""The log of a run, short enough for a tired reader at night.

The first of similar events have a line each; the others are counted, and share a line now and then.
Lines that need action are never held back: the first failure of each kind, and the start and end of
each hold and outage.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from time import monotonic
from typing import Final

from ghcr_push.fronts.lines import (
    Names,
    ended_line,
    escape_commands,
    held_line,
    more_ended_line,
    referrers_line,
    started_line,
    still_waiting_line,
    uploaded_line,
    uploading_line,
    waiting_line,
    words_of,
)
from ghcr_push.model import ENDED_BY_RUN, LimitChange, Step, Target, TargetResult
from ghcr_push.pushing.events import (
    Began,
    ContentDone,
    ContentProgress,
    Ended,
    Event,
    Held,
    LimitChanged,
    Noticed,
    ReferrersBrought,
    Resumed,
    Started,
    StillWaiting,
    Waiting,
    WentDown,
)
from ghcr_push.reporting.phrases import cause

SINGLY: Final = 3
"""Number of events of one sort that have a line each."""

OFTEN, SELDOM = 10.0, 60.0
"""Minimum and maximum seconds between two lines of one sort that stand for many events."""

MOST_QUOTES: Final = 10
"""Maximum number of texts of failed targets printed as they happen; the result has more."""

LONG_HOLD: Final = 10.0
"""Seconds of a hold from which its end has a line."""


class RunLog:
    """Turns events into lines; ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._names = Names()
        self._tags = 0
        self._done = 0
        self._folds: dict[Hashable, _Fold] = {}
        self._limit_due: dict[str, float] = {}
        self._uploads: dict[Target, ContentProgress] = {}
        self._uploads_due = float("inf")
        self._down: set[str] = set()
        self._quoted: set[str] = set()
        """Texts of failed targets that were printed."""

    def timed(self, line: str) -> str:
        """Return a line with the seconds since the start of the run."""
        return f"{self._clock() - self._start:7.1f} s  {line}"

    def lines(self, event: Event) -> Iterator[str]:
        """Return the lines for an event, including lines held back until now."""
        yield from map(escape_commands, self._due())
        yield from map(escape_commands, self._lines(event))

    def rest(self) -> Iterator[str]:
        """Return the lines held back at the end of the run."""
        for fold in self._folds.values():
            yield from map(escape_commands, fold.rest())

    def _lines(self, event: Event) -> Iterator[str]:
        match event:
            case Started():
                self._names = Names(event.plan)
                self._tags = len(event.plan.targets)
                if self._tags:
                    yield started_line(event, version("ghcr-push"))
            case Noticed(sentence):
                yield sentence
            case Began(target, Step.PUSH, number):  # it takes long; a tag's write is quick
                again = f", try {number}" if number > 1 else ""
                line = f"{self._names.target(target)}: docker push{again}"
                yield from self._fold("began", _more_pushes).add(line, line)
            case Ended(result):
                yield from self._ended(result)
            case Waiting():
                yield from self._waiting(event)
            case LimitChanged(change):
                yield from self._limit(change)
            case ContentDone() | ReferrersBrought():
                yield from self._uploaded(event)
            case ContentProgress():
                yield from self._uploading(event)
            case _:
                yield from self._paused(event)

    def _paused(self, event: Event) -> Iterator[str]:
        """Report holds and outages."""
        match event:
            case Held(hold):
                fold = self._fold(("held", hold.registry), _more_holds)
                yield from fold.add(held_line(hold), hold.reason)
            case WentDown(registry, failure):
                self._down.add(registry)
                yield (
                    f"{registry}: requests fail: {cause(failure)}; "
                    "sending one at a time until one succeeds"
                )
            case StillWaiting():
                yield still_waiting_line(event)
            case Resumed(registry, seconds, outage):
                if outage:
                    self._down.discard(registry)
                    yield f"{registry}: requests succeed again, after {seconds:.0f} s"
                elif seconds >= LONG_HOLD:
                    yield f"{registry}: going on, after {seconds:.0f} s on hold"

    def _ended(self, result: TargetResult) -> Iterator[str]:
        self._done += 1
        self._uploads.pop(result.target, None)
        line = ended_line(result, self._names)
        name = self._names.target(result.target)
        outcome = result.outcome
        if quote := self._new_words(result):
            yield f"{line}: {quote}"
            return
        if result.failure is None:
            fold = self._fold(
                outcome, lambda names: more_ended_line(outcome, names, self._progress)
            )
        else:
            why = f": {cause(result.failure)}"
            singly = 1 if result.failure.kind in ENDED_BY_RUN else SINGLY
            fold = self._fold(
                (outcome, why), lambda names: more_ended_line(outcome, names, why), singly
            )
        yield from fold.add(line, name)

    def _new_words(self, result: TargetResult) -> str:
        """Return the text of a failure if it was not printed yet; else empty."""
        words = words_of(result.failure) if result.failure else ""
        ends = result.failure is not None and result.failure.kind in ENDED_BY_RUN
        if not words or ends or words in self._quoted or len(self._quoted) >= MOST_QUOTES:
            return ""
        self._quoted.add(words)
        return words

    @property
    def _progress(self) -> str:
        return f" ({self._done:,} of {self._tags:,} tags done)"

    def _uploaded(self, event: ContentDone | ReferrersBrought) -> Iterator[str]:
        self._uploads.pop(event.seed, None)
        if isinstance(event, ContentDone):
            line = uploaded_line(event, self._names)
        else:
            line = referrers_line(event, self._names)
        yield from self._fold(type(event).__name__, _more_uploads).add(line, line)

    def _waiting(self, event: Waiting) -> Iterator[str]:
        """Report a failed attempt, unless a line about a hold or an outage explains it."""
        registry = event.target.reference.repository.registry
        if event.failure.holds or registry in self._down:
            return
        why = cause(event.failure)
        line = waiting_line(event, self._names)
        first = self._fold(("waiting", why), _more_tries, singly=1)
        if first.singly:
            yield from first.add(line, why)
        else:
            yield from self._fold("waiting", _more_tries).add(line, why)

    def _uploading(self, event: ContentProgress) -> Iterator[str]:
        """Report the progress of long uploads; if nothing moves, another line says so."""
        now = self._clock()
        if not self._uploads:
            self._uploads_due = now + OFTEN
        self._uploads[event.seed] = event
        if now >= self._uploads_due and event.seed.reference.repository.registry not in self._down:
            self._uploads_due = now + self._spaced()
            yield uploading_line(list(self._uploads.values()), self._names)

    def _limit(self, change: LimitChange) -> Iterator[str]:
        """Report a limit that falls, then only now and then."""
        now = self._clock()
        if change.new < change.old and now >= self._limit_due.get(change.registry, now):
            self._limit_due[change.registry] = now + self._spaced()
            yield (
                f"{change.registry}: parallel writes {change.old} → {change.new}: {change.reason}"
            )

    # -- lines held back ------------------------------------------------------------------------

    def _spaced(self) -> float:
        """Return the seconds until the next line of a sort: the longer the run, the more."""
        return min(SELDOM, max(OFTEN, (self._clock() - self._start) / 4))

    def _fold(
        self, key: Hashable, together: Callable[[list[str]], str], singly: int = SINGLY
    ) -> "_Fold":
        if key not in self._folds:
            self._folds[key] = _Fold(singly, together)
        return self._folds[key]

    def _due(self) -> Iterator[str]:
        now = self._clock()
        for fold in self._folds.values():
            if fold.held and fold.since is None:
                fold.since = now
            elif fold.since is not None and now - fold.since >= self._spaced():
                yield from fold.rest()


@dataclass(slots=True)
class _Fold:
    """Events of one sort: how many more get a line each, and those held back."""

    singly: int
    together: Callable[[list[str]], str]
    held: list[str] = field(default_factory=list)
    since: float | None = None
    """The time of the first event held back, or a little later."""

    def add(self, line: str, short: str) -> Iterator[str]:
        """Yield ``line``, or hold it back as ``short``."""
        if self.singly:
            self.singly -= 1
            yield line
        else:
            self.held.append(short)

    def rest(self) -> Iterator[str]:
        """Yield the line for all that were held back."""
        if self.held:
            yield self.together(self.held)
        self.held, self.since = [], None


def _more_tries(kinds: list[str]) -> str:
    return f"↻ {len(kinds):,} more tries failed: {_counted(kinds)}"


def _more_holds(reasons: list[str]) -> str:
    return f"{len(reasons):,} more holds: {_counted(reasons)}"


def _counted(words: list[str]) -> str:
    return ", ".join(
        f"{number:,} \N{MULTIPLICATION SIGN} {word}"
        for word, number in Counter(words).most_common()
    )


def _more_pushes(lines: list[str]) -> str:
    return f"{len(lines):,} more times docker push"


def _more_uploads(lines: list[str]) -> str:
    return f"{len(lines):,} more uploads ended; the last: {lines[-1]}"

"""How many writes a registry bears now: arithmetic only, no clock, no lock.

A queue that counts its own writes in flight knows more than TCP does. Writes that begin with no
ending known between them are a *burst*; it brings the writes in flight to its *top*. If f of them
are refused, the registry bore top - f: so a burst that is partly refused tells the level at once,
whichever of its writes arrived first, and a lone write that begins at full use tells its own
level. Refusals of writes that began before a cut need no rule: they say what the cut knew.
"""

from dataclasses import dataclass, field
from typing import Protocol

from ghcr_push.pushing.pace import GAIN_OF_WRITES, Pace

PATIENCE, MOST_PATIENCE = 3, 12
"""Full-use successes before the level that failed is tried again: a probe wastes one request.

It doubles with every probe: a level left for the odd fault is soon back, one that the
registry does not bear is tried rarely.
"""

CREDIT, CREDIT_FOR_ONE = 8, 2
"""Full-use successes that speak for a level, at most, and how many of them one failure outweighs.

A level that is beyond what the registry bears gets none; one that it bears gets them all, and is
not left for the odd fault.
"""

OUTAGE_AFTER = 3
"""Failures one after the other, with no success, that are an outage rather than load."""


@dataclass(slots=True, eq=False)
class Burst:
    """Writes that began with no ending known between; ``top``: in flight after the last.

    Refused writes that began before the burst do not count: the registry never carried them.
    """

    top: int = 0
    refused: int = 0
    running: int = 0

    @property
    def borne(self) -> int:
        """How many at once the registry may have carried, by what is known by now."""
        return self.top - self.refused


@dataclass(frozen=True, slots=True)
class Place:
    """When a write began: as the how-manieth of the run and in flight, and in which burst."""

    order: int
    level: int
    burst: Burst


class Limit(Protocol):
    """A number of writes allowed in flight that learns from how they end."""

    @property
    def value(self) -> int:
        """Writes that the registry is believed to bear."""

    @property
    def allowed(self) -> int:
        """Writes that may be in flight after the next start."""

    @property
    def pause(self) -> float:
        """Seconds between starts after a throttle, at a value of one; else 0."""

    @property
    def outage(self) -> bool:
        """Whether nothing succeeds although as little as possible is sent."""

    def began(self, level: int) -> Place:
        """Learn that a write begins, the ``level``-th in flight."""

    def succeeded(self, place: Place) -> None:
        """Learn that a write was taken."""

    def pressed(self, place: Place) -> bool:
        """Learn that a write met pressure; say whether that is owed to the limit, not the write.

        So it is for the write that made the limit fall, for a probe, and for what began beside it.
        """

    def hurried(self) -> None:
        """Learn that requests come too fast, whoever sends them: keep lone writes apart."""

    def throttled(self) -> None:
        """Learn that the registry throttles the whole client: begin anew at one."""

    def ended(self, place: Place) -> None:
        """Learn that a write has ended, however it did, after what else is told of it."""


@dataclass(slots=True)
class Silence:
    """Failures one after the other: each began when the one before was known."""

    begun: int = 0
    failures: int = 0
    _known_at: int = 0

    def began(self) -> int:
        """Count a start and return its number."""
        self.begun += 1
        return self.begun

    def failed(self, order: int) -> None:
        """Count the failure of that start, unless it began before the last counted was known."""
        if order > self._known_at:
            self.failures += 1
            self._known_at = self.begun

    def broken(self) -> None:
        """Begin anew: something succeeded."""
        self.failures = 0

    @property
    def lasting(self) -> bool:
        """Whether it is long enough for an outage."""
        return self.failures >= OUTAGE_AFTER


@dataclass(slots=True)
class _Counting:
    """What both limits do: count starts in bursts, and listen for silence."""

    _silence: Silence = field(default_factory=Silence, init=False)
    _bursts: list[Burst] = field(default_factory=list, init=False)
    """Those with writes in flight, oldest first; the last may be going on."""
    _going_on: bool = field(default=False, init=False)

    @property
    def outage(self) -> bool:
        """Whether writes keep failing with none taken between."""
        return self._silence.lasting

    def began(self, level: int) -> Place:
        """Count the write into the burst that is going on."""
        if not self._going_on:
            self._bursts.append(Burst())
            self._going_on = True
        burst = self._bursts[-1]
        burst.top = max(burst.top, level)
        burst.running += 1
        return Place(self._silence.began(), level, burst)

    def ended(self, place: Place) -> None:
        """Let the next start begin a burst of its own."""
        self._going_on = False
        place.burst.running -= 1
        self._bursts = [burst for burst in self._bursts if burst.running]


@dataclass(slots=True)
class FixedLimit(_Counting):
    """A limit that learns nothing but whether there is an outage."""

    value: int = 1
    pause: float = field(default=0.0, init=False)

    @property
    def allowed(self) -> int:
        """The value."""
        return self.value

    def succeeded(self, place: Place) -> None:  # noqa: ARG002 - the protocol's
        """Keep the value; no outage."""
        self._silence.broken()

    def pressed(self, place: Place) -> bool:
        """Keep the value."""
        self._silence.failed(place.order)
        return False

    def hurried(self) -> None:
        """Keep the value; the wait is the gate's."""

    def throttled(self) -> None:
        """Keep the value; the hold is the gate's."""


@dataclass(slots=True)
class AdaptiveLimit(_Counting):
    """A limit between 1 and ``ceiling`` that finds what the registry bears, starting at the top."""

    ceiling: int = 1
    value: int = field(default=1, init=False)
    _taken: dict[int, int] = field(default_factory=dict, init=False)
    """The newest write that was taken, by how many were in flight then."""
    _failed_level: int | None = field(default=None, init=False)
    _streak: int = field(default=0, init=False)
    _credit: int = field(default=0, init=False)
    _patience: int = field(default=PATIENCE, init=False)
    _probe_due: bool = field(default=False, init=False)
    _probe: int | None = field(default=None, init=False)
    """The write in flight that tries the level which failed."""
    _cut_at: int = field(default=0, init=False)
    _cut_in: Burst | None = field(default=None, init=False)
    """The burst that the last cut was for, and how many writes had begun by then."""
    _proved: bool = field(default=True, init=False)
    """Whether a write that began after the last cut was taken."""
    _pause_before: float = field(default=0.0, init=False)
    """The pause when the silence began."""
    _pace: Pace = field(default_factory=lambda: Pace(GAIN_OF_WRITES), init=False)

    def __post_init__(self) -> None:
        self.value = self.ceiling

    @property
    def allowed(self) -> int:
        """The value, and one more where a probe is due."""
        return self.value + self._probe_due

    @property
    def pause(self) -> float:
        """The pace at a limit of one."""
        return self._pace.pause

    def began(self, level: int) -> Place:
        """Count the write; the first above the value is the probe, and the only one."""
        place = _Counting.began(self, level)
        if self._probe_due and level > self.value:
            self._probe_due, self._probe = False, place.order
            self._patience = min(2 * self._patience, MOST_PATIENCE)
        return place

    def succeeded(self, place: Place) -> None:
        """Grow where writes that used the limit to the full are taken."""
        self._silence.broken()
        self._taken[place.burst.borne] = place.order
        if place.order <= self._cut_at:
            return
        self._proved = True
        if place.order == self._probe and place.burst.borne > self.value:
            # the level that once failed is borne now: what we knew is out of date
            self._failed_level = None
            self._move_to(self.value + 1)
        elif place.burst.borne >= self.value:
            self._grow()

    def _grow(self) -> None:
        self._credit = min(self._credit + 1, CREDIT)
        if self.pause:
            self._pace.taken()
            return
        self._streak += 1
        if self.value == self.ceiling:
            return
        if self._failed_level is None or self.value + 1 < self._failed_level:
            self._move_to(self.value + 1)
        elif self._streak >= self._patience:
            self._probe_due, self._streak = True, 0

    def pressed(self, place: Place) -> bool:
        """Fall to what the write's burst shows to be borne; a lone write shows nothing."""
        alone = place.burst.top == 1
        if alone:
            self._silence.failed(place.order)
        self._discount(place.burst)
        if place.order <= self._cut_at and place.burst is not self._cut_in:
            return place.level > self.value
        if alone:
            self._slow_down()
        if alone or self._is_outdated(place):
            return False
        probing = self._probe is not None and place.order <= self._probe
        if probing or place.burst.top > self.value <= place.burst.borne:
            self._probe = None  # it failed, or the registry met it first and refused another
            return True
        return place.burst.borne < self.value and self._fall(place)

    def ended(self, place: Place) -> None:
        """Let the next start begin a burst of its own; a probe answers only while it lasts."""
        _Counting.ended(self, place)
        if place.order == self._probe:
            self._probe = None

    def _slow_down(self) -> None:
        """Keep a longer pause where a throttle began one, and one at a time is refused still.

        Without a throttle it may be random faults, which no pause makes fewer. Where nothing at
        all is taken, that is an outage, whose probes have pauses of their own.
        """
        if self._silence.failures == 1:
            self._pause_before = self.pause
        if self.outage:
            self._pace.pause = self._pause_before
        elif self.pause:
            self._pace.refused()

    def _fall(self, place: Place) -> bool:
        new = max(1, place.burst.borne)
        self._failed_level = new + 1
        if place.order > self._cut_at:
            if self._credit >= CREDIT_FOR_ONE:
                self._credit -= CREDIT_FOR_ONE
                return False
            if not self._proved:  # nothing was taken since the last cut: it was too small
                new = min(new, self.value // 2)
        if new >= self.value:
            return False
        self._cut_at, self._cut_in = self._silence.begun, place.burst
        self._proved = False
        self._patience = PATIENCE
        self._move_to(new)
        return True

    def _move_to(self, value: int) -> None:
        self.value = value
        self._streak = self._credit = 0
        self._probe_due, self._probe = False, None

    def _discount(self, refused_in: Burst) -> None:
        """Count a refused write out of its burst, and out of what those that came after met."""
        refused_in.refused += 1
        for later in self._bursts[self._bursts.index(refused_in) + 1 :]:
            later.top -= 1

    def _is_outdated(self, place: Place) -> bool:
        """Say whether as many were borne by a write that began later."""
        top = place.burst.top
        return any(level >= top and order > place.order for level, order in self._taken.items())

    def hurried(self) -> None:
        """Begin a pause at a value of one, with no probe; above, the value has room to fall."""
        if self.value == 1 and not self.pause:
            self._move_to(1)
            self._pace.refused()

    def throttled(self) -> None:
        """Fall to one and forget the levels: they were learnt before the throttle."""
        self._cut_at, self._cut_in = self._silence.begun, None
        self._failed_level = None
        self._move_to(1)
        self._pace.throttled()

"""How many writes a registry bears now: a belief, and the limit that is best by it.

Arithmetic only: no clock, no lock.

**What is not known.** K, how many writes at once the registry bears, from 1 to the ceiling. p, how
often a write fails however few are in flight. Whether a write that is being refused takes room
until it is answered: some registries count it, some do not. The belief is a table of weights over
all three: two times ``len(FAULTS)`` rows of as many columns as the ceiling.

**What a write tells.** Writes that begin with no ending known between them are a *burst*: the
registry may have met them in any order, so they have one thing to say, together. Beside them are
the writes in flight before. When some of a burst have ended,

- each that was accepted says that K is at least the number accepted of the burst and of those
  beside it, and those refused beside it, too, where they take room. The chance that a smaller K
  had this ending is ``SLIP``, else it is 1 - p.
- each that was refused says that K is at most the number of the burst and of those beside it that
  are not known to be refused (and those refused beside it, where they take room), or that chance
  had it fail: with a larger K that ending has the chance p, with a smaller one it is certain.

What a burst tells changes until all of it and beside it have ended. So the table holds only what
is settled; what is not is multiplied in anew at each ending. A settled write also lets the table
drift: registries change, for better (``BETTER``) and for worse (``WORSE``).

**What follows.** The limit is the L with the greatest expected gain: a write more that is borne
gains what ``_gain`` says, one that is not costs ``REFUSAL``. One write beyond it may begin as a
trial, one at a time, where that has the greatest gain at what a trial costs: the time that its
slot was taken when writes were refused so far. So nothing here counts successes or remembers
levels: how soon a higher level is tried follows from the drift and from what refusals cost. Only
that no refusal raises the limit, nor an acceptance lowers it, is said in so many words.

A refusal is owed to the limit and not to the write where it is more likely than not that K is at
most what the registry bore of the burst.

The constants were chosen on seeds 700000 on of ``bench.limits`` with a ceiling of 8 and 16, and,
those of a crowd, of ``bench.fleet``; ``docs/pressure.md`` has what they come to on others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import exp, log
from typing import Final, Protocol

FAULTS: Final = (0.002, 0.05, 0.12, 0.25, 0.5)
FAULTS_BEFORE: Final = (0.75, 0.12, 0.07, 0.04, 0.02)
"""Values of p, and how likely each is beforehand: most registries refuse little by chance.

Others than these change little; with fewer, 5 % and 20 % are told apart badly.
"""

CROWDED, CROWD_GAIN = 0.5, -0.25
"""From which p on others must be pushing, too, and what a write beyond the first gains then.

It is a cost to all: with no such cost, who meets a crowd takes it for chance and pushes on.
"""

AT_CEILING = 0.7
"""How likely it is beforehand that the registry bears the ceiling: what is asked for first."""

SLIP = 0.02
"""Chance that the evidence is wrong: a condition that changed between two writes of a burst."""

BETTER, WORSE = 0.03, 0.004
"""Chance that the registry bears more, or fewer, after a write than before it.

``BETTER`` decides how soon a higher level is tried: with 0.02 there are a tenth to a fifth fewer
refusals, and a change for the better is noticed later.
With a ``WORSE`` of 0.03 two faults in a row
are taken for a change (20 % faults: 1.60 times the oracle's time, for 1.46).
"""

OTHER_FAULTS = 0.005
"""Chance that p is another after a write; from 0.001 to 0.02 little changes."""

TRIAL, DEAREST, LEARNT = 0.45, 2.0, 0.3
"""What the refusal of a trial costs, beside what an accepted write gains: at first and at least
(0.2 s beside 0.43 s), at most (else no trial would ever come), and how much of it each refusal
teaches: how many writes were accepted, for each slot, while one was being refused."""

REFUSAL, SAFER = 1.0, 2.0
"""What any other refusal costs, at least (so the limit is the highest level that is more likely
borne than not), and as a multiple of a trial's: where refusals are slow, the limit rises by trials.

Without the difference trials come in twos and threes: refusals of 5 s that take room then cost
3.4 times the oracle's time, for 1.7.
"""


class Ending(Enum):
    """How a write ended, as far as it tells something of the registry."""

    UNKNOWN = 0
    ACCEPTED = 1
    REFUSED = 2


@dataclass(slots=True, eq=False)
class Burst:
    """Writes that began with no ending known between them, and what became of them so far."""

    beside: int
    """Writes in flight when it began."""
    own: int = 0
    running: int = 0
    """Of both, how many have no ending yet."""
    accepted: int = 0
    refused: int = 0
    accepted_beside: int = 0
    refused_beside: int = 0

    def least(self, *, refused_take_room: bool) -> int:
        """How many the registry bore at once, where it accepted one of these."""
        room = self.refused_beside if refused_take_room else 0
        return self.accepted + self.accepted_beside + room

    def most(self, *, refused_take_room: bool) -> int:
        """How many it bore at most, where it was full for one of these."""
        room = 0 if refused_take_room else self.refused_beside
        return self.own - self.refused + self.beside - room


@dataclass(slots=True, eq=False)
class Write:
    """A write in flight; ``later`` are the bursts that began meanwhile."""

    burst: Burst
    accepted_before: int
    later: list[Burst] = field(default_factory=list)
    ended: bool = False


class Limit(Protocol):
    """A number of writes allowed in flight that may learn from how they end."""

    @property
    def value(self) -> int:
        """Writes that may be in flight."""

    @property
    def trial_due(self) -> bool:
        """Whether one write more may begin, to learn whether it is borne."""

    @property
    def fixed(self) -> bool:
        """Whether it never moves."""

    def began(self) -> Write:
        """Learn that a write begins."""

    def accepted(self, write: Write) -> None:
        """Learn that the registry took a write."""

    def refused(self, write: Write) -> bool:
        """Learn that a write met pressure; say whether that is owed to the limit, not the write."""

    def left(self, write: Write) -> None:
        """Learn that a write is over, after what else is told of it."""

    def throttled(self) -> None:
        """Learn that the registry throttles the whole client: begin anew at one."""


@dataclass(slots=True)
class FixedLimit:
    """A limit that learns nothing."""

    value: int
    trial_due: bool = field(default=False, init=False)
    fixed: bool = field(default=True, init=False)

    def began(self) -> Write:
        """Remember nothing."""
        return Write(Burst(0), 0)

    def accepted(self, write: Write) -> None:
        """Keep the value."""

    def refused(self, write: Write) -> bool:  # noqa: ARG002 - the protocol's
        """Keep the value."""
        return False

    def left(self, write: Write) -> None:
        """Keep the value."""

    def throttled(self) -> None:
        """Keep the value; the hold is the limiter's."""


Table = list[list[float]]
"""Weights, a row for each p where refused writes take no room, then the same where they do."""

ROWS: Final = len(FAULTS)
BEFORE: Final = tuple(share / 2 for share in FAULTS_BEFORE * 2)


class AdaptiveLimit:
    """A limit from 1 to ``ceiling`` that follows the belief, and begins at the ceiling."""

    fixed: Final = False

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._settled: Table = _table(ceiling, ceiling)
        self._belief = self._settled
        self._running: list[Write] = []
        self._bursts: list[Burst] = []
        """Those that are not settled."""
        self._burst: Burst | None = None
        """That which is going on."""
        self._accepted = 0
        self._trial: Write | None = None
        self._trial_cost = TRIAL
        self._trial_level = self.value = ceiling

    @property
    def trial_due(self) -> bool:
        """Whether a higher level is worth a refusal, and none is being tried."""
        return self._trial_level > self.value and self._trial is None

    def began(self) -> Write:
        """Count the write into the burst that is going on; beyond the limit it is the trial."""
        if self._burst is None:
            beside = len(self._running)
            self._burst = Burst(beside, running=beside)
            self._bursts.append(self._burst)
            for earlier in self._running:
                earlier.later.append(self._burst)
        self._burst.own += 1
        self._burst.running += 1
        write = Write(self._burst, self._accepted)
        self._running.append(write)
        if self._trial is None and len(self._running) > self.value:
            self._trial = write
        return write

    def accepted(self, write: Write) -> None:
        """Take it into the belief."""
        self._accepted += 1
        self._learn(write, Ending.ACCEPTED)

    def refused(self, write: Write) -> bool:
        """Take it into the belief; say whether the limit was likely too high."""
        took = (self._accepted - write.accepted_before) / self.value
        self._trial_cost += LEARNT * (min(max(took, TRIAL), DEAREST) - self._trial_cost)
        self._learn(write, Ending.REFUSED)
        full = whole = 0.0
        for number, row in enumerate(self._belief):
            full += sum(row[: write.burst.most(refused_take_room=number >= ROWS)])
            whole += sum(row)
        return full > whole / 2

    def left(self, write: Write) -> None:
        """Count it out, if nothing was told of it."""
        if not write.ended:
            self._learn(write, Ending.UNKNOWN)

    def throttled(self) -> None:
        """Believe in one, and in nothing that was seen before."""
        self._settled = self._belief = _table(self._ceiling, 1)
        self._bursts, self._burst, self._trial = [], None, None
        self._trial_level = self.value = 1

    def _learn(self, write: Write, ending: Ending) -> None:
        write.ended = True
        self._running.remove(write)
        self._burst = None
        if write is self._trial:
            self._trial = None
        accepted, refused = ending is Ending.ACCEPTED, ending is Ending.REFUSED
        write.burst.running -= 1
        write.burst.accepted += accepted
        write.burst.refused += refused
        for burst in write.later:
            burst.running -= 1
            burst.accepted_beside += accepted
            burst.refused_beside += refused
        self._settle()
        value, self._trial_level = self._choose()
        if accepted:
            self.value = max(self.value, value)
        elif refused:
            self.value = min(self.value, value)

    def _settle(self) -> None:
        """Take what has been said for good into the table."""
        for burst in [burst for burst in self._bursts if not burst.running]:
            self._bursts.remove(burst)
            if told := burst.accepted + burst.refused:
                self._settled = _drifted(_weighed(self._settled, [burst]), told)

    def _choose(self) -> tuple[int, int]:
        """Return the limit by what is believed now, and the level that is worth a trial."""
        self._belief = _weighed(self._settled, self._bursts)
        weight = [sum(column) for column in zip(*self._belief, strict=True)]
        gains = [_gain(share) for share in FAULTS] * 2
        gained = [0.0] * self._ceiling
        for gain, row in zip(gains, self._belief, strict=True):
            gained = [sum_ + gain * value for sum_, value in zip(gained, row, strict=True)]
        cost = max(REFUSAL, SAFER * self._trial_cost)
        return _best(gained, weight, cost), _best(gained, weight, self._trial_cost)


def _table(ceiling: int, likely: int) -> Table:
    """Return the belief beforehand: K is most likely ``likely``, each other is as likely."""
    other = (1 - AT_CEILING) / max(ceiling - 1, 1)
    row = [AT_CEILING if level == likely else other for level in range(1, ceiling + 1)]
    return [[share * value for value in row] for share in BEFORE]


def _gain(share: float) -> float:
    """Say what a write more that is borne gains, where ``share`` of all fail anyhow."""
    return CROWD_GAIN if share >= CROWDED else 1 - share


def _best(gained: Sequence[float], weight: Sequence[float], cost: float) -> int:
    """Return the level with the greatest expected gain.

    ``gained`` and ``weight`` are by K; a level beyond K costs ``cost`` for each write too many.
    """
    beyond, below, score, greatest, best = sum(gained), 0.0, 0.0, 0.0, 1
    for level in range(1, len(weight)):
        beyond -= gained[level - 1]
        below += weight[level - 1]
        score += beyond - cost * below
        if score > greatest:
            greatest, best = score, level + 1
    return best


def _weighed(table: Table, bursts: Sequence[Burst]) -> Table:
    """Multiply the likelihoods of all that ``bursts`` tell into ``table``."""
    if not any(burst.accepted or burst.refused for burst in bursts):
        return table
    ceiling = len(table[0])
    accepted = sum(burst.accepted for burst in bursts)
    weighed: Table = []
    for take_room in (False, True):
        against = _against(bursts, ceiling, refused_take_room=take_room)
        for share in FAULTS:
            fine, slip, chance = accepted * log(1 - share), log(SLIP), log(share)
            row, before, factor = [], None, 1.0
            for value, both in zip(table[len(weighed)], against, strict=True):
                if both != before:
                    before = both
                    factor = exp(fine + both[0] * slip + both[1] * chance)
                row.append(value * factor)
            weighed.append(row)
    return weighed


def _against(
    bursts: Sequence[Burst], ceiling: int, *, refused_take_room: bool
) -> list[tuple[int, int]]:
    """Say for each K how many acceptances it makes a slip, and how many refusals chance."""
    slips, chances = [0] * (ceiling + 1), [0] * (ceiling + 1)
    for burst in bursts:
        if burst.accepted:
            least = burst.least(refused_take_room=refused_take_room)
            slips[min(least - 1, ceiling)] += burst.accepted
        if burst.refused:
            chances[min(burst.most(refused_take_room=refused_take_room), ceiling)] += burst.refused
    # slips at level - 1 are those of every K below it; chances at a level those of every K above
    for level in range(ceiling - 1, -1, -1):
        slips[level] += slips[level + 1]
    for level in range(1, ceiling + 1):
        chances[level] += chances[level - 1]
    return list(zip(slips[1:], chances, strict=False))


def _drifted(table: Table, writes: int) -> Table:
    """Let so many writes pass: K and p may be others now; the weights then sum to one."""
    better, worse, other = (1 - (1 - rate) ** writes for rate in (BETTER, WORSE, OTHER_FAULTS))
    scale = 1 / sum(map(sum, table))
    over_all = [scale * other * sum(column) for column in zip(*table, strict=True)]
    kept, stays = (1 - other) * scale, 1 - better - worse
    drifted = []
    for before, row in zip(BEFORE, table, strict=True):
        mixed = [kept * value + before * any_ for value, any_ in zip(row, over_all, strict=True)]
        moved, share = [], 0.0
        for value, levels in zip(mixed, range(len(row), 0, -1), strict=True):
            share += value / levels  # evenly over itself and all above
            moved.append(stays * value + better * share)
        share = 0.0
        for level in range(len(row), 0, -1):
            share += mixed[level - 1] / level
            moved[level - 1] += worse * share
        drifted.append(moved)
    return drifted

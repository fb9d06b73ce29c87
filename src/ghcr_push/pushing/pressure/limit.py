"""The limit on writes in flight, chosen from a belief about the registry's capacity.

Arithmetic only: no clock, no lock.

**Unknowns.** K, the capacity: how many writes at once the registry accepts, from 1 to the ceiling.
p, the probability that a write fails whatever the number in flight. And whether a write that is
being refused uses capacity until its answer: some registries count it, some do not. The belief is
a table of weights over all three: two times ``len(FAULTS)`` rows, with a column for each K.

**Evidence.** Writes that begin without a known ending between them are a *burst*. The registry may
have received them in any order, so a burst is evidence as a whole, together with the writes that
were in flight before it (those *beside* it). When some of a burst have ended,

- each accepted write is evidence that K is at least the number of accepted writes of the burst and
  beside it, plus those refused beside it if they use capacity. A smaller K has the likelihood
  ``SLIP``, any other 1 - p.
- each refused write is evidence that K is at most the number of writes of the burst and beside it
  that are not known to be refused (plus those refused beside it if they use capacity), or that it
  failed by chance: a larger K has the likelihood p, a smaller one 1.

The likelihood of a burst changes until all writes of it and beside it have ended. So the table
holds only settled bursts; the others are multiplied in at each ending. Each settled write also
lets the table drift, because the capacity may rise (``BETTER``) or fall (``WORSE``).

**Choice.** The limit is the level with the greatest expected gain: one more write within the
capacity gains ``_gain``, one beyond it costs ``REFUSAL_LEAST`` or more. One write above the limit
may begin as a trial, one at a time, if that level has the greatest gain at the cost of a trial,
which is the time that earlier refusals took. So nothing here counts successes or remembers levels:
how soon a higher level is tried follows from the drift and from the cost of refusals. The only rule
beside it: no refusal raises the limit, and no acceptance lowers it.

A refusal is attributed to the limit, not to the write, if K is more likely than not at most what
the burst showed.

The constants were chosen on seeds from 700000 of ``bench.limits``, with ceilings of 8 and 16, and
those of a crowd on ``bench.fleet``; ``docs/pressure.md`` has the results on other seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import Final

FAULTS: Final = (0.002, 0.05, 0.12, 0.25, 0.5)
FAULTS_BEFORE: Final = (0.75, 0.12, 0.07, 0.04, 0.02)
"""Values of p and their prior probabilities: most registries refuse few writes by chance.

Other values change little; with fewer values, 5 % and 20 % are hard to distinguish.
"""

CROWDED, CROWD_GAIN = 0.5, -0.25
"""The p from which other clients must be pushing too, and the gain of a second write then.

The gain is negative, a cost to all clients: without it a client in a crowd takes the refusals for
chance and keeps its limit.
"""

AT_CEILING = 0.7
"""Prior probability that the capacity is the ceiling, which is the first limit."""

SLIP = 0.02
"""Probability that the evidence is wrong: the capacity changed between two writes of a burst."""

BETTER, WORSE = 0.03, 0.004
"""Probability that the capacity rises, or falls, with a write.

``BETTER`` decides how soon a higher level is tried: with 0.02 there are a tenth to a fifth fewer
refusals, and a higher capacity is noticed later. With a ``WORSE`` of 0.03 two faults in a row are
taken for a lower capacity (20 % faults: 1.60 times the oracle's time instead of 1.46).
"""

OTHER_FAULTS = 0.005
"""Probability that p changes with a write; from 0.001 to 0.02 the results change little."""

TRIAL_LEAST, TRIAL_MOST, TRIAL_LEARNT = 0.45, 2.0, 0.3
"""Cost of a refused trial, where an accepted write gains 1: its first and least value (0.2 s of
0.43 s), its largest (without one, trials could stop), and the weight of each new refusal in the
average. A refusal costs the writes that were accepted per slot while it lasted.
"""

REFUSAL_LEAST, REFUSAL_MULTIPLE = 1.0, 2.0
"""Cost of any other refusal, at least and as a multiple of a trial's. With the least cost the limit
is the highest level that is more likely within the capacity than not; with slow refusals the
multiple makes it rise by trials.

Without the multiple two or three trials come at once: with refusals of 5 s that use capacity, a run
then takes 3.4 times the oracle's time instead of 1.7.
"""


@dataclass(slots=True, eq=False)
class Burst:
    """Writes that began without a known ending between them, and their endings so far."""

    beside: int
    """Writes in flight when it began."""
    own: int = 0
    """Writes of the burst."""
    running: int = 0
    """Writes of the burst and beside it that have not ended."""
    accepted: int = 0
    refused: int = 0
    accepted_beside: int = 0
    refused_beside: int = 0

    def least(self, *, refused_use_capacity: bool) -> int:
        """Return the capacity that an accepted write of the burst shows at least."""
        refused = self.refused_beside if refused_use_capacity else 0
        return self.accepted + self.accepted_beside + refused

    def most(self, *, refused_use_capacity: bool) -> int:
        """Return the capacity at most, if one of the burst was refused for lack of it."""
        refused = 0 if refused_use_capacity else self.refused_beside
        return self.own - self.refused + self.beside - refused


@dataclass(slots=True, eq=False)
class Write:
    """A write in flight; ``later`` are the bursts that began since."""

    burst: Burst
    accepted_before: int
    """Writes accepted before it began."""
    later: list[Burst] = field(default_factory=list)
    ended: bool = False


class Limit:
    """The number of writes allowed in flight; this one never changes."""

    fixed = True

    def __init__(self, value: int) -> None:
        self.value = value

    @property
    def trial_due(self) -> bool:
        """Whether one more write may begin as a trial of a higher level."""
        return False

    def began(self) -> Write:
        """Record that a write begins."""
        return Write(Burst(0), 0)

    def accepted(self, write: Write) -> None:
        """Record that the registry accepted a write."""

    def refused(self, _: Write) -> bool:
        """Record a sign of overload; return whether the limit is its cause, not the write."""
        return False

    def finished(self, write: Write) -> None:
        """Record that a write is over; called after ``accepted`` or ``refused``, if either was."""

    def met_secondary_limit(self) -> None:
        """Record a secondary limit, which concerns the whole client: start again at one."""


Table = list[list[float]]
"""Weights: a row for each p if refused writes use no capacity, then the same if they do."""

ROWS: Final = len(FAULTS)
BEFORE: Final = tuple(share / 2 for share in FAULTS_BEFORE * 2)


class AdaptiveLimit(Limit):
    """A limit from 1 to ``ceiling`` that follows the belief; it starts at the ceiling."""

    fixed = False

    def __init__(self, ceiling: int) -> None:
        super().__init__(ceiling)
        self._ceiling = ceiling
        self._settled: Table = _table(ceiling, ceiling)
        self._belief = self._settled
        self._running: list[Write] = []
        self._bursts: list[Burst] = []
        """The bursts that are not settled."""
        self._burst: Burst | None = None
        """The current burst: no ending is known since it began."""
        self._accepted = 0
        self._trial: Write | None = None
        self._trial_cost = TRIAL_LEAST
        self._trial_level = ceiling

    @property
    def trial_due(self) -> bool:
        """Whether a higher level is worth a refusal, and no trial is in flight."""
        return self._trial_level > self.value and self._trial is None

    def began(self) -> Write:
        """Add the write to the current burst; above the limit it is the trial."""
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
        """Update the belief."""
        self._accepted += 1
        self._learn(write, accepted=True)

    def refused(self, write: Write) -> bool:
        """Update the belief; return whether the limit was probably too high."""
        took = (self._accepted - write.accepted_before) / self.value
        cost = min(max(took, TRIAL_LEAST), TRIAL_MOST)
        self._trial_cost += TRIAL_LEARNT * (cost - self._trial_cost)
        self._learn(write, refused=True)
        full = total = 0.0
        for number, row in enumerate(self._belief):
            full += sum(row[: write.burst.most(refused_use_capacity=number >= ROWS)])
            total += sum(row)
        return full > total / 2

    def finished(self, write: Write) -> None:
        """Remove the write if its ending was not recorded."""
        if not write.ended:
            self._learn(write)

    def met_secondary_limit(self) -> None:
        """Forget all evidence; a capacity of one is now the most probable."""
        self._settled = self._belief = _table(self._ceiling, 1)
        self._bursts, self._burst, self._trial = [], None, None
        self._trial_level = self.value = 1

    def _learn(self, write: Write, *, accepted: bool = False, refused: bool = False) -> None:
        write.ended = True
        self._running.remove(write)
        self._burst = None
        if write is self._trial:
            self._trial = None
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
        """Move bursts that have ended into the table."""
        for burst in [burst for burst in self._bursts if not burst.running]:
            self._bursts.remove(burst)
            if ended := burst.accepted + burst.refused:
                self._settled = _drifted(_weighed(self._settled, [burst]), ended)

    def _choose(self) -> tuple[int, int]:
        """Return the limit by the current belief, and the highest level worth a trial."""
        self._belief = _weighed(self._settled, self._bursts)
        weight = [sum(column) for column in zip(*self._belief, strict=True)]
        gains = [_gain(share) for share in FAULTS] * 2
        gained = [0.0] * self._ceiling
        for gain, row in zip(gains, self._belief, strict=True):
            gained = [sum_ + gain * value for sum_, value in zip(gained, row, strict=True)]
        cost = max(REFUSAL_LEAST, REFUSAL_MULTIPLE * self._trial_cost)
        return _best(gained, weight, cost), _best(gained, weight, self._trial_cost)


def _table(ceiling: int, likely: int) -> Table:
    """Return the prior: K is probably ``likely``; all others are equally probable."""
    other = (1 - AT_CEILING) / max(ceiling - 1, 1)
    row = [AT_CEILING if level == likely else other for level in range(1, ceiling + 1)]
    return [[share * value for value in row] for share in BEFORE]


def _gain(share: float) -> float:
    """Return the gain of one more write within the capacity if ``share`` of all fail anyway."""
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
    """Multiply the likelihoods of ``bursts`` into ``table``."""
    if not any(burst.accepted or burst.refused for burst in bursts):
        return table
    ceiling = len(table[0])
    accepted = sum(burst.accepted for burst in bursts)
    weighed: Table = []
    for use_capacity in (False, True):
        against = _against(bursts, ceiling, refused_use_capacity=use_capacity)
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
    bursts: Sequence[Burst], ceiling: int, *, refused_use_capacity: bool
) -> list[tuple[int, int]]:
    """Return for each K how many acceptances contradict it, and how many refusals are by chance."""
    slips, chances = [0] * (ceiling + 1), [0] * (ceiling + 1)
    for burst in bursts:
        if burst.accepted:
            least = burst.least(refused_use_capacity=refused_use_capacity)
            slips[min(least - 1, ceiling)] += burst.accepted
        if burst.refused:
            chances[min(burst.most(refused_use_capacity=refused_use_capacity), ceiling)] += (
                burst.refused
            )
    # slips at level - 1 are those of every K below it; chances at a level those of every K above
    for level in range(ceiling - 1, -1, -1):
        slips[level] += slips[level + 1]
    for level in range(1, ceiling + 1):
        chances[level] += chances[level - 1]
    return list(zip(slips[1:], chances, strict=False))


def _drifted(table: Table, writes: int) -> Table:
    """Let K and p drift over so many writes; the returned weights sum to one."""
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

"""Compares rules for the limit: N manifest writes to a registry of unknown capacity K.

``python -m bench.limits`` prints the table that ``docs/pressure.md`` keeps.

The model: a write takes 0.43 s times U(0.8, 1.25); one that begins while K others are in flight is
refused after 0.2 s, or longer. Reads cost nothing, since they hold no slot. The rules, the waits
and the counting of attempts are the package's own; queues, slots and clock are a few lines here,
because the real queue would take hours for a thousand seeds of a thousand tags. The oracle knows K
at every time, keeps K writes in flight, has the same faults and retries at once.
"""

import argparse
import csv
import heapq
import statistics
import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.pushing.pressure.limit import AdaptiveLimit, Burst, Limit, Write
from ghcr_push.pushing.pressure.retry import AttemptError, Backoff, FailureCount

WRITE, REFUSAL, ATTEMPTS, INITIAL = 0.43, 0.2, 8, 0.5
REFUSED = classify(ErrorInfo(origin=Origin.REGISTRY, message="", status=500))
Schedule = Callable[[float], int]


# -- rival rules ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Aimd(Limit):
    """Additive increase by one a round, halving once per congestion event (Chiu and Jain 1989)."""

    ceiling: int
    fixed = False
    value: int = field(init=False)
    begun: int = field(default=0, init=False)
    cut_at: int = field(default=0, init=False)
    streak: int = field(default=0, init=False)
    inside: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.value = self.ceiling

    def began(self) -> Write:
        self.begun += 1
        self.inside += 1
        return Write(Burst(0), self.begun)

    def accepted(self, write: Write) -> None:
        if write.accepted_before > self.cut_at and self.inside >= self.value < self.ceiling:
            self.streak += 1
            if self.streak >= self.value:
                self.value, self.streak = self.value + 1, 0

    def refused(self, write: Write) -> bool:
        if write.accepted_before <= self.cut_at or self.value == 1:
            return False
        self.value, self.streak, self.cut_at = max(1, self.value // 2), 0, self.begun
        return True

    def met_secondary_limit(self) -> None:
        self.value = 1

    def finished(self, _: Write) -> None:
        self.inside -= 1


@dataclass(slots=True)
class Remembering(Aimd):
    """Falls to the number still in flight, and waits before it tries the failed level again."""

    failed_at: int | None = field(default=None, init=False)
    patience: int = field(default=16, init=False)
    event: int = field(default=0, init=False)
    bursting: bool = field(default=False, init=False)
    cuts: deque[int] = field(default_factory=deque, init=False)

    def accepted(self, write: Write) -> None:
        self.bursting = False
        if (
            write.accepted_before <= self.cut_at
            or self.inside < self.value
            or self.value == self.ceiling
        ):
            return
        self.streak += 1
        probing = self.failed_at is not None and self.value + 1 >= self.failed_at
        if self.streak < (self.patience if probing else self.value):
            return
        if self.failed_at is not None and self.value >= self.failed_at:
            self.failed_at, self.patience = None, 16
        self.value, self.streak = self.value + 1, 0

    def refused(self, write: Write) -> bool:
        burst = self.bursting and write.accepted_before <= self.cut_at
        if write.accepted_before <= self.cut_at and not burst:
            return False
        new = max(1, min(self.value - 1, self.inside - 1))
        if new >= self.value:
            return False
        if not burst:
            again = self.failed_at is not None and self.value >= self.failed_at
            self.patience = min(self.patience * 2, 256) if again else 16
            self.cut_at, self.bursting = self.begun, True
        self.failed_at, self.value, self.streak = new + 1, new, 0
        return True


RULES: dict[str, Callable[[int], Limit]] = {
    "fixed": Limit,
    "AIMD": Aimd,
    "AIMD with memory": Remembering,
    "shipped": AdaptiveLimit,
}


# -- the model --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run cost: seconds, refused requests, targets given up."""

    seconds: float
    wasted: int
    lost: int


def play(
    limit: Limit,
    draws: Sequence[float],
    capacity: Schedule,
    seed: int,
    *,
    faults: Sequence[int],
    refusal: float = REFUSAL,
    strict: bool = False,
) -> Outcome:
    """Make every write of ``draws`` under ``limit``.

    ``faults``: how many writes of each target fail however few are in flight. ``strict``: a write
    that is being refused counts as in flight until it is answered.
    """
    random = Random(seed)
    now, order, in_flight, inside, wasted, lost = 0.0, 0, 0, 0, 0, 0
    backoff = Backoff(
        initial=INITIAL, maximum=60.0, max_attempts=ATTEMPTS, random=random, clock=lambda: now
    )
    queue, faulty = deque(range(len(draws))), list(faults)
    failures = [FailureCount() for _ in draws]
    events: list[tuple[float, int, int, Write | None, bool]] = []
    while queue or events:
        while queue and inside < limit.value + (limit.trial_due and len(queue) > limit.value):
            target = queue.popleft()
            inside += 1
            write, order = limit.began(), order + 1
            counted = inside - 1 if strict else in_flight
            accepted = counted < capacity(now)
            good = accepted and not faulty[target]
            faulty[target] -= accepted and not good
            in_flight += good
            length = draws[target] if good else refusal * random.uniform(0.9, 1.1)
            heapq.heappush(events, (now + length, order, target, write, good))
        now, _, target, ended, good = heapq.heappop(events)
        if ended is None:
            queue.append(target)
            continue
        if good:
            in_flight -= 1
            limit.accepted(ended)
        else:
            wasted += 1
            failed = AttemptError(REFUSED, counts=not limit.refused(ended))
            failures[target].add(failed)
            spare = not queue and inside <= limit.value
            wait = backoff.wait(failed, failures[target], spare=spare)
            order += 1
            if backoff.gives_up(failed, failures[target], wait):
                lost += 1
            else:
                heapq.heappush(events, (now + wait, order, target, None, False))
        limit.finished(ended)
        inside -= 1
    return Outcome(now, wasted, lost)


def oracle(
    draws: Sequence[float],
    capacity: Schedule,
    changes: Sequence[float],
    faults: Sequence[int],
    refusal: float,
) -> float:
    """Return the seconds of a client that knows the capacity and always uses all of it, in order.

    It has the same faults, and retries as soon as it knows of one.
    """
    now, running, later = 0.0, list[tuple[float, int]](), deque(changes)
    waiting, faulty = deque(range(len(draws))), list(faults)
    while waiting or running:
        while waiting and len(running) < capacity(now):
            target = waiting.popleft()
            length = refusal if faulty[target] else draws[target]
            heapq.heappush(running, (now + length, target))
        now = running[0][0] if running else float("inf")
        if later and waiting:
            now = min(now, later[0])
        while later and later[0] <= now:
            later.popleft()
        while running and running[0][0] <= now:
            _, target = heapq.heappop(running)
            if faulty[target]:
                faulty[target] -= 1
                waiting.append(target)
    return now


# -- the table --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """A row: tags, ceiling, capacity before and after the middle of the oracle's run, faults."""

    tags: int
    most: int
    first: int
    then: int
    faults: float = 0.0
    refusal: float = REFUSAL
    drifts: bool = False

    def __str__(self) -> str:
        return f"| {self.tags} | {self.most} | {self.capacity} "

    @property
    def capacity(self) -> str:
        """The registry's capacity and how it refuses, in words."""
        words = str(self.first) if self.first == self.then else f"{self.first} to {self.then}"
        if self.drifts:
            words = "drifting"
        if self.faults:
            words += f", {self.faults:.0%} faults"
        if self.refusal != REFUSAL:
            words += f", refusals {self.refusal:g} s"
        return words

    @property
    def budget(self) -> float:
        """Seconds allowed, as a multiple of the oracle's."""
        if self.first != self.then:
            return 1.3
        return 1.15 if self.tags <= 20 else 1.10

    @property
    def plain(self) -> bool:
        """Whether the row has an aim: the capacity is the only reason for refusals."""
        return not self.faults and self.refusal == REFUSAL and not self.drifts


def cases() -> Iterator[Case]:
    """Return the rows of the table."""
    for tags, most in product((20, 100, 1000), (4, 8, 16)):
        for capacity in dict.fromkeys((1, 2, 3, 5, most)):
            if capacity <= most:
                yield Case(tags, most, capacity, capacity)
    for tags, (first, then) in product((100, 1000), ((8, 1), (1, 8))):
        yield Case(tags, 8, first, then)
    for faults, capacity in product((0.05, 0.1, 0.2, 0.4), (3, 8)):
        yield Case(100, 8, capacity, capacity, faults)
    for refusal, (most, capacity) in product((1.0, 5.0, 15.0), ((16, 3), (8, 2), (4, 1))):
        yield Case(100, most, capacity, capacity, refusal=refusal)
    for tags in (100, 1000):
        yield Case(tags, 8, 4, 4, drifts=True)


STEPS, PACE, LONGER = (-2, -1, 1, 2), (2.0, 10.0), 500
"""By how much a drifting registry's capacity changes, after how many seconds, and how often."""


def schedule(case: Case, draws: Sequence[float], random: Random) -> list[tuple[float, int]]:
    """Return the capacity from each time on."""
    if case.drifts:
        steps = [(0.0, case.first)]
        for _ in range(LONGER):
            time, capacity = steps[-1]
            moved = min(max(capacity + random.choice(STEPS), 1), case.most)
            steps.append((time + random.uniform(*PACE), moved))
        return steps
    if case.first == case.then:
        return [(0.0, case.first)]
    half = draws[: len(draws) // 2]
    middle = oracle(half, lambda _: case.first, (), [0] * len(half), case.refusal)
    return [(0.0, case.first), (middle, case.then)]


def measure(rule: str, case: Case, seeds: range, *, strict: bool) -> tuple[float, float, int]:
    """Return the mean ratio to the oracle, mean refusals, and targets lost over all seeds."""
    ratios, wasted, lost = [], [], 0
    for seed in seeds:
        random = Random(seed)
        draws = [WRITE * random.uniform(0.8, 1.25) for _ in range(case.tags)]
        faults = [_failures(random, case.faults) for _ in draws]
        steps = schedule(case, draws, random)
        times, levels = [time for time, _ in steps], [level for _, level in steps]

        def capacity(time: float, times: list[float] = times, levels: list[int] = levels) -> int:
            return levels[bisect_right(times, time) - 1]

        best = oracle(draws, capacity, times, faults, case.refusal)
        outcome = play(
            RULES[rule](case.most),
            draws,
            capacity,
            seed,
            faults=faults,
            refusal=case.refusal,
            strict=strict,
        )
        ratios.append(outcome.seconds / best)
        wasted.append(outcome.wasted)
        lost += outcome.lost
    return statistics.fmean(ratios), statistics.fmean(wasted), lost


def _failures(random: Random, share: float) -> int:
    """Draw how many writes of a target fail before one is accepted."""
    failures = 0
    while share and random.random() < share:
        failures += 1
    return failures


def main() -> int:
    """Print the table; return 1 if the shipped rule misses the aim of a row."""
    parser = argparse.ArgumentParser(prog="python -m bench.limits", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=list(RULES))
    parser.add_argument("--tags", nargs="*", type=int, default=[20, 100, 1000])
    parser.add_argument("--rows", default="", help="only rows with this in their third column")
    parser.add_argument(
        "--strict", action="store_true", help="refused writes count until they are answered"
    )
    parser.add_argument("--append", type=Path, help="add the cells to this CSV file")
    options = parser.parse_args()
    rows = [case for case in cases() if case.tags in options.tags and options.rows in case.capacity]
    print("| tags | ceiling | capacity |", " | ".join(options.rules), "|")
    print("|---:|---:|---:|" + "---|" * len(options.rules))
    missed = 0
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(options.jobs) as pool:
        for case in rows:
            jobs = [
                pool.submit(measure, rule, case, seeds, strict=options.strict)
                for rule in options.rules
            ]
            cells = []
            for rule, job in zip(options.rules, jobs, strict=True):
                ratio, wasted, lost = job.result()
                wasteful = wasted > 0.1 * case.tags + 1.5 * case.most and case.first == case.then
                bad = case.plain and (ratio > case.budget or wasteful or lost > 0)
                missed += bad and rule == "shipped"
                cells.append(f"{ratio:.2f}, {wasted:.1f}, {lost}{' **!**' if bad else ''}")
                if options.append:
                    kind = "strict" if options.strict else "plain"
                    record(options.append, case, kind, rule, (ratio, wasted, lost), len(seeds))
            print(f"{case}| {' | '.join(cells)} |", flush=True)
    print(
        f"each cell: time as a multiple of the oracle's, requests refused, targets lost of "
        f"{options.seeds} runs; **!** misses the aim"
    )
    return bool(missed)


def record(
    path: Path, case: Case, kind: str, rule: str, cell: tuple[float, float, int], seeds: int
) -> None:
    """Add a cell to a file."""
    ratio, wasted, lost = cell
    row = {
        "tags": case.tags,
        "ceiling": case.most,
        "capacity": case.capacity,
        "registry": kind,
        "rule": rule,
        "time": f"{ratio:.3f}",
        "refused": f"{wasted:.2f}",
        "lost": lost,
        "seeds": seeds,
    }
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    sys.exit(main())

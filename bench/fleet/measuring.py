"""Plays one fleet against one registry and measures it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.fleet.contenders import Runner, alone, perfect, play, runners_of
from bench.fleet.registry import Setting, SharedRegistry

SETTINGS = {
    "ghcr": Setting(
        writes=11, requests=(2000, 100), reads=(44_000, 2200), abuse=500, penalty=120.0
    ),
    "one bucket": Setting(writes=11, requests=(2000, 100), reads=None, abuse=500, penalty=120.0),
    "tight": Setting(writes=4, requests=(600, 30), reads=None, abuse=150, penalty=300.0),
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """The measurements of one fleet."""

    seconds: float
    perfect: float
    tags: int
    landed: int
    requests: int
    refused: int
    slowdowns: tuple[float, ...]
    """Each runner's time as a multiple of its minimum if it were alone."""
    penalties: int

    @property
    def jain(self) -> float:
        """Jain's index of the slowdowns: 1 if all are equal, 1/n in the worst case."""
        squares = sum(slowdown**2 for slowdown in self.slowdowns)
        return sum(self.slowdowns) ** 2 / (len(self.slowdowns) * squares)

    @property
    def spread(self) -> float:
        """The slowest runner's slowdown, as a multiple of the median one's."""
        return max(self.slowdowns) / statistics.median(self.slowdowns)


def measure(name: str, setting: str, count: int, seed: int, timeout: float) -> Measurement:
    """Play one fleet."""
    how = SETTINGS[setting]
    shared = SharedRegistry(how)
    runners = runners_of(count, seed, shared, timeout=timeout)
    play(name, runners, seed)
    return summed_up(runners, how, shared)


def summed_up(runners: Sequence[Runner], how: Setting, shared: SharedRegistry) -> Measurement:
    """Measure a fleet that has ended."""
    requests = [request for runner in runners for request in runner.played.log]
    first = min(runner.played.start for runner in runners)
    return Measurement(
        seconds=max(runner.played.start + runner.seconds for runner in runners) - first,
        perfect=perfect(runners, how, verified=True),
        tags=sum(runner.tags for runner in runners),
        landed=sum(runner.landed for runner in runners),
        requests=len(requests),
        refused=sum(not request.good for request in requests),
        slowdowns=tuple(runner.seconds / alone(runner, how) for runner in runners),
        penalties=len(shared.penalties),
    )

"""Images to push, how the registry behaves, and the minimum time that a client needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from statistics import fmean

from bench.one_image import DRAWS, GIGABIT, PARALLEL, scheduled
from tests.support.front import Behaviour, Faults, Step
from tests.support.front.steps import ALL

NEAR = 0.03
"""Seconds to a registry and back."""

TAKES = {Step.UPLOAD_POST: 0.1, Step.UPLOAD_PUT: 0.25, Step.MANIFEST_PUT: 0.4}
"""Minimum seconds that the front takes to answer, about as long as a registry on the internet."""

KINDS = ("layout", "registry")
"""The kinds of source."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An image and its number of tags, how the registry behaves, and the goal.

    `ratio` is the maximum of our time to that of another client, `over` to the minimum time that a
    client needs with `slots` writes in flight.
    """

    title: str
    layers: int
    size: int
    tags: int
    behaviour: Behaviour
    ratio: float | None = None
    over: float | None = None
    slots: int = PARALLEL

    @property
    def bound(self) -> float:
        """Return the minimum seconds: blobs, then tags; with faults, the mean of many draws.

        A client that retries waits the shortest time that `backoff-initial` allows, and holds no
        slot meanwhile. Reads and the client itself count as nothing.
        """
        rate = self.behaviour.faults.rate if self.behaviour.faults else 0.0
        random = Random(0)
        blob = (TAKES[Step.UPLOAD_POST], TAKES[Step.UPLOAD_PUT])
        tag = (TAKES[Step.MANIFEST_PUT],)
        return fmean(
            scheduled([blob] * (self.layers + 1), self.slots, rate, random)
            + scheduled([tag] * self.tags, self.slots, rate, random)
            for _ in range(DRAWS if rate else 1)
        )


_NEAR = Behaviour(delays=dict.fromkeys(ALL, NEAR), bandwidth=GIGABIT)

SMALL = "healthy-small"

SCENES: Mapping[str, Scene] = {
    "healthy-large": Scene(
        title="6 layers of 64 MiB, 1 Gbit/s, 30 ms",
        layers=6,
        size=64 << 20,
        tags=1,
        behaviour=_NEAR,
        ratio=1.0,
    ),
    SMALL: Scene(
        title="60 layers of 20 kB, 1 Gbit/s, 30 ms",
        layers=60,
        size=20_000,
        tags=1,
        behaviour=_NEAR,
        ratio=1.1,
    ),
    "faults": Scene(
        title="30 layers, 20 tags, 10 % of writes fail",
        layers=30,
        size=20_000,
        tags=20,
        behaviour=Behaviour(takes=TAKES, faults=Faults(rate=0.1)),
        over=1.25,
    ),
    "limit": Scene(
        title="30 layers, 20 tags, at most 2 writes in flight",
        layers=30,
        size=20_000,
        tags=20,
        behaviour=Behaviour(takes=TAKES, max_writes=2, refusal_delay=0.2),
        over=1.25,
        slots=2,
    ),
}
"""By the name that the command line has for it."""

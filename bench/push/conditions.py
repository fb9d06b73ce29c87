"""How a registry behaves, and the minimum time that a client needs then."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from tests.support.front import Auth, Behaviour, Faults, Outage, Step, User

TAGS = 20
"""Tags that are pushed where clients are compared."""

LAYERS = 15
BLOBS = LAYERS + 1
"""The layers and the config."""

PARALLEL = 8
"""Maximum writes in flight that a contender is configured for and a bound assumes."""

POST, PUT, TAG = 0.1, 0.25, 0.4
"""Seconds that a registry across the internet takes to begin an upload, for a small blob, and for
a manifest, about."""

USER, PASSWORD = "octocat", "bench-password"

_OUTAGE = Outage(start=1, end=31)


def _behaviour(
    *,
    max_writes: int | None = None,
    faults: Faults | None = None,
    outages: tuple[Outage, ...] = (),
) -> Behaviour:
    return Behaviour(
        takes={Step.UPLOAD_POST: POST, Step.UPLOAD_PUT: PUT, Step.MANIFEST_PUT: TAG},
        auth=Auth(mode="token", users={USER: User(password=PASSWORD)}),
        max_writes=max_writes,
        refusal_delay=0.2,
        faults=faults,
        outages=outages,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A registry's state, how many tags there are, and over how many repositories."""

    title: str
    meaning: str
    behaviour: Behaviour
    tags: int = TAGS
    repositories: int = 1

    @property
    def names(self) -> list[str]:
        """Return every tag to write, as `repository:tag`; neighbours share a repository."""
        repositories = ["acme/app", *(f"acme/app-{n}" for n in range(2, self.repositories + 1))]
        return [
            f"{repositories[number * self.repositories // self.tags]}:v{number}"
            for number in range(self.tags)
        ]

    @property
    def slots(self) -> int:
        """How many writes can be in flight without one being refused."""
        most = self.behaviour.max_writes
        return min(most, PARALLEL) if isinstance(most, int) else PARALLEL

    @property
    def bound(self) -> float:
        """Return the minimum seconds with `slots` writes in flight.

        No client can avoid that each blob is uploaded once, by a POST and a PUT, and that each tag
        is a PUT. The registry accepts a manifest only when it has all its blobs. So::

            uploads = BLOBS * (POST + PUT) / slots
            bound   = uploads + ceil(tags / slots) * TAG

        Reads, tokens, the engine and the client itself count as nothing. With random faults every
        request is needed 1 / (1 - rate) times on average. During an outage nothing begins; requests
        that began before it succeed. In a further repository each blob is mounted, by a POST alone,
        and the tags of one are written in parallel with the blobs of the next, so the bound is the
        sum of the work over `slots`.
        """
        uploads = BLOBS * (POST + PUT) / self.slots
        if self.repositories > 1:
            mounts = BLOBS * (self.repositories - 1) * POST / self.slots
            return uploads + mounts + self.tags * TAG / self.slots
        if self.behaviour.faults:
            needed = 1 / (1 - self.behaviour.faults.rate)
            rounds = max(ceil(self.tags / self.slots), needed * self.tags / self.slots)
            return needed * uploads + rounds * TAG
        for outage in self.behaviour.outages:
            begun = self.slots * max(0, ceil((outage.start - uploads) / TAG))
            if begun < self.tags:
                return (outage.end or 0) + ceil((self.tags - begun) / self.slots) * TAG
        return self.bound_with({})

    def bound_with(self, failed: Mapping[Step, int]) -> float:
        """Return the bound for a client with so many failed writes, by step.

        A failed write takes as long as a good one, and is made once more::

            uploads = ((BLOBS + failed POSTs) * POST + (BLOBS + failed PUTs) * PUT) / slots
            bound   = uploads + ceil((tags + failed tags' PUTs) / slots) * TAG
        """
        posts = BLOBS + failed.get(Step.UPLOAD_POST, 0)
        puts = BLOBS + failed.get(Step.UPLOAD_PUT, 0)
        tags = self.tags + failed.get(Step.MANIFEST_PUT, 0)
        return (posts * POST + puts * PUT) / self.slots + ceil(tags / self.slots) * TAG


def _limited(writes: int) -> Condition:
    plural = "write" if writes == 1 else "writes"
    return Condition(
        title=f"At most {writes} {plural} in flight",
        meaning="writes above that are answered 500 or 502 after 0.2 s",
        behaviour=_behaviour(max_writes=writes),
    )


def _sixty(rate: float) -> Condition:
    return Condition(
        title=f"60 tags, {100 * rate:.0f} % of writes fail",
        meaning=f"one at a drawn place of every {1 / rate:.0f}",
        behaviour=_behaviour(faults=Faults(rate=rate, evenly=True)),
        tags=60,
    )


CONDITIONS: Mapping[str, Condition] = {
    "healthy": Condition(title="Healthy", meaning="nothing is refused", behaviour=_behaviour()),
    "limit-1": _limited(1),
    "limit-2": _limited(2),
    "limit-3": _limited(3),
    "faults": Condition(
        title="10 % of writes fail",
        meaning="at random, with 500, 502, 503 or 504",
        behaviour=_behaviour(faults=Faults(rate=0.1)),
    ),
    "outage": Condition(
        title="Outage of 30 s",
        meaning="from 1 s after the start, every request is answered 503 or 504",
        behaviour=_behaviour(outages=(_OUTAGE,)),
    ),
    "repositories": Condition(
        title="Five repositories",
        meaning="healthy, and the same image goes to four tags in each of five repositories",
        behaviour=_behaviour(),
        repositories=5,
    ),
    "sixty": Condition(
        title="60 tags", meaning="nothing is refused", behaviour=_behaviour(), tags=60
    ),
    "sixty-10": _sixty(0.1),
    "sixty-20": _sixty(0.2),
}
"""By the name that the command line and the results have for it."""

COMPARED = tuple(name for name, condition in CONDITIONS.items() if condition.tags == TAGS)
"""Those under which clients are compared."""

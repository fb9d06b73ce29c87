"""What a registry does to those who push to it, and the least time that it leaves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from tests.support.front import Auth, Behaviour, Faults, Outage, Step, User

TAGS = 20
LAYERS = 15
BLOBS = LAYERS + 1
"""The layers and the config."""

PARALLEL = 8
"""Most writes in flight at a time that a contender is asked for, and that a bound reckons with."""

POST, PUT, TAG = 0.1, 0.25, 0.4
"""Seconds that a registry across the internet takes to begin an upload, for a small blob, and for
a manifest, about."""

USER, PASSWORD = "octocat", "bench-password"

_FAULTS = Faults(rate=0.1)
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
    """A registry's state, and how many repositories the tags are spread over."""

    title: str
    meaning: str
    behaviour: Behaviour
    repositories: int = 1

    @property
    def names(self) -> list[str]:
        """Return every tag to write, as `repository:tag`; neighbours share a repository."""
        repositories = ["acme/app", *(f"acme/app-{n}" for n in range(2, self.repositories + 1))]
        return [
            f"{repositories[number * self.repositories // TAGS]}:v{number}"
            for number in range(TAGS)
        ]

    @property
    def slots(self) -> int:
        """How many writes can be in flight without one being refused."""
        most = self.behaviour.max_writes
        return min(most, PARALLEL) if isinstance(most, int) else PARALLEL

    @property
    def bound(self) -> float:
        """Return the least seconds that it can take with `slots` writes in flight.

        What no client can avoid: each blob goes up once, by a POST and a PUT, and each tag is
        a PUT. The registry takes a manifest only when it has all its blobs. So::

            uploads = BLOBS * (POST + PUT) / slots
            bound   = uploads + ceil(TAGS / slots) * TAG

        Reads, tokens, the engine and the client itself count as nothing. With random faults every
        request is needed 1 / (1 - rate) times on average. In an outage nothing begins from its
        start to its end; what began before it ends well. In a further repository each
        blob is mounted, by a POST alone, and the tags of one go up beside the blobs of the next,
        which leaves the sum of the work over `slots`.
        """
        uploads = BLOBS * (POST + PUT) / self.slots
        if self.repositories > 1:
            mounts = BLOBS * (self.repositories - 1) * POST / self.slots
            return uploads + mounts + TAGS * TAG / self.slots
        if self.behaviour.faults:
            needed = 1 / (1 - self.behaviour.faults.rate)
            return needed * uploads + max(_rounds(self.slots), needed * TAGS / self.slots) * TAG
        if self.behaviour.outages:
            return _across(self.behaviour.outages[0], uploads, self.slots)
        return uploads + _rounds(self.slots) * TAG


def _rounds(slots: int, tags: int = TAGS) -> int:
    return ceil(tags / slots)


def _across(outage: Outage, uploads: float, slots: int) -> float:
    """Return the bound where an outage falls into it."""
    begun = slots * max(0, ceil((outage.start - uploads) / TAG))
    left = _rounds(slots, max(0, TAGS - begun)) * TAG
    return (outage.end or 0) + left if left else uploads + _rounds(slots) * TAG


def _limited(writes: int) -> Condition:
    plural = "write" if writes == 1 else "writes"
    return Condition(
        title=f"At most {writes} {plural} in flight",
        meaning="what comes above that is answered 500 or 502 after 0.2 s",
        behaviour=_behaviour(max_writes=writes),
    )


CONDITIONS: Mapping[str, Condition] = {
    "healthy": Condition(title="Healthy", meaning="nothing is refused", behaviour=_behaviour()),
    "limit-1": _limited(1),
    "limit-2": _limited(2),
    "limit-3": _limited(3),
    "faults": Condition(
        title="10 % of writes fail",
        meaning="at random, with 500, 502, 503 or 504",
        behaviour=_behaviour(faults=_FAULTS),
    ),
    "outage": Condition(
        title="Outage of 30 s",
        meaning="every request, from 1 s after the start on, is answered 503 or 504",
        behaviour=_behaviour(outages=(_OUTAGE,)),
    ),
    "repositories": Condition(
        title="Five repositories",
        meaning="healthy, and the same image goes to four tags in each of five repositories",
        behaviour=_behaviour(),
        repositories=5,
    ),
}
"""By the name that the command line and the results have for it."""

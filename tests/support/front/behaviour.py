"""How the front behaves: frozen settings that are written in Python or in JSON.

Times are seconds since the behaviour was set. Globs are those of `fnmatch`, case-sensitive.
"""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tests.support.front import answers
from tests.support.front.answers import Answer
from tests.support.front.steps import ALL, MANIFESTS, UPLOADS, WRITES, Step

_FAMILIES = {"ALL": ALL, "WRITES": WRITES, "UPLOADS": UPLOADS, "MANIFESTS": MANIFESTS}


def _expanded(given: str | Iterable[str]) -> frozenset[str]:
    """Return the steps with these names; `WRITES` and the like mean several."""
    names = [given] if isinstance(given, str) else given
    return frozenset(step for name in names for step in _FAMILIES.get(name, {name}))


Steps = Annotated[frozenset[Step], BeforeValidator(_expanded)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class Model(BaseModel):
    """A frozen record that rejects unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(Model):
    """From `start` up to, but not including, `end`; None never ends."""

    start: Seconds = 0
    end: Seconds | None = None

    def holds(self, now: float) -> bool:
        return self.start <= now and (self.end is None or now < self.end)


class Match(Model):
    """Requests of these steps whose repository and reference fit the globs.

    And, with `larger_than`, whose body is announced as longer than so many bytes.
    """

    steps: Steps = ALL
    repository: str = "*"
    reference: str = "*"
    larger_than: int = Field(default=-1, ge=-1)


def on(*steps: Step, repository: str = "*", reference: str = "*", larger_than: int = -1) -> Match:
    """Return the match of these steps (none given: of all)."""
    return Match(
        steps=frozenset(steps) or ALL,
        repository=repository,
        reference=reference,
        larger_than=larger_than,
    )


class Event(Match):
    """At least `count` matching requests have been answered with one of `statuses`.

    No statuses means any below 400. `same_repository` and `same_reference` count only those
    that share it with the request that is being classified.
    """

    statuses: frozenset[int] = frozenset()
    count: int = Field(default=1, ge=1)
    same_repository: bool = False
    same_reference: bool = False


class Rule(Model):
    """The reaction to matching requests, and the selection of these.

    A matching request is chosen if every condition given holds: it lies in `window`; `after` has
    happened; of the matches counted so far `skip` are past; it is among the `first`; it is
    an `every`-th one; a draw falls below `probability`. `per` says whether matches are counted
    over the whole rule or for each repository or reference on its own.

    Effects: `before`, the registry never sees the request; `after`, it does the work and its
    answer is lost; `alter`, its own answer goes out with the headers of `answer` put in; `cut`,
    the registry sees `cut_after` bytes of a longer body, and then `answer` goes out.
    """

    match: Match = Match()
    answer: Answer = answers.EMPTY_500
    effect: Literal["before", "after", "alter", "cut"] = "before"
    cut_after: int = Field(default=0, ge=0)
    window: Window = Window()
    after: Event | None = None
    skip: int = Field(default=0, ge=0)
    first: int | None = Field(default=None, ge=1)
    every: int | None = Field(default=None, ge=1)
    probability: Share = 1
    per: Literal["rule", "repository", "reference"] = "rule"


class Bucket(Model):
    """A token bucket: refills at `per_minute`, holds at most `burst` requests, then 429.

    GHCR's pushes see 2,000 a minute with waits of 1 to 25 ms named in the message. The size of its
    burst is not published; a second's worth is our guess.
    """

    per_minute: float = Field(default=2000, gt=0)
    burst: int = Field(default=33, ge=1)
    steps: Steps = ALL - {Step.TOKEN}
    header: bool = False
    """Also send `Retry-After` in whole seconds, which GHCR has not been observed to do."""


class Secondary(Model):
    """A secondary rate limit: more than `writes` manifest PUTs within `window` seconds.

    It then refuses every write for `penalty` seconds; with `extends` each write during the penalty
    restarts it. About 44 manifest PUTs within minutes have triggered GHCR's.
    """

    writes: int = Field(default=40, ge=1)
    window: Seconds = 120
    penalty: Seconds = 60
    extends: bool = True


class Outage(Window):
    """Every request of `steps` within the window gets one of `answers`, in turn."""

    steps: Steps = ALL
    answers: tuple[Answer, ...] = Field(default=answers.OUTAGE, min_length=1)


class Faults(Model):
    """Random faults: a share `rate` of the requests of `steps` gets one of `answers`.

    Each request by a draw of its own; `evenly`, one at a drawn place of every 1 / `rate`, so that
    short runs meet that share, too. A share `lost` of the faults strikes after the registry did
    the work.
    """

    rate: Share
    evenly: bool = False
    steps: Steps = WRITES
    answers: tuple[Answer, ...] = Field(default=answers.FAULTS, min_length=1)
    lost: Share = 0


class Lag(Model):
    """A tag that was written reads as before for `low` to `high` seconds."""

    low: Seconds
    high: Seconds
    repository: str = "*"
    reference: str = "*"


class User(Model):
    """A password, and for repository globs the rights: `pull`, `push`."""

    password: str
    rights: dict[str, frozenset[Literal["pull", "push"]]] = {"*": frozenset({"pull", "push"})}


class Auth(Model):
    """The rights of users, and the texts of refusals.

    With mode `none` an `Authorization` header goes on to the registry, else it stays here. A
    token is granted to every known user, as GHCR does; what its user may not do
    is refused at the request itself with `refusal`. `realm` names the token service: this front's
    own, or with `{other_address}` the one of its other host.
    """

    mode: Literal["none", "basic", "token"] = "none"
    users: dict[str, User] = {}
    anonymous: dict[str, frozenset[Literal["pull"]]] = {}
    expires_in: float = Field(default=300, gt=0)
    service: str = "ghcr.io"
    realm: str = "{scheme}://{address}/token"
    refusal: Answer = answers.WRITE_PACKAGE
    wrong_password: Answer = answers.DENIED


def _ascending(steps: tuple[tuple[float, int], ...]) -> tuple[tuple[float, int], ...]:
    if list(steps) != sorted(steps, key=lambda step: step[0]):
        raise ValueError("the times of a schedule must ascend")
    return steps


Count = Annotated[int, Field(ge=0)]
Schedule = Annotated[tuple[tuple[Seconds, Count], ...], AfterValidator(_ascending)]


class Behaviour(Model):
    """The whole configuration of the front; the default is a proxy without faults.

    `max_writes` is a number, or pairs of a time and the number that holds from then on, with no
    limit before the first. `delays` are seconds per step before the registry sees the request,
    each times a draw from 1 - `jitter` to 1 + `jitter`; `takes` are seconds per step that an
    answer takes at least, the registry's and the front's own work among them. `bandwidth` is
    bytes per second over all upload bodies together. `serialise` keeps the registry's own races
    out (see `upstream`).
    """

    rules: tuple[Rule, ...] = ()
    max_writes: Count | Schedule | None = None
    refusals: tuple[Answer, ...] = Field(default=answers.OVERLOAD, min_length=1)
    refusal_delay: Seconds = 0
    bucket: Bucket | None = None
    secondary: Secondary | None = None
    outages: tuple[Outage, ...] = ()
    faults: Faults | None = None
    lag: Lag | None = None
    delays: dict[Step, Seconds] = {}
    takes: dict[Step, Seconds] = {}
    jitter: Share = 0
    bandwidth: float | None = Field(default=None, gt=0)
    auth: Auth = Auth()
    serialise: bool = True
    locations: Literal["absolute", "relative", "other_host"] = "absolute"

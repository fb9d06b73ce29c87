"""Turns a seed into a scenario: what is pushed, where, and what goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from random import Random

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.model import Group, Image, Kind, Plan, Source, Target
from ghcr_push.pushing.engine_first import QUICKER_FROM
from ghcr_push.references import Digest, Repository, TagReference

DIRECT = 1_000_000
"""From this seed on we upload the layers ourselves; below, ``docker push`` does."""

KEPT = 0.5
TOGETHER = 0.1
READ_BUGS = 0.05
SLOW_REFUSALS = 0.15
LOST_CHILDREN = 0.3
"""Shares of scenarios in which protected tags are kept instead of failed, no tag is written before
all content is complete (unless only `docker push` reaches a registry), reads raise internal errors,
refusals take longer than writes, and an index that a tag names has lost parts."""

BLOB_SIZE = 1000
"""Bytes of a typical blob."""


def digest_of(number: int) -> Digest:
    """Return a made-up digest."""
    return Digest(f"sha256:{number:064x}")


def referring_to(source: Source) -> Source:
    """Return the key in ``Transfer`` for the referrers of an image."""
    return Source(f"{source}, referrers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which a registry answers nothing useful."""

    begins: float
    ends: float
    writes_only: bool
    connection: bool
    """Whether connections break, instead of 5xx answers."""

    def covers(self, time: float, *, write: bool) -> bool:
        """Return whether it affects a request at ``time``."""
        return self.begins <= time < self.ends and (write or not self.writes_only)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How one registry behaves; shares are of requests, times are seconds from the run's start."""

    limits: tuple[tuple[float, int], ...]
    """Its capacity for writes in flight, each from a time on; writes beyond it get 5xx."""
    faults: float = 0.0
    read_faults: float = 0.0
    silent_from: float = float("inf")
    """From when on it accepts connections and answers nothing."""
    bursts: tuple[tuple[float, float], ...] = ()
    """Times in which most writes fail."""
    lost: float = 0.0
    """Writes that take effect, but whose answer does not say so."""
    late: float = 0.0
    """Writes that take effect seconds after they were answered with an error."""
    hangs: float = 0.0
    odd: float = 0.0
    """Writes refused with an unknown text, or a blob that is not visible yet."""
    bugs: float = 0.0
    """Writes in which the adapter raises an internal error."""
    read_bugs: float = 0.0
    """Reads in which it does."""
    refusal: float = 0.2
    """Seconds that a refusal takes, give or take a quarter; a write takes 0.43."""
    outages: tuple[Outage, ...] = ()
    bucket: tuple[float, int] | None = None
    """Requests a second, and how many at once, before 429."""
    secondary: tuple[int, float] | None = None
    """Writes a minute before 403, and seconds of penalty."""
    names_waits: bool = False
    """Whether 429, 403 and 503 have a ``Retry-After`` of whole seconds."""
    lag: float = 0.0
    """Seconds, at most, until a write shows in reads."""

    def limit(self, time: float) -> int:
        """Return the number of writes in flight that it accepts at ``time``."""
        return next(limit for begins, limit in reversed(self.limits) if begins <= time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Another job writes a tag."""

    at: float
    reference: TagReference
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The parts of an image, as an engine saves it."""

    blobs: tuple[Digest, ...]
    children: tuple[Digest, ...] = ()

    @property
    def parts(self) -> tuple[Digest, ...]:
        """All that must be in a repository before a tag may name the image."""
        return (*self.blobs, *self.children)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What we upload ourselves, and what goes wrong in the engine."""

    contents: dict[Source, Content]
    seconds: dict[Digest, float]
    """Seconds of each blob's upload."""
    sizes: dict[Digest, int]
    """Bytes of each blob."""
    held: frozenset[tuple[Repository, Digest]]
    """The blobs that the repositories hold beforehand."""
    unreadable: frozenset[Source] = frozenset()
    """Images that lack a part."""
    breaks: float = 0.0
    """Readings that break off."""
    late: Mapping[Source, float] = field(default_factory=dict)
    """Seconds before the engine begins to export an image."""
    spool: int = 100 * BLOB_SIZE
    """Bytes of temporary space, over all images that are being read."""
    arrivals: Mapping[tuple[Repository, Digest], float] = field(default_factory=dict)
    """What other jobs send during the run, and when, from its start."""
    mount_sources: tuple[Repository, ...] = ()
    closed: frozenset[Repository] = frozenset()
    """Those of ``mount_sources`` that may not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run to be played."""

    seed: int
    plan: Plan
    images: dict[Source, Image | None]
    """None: the engine does not have it."""
    digests: dict[Source, Digest]
    """The digest of each image's manifest, whether or not the engine knows it before a push."""
    uploads: dict[Source, float]
    """Seconds to upload the layers."""
    conditions: dict[str, Conditions]
    standing: dict[TagReference, Digest]
    """What the registries hold beforehand."""
    moves: tuple[Move, ...] = ()
    denied: frozenset[Repository] = frozenset()
    refused_tags: frozenset[TagReference] = frozenset()
    beyond_reach: frozenset[str] = frozenset()
    max_parallel: int = 4
    adaptive: bool = True
    max_attempts: int = 8
    backoff_initial: float = 0.5
    backoff_max: float = 60.0
    attempt_timeout: float = 900.0
    timeout: float = 1800.0
    fail_fast: bool = False
    verify: bool = True
    protect: tuple[str, ...] = ()
    keep_protected: bool = False
    all_or_nothing: bool = False
    cancel_at: float | None = None
    transfer: Transfer = field(
        default_factory=lambda: Transfer(contents={}, seconds={}, sizes={}, held=frozenset())
    )
    """Empty if ``docker push`` uploads the layers."""
    lists_referrers: frozenset[str] = frozenset()
    """Registries with the referrers API."""
    refused_manifests: frozenset[Digest] = frozenset()
    """Manifests that every registry refuses under their digests."""
    steady: bool = False
    """Whether requests and waits take exactly their mean time."""

    @property
    def engine_first(self) -> bool:
        """Whether ``docker push`` may try first."""
        return self.direct and self.seed % 3 == 0 and not self.all_or_nothing

    @property
    def first_resets(self) -> int:
        """How many of our process's first connections to each registry are reset."""
        return (0, 0, 1, 3)[self.seed % 4]

    @property
    def direct(self) -> bool:
        """Whether we upload the layers ourselves."""
        return bool(self.transfer.contents)

    def protects(self, tag: str) -> bool:
        """Say whether ``tag`` may be created but never moved."""
        return any(fnmatchcase(tag, pattern) for pattern in self.protect)


MISSING = classify(ErrorInfo(origin=Origin.RUN, kind=Kind.IMAGE_MISSING, message="no such image"))


def scenario(seed: int) -> Scenario:
    """Return the scenario of ``seed``; in most of them two or three things go wrong."""
    made = _rougher(Random(seed + 6), _scenario(seed))
    if seed < DIRECT:
        return made
    made = replace(made, plan=_copies(Random(seed + 5), made.plan, sorted(made.conditions)))
    transfer = _transfer(Random(seed + 3), made)
    transfer = _neighbours(Random(seed + 4), made, transfer)
    return replace(
        made,
        transfer=_without_children(Random(seed + 8), made, transfer),
        all_or_nothing=Random(seed + 7).random() < TOGETHER and not made.beyond_reach,
    )


def _rougher(random: Random, scenario: Scenario) -> Scenario:
    """Make reads raise internal errors, and refusals slow."""
    conditions = {}
    for name, each in scenario.conditions.items():
        bugs = 0.02 if random.random() < READ_BUGS else 0.0
        slow = random.random() < SLOW_REFUSALS
        refusal = random.choice((1.0, 5.0)) if slow else each.refusal
        conditions[name] = replace(each, read_bugs=bugs, refusal=refusal)
    return replace(scenario, conditions=conditions, keep_protected=random.random() < KEPT)


def _without_children(random: Random, scenario: Scenario, transfer: Transfer) -> Transfer:
    """Remove parts of indexes from repositories that still have their tags."""
    if random.random() >= LOST_CHILDREN:
        return transfer
    children = {
        child
        for source, content in transfer.contents.items()
        if (image := scenario.images[source]) and image.digest is not None
        for child in content.children
    }
    held = {
        part for part in sorted(transfer.held) if part[1] not in children or random.random() < 0.5
    }
    return replace(transfer, held=frozenset(held))


def _scenario(seed: int) -> Scenario:
    random = Random(seed)
    registries = ["ghcr.io", "registry.example"][: 1 if random.random() < 0.85 else 2]
    repositories = [
        Repository(registry, f"acme/app{number}")
        for registry in registries
        for number in range(random.choice((1, 1, 1, 2, 3)))
    ]
    groups = _groups(random, repositories)
    sources = {group.source for group in groups}
    digests = {source: digest_of(1000 + int(source.image)) for source in sources}
    plan = Plan(tuple(groups))
    protect = ("v*",) if random.random() < 0.3 else ()
    conditions = {registry: _conditions(random) for registry in registries}
    return Scenario(
        seed=seed,
        plan=plan,
        images={source: _image(random, source, digests) for source in sorted(sources)},
        digests=digests,
        uploads={source: random.choice((0.5, 2.0, 12.0)) for source in sorted(sources)},
        conditions=conditions,
        standing=_standing(random, plan, digests),
        moves=_moves(random, plan),
        denied=frozenset(r for r in repositories if random.random() < 0.05),
        refused_tags=frozenset(t.reference for t in plan.targets if random.random() < 0.01),
        beyond_reach=frozenset(r for r in registries if random.random() < 0.04),
        max_parallel=random.choice((1, 2, 4, 4, 8, 16)),
        adaptive=random.random() < 0.9,
        max_attempts=random.choice((8, 8, 8, 3, 1)),
        backoff_initial=random.choice((0.5, 0.5, 0.1)),
        attempt_timeout=random.choice((30.0, 120.0, 900.0)),
        timeout=random.choice((1800.0, 1800.0, 1800.0, 600.0, 60.0, 10.0)),
        fail_fast=random.random() < 0.1,
        verify=random.random() < 0.85,
        protect=protect,
        cancel_at=random.uniform(0, random.choice((1, 10, 60))) if random.random() < 0.15 else None,
    )


def _groups(random: Random, repositories: list[Repository]) -> list[Group]:
    groups = []
    for number in range(random.choice((1, 1, 1, 2, 3))):
        source, repository = Source(str(number)), random.choice(repositories)
        kind = random.choice(("t", "t", "v"))
        tags = [
            f"{kind if random.random() < 0.7 else 't'}{number}.{n}"
            for n in range(random.choice((1, 2, 3, 5, 8, 12, 20)))
        ]
        targets = tuple(Target(TagReference(repository, tag), source) for tag in tags)
        groups.append(Group(source, repository, targets))
    return groups


def _copies(random: Random, plan: Plan, registries: list[str]) -> Plan:
    """Push some images to further repositories, of any registry."""
    groups = list(plan.groups)
    for source in sorted({group.source for group in plan.groups}):
        for number in range(random.choice((0, 0, 0, 1, 4))):
            repository = Repository(random.choice(registries), f"acme/copy{number}")
            tags = (f"c{source.image}.{n}" for n in range(random.choice((1, 3))))
            targets = tuple(Target(TagReference(repository, tag), source) for tag in tags)
            groups.append(Group(source, repository, targets))
    return Plan(tuple(groups))


def _image(random: Random, source: Source, digests: dict[Source, Digest]) -> Image | None:
    if random.random() < 0.02:
        return None
    if random.random() < 0.5:
        return Image(
            id=digests[source],
            layers=3,
            digest=digests[source],
            size=QUICKER_FROM,
            in_engine=True,
        )
    return Image(id=digest_of(5000 + int(source.image)), layers=3, in_engine=True)


def _standing(
    random: Random, plan: Plan, digests: dict[Source, Digest]
) -> dict[TagReference, Digest]:
    share = random.choice((0.0, 0.0, 0.3, 0.9))
    return {
        target.reference: random.choice((digests[target.source], digest_of(random.randrange(50))))
        for target in plan.targets
        if random.random() < share
    }


def _transfer(random: Random, scenario: Scenario) -> Transfer:
    shared = [digest_of(20_000 + number) for number in range(10)]
    contents = {
        source: Content(
            blobs=(
                *random.sample(shared, random.choice((0, 1, 3, 6))),
                digest_of(30_000 + int(source.image)),
            ),
            children=tuple(
                digest_of(40_000 + 10 * int(source.image) + number)
                for number in range(random.choice((0, 0, 0, 2)))
            ),
        )
        for source in scenario.images
    }
    share = random.choice((0.0, 0.0, 0.5))
    held = {
        (group.repository, digest)
        for group in scenario.plan.groups
        for digest in contents[group.source].blobs
        if random.random() < share
    }
    standing = {
        (reference.repository, part)
        for reference, digest in scenario.standing.items()
        for source, wanted in scenario.digests.items()
        if digest == wanted
        for part in contents[source].parts
    }
    blobs = {digest for content in contents.values() for digest in content.blobs}
    return Transfer(
        contents=contents,
        seconds={digest: random.choice((0.1, 1.0, 8.0)) for digest in sorted(blobs)},
        held=frozenset(held | standing),
        unreadable=frozenset(source for source in contents if random.random() < 0.03),
        breaks=random.choice((0.1, 0.5)) if random.random() < 0.25 else 0.0,
        sizes=_sizes(Random(scenario.seed + 5), sorted(blobs)),
        spool=random.choice((1, 3, 100)) * BLOB_SIZE,
    )


def _sizes(random: Random, blobs: list[Digest]) -> dict[Digest, int]:
    """Make some blobs larger than a small spool, and many much smaller."""
    return {digest: int(BLOB_SIZE * random.choice((0.1, 0.5, 1, 2.5))) for digest in blobs}


def _neighbours(random: Random, scenario: Scenario, transfer: Transfer) -> Transfer:
    """Let other jobs send blobs meanwhile, and other repositories hold some for mounts."""
    repositories = sorted({group.repository for group in scenario.plan.groups})
    blobs = sorted({digest for content in transfer.contents.values() for digest in content.blobs})
    soon, often = random.choice((2.0, 20.0)), random.choice((0.0, 0.0, 0.3))
    arrivals = {
        (repository, digest): random.uniform(0, soon)
        for repository in repositories
        for digest in blobs
        if random.random() < often
    }
    origins: list[Repository] = []
    if random.random() < 0.4:
        origins = [Repository(registry, "acme/base") for registry in sorted(scenario.conditions)]
        origins += random.sample(repositories, random.choice((0, 1)))
        origins += [Repository("ghcr.io", "acme/tools")]
    share = random.choice((0.2, 0.9))
    offered = {(o, digest) for o in origins for digest in blobs if random.random() < share}
    return replace(
        transfer,
        arrivals=arrivals,
        held=transfer.held | {part for part in offered if part[0] not in repositories},
        mount_sources=tuple(origins),
        closed=frozenset(o for o in origins if o not in repositories and random.random() < 0.15),
    )


def _moves(random: Random, plan: Plan) -> tuple[Move, ...]:
    if random.random() < 0.85:
        return ()
    return tuple(
        Move(
            at=random.uniform(0, random.choice((3, 20))),
            reference=random.choice(plan.targets).reference,
            digest=digest_of(100 + number),
        )
        for number in range(random.choice((1, 3)))
    )


def _conditions(random: Random) -> Conditions:
    def now_and_then(often: float, *shares: float) -> float:
        return random.choice(shares) if random.random() < often else 0.0

    return Conditions(
        limits=_limits(random),
        faults=now_and_then(0.3, 0.02, 0.1, 0.2),
        read_faults=now_and_then(0.2, 0.02, 0.1),
        bursts=_bursts(random),
        lost=now_and_then(0.2, 0.05, 0.3),
        late=now_and_then(0.1, 0.05, 0.2),
        hangs=now_and_then(0.1, 0.02, 0.1),
        odd=now_and_then(0.1, 0.02, 0.1),
        bugs=now_and_then(0.03, 0.02, 0.2),
        outages=_outages(random),
        bucket=random.choice(((2.0, 10), (10.0, 30))) if random.random() < 0.1 else None,
        secondary=random.choice(((10, 90.0), (80, 200.0))) if random.random() < 0.1 else None,
        names_waits=random.random() < 0.3,
        lag=now_and_then(0.2, 1.0, 25.0),
    )


def _limits(random: Random) -> tuple[tuple[float, int], ...]:
    limits = [(float("-inf"), random.choice((1, 2, 3, 5, 64, 64)))]
    if random.random() < 0.2:
        limits.append((random.uniform(1, 10), random.choice((1, 2, 8))))
    return tuple(limits)


def _bursts(random: Random) -> tuple[tuple[float, float], ...]:
    if random.random() < 0.85:
        return ()
    begins = random.uniform(0, 10)
    return ((begins, begins + random.choice((0.5, 3, 10))),)


def _outages(random: Random) -> tuple[Outage, ...]:
    if random.random() < 0.85:
        return ()
    begins = random.choice((0.0, random.uniform(0, 10)))
    length = random.choice((5.0, 30.0, 90.0, 600.0, 7200.0))
    return (
        Outage(
            begins=begins,
            ends=begins + length,
            writes_only=random.random() < 0.3,
            connection=random.random() < 0.4,
        ),
    )

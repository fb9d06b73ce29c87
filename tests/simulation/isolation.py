"""A dead registry beside a healthy one: the delay of the healthy one's tags.

The healthy registry answers every request, each kind in a fixed time, so that two runs can be
compared: the full one, and one of the healthy registry's targets alone, with one slot of
``max-parallel`` fewer, which is the dead one's share.
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from ghcr_push.model import Group, Image, Outcome, Plan, Source, Target
from ghcr_push.pushing.events import WentDown
from ghcr_push.pushing.progress import QUIET
from ghcr_push.pushing.readings import CHECKED_EVERY, GATHERING
from ghcr_push.references import Repository, TagReference
from tests.simulation.evidence import ended_at
from tests.simulation.play import Played, play
from tests.simulation.promises import broken_promises
from tests.simulation.scenario import (
    BLOB_SIZE,
    Conditions,
    Content,
    Outage,
    Scenario,
    Transfer,
    digest_of,
)

ISOLATED = 10_000_000
"""Seeds from this one on have a dead registry."""

HEALTHY, DEAD = "ghcr.io", "dead.example"

WAYS = ("refuses connections", "answers 503", "never answers")

LONGER, LATER = 1.2, 1.0
"""The maximum delay of the healthy one's tags, as a factor and in seconds."""

OTHER_CHANCES = 8
"""Number of further runs of the healthy registry alone if it seems to be delayed."""

ALWAYS = ((float("-inf"), 64),)


def isolated(seed: int) -> Scenario:
    """Return a random run with a registry that is dead, in one of three ways, and a healthy one."""
    random = Random(seed)
    groups = _groups(random)
    sources = sorted({group.source for group in groups})
    digests = {source: digest_of(1000 + int(source.image)) for source in sources}
    direct = random.random() < 0.8
    return Scenario(
        seed=seed,
        plan=Plan(tuple(groups)),
        images={source: _image(random, source) for source in sources},
        digests=digests,
        uploads=dict.fromkeys(sources, 2.0),
        conditions={
            HEALTHY: Conditions(limits=ALWAYS),
            DEAD: _dead(random, WAYS[seed % len(WAYS)]),
        },
        standing={},
        max_parallel=random.choice((2, 4, 4, 8)),
        attempt_timeout=900.0,
        timeout=random.choice((1800.0, 300.0)),
        transfer=_transfer(random, sources)
        if direct
        else Transfer(contents={}, seconds={}, sizes={}, held=frozenset()),
        steady=True,
    )


def _groups(random: Random) -> list[Group]:
    """Plan images for one registry or for both, in random order."""
    planned = [(HEALTHY, number) for number in range(random.choice((1, 1, 2)))]
    shared = [(DEAD, number) for _, number in planned if random.random() < 0.3]
    own = [(DEAD, 10 + number) for number in range(random.choice((1, 2, 4)))]
    planned += shared + own
    random.shuffle(planned)
    return [_group(random, registry, Source(str(number))) for registry, number in planned]


def _group(random: Random, registry: str, source: Source) -> Group:
    repository = Repository(registry, f"acme/app{source.image}")
    tags = range(random.choice((1, 3, 12)))
    targets = (Target(TagReference(repository, f"t{tag}"), source) for tag in tags)
    return Group(source, repository, tuple(targets))


def _image(random: Random, source: Source) -> Image:
    digest = digest_of(1000 + int(source.image))
    if random.random() < 0.5:
        return Image(id=digest, layers=3, digest=digest, in_engine=True)
    return Image(id=digest_of(5000 + int(source.image)), layers=3, in_engine=True)


def _dead(random: Random, way: str) -> Conditions:
    if way == "never answers":
        return Conditions(limits=ALWAYS, silent_from=random.choice((0.0, 0.0, 3.0)))
    begins = random.choice((0.0, 0.0, 3.0))
    outage = Outage(
        begins=begins,
        ends=float("inf"),
        writes_only=random.random() < 0.2,
        connection=way == "refuses connections",
    )
    return Conditions(limits=ALWAYS, outages=(outage,))


def _transfer(random: Random, sources: list[Source]) -> Transfer:
    """Make images most of which do not fit into temporary space."""
    contents = {
        source: Content(
            blobs=tuple(
                digest_of(20_000 + 100 * int(source.image) + number)
                for number in range(random.choice((2, 5, 8)))
            )
        )
        for source in sources
    }
    blobs = [digest for content in contents.values() for digest in content.blobs]
    return Transfer(
        contents=contents,
        seconds={digest: random.choice((0.3, 1.0, 3.0)) for digest in blobs},
        sizes={digest: int(BLOB_SIZE * random.choice((0.5, 1, 2))) for digest in blobs},
        held=frozenset(),
        spool=random.choice((1, 2, 4, 100)) * BLOB_SIZE,
    )


def without_the_dead(scenario: Scenario, places: int = 1) -> Scenario:
    """Return the run of the healthy registry's targets alone, with so many slots fewer."""
    groups = tuple(g for g in scenario.plan.groups if g.repository.registry == HEALTHY)
    return replace(
        scenario,
        plan=Plan(groups),
        conditions={HEALTHY: scenario.conditions[HEALTHY]},
        max_parallel=scenario.max_parallel - places,
    )


def read_late(scenario: Scenario) -> Scenario:
    """Delay the start of reading images that the dead registry also needs, as long as possible.

    A reading waits that long for a repository to report. The order in which blobs get temporary
    space is random, with a dead registry or without.
    """
    groups = scenario.plan.groups
    wanted = {group.source for group in groups if group.repository.registry == DEAD}
    late = dict.fromkeys(sorted(wanted), GATHERING)
    return replace(scenario, transfer=replace(scenario.transfer, late=late))


def broken_beside_the_dead(seed: int) -> list[str]:
    """Play both runs of ``seed``; return the broken promises, and tags that were delayed."""
    scenario = isolated(seed)
    whole, alone = play(scenario), play(without_the_dead(scenario))
    broken = [*broken_promises(whole), *(f"alone: {each}" for each in broken_promises(alone))]
    held = list(held_up(whole, [alone]))
    if held and scenario.direct:
        held = list(held_up(whole, [alone, *by_other_chances(scenario, places_of_the_dead(whole))]))
    return broken or [f"healthy_registries_are_not_held_up: {each}" for each in held]


def places_of_the_dead(whole: Played) -> int:
    """Count the slots that the dead registry had when it was known to be dead: at least one.

    It has more if it died during the run: its requests wait for answers, and count as in flight.
    """
    known = whole.start + known_dead_at(whole)
    had = sum(each.registry == DEAD and each.begins <= known < each.ends for each in whole.slots)
    return max(1, had)


def by_other_chances(scenario: Scenario, places: int) -> list[Played]:
    """Play the healthy registry's run alone with other random choices.

    If temporary space does not hold all blobs, their order matters more than a dead registry: one
    seed's run alone takes 7 s or 11 s (20003860).
    """
    alone = without_the_dead(read_late(scenario), places)
    return [play(replace(alone, seed=scenario.seed + chance)) for chance in range(OTHER_CHANCES)]


def known_dead_at(whole: Played) -> float:
    """Return when the run may know that a registry is dead; until then the registry has its share.

    A registry that answers reads and no writes is known by its first writes, which come when its
    image is read. Requests in flight when it died are served to their end.
    """
    conditions = whole.scenario.conditions[DEAD]
    if any(outage.writes_only for outage in conditions.outages):
        downs = (
            at - whole.start
            for at, event in whole.events
            if isinstance(event, WentDown) and event.registry == DEAD
        )
        return next(downs, 0.0)
    died = min(
        conditions.silent_from, *(outage.begins for outage in conditions.outages), float("inf")
    )
    under_way = (
        request.ended - whole.start
        for request in whole.log
        if request.repository.registry == DEAD and request.good
        if request.began - whole.start < died
    )
    return max([died, *under_way]) + QUIET + CHECKED_EVERY if died > 0 else 0.0


def held_up(whole: Played, alone: list[Played]) -> Iterator[str]:
    """Yield the tags of the healthy registry that did not land, or landed too late."""
    slowest = max(at - each.start for each in alone for at in ended_at(each).values())
    allowed = LONGER * slowest + LATER + known_dead_at(whole)
    times = ended_at(whole)
    for result in whole.results:
        if result.target.reference.repository.registry != HEALTHY:
            continue
        took = times[result.target] - whole.start
        if result.outcome is not Outcome.PUSHED:
            yield f"{result.target} is {result.outcome}: {result.failure}"
        elif took > allowed:
            yield f"{result.target} took {took:.1f} s, alone all took {slowest:.1f} s"

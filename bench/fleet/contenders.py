"""Who pushes: the real queue, the loops that people write by hand, and a perfect schedule."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import anyio
import trio
from bench.fleet.registry import MINUTE, RunnerWorld, Setting, SharedRegistry
from tests.simulation.defaults import default_seconds
from tests.simulation.play import LEAD, Played, _queue, deterministic
from tests.simulation.scenario import BLOB_SIZE, Conditions, Content, Scenario, Transfer, digest_of
from tests.simulation.slots import noted
from tests.simulation.world import MANIFEST, WRITE
from trio.testing import MockClock

from ghcr_push.failures import PushError, classify
from ghcr_push.model import Failure, Group, Image, Manifest, Plan, Source, Target
from ghcr_push.references import Repository, TagReference

REGISTRY = "ghcr.io"
PARALLEL = 4
TAGS = (20, 200)
ARRIVING = 5.0
"""Seconds within which the jobs of a workflow matrix begin to push."""

BLOBS = {"layer": 1.0, "config": 0.1}
"""The blobs of each runner's image that no other has, and the extra seconds to send one."""

LENGTHENED = (0.8 + 1.25) / 2
"""Mean of the factor by which the modelled world varies every length."""


@dataclass(slots=True)
class Runner:
    """One job of the matrix; times are the clock's."""

    played: Played
    arrives: float

    @property
    def tags(self) -> int:
        """How many it has to write."""
        return len(self.played.scenario.plan.targets)

    @property
    def landed(self) -> int:
        """How many of its tags the registry holds."""
        return sum(bool(versions) for versions in self.played.world.history.values())

    @property
    def seconds(self) -> float:
        """From its arrival to its end."""
        return (self.played.ended or 0.0) - self.played.start


def runners_of(
    count: int,
    seed: int,
    shared: SharedRegistry,
    *,
    timeout: float = float("inf"),
    tags: tuple[int, int] = TAGS,
) -> list[Runner]:
    """Return a random fleet; ``tags`` are the fewest and the most of one runner."""
    random = Random(seed)
    runners = []
    for number in range(count):
        scenario = _scenario(number, seed * 10_000 + number, random.randint(*tags), timeout)
        world = RunnerWorld(scenario, Random(scenario.seed + 1), shared)
        runners.append(Runner(Played(scenario, world), random.uniform(0, ARRIVING)))
    return runners


def _scenario(number: int, seed: int, tags: int, timeout: float) -> Scenario:
    repository, source = Repository(REGISTRY, f"acme/app{number}"), Source(str(number))
    targets = tuple(Target(TagReference(repository, f"t{tag}"), source) for tag in range(tags))
    digest, *blobs = (digest_of(10 * number + part) for part in range(1 + len(BLOBS)))
    return Scenario(
        seed=seed,
        plan=Plan((Group(source, repository, targets),)),
        images={source: Image(id=digest, layers=1, digest=digest, in_engine=True)},
        digests={source: digest},
        uploads={},
        conditions={REGISTRY: Conditions(limits=((float("-inf"), 10**9),))},
        standing={},
        max_parallel=PARALLEL,
        backoff_initial=default_seconds("backoff-initial"),
        timeout=timeout,
        transfer=Transfer(
            contents={source: Content(blobs=tuple(blobs))},
            seconds=dict(zip(blobs, BLOBS.values(), strict=True)),
            sizes=dict.fromkeys(blobs, BLOB_SIZE),
            held=frozenset(),
        ),
    )


# -- who pushes -----------------------------------------------------------------------------------


async def ours(runner: Runner) -> None:
    """Run the real queue."""
    queue = _queue(runner.played)
    runner.played.results = await queue.run()


@dataclass(frozen=True, slots=True)
class ByHand:
    """A loop as people write it: workers that push tag by tag, and sleep before a retry.

    A push sends the missing blobs, each once even if several tags wait for it, and then the
    manifest, without reading the tag before or after. ``pause`` returns the seconds after the
    failed attempt of that number.
    """

    parallel: int
    tries: int
    pause: Callable[[Random, int, Failure], float]

    async def __call__(self, runner: Runner) -> None:
        """Push every tag."""
        scenario, random = runner.played.scenario, Random(runner.played.scenario.seed + 2)
        waiting, sending = deque(scenario.plan.targets), anyio.Lock()

        async def work() -> None:
            while waiting:
                target = waiting.popleft()
                for number in range(1, self.tries + 1):
                    try:
                        await _push(runner.played, target, sending)
                        break
                    except PushError as error:
                        if number < self.tries:
                            await anyio.sleep(self.pause(random, number, classify(error.evidence)))

        with anyio.move_on_after(scenario.timeout):
            async with anyio.create_task_group() as tasks:
                for _ in range(self.parallel):
                    tasks.start_soon(work)


async def _push(played: Played, target: Target, sending: anyio.Lock) -> None:
    repository, digest = target.reference.repository, played.scenario.digests[target.source]
    for blob in played.scenario.transfer.contents[target.source].blobs:
        async with sending:
            if not played.world.holds(repository, blob):
                await played.world.take_blob(repository, blob, None, lambda: None)
    await played.world.put(repository, target.reference.tag, Manifest(MANIFEST, digest, b"{}"))


def _short(_: Random, number: int, __: Failure) -> float:
    """One second and then three, as go-containerregistry waits."""
    return 3.0 ** (number - 1)


def _growing(random: Random, number: int, failure: Failure) -> float:
    """Exponential from 2 s to 60 s with jitter, and no shorter than the registry asks."""
    grown = min(60.0, 2.0**number)
    return max(failure.asked_wait or 0.0, random.uniform(grown / 2, grown))


OURS, NAIVE = "ours", "naive parallel"
CONTENDERS: Mapping[str, Callable[[Runner], Awaitable[None]]] = {
    OURS: ours,
    NAIVE: ByHand(PARALLEL, 3, _short),
    "parallel, no retry": ByHand(PARALLEL, 1, _short),
    "parallel, back-off": ByHand(PARALLEL, 8, _growing),
    "sequential": ByHand(1, 3, _short),
}


def play(name: str, runners: Sequence[Runner], seed: int) -> None:
    """Let all runners push, in one event loop on a virtual clock."""

    async def job(runner: Runner) -> None:
        await anyio.sleep(runner.arrives)
        runner.played.world.begin()
        runner.played.start = anyio.current_time()
        await CONTENDERS[name](runner)
        runner.played.ended = anyio.current_time()

    async def fleet() -> None:
        await anyio.sleep(LEAD)
        async with anyio.create_task_group() as tasks:
            for runner in runners:
                tasks.start_soon(job, runner)

    with deterministic(seed), noted():
        trio.run(fleet, clock=MockClock(autojump_threshold=0))


# -- the perfect schedule -------------------------------------------------------------------------


def alone(runner: Runner, setting: Setting) -> float:
    """Return the minimum seconds for a runner's writes if it is the only one."""
    return _write_seconds(runner) / min(PARALLEL, setting.writes)


def perfect(runners: Sequence[Runner], setting: Setting, *, verified: bool) -> float:
    """Return the minimum seconds from the first arrival to the last end, for any schedule.

    Every tag and blob takes one write. With ``verified`` each blob is also looked for once, and
    each tag read before and after its write. Nothing is refused, no request waits for another's
    answer, and the buckets are emptied to the last token.
    """
    first = min(runner.arrives for runner in runners)
    tags = sum(runner.tags for runner in runners)
    writes = tags + len(BLOBS) * len(runners)
    reads = (2 * tags + len(BLOBS) * len(runners)) if verified else 0
    buckets = [(setting.requests, writes + (reads if setting.reads is None else 0))]
    if setting.reads is not None:
        buckets.append((setting.reads, reads))
    return max(
        sum(_write_seconds(runner) for runner in runners) / setting.writes,
        *((requests - most) / rate * MINUTE for (rate, most), requests in buckets),
        *(runner.arrives - first + alone(runner, setting) for runner in runners),
    )


def _write_seconds(runner: Runner) -> float:
    writes = runner.tags + len(BLOBS)
    return (writes * WRITE + sum(BLOBS.values())) * LENGTHENED

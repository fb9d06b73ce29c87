"""The upload of content to a repository: mounts, repeated reads, and events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Self, cast

import anyio
import pytest
from tests.support.virtual_clock import played

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import BlobOutcome, Image, Kind, Manifest, Source, Step, Target, TransferStats
from ghcr_push.pushing.content_push import ContentPush
from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.events import ContentProgress, Event, Noticed
from ghcr_push.pushing.journal import ContentLog
from ghcr_push.pushing.known_blobs import KnownBlobs
from ghcr_push.pushing.ports import Engine, Registry
from ghcr_push.pushing.pressure.global_limit import GlobalLimit
from ghcr_push.pushing.pressure.limit import Limit
from ghcr_push.pushing.pressure.limiter import Limiter
from ghcr_push.pushing.pressure.retry import AttemptError, Backoff
from ghcr_push.pushing.readings import Readings, SharedContent
from ghcr_push.pushing.reads import LOOK_STAYS_TRUE
from ghcr_push.pushing.registry_state import RegistryState
from ghcr_push.pushing.units import Unit, Units
from ghcr_push.pushing.write_access import WriteAccess
from ghcr_push.references import Digest, Repository, TagReference
from ghcr_push.sources.content import FoundContent, Read

APP, OTHER = Repository("ghcr.io", "acme/app"), Repository("ghcr.io", "acme/other")
BASE, TOOLS = Repository("ghcr.io", "acme/base"), Repository("ghcr.io", "acme/tools")
LAYER, CONFIG = (Digest(f"sha256:{number:064x}") for number in (1, 2))
TOP = Manifest("application/vnd.oci.image.manifest.v1+json", Digest(f"sha256:{3:064x}"), b"{}")
NO_ACCESS = "denied: requested access to the resource is denied"
DENIED = ErrorInfo(origin=Origin.REGISTRY, message=NO_ACCESS, status=403)
BUSY = ErrorInfo(origin=Origin.REGISTRY, message="busy", status=503, retry_after=7.0)

Asked = tuple[str, Repository, Digest]


@dataclass(slots=True, eq=False)
class Blob:
    """A blob without bytes."""

    digest: Digest
    size: int = 100
    registry: str | None = "quay.io"

    def release(self) -> None: ...


@dataclass(slots=True)
class Saved:
    """An image of one layer and a config."""

    left: list[Digest] = field(default_factory=lambda: [LAYER, CONFIG])
    seconds_compressing: float = 0.25
    waits_for_space: bool = False
    manifests: tuple[Manifest, ...] = (TOP,)
    notice: None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Blob:
        if not self.left:
            raise StopAsyncIteration
        return Blob(self.left.pop(0))

    @property
    def image(self) -> "Saved":
        return self


@dataclass(slots=True)
class World:
    """An engine and a registry: a read takes 0.1 s, a write ``writing`` seconds."""

    held: set[tuple[Repository, Digest]] = field(default_factory=set)
    mounts: bool = True
    writing: float = 0.1
    refusals: dict[Repository, list[ErrorInfo]] = field(default_factory=dict)
    """The answers to reads for a mount, in order."""
    source_waits: dict[Digest, float] = field(default_factory=dict)
    """The waits that the source names at the first attempt to send a blob, short ones last."""
    asked: list[Asked] = field(default_factory=list)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Saved]:
        yield Saved()

    async def has_blob(self, repository: Repository, digest: Digest) -> bool:
        self.asked.append(("look", repository, digest))
        await anyio.sleep(0.1)
        return (repository, digest) in self.held

    async def can_mount(self, _: Repository, digest: Digest, origin: Repository) -> bool:
        self.asked.append(("look", origin, digest))
        await anyio.sleep(0.1)
        if refusals := self.refusals.get(origin):
            raise PushError(refusals.pop(0))
        return (origin, digest) in self.held

    def upload(self, repository: Repository, blob: Blob) -> "Upload":
        return Upload(self, repository, blob)

    def of(self, what: str, digest: Digest = LAYER) -> list[Repository]:
        """Return the repositories of such requests for a blob, in order."""
        return [each for did, each, of in self.asked if (did, of) == (what, digest)]


@dataclass(slots=True)
class Upload:
    """The upload of a blob."""

    world: World
    repository: Repository
    blob: Blob
    bytes_sent: int = 0

    async def attempt(self, mount_from: Repository | None = None) -> BlobOutcome:
        if mount_from is not None:
            self.world.asked.append(("mount", mount_from, self.blob.digest))
            if self.world.mounts:
                return BlobOutcome.MOUNTED
        self.world.asked.append(("send", self.repository, self.blob.digest))
        for _ in range(2):
            await anyio.sleep(self.world.writing / 2)
            self.bytes_sent += self.blob.size // 2
        if wait := self.world.source_waits.pop(self.blob.digest, None):
            await anyio.sleep(1 / wait)
            raise PushError(
                ErrorInfo(
                    origin=Origin.RUN,
                    kind=Kind.SOURCE_UNREACHABLE,
                    message="slow down",
                    retry_after=wait,
                )
            )
        self.world.held.add((self.repository, self.blob.digest))
        return BlobOutcome.SENT


@dataclass(slots=True)
class Bench:
    """The shared state of a run in a world, with one limiter."""

    world: World
    context: RunContext
    limiter: Limiter
    known_blobs: KnownBlobs
    readings: Readings
    events: list[Event]

    async def push(self, repository: Repository = APP) -> TransferStats:
        """Upload the image to a repository; return the statistics."""
        log, target = ContentLog(), Target(TagReference(repository, "1"), Source("app"))
        content = FoundContent(image=Image(id=CONFIG, layers=1), read=cast("Read", self.world.read))
        content_push = ContentPush(self.units(target, log), SharedContent(self.readings, content))
        assert await content_push.push() == TOP
        return log.transfer

    def units(self, seed: Target, log: ContentLog) -> Units:
        return Units(
            seed=seed,
            context=self.context,
            registry_state=RegistryState(
                limiter=self.limiter,
                known_blobs=self.known_blobs,
                write_access=WriteAccess(self.context, self.limiter, may_ask=lambda: False),
            ),
            may_begin=lambda: True,
            log=log,
        )


@asynccontextmanager
async def bench(
    world: World, *mount_sources: Repository, parallel: int = 4
) -> AsyncIterator[Bench]:
    events: list[Event] = []
    context = RunContext(
        engine=cast("Engine", world),
        registry=cast("Registry", world),
        backoff=Backoff(initial=2.0, maximum=60.0, max_attempts=8, random=Random(1)),
        observer=events.append,
        start=anyio.current_time(),
        attempt_timeout=900.0,
        verify=True,
        protect=(),
        direct=True,
        mount_sources=mount_sources,
    )
    async with anyio.create_task_group() as tasks:
        limiter = Limiter(
            "ghcr.io",
            limit=Limit(parallel),
            global_limit=GlobalLimit(parallel),
            tasks=tasks,
            observer=events.append,
            random=Random(1),
        )
        limiter.outage.answered()
        readings = Readings(context, tasks)
        yield Bench(world, context, limiter, KnownBlobs(context, limiter), readings, events)
        tasks.cancel_scope.cancel()


# -- mounts ---------------------------------------------------------------------------------


@played
async def test_a_blob_of_an_origin_is_mounted_from_there() -> None:
    async with bench(World({(TOOLS, LAYER)}), BASE, TOOLS) as on:
        transfer = await on.push()
    assert (transfer.blobs_mounted, transfer.blobs_sent, transfer.bytes_saved) == (1, 1, 100)
    assert on.world.of("mount") == [TOOLS]
    assert on.world.of("look") == [APP, BASE, TOOLS]
    assert on.world.of("mount", CONFIG) == []


@played
async def test_a_refused_mount_is_an_upload_and_no_failure() -> None:
    async with bench(World({(BASE, LAYER)}, mounts=False), BASE) as on:
        transfer = await on.push()
    assert (transfer.blobs_mounted, transfer.blobs_sent) == (0, 2)


@played
async def test_a_blob_of_the_repository_is_not_looked_for_elsewhere() -> None:
    async with bench(World({(APP, LAYER), (BASE, LAYER)}), BASE) as on:
        await on.push()
    assert on.world.of("look") == [APP]


@played
async def test_a_blob_that_the_run_sent_elsewhere_is_mounted_without_a_read() -> None:
    async with bench(World(), BASE) as on:
        await on.push(OTHER)
        transfer = await on.push()
    assert transfer.blobs_mounted == 2
    assert on.world.of("mount") == [OTHER]
    assert on.world.of("look") == [OTHER, BASE, APP]


@played
async def test_an_origin_is_asked_once_for_a_blob_for_all_groups() -> None:
    world = World(writing=5.0)
    async with bench(world, BASE) as on, anyio.create_task_group() as tasks:
        tasks.start_soon(on.push, APP)
        tasks.start_soon(on.push, OTHER)
    assert world.of("look").count(BASE) == 1


@played
async def test_a_repository_is_not_mounted_into_itself() -> None:
    async with bench(World(), APP) as on:
        await on.push()
    assert on.world.of("look") == [APP]


@played
async def test_a_blob_that_another_group_found_here_is_not_mounted() -> None:
    world = World({(APP, CONFIG)})
    async with anyio.create_task_group() as tasks, bench(world, APP, parallel=1) as on:
        async with on.limiter.write("another"):
            tasks.start_soon(on.push)
            await anyio.sleep(LOOK_STAYS_TRUE / 2)
            world.held.add((APP, LAYER))
            tasks.start_soon(on.push, OTHER)
            await anyio.sleep(LOOK_STAYS_TRUE / 4)
        await anyio.sleep(10)
    assert world.of("mount") == [APP]
    assert world.of("look") == [APP, OTHER, APP]


@played
async def test_an_unreadable_origin_is_skipped_and_reported() -> None:
    async with bench(World({(BASE, CONFIG)}, refusals={BASE: [DENIED]}), BASE) as on:
        await on.push(OTHER)
        await on.push()
    assert on.world.of("look").count(BASE) + on.world.of("look", CONFIG).count(BASE) <= 2
    [notice] = [event for event in on.events if isinstance(event, Noticed)]
    assert notice.sentence == f"not mounting layers from {BASE}: {NO_ACCESS}"


def test_an_origin_that_refuses_is_not_asked_by_waiting_groups(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(refusals={BASE: [DENIED]})

    @played
    async def push() -> None:
        async with bench(world, BASE, parallel=1) as on, on.limiter.read():
            await on.push()

    push()
    assert len(world.of("look") + world.of("look", CONFIG)) == 3
    assert caplog.records == []


@played
async def test_after_a_temporary_failure_the_next_group_repeats_the_read() -> None:
    world = World(refusals={BASE: [BUSY, BUSY]})
    async with bench(world, BASE) as on:
        began = anyio.current_time()
        await on.push(OTHER)
        assert anyio.current_time() - began >= 7
        world.held = {(BASE, LAYER)}
        on.known_blobs._held.clear()
        await on.push()
    assert on.world.of("mount") == [BASE]


@played
async def test_mounts_stay_within_a_registry() -> None:
    elsewhere = Repository("quay.io", "acme/base")
    async with bench(World({(elsewhere, LAYER)}), elsewhere) as on:
        await on.push()
    assert on.world.of("look") == [APP]


# -- events -----------------------------------------------------------------------------------


@played
async def test_time_in_compression_is_separate_from_time_in_uploads() -> None:
    async with bench(World(writing=5.0)) as on:
        transfer = await on.push()
    assert (transfer.seconds_compressing, transfer.seconds_sending) == (0.25, 10.0)


# -- repeated reads -------------------------------------------------------------------------


async def waited(seconds: float, held: set[tuple[Repository, Digest]]) -> World:
    """Upload with one slot, free after ``seconds``, in which another job has sent ``held``."""
    world = World({(APP, CONFIG)})
    async with anyio.create_task_group() as tasks, bench(world, parallel=1) as on:
        async with on.limiter.write("another"):
            tasks.start_soon(on.push)
            await anyio.sleep(seconds)
        world.held |= held
        await anyio.sleep(10)
    return world


@played
async def test_a_blob_that_waited_for_its_slot_is_looked_for_again() -> None:
    world = await waited(LOOK_STAYS_TRUE * 3, {(APP, LAYER)})
    assert (world.of("look"), world.of("send")) == ([APP, APP], [])


@played
async def test_blobs_that_a_second_read_misses_are_sent() -> None:
    world = await waited(LOOK_STAYS_TRUE * 3, set())
    assert (world.of("look"), world.of("send")) == ([APP, APP], [APP])


@played
async def test_a_recent_read_is_not_repeated() -> None:
    world = await waited(LOOK_STAYS_TRUE / 2, {(APP, LAYER)})
    assert (world.of("look"), world.of("send")) == ([APP], [APP])


@played
async def test_a_hold_that_came_during_the_second_look_is_obeyed() -> None:
    world = World({(APP, CONFIG)})
    async with anyio.create_task_group() as tasks, bench(world, parallel=1) as on:
        async with on.limiter.write("another"):
            tasks.start_soon(on.push)
            await anyio.sleep(LOOK_STAYS_TRUE * 3)
        await anyio.sleep(0.05)
        on.limiter.holds.hold(60, "the registry asked")
        await anyio.sleep(59)
        assert (world.of("look"), world.of("send")) == ([APP, APP], [])
        await anyio.sleep(10)
    assert world.of("send") == [APP]


@played
async def test_the_longest_wait_that_a_source_asks_for_holds_for_all_its_blobs() -> None:
    world = World(source_waits={LAYER: 30.0, CONFIG: 1.0})
    async with bench(world) as on:
        with anyio.move_on_after(30):
            await on.push()
    assert [world.of("send", each) for each in (LAYER, CONFIG)] == [[APP], [APP]]


@played
async def test_progress_counts_the_bytes_of_blobs_in_upload() -> None:
    async with bench(World(writing=12)) as on:
        await on.push()
    events = [each for each in on.events if isinstance(each, ContentProgress)]
    assert [(each.done, each.size) for each in events] == [(0, 200), (100, 200)]


@played
async def test_a_cancelled_wait_is_kept_by_later_attempts() -> None:
    async with bench(World()) as on:
        target = Target(TagReference(APP, "1"), Source("app"))
        unit, tried = Unit(on.units(target, ContentLog())), list[float]()

        async def attempt() -> None:
            tried.append(anyio.current_time())
            if len(tried) == 1:
                raise AttemptError(on.context.classify(PushError(BUSY), APP), counts=True)

        unit.journal.open(Step.UPLOAD, 1)
        unit.journal.close(None)
        with anyio.move_on_after(1):
            await unit.persist(attempt)
        await unit.persist(attempt)
    assert tried[1] - tried[0] >= 7

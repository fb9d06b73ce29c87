"""Images read once for several repositories: passing blobs on, returning them, waiting."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Self, cast

import anyio
import pytest
from tests.support.virtual_clock import played
from trio.testing import wait_all_tasks_blocked

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import Image, Kind, Manifest
from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.ports import Engine, Registry
from ghcr_push.pushing.pressure.retry import AttemptError, Backoff, FailureCount
from ghcr_push.pushing.readings import Readings, SharedContent
from ghcr_push.pushing.source_pause import SourcePause
from ghcr_push.references import Digest, Repository
from ghcr_push.sources.content import FoundContent, Read

BLOBS = [Digest(f"sha256:{number:064x}") for number in range(4)]
BROKEN = ErrorInfo(origin=Origin.ENGINE, kind=Kind.NETWORK, message="cut off")
GONE = ErrorInfo(origin=Origin.ENGINE, kind=Kind.CONTENT_MISSING, message="incomplete")


@dataclass(slots=True, eq=False)
class Blob:
    digest: Digest
    released: bool = False
    size: int = 1
    registry: None = None

    def release(self) -> None:
        self.released = True


@dataclass(slots=True)
class Saved:
    """Yields a blob a second; waits while ``space`` is full, breaks off after ``most`` blobs."""

    engine: "ScriptedEngine"
    most: int
    error: ErrorInfo | None
    given: int = 0
    seconds_compressing: float = 1.0
    waits_for_space: bool = False
    manifests: tuple[Manifest, ...] = ()
    notice: None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Blob:
        await anyio.sleep(1)
        while self.engine.held >= self.engine.space:
            self.waits_for_space = True
            await anyio.sleep(0.1)
        self.waits_for_space = False
        if self.given == self.most and self.error:
            raise PushError(self.error)
        if self.given == len(BLOBS):
            raise StopAsyncIteration
        blob = Blob(BLOBS[self.given])
        self.given += 1
        self.engine.blobs.append(blob)
        return blob

    @property
    def image(self) -> "Saved":
        return self


@dataclass(slots=True)
class ScriptedEngine:
    """An engine whose first readings break off as ``breaks`` says."""

    breaks: list[tuple[int, ErrorInfo]] = field(default_factory=list)
    space: int = 100
    saves: list[str] = field(default_factory=list)
    blobs: list[Blob] = field(default_factory=list)
    open: int = 0
    """Readings in progress."""

    @property
    def held(self) -> int:
        return sum(not blob.released for blob in self.blobs)

    @asynccontextmanager
    async def save(self, name: str) -> AsyncIterator[Saved]:
        self.saves.append(name)
        most, error = self.breaks.pop(0) if self.breaks else (len(BLOBS), None)
        self.open += 1
        try:
            yield Saved(self, most, error)
        finally:
            self.open -= 1


@dataclass(slots=True)
class Participant:
    """A repository; each of its blobs takes ``seconds``, or never ends."""

    repository: Repository
    seconds: float = 0.1
    silent: bool = False
    goes_on: bool = True
    got: list[Digest] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    gave_way: bool = False
    ended: float = float("inf")

    def stalled(self) -> bool:
        return self.silent

    def may_begin(self) -> bool:
        return self.goes_on

    def pass_begins(self) -> None:
        self.messages.append("begins")

    def pass_broke(self, failed: AttemptError, count: FailureCount, wait: float) -> None:
        self.messages.append(f"broke: {failed.failure.kind}")
        assert count.total > 0
        assert wait > 0

    async def receive(self, content: SharedContent) -> None:
        async with content.received(self) as receiver:
            with receiver.scope:
                async for blob in receiver:
                    await anyio.sleep(self.seconds)
                    self.got.append(blob.digest)
                    receiver.done(blob)
                assert receiver.image is not None
                self.ended = anyio.current_time()
        self.gave_way = receiver.gave_way


@dataclass(slots=True)
class Bench:
    engine: ScriptedEngine
    readings: Readings

    def content(self, name: str, *repositories: Repository) -> SharedContent:
        image = Image(id=name, layers=4)
        found = FoundContent(image=image, read=cast("Read", partial(self.engine.save, name)))
        content = SharedContent(self.readings, found)
        for repository in repositories:
            content.expect(repository)
        return content


@asynccontextmanager
async def bench(engine: ScriptedEngine) -> AsyncIterator[Bench]:
    context = RunContext(
        engine=cast("Engine", engine),
        registry=cast("Registry", None),
        backoff=Backoff(initial=2.0, maximum=60.0, max_attempts=3, random=Random(1)),
        observer=lambda _: None,
        start=anyio.current_time(),
        attempt_timeout=900.0,
        verify=True,
        protect=(),
    )
    async with anyio.create_task_group() as tasks:
        yield Bench(engine, Readings(context, tasks))
        tasks.cancel_scope.cancel()


def participants(count: int) -> list[Participant]:
    return [Participant(Repository("ghcr.io", f"app{n}")) for n in range(count)]


async def received(content: SharedContent, *taking_part: Participant) -> None:
    async with anyio.create_task_group() as tasks:
        for each in taking_part:
            tasks.start_soon(each.receive, content)


@played
async def test_five_repositories_are_one_reading_and_each_gets_every_blob() -> None:
    five = participants(5)
    async with bench(ScriptedEngine()) as on:
        await received(on.content("app", *(each.repository for each in five)), *five)
    assert on.engine.saves == ["app"]
    assert all(each.got == BLOBS for each in five)
    assert on.engine.held == 0


@played
async def test_a_blob_is_kept_until_the_slowest_repository_is_done_with_it() -> None:
    quick, slow = participants(2)
    slow.seconds = 30.0
    async with bench(ScriptedEngine()) as on, anyio.create_task_group() as tasks:
        tasks.start_soon(received, on.content("app"), quick, slow)
        await anyio.sleep(20)
        assert (quick.got, slow.got, on.engine.held) == (BLOBS, [], len(BLOBS))
        await anyio.sleep(120)
        assert (slow.got, on.engine.held) == (BLOBS, 0)


@played
async def test_a_reading_waits_briefly_for_repositories_that_may_need_it() -> None:
    one, other, undecided = participants(3)
    async with bench(ScriptedEngine()) as on, anyio.create_task_group() as tasks:
        content = on.content("app", *(p.repository for p in (one, other, undecided)))
        tasks.start_soon(one.receive, content)
        await anyio.sleep(0.4)
        tasks.start_soon(other.receive, content)
        await anyio.sleep(0.4)
        assert on.engine.saves == []
        await anyio.sleep(0.2)
        assert on.engine.saves == ["app"]


@played
async def test_a_latecomer_takes_the_remaining_blobs_and_the_others_from_another_pass() -> None:
    first, late = participants(2)
    async with bench(ScriptedEngine()) as on, anyio.create_task_group() as tasks:
        content = on.content("app")
        tasks.start_soon(first.receive, content)
        await anyio.sleep(2.6)
        tasks.start_soon(late.receive, content)
        await anyio.sleep(60)
    assert on.engine.saves == ["app", "app"]
    assert first.got == BLOBS
    assert sorted(late.got) == sorted(BLOBS)
    assert late.got != BLOBS
    assert on.engine.held == 0


@played
async def test_a_repository_that_leaves_ends_nothing_for_the_others() -> None:
    leaving, staying = participants(2)
    async with bench(ScriptedEngine()) as on, anyio.create_task_group() as tasks:
        content = on.content("app")

        async def leave() -> None:
            with anyio.move_on_after(2.5):
                await leaving.receive(content)

        tasks.start_soon(leave)
        tasks.start_soon(staying.receive, content)
    assert (on.engine.saves, staying.got, on.engine.held) == (["app"], BLOBS, 0)


@played
async def test_a_reading_without_participants_ends() -> None:
    (leaving,) = participants(1)
    async with bench(ScriptedEngine()) as on:
        content = on.content("app")
        with anyio.move_on_after(2.5):
            await leaving.receive(content)
        await wait_all_tasks_blocked()
        assert (on.engine.open, on.engine.held) == (0, 0)
        await leaving.receive(content)
    assert on.engine.saves == ["app", "app"]


@played
async def test_nothing_is_read_for_a_participant_that_may_not_begin() -> None:
    one, other, undecided = participants(3)
    async with bench(ScriptedEngine()) as on:
        for staying in (False, True):
            content = on.content("app", undecided.repository)
            one.goes_on = other.goes_on = True
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(received, content, one, other)
                await anyio.sleep(0.1)
                one.goes_on, other.goes_on = False, staying
            assert (one.gave_way, other.gave_way) == (True, not staying)
            assert on.engine.saves == ["app"] * staying
    assert (one.messages, one.got, other.messages, other.got) == ([], [], ["begins"], BLOBS)


@played
async def test_a_broken_pass_causes_one_wait_and_one_repository_reports_it() -> None:
    both = participants(2)
    async with bench(ScriptedEngine(breaks=[(2, BROKEN)])) as on:
        await received(on.content("app"), *both)
    assert on.engine.saves == ["app", "app"]
    assert [each.got for each in both] == [BLOBS, BLOBS]
    assert [each.messages for each in both].count([]) == 1
    assert ["begins", "broke: network", "begins"] in [each.messages for each in both]


@pytest.mark.parametrize(("evidence", "passes"), [(GONE, 1), (BROKEN, 3)])
@played
async def test_an_unreadable_image_fails_for_each_repository_and_is_not_read_again(
    evidence: ErrorInfo, passes: int
) -> None:
    engine = ScriptedEngine(breaks=[(1, evidence)] * 10)
    failed = []
    async with bench(engine) as on, anyio.create_task_group() as tasks:
        content = on.content("app")

        async def fail(each: Participant) -> None:
            with pytest.raises(PushError):
                await each.receive(content)
            failed.append(each)

        one, other, late = participants(3)
        tasks.start_soon(fail, one)
        tasks.start_soon(fail, other)
        await anyio.sleep(100)
        tasks.start_soon(fail, late)
    assert (len(failed), len(engine.saves), engine.held) == (3, passes, 0)


@played
async def test_no_more_than_two_images_are_read_at_a_time() -> None:
    async with bench(ScriptedEngine()) as on, anyio.create_task_group() as tasks:
        for number, each in enumerate(participants(3)):
            tasks.start_soon(each.receive, on.content(f"app{number}"))
        await anyio.sleep(2)
        assert len(on.engine.saves) == 2
        await anyio.sleep(30)
        assert len(on.engine.saves) == 3


@played
async def test_a_participant_of_a_silent_registry_gives_its_space_to_an_answering_one() -> None:
    silent, healthy = participants(2)
    silent.seconds = float("inf")
    async with bench(ScriptedEngine(space=2)) as on, anyio.create_task_group() as tasks:
        tasks.start_soon(silent.receive, on.content("one"))
        await anyio.sleep(10)
        began = anyio.current_time()
        tasks.start_soon(healthy.receive, on.content("other"))
        await anyio.sleep(10)
        assert not silent.gave_way  # as long as its registry may answer
        silent.silent = True
        await anyio.sleep(10)
        assert (silent.gave_way, healthy.got, on.engine.held) == (True, BLOBS, 0)
        assert healthy.ended - began < 20


@played
async def test_in_a_shared_reading_a_silent_registry_gives_way_too() -> None:
    silent, healthy = participants(2)
    silent.seconds, silent.silent = float("inf"), True
    async with bench(ScriptedEngine(space=2)) as on:
        await received(on.content("app"), silent, healthy)
    assert (silent.gave_way, healthy.gave_way, healthy.got) == (True, False, BLOBS)
    assert on.engine.saves == ["app"]


@played
async def test_no_participant_gives_way_without_need() -> None:
    silent, healthy = participants(2)
    silent.seconds, silent.silent = 100.0, True
    async with bench(ScriptedEngine()) as on:
        await received(on.content("app"), silent, healthy)
    assert (silent.gave_way, silent.got, on.engine.saves) == (False, BLOBS, ["app"])


@played
async def test_a_reading_for_silent_registries_alone_comes_last() -> None:
    silent, *healthy = participants(4)
    silent.silent = True
    async with bench(ScriptedEngine()) as on, anyio.create_task_group() as tasks:
        tasks.start_soon(healthy[0].receive, on.content("healthy 0"))
        await anyio.sleep(1)
        tasks.start_soon(silent.receive, on.content("silent"))
        tasks.start_soon(healthy[1].receive, on.content("healthy 1"))
        tasks.start_soon(healthy[2].receive, on.content("healthy 2"))
    assert on.engine.saves[-1] == "silent"
    assert silent.got == BLOBS


@played
async def test_a_wait_that_a_source_registry_asks_for_holds_for_all_content_from_there() -> None:
    async with bench(ScriptedEngine()) as on:
        one, same = (on.readings.source_pause("ghcr.io") for _ in range(2))
        other, here = (on.readings.source_pause(each) for each in ("quay.io", None))
        one.extend(30.0)
        same.extend(1.0)
        await anyio.sleep(2)
        assert [each.seconds for each in (one, same, other, here)] == [28.0, 28.0, 0.0, 0.0]
        await anyio.sleep(40)
        assert one.seconds == 0.0


@played
async def test_a_wait_of_a_source_that_would_pass_the_deadline_holds_for_nothing() -> None:
    async with bench(ScriptedEngine()) as on:
        context = on.readings.context
        backoff = replace(context.backoff, deadline=anyio.current_time() + 10)
        pause = SourcePause(replace(context, backoff=backoff))
        pause.extend(11.0)
        assert pause.seconds == 0.0

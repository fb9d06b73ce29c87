"""One target: its wait between two ways of writing, and its reported end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

import anyio
from tests.support.virtual_clock import played

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import Descriptor, Image, Kind, Outcome, Source, Step, Target
from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.ports import Engine, Registry
from ghcr_push.pushing.pressure.global_limit import GlobalLimit
from ghcr_push.pushing.pressure.limit import Limit
from ghcr_push.pushing.pressure.limiter import Limiter
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.pushing.tag_push import TagPush
from ghcr_push.pushing.tag_writers import ByDockerPush
from ghcr_push.references import Digest, Repository, TagReference

APP = Target(TagReference(Repository("ghcr.io", "acme/app"), "1"), Source("app"))
DIGEST = Digest(f"sha256:{1:064x}")
IMAGE = Image(id=DIGEST, layers=1, digest=DIGEST, in_engine=True)
INCOMPLETE = ErrorInfo(origin=Origin.ENGINE, kind=Kind.CONTENT_MISSING, message="no such layer")
BROKEN = ErrorInfo(origin=Origin.REGISTRY, message="bad gateway", status=502)
BUSY = ErrorInfo(origin=Origin.REGISTRY, message="busy", status=503, retry_after=30.0)


@dataclass(slots=True)
class World:
    """An engine and a registry with scripted answers; the last one is repeated."""

    heads: list[ErrorInfo | Descriptor | None]
    pushes: list[ErrorInfo | Digest]
    asked: list[float] = field(default_factory=list)
    """When the tag was read."""

    async def head(self, *_: object) -> Descriptor | None:
        self.asked.append(anyio.current_time())
        await anyio.sleep(0.1)
        return cast("Descriptor | None", self._answer(self.heads))

    async def push(self, *_: object) -> Digest:
        await anyio.sleep(0.1)
        return cast("Digest", self._answer(self.pushes))

    def _answer(self, answers: list[Any]) -> Any:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, ErrorInfo):
            raise PushError(answer)
        return answer


@asynccontextmanager
async def bench(world: World) -> AsyncIterator[tuple[TagPush, ByDockerPush]]:
    """Yield a target in a world, and its image in the engine."""
    shared = RunContext(
        engine=cast("Engine", world),
        registry=cast("Registry", world),
        backoff=Backoff(initial=2.0, maximum=60.0, max_attempts=8, random=Random(1)),
        observer=lambda _: None,
        start=anyio.current_time(),
        attempt_timeout=900.0,
        verify=True,
        protect=(),
    )
    async with anyio.create_task_group() as tasks:
        limiter = Limiter(
            "ghcr.io",
            limit=Limit(4),
            global_limit=GlobalLimit(4),
            tasks=tasks,
            observer=lambda _: None,
            random=Random(1),
        )
        writer = ByDockerPush(
            APP.source,
            IMAGE,
            engine=shared.engine,
            manifests=None,
            lock=anyio.Lock(),
            sent_other=lambda *_: None,
        )
        yield TagPush(APP, shared, limiter, lambda: True), writer
        tasks.cancel_scope.cancel()


@played
async def test_a_wait_that_a_read_back_named_is_kept_before_another_way_is_tried() -> None:
    world = World([None, BUSY], [INCOMPLETE])
    async with bench(world) as (tag_push, writer):
        assert await tag_push.push_once(writer) is None
        assert anyio.current_time() - world.asked[-1] >= 30.0


@played
async def test_a_push_found_at_the_deadline_is_reported_with_its_read() -> None:
    named = Descriptor("application/vnd.oci.image.manifest.v1+json", DIGEST, 1)
    async with bench(World([None, None, named], [BROKEN])) as (tag_push, writer):
        with anyio.move_on_after(0.5):  # while it waits for its second attempt
            await tag_push.push(writer)
        await tag_push.look_a_last_time()

    assert tag_push.result is not None
    assert tag_push.result.outcome is Outcome.PUSHED
    assert [(a.number, a.step, a.failure is None) for a in tag_push.result.attempts] == [
        (1, Step.PUSH, False),
        (2, Step.LOOK, True),
    ]

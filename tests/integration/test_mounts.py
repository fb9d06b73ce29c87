"""Layers mounted from other repositories of a real registry, by a whole run with its own tokens."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from secrets import token_hex
from typing import cast

import anyio
import pytest
from tests.support.front import Auth, Behaviour, Front, Step, User, running_front
from tests.support.registry import Registry
from tests.support.saved import Choppy, classic_image, layer, reading_of_classic, saved_as_layout

from ghcr_push.credentials import Credential
from ghcr_push.model import Group, Outcome, Plan, Source, Target, TargetResult
from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.ports import Engine
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.pushing.run import PushRun
from ghcr_push.references import Repository, TagReference
from ghcr_push.registry.client import RegistryClient
from ghcr_push.sources.content import FoundContent
from ghcr_push.sources.saved import SavedImages
from ghcr_push.sources.spool import Spool

pytestmark = pytest.mark.anyio

LAYERS = [layer(number) for number in range(3)]
IMAGE = classic_image(LAYERS)
SOURCE = Source("app")
OWNER = Credential(username="owner", password="secret")
ROBOT = Credential(username="robot", password="secret")


class Saving:
    """An engine with one image, which it saves as often as asked."""

    @asynccontextmanager
    async def read(self) -> AsyncIterator[SavedImages]:
        reader = Choppy(saved_as_layout(LAYERS))
        async with reading_of_classic(reader, IMAGE, Spool()) as saved:
            yield saved


@pytest.fixture
def front(registry: Registry) -> Iterator[Front]:
    """Tokens for the owner, who may do everything, and the robot, who reads bases only."""
    robot = {"password": "secret", "rights": {"app/*": {"pull", "push"}, "base/*": {"pull"}}}
    users = {"owner": User(password="secret"), "robot": User.model_validate(robot)}
    auth = Auth(mode="token", users=users, expires_in=1000)
    with running_front(registry.address, Behaviour(auth=auth)) as front:
        yield front
        assert front.stats().front_errors == 0


async def pushed(
    client: RegistryClient, repository: Repository, *mount_sources: Repository
) -> TargetResult:
    """Push the image's one tag."""
    start = anyio.current_time()
    context = RunContext(
        engine=cast("Engine", Saving()),
        registry=client,
        backoff=Backoff(initial=0.1, maximum=1.0, max_attempts=3, random=Random(1)),
        observer=lambda _: None,
        start=start,
        attempt_timeout=60,
        verify=True,
        protect=(),
        direct=True,
        mount_sources=mount_sources,
    )
    target = Target(TagReference(repository, "1"), SOURCE)
    queue = PushRun(
        Plan((Group(SOURCE, repository, (target,)),)),
        {SOURCE: FoundContent(image=replace(IMAGE, in_engine=True), read=Saving().read)},
        context,
    )
    [result] = await queue.run()
    return result


def repository(front: Front, folder: str) -> Repository:
    return Repository(front.address, f"{folder}/{token_hex(4)}")


async def test_a_base_that_may_only_be_read_is_mounted_from(front: Front) -> None:
    base, app = repository(front, "base"), repository(front, "app")
    async with RegistryClient({front.address: OWNER}) as client:
        assert (await pushed(client, base)).outcome is Outcome.PUSHED
    front.reset()
    async with RegistryClient({front.address: ROBOT}) as client:
        result = await pushed(client, app, base)
    assert (result.outcome, result.verified) == (Outcome.PUSHED, True)
    assert result.transfer is not None
    assert (result.transfer.blobs_mounted, result.transfer.bytes_sent) == (len(LAYERS) + 1, 0)
    stats = front.stats()
    assert (stats.blob_uploads, stats.blob_mounts) == ({}, {app.name: len(LAYERS) + 1})
    # one token for the repository, one for reads of the origin and mounts
    assert stats.count(Step.TOKEN) == 2


async def test_a_blob_that_may_not_be_read_is_sent(front: Front) -> None:
    closed, app = repository(front, "closed"), repository(front, "app")
    async with RegistryClient({front.address: OWNER}) as client:
        await pushed(client, closed)
    front.reset()
    async with RegistryClient({front.address: ROBOT}) as client:
        result = await pushed(client, app, closed)
    assert result.outcome is Outcome.PUSHED
    stats = front.stats()
    assert sum(stats.blob_uploads[app.name].values()) == len(LAYERS) + 1
    assert stats.blob_mounts == {}

"""The list of referrers that is kept by tag: many writers, no lock, nothing lost."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import cast

import anyio
import pytest
import trio
from trio.testing import MockClock

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import Descriptor, Manifest, Source, Target
from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.journal import ContentLog
from ghcr_push.pushing.known_blobs import KnownBlobs
from ghcr_push.pushing.ports import Engine, Registry
from ghcr_push.pushing.pressure.global_limit import GlobalLimit
from ghcr_push.pushing.pressure.limit import Limit
from ghcr_push.pushing.pressure.limiter import Limiter
from ghcr_push.pushing.pressure.retry import AttemptError, Backoff
from ghcr_push.pushing.referrers_tag import ReferrersTag, described, with_entries
from ghcr_push.pushing.registry_state import RegistryState
from ghcr_push.pushing.units import Units
from ghcr_push.pushing.write_access import WriteAccess
from ghcr_push.references import Digest, Repository, TagReference, referrers_tag

APP = Repository("ghcr.io", "acme/app")
SUBJECT = Digest(f"sha256:{'a' * 64}")
TAG = referrers_tag(SUBJECT)
OCI = "application/vnd.oci.image.manifest.v1+json"
BUSY = ErrorInfo(origin=Origin.REGISTRY, message="busy", status=503)


def referrer(number: int) -> Manifest:
    raw = json.dumps({"artifactType": f"x/{number}", "layers": []}).encode()
    return Manifest(OCI, Digest(f"sha256:{number:064x}"), raw)


class World:
    """A registry that holds all manifests, whose every request takes up to half a second."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.index: Manifest | None = None
        self.held: dict[str, Manifest] = {}
        self.refusals: list[ErrorInfo] = []
        self.writes = 0
        self.looks = 0
        self.failing: set[int] = set()
        """Which reads of the tag fail, from 1."""
        self.others: Manifest | None = None
        """Entries that another client, which reads nothing back, adds after our first read."""

    @property
    def listed(self) -> list[str]:
        return [e["digest"] for e in json.loads(self.index.raw)["manifests"]] if self.index else []

    async def head(self, _: Repository, reference: str) -> Descriptor | None:
        async with self._answering():
            if reference == TAG and self.looks == 1 and self.others:
                index = with_entries(None, {self.others.digest: described(self.others)})
                self.index = self.held[index.digest] = index
            self.looks += reference == TAG
            if reference == TAG and self.looks in self.failing:
                raise PushError(BUSY)
            found = self.index if reference == TAG else self.held.get(reference)
        return Descriptor(found.media_type, found.digest, len(found.raw)) if found else None

    async def get(self, _: Repository, reference: str) -> Manifest:
        async with self._answering():
            return self.held[reference]

    async def put(self, _: Repository, reference: str, manifest: Manifest) -> None:
        assert reference == TAG
        async with self._answering():
            if self.refusals:
                raise PushError(self.refusals.pop(0))
            self.writes += 1
            self.index = self.held[manifest.digest] = manifest

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        """Run the block at a random time between request and answer."""
        await anyio.sleep(self._random.uniform(0, 0.25))
        yield
        await anyio.sleep(self._random.uniform(0, 0.25))


async def add(world: World, seed: int, *manifests: Manifest) -> ContentLog:
    """Add to the list as one of several runs does, each with its own limit."""
    log, random, error = ContentLog(), Random(seed), None
    context = RunContext(
        engine=cast("Engine", None),
        registry=cast("Registry", world),
        backoff=Backoff(initial=0.5, maximum=60.0, max_attempts=8, random=random),
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
            random=random,
        )
        limiter.outage.answered()
        target = Target(TagReference(APP, "1"), Source("app"))
        state = RegistryState(
            limiter=limiter,
            known_blobs=KnownBlobs(context, limiter),
            write_access=WriteAccess(context, limiter, may_ask=lambda: False),
        )
        units = Units(
            seed=target, context=context, registry_state=state, may_begin=lambda: True, log=log
        )
        tag = ReferrersTag(SUBJECT, units)
        try:
            await tag.add(manifests)
        except AttemptError as failed:  # a task group would wrap it
            error = failed
        tasks.cancel_scope.cancel()
    if error is not None:
        raise error
    return log


def many_writers(seed: int) -> tuple[list[str], list[str]]:
    """Let two to six runs add an entry each; return the listed entries, and the expected ones."""
    random = Random(seed)
    numbers = range(random.randint(2, 6))
    world = World(random)

    async def one(number: int) -> None:
        await anyio.sleep(random.uniform(0, 1.0))
        await add(world, seed * 10 + number, referrer(number))

    async def all_at_once() -> None:
        async with anyio.create_task_group() as tasks:
            for number in numbers:
                tasks.start_soon(one, number)

    trio.run(all_at_once, clock=MockClock(autojump_threshold=0))
    return sorted(world.listed), [referrer(number).digest for number in numbers]


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_many_writers_lose_nothing(first: int) -> None:
    for seed in range(first, first + 50):
        listed, written = many_writers(seed)
        assert listed == written, seed


def played(world: World, *manifests: Manifest) -> ContentLog:
    return trio.run(lambda: add(world, 1, *manifests), clock=MockClock(autojump_threshold=0))


def test_listed_referrers_are_not_written_again() -> None:
    world = World(Random(1))
    world.index = with_entries(None, {referrer(1).digest: described(referrer(1))})
    world.held[world.index.digest] = world.index
    assert played(world, referrer(1)).attempts == ()
    assert world.writes == 0


def test_entries_of_another_client_before_our_write_stay() -> None:
    world = World(Random(1))
    world.others = referrer(2)
    played(world, referrer(1))
    assert world.listed == [referrer(2).digest, referrer(1).digest]
    assert world.writes == 1


def test_other_fields_of_the_index_stay() -> None:
    world = World(Random(1))
    document = {"schemaVersion": 2, "annotations": {"a": "b"}, "manifests": [{"digest": "x:y"}]}
    world.index = Manifest("index", Digest("sha256:1"), json.dumps(document).encode())
    world.held["sha256:1"] = world.index
    played(world, referrer(1))
    document = json.loads(world.index.raw)
    assert document["annotations"] == {"a": "b"}
    assert [entry["digest"] for entry in document["manifests"]] == ["x:y", referrer(1).digest]


def test_a_refused_write_is_tried_again_and_recorded() -> None:
    world = World(Random(1))
    world.refusals = [BUSY, BUSY]
    log = played(world, referrer(1), referrer(2))
    assert world.listed == [referrer(1).digest, referrer(2).digest]
    assert [attempt.failure is None for attempt in log.attempts] == [False, False, True]


@pytest.mark.parametrize("look", [1, 2, 3, 4])
def test_a_failed_read_costs_one_attempt(look: int) -> None:
    world = World(Random(1))
    world.failing = {look}
    log = played(world, referrer(1))
    assert world.listed == [referrer(1).digest]
    assert sum(attempt.failure is not None for attempt in log.attempts) == 1


def test_a_tag_that_names_no_index_is_left_alone() -> None:
    world = World(Random(1))
    world.index = Manifest(OCI, Digest("sha256:1"), b'{"layers": []}')
    world.held["sha256:1"] = world.index
    with pytest.raises(AttemptError) as raised:
        played(world, referrer(1))
    assert "should list referrers but is not an index" in raised.value.failure.message
    assert not raised.value.failure.retryable
    assert world.writes == 0


def test_an_image_in_place_of_its_list_is_left_alone() -> None:
    world = World(Random(1))
    document = {"manifests": [{"digest": referrer(2).digest}]}
    world.index = Manifest("index", SUBJECT, json.dumps(document).encode())
    world.held[SUBJECT] = world.index
    with pytest.raises(AttemptError, match="with the image, not with a list") as raised:
        played(world, referrer(1))
    assert not raised.value.failure.retryable
    assert world.writes == 0


def test_an_entry_says_what_the_specification_wants() -> None:
    document = {"config": {"mediaType": "c/1"}, "annotations": {"a": "b"}, "layers": []}
    raw = json.dumps(document).encode()
    assert described(Manifest(OCI, Digest("sha256:1"), raw)) == {
        "mediaType": OCI,
        "digest": "sha256:1",
        "size": len(raw),
        "annotations": {"a": "b"},
        "artifactType": "c/1",
    }
    assert described(referrer(1))["artifactType"] == "x/1"

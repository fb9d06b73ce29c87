"""One image for five repositories: read once, compressed once, sent or mounted once for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cases import End, World, image, running_world
from tests.support.front import Behaviour, Step
from tests.support.memory import Serves

LAYERS = 6
BLOBS = LAYERS + 1
REPOSITORIES = [f"acme/app{number}" for number in range(5)]
PUT = 0.3
SLOW = Behaviour(takes={Step.UPLOAD_PUT: PUT, Step.MANIFEST_PUT: PUT})

LONGER = 1.3


@pytest.fixture(params=["classic", "containerd"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[True, False], ids=["mounts", "mounts-nothing"])
def mounts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def world(tmp_path: Path, store: str, mounts: bool) -> Iterator[World]:
    images = {"app:1": image(layers=LAYERS, size=50_000)}
    serves = Serves(mounts=mounts)
    with running_world(tmp_path, SLOW, serves=serves, images=images, store=store) as world:
        yield world


def push(world: World, repositories: list[str]) -> tuple[End, float]:
    """Push to a tag in each of the repositories; return also the seconds until the last is done."""
    world.front.reset()
    end = world.push(*(f"{name}:1" for name in repositories), transport="direct")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    for name in repositories:
        assert world.registry.lacking(f"{name}:1") == []
    return end, max(entry.t + entry.seconds for entry in world.front.log())


def test_an_image_is_read_once_however_many_repositories_it_goes_to(
    world: World, mounts: bool
) -> None:
    push(world, REPOSITORIES)
    assert world.docker is not None
    assert world.docker.count("image save") == 1
    stats = world.front.stats()
    sent = [len(blobs) for blobs in stats.blob_uploads.values()]
    assert {times for blobs in stats.blob_uploads.values() for times in blobs.values()} == {1}
    if mounts:
        assert sum(sent) == BLOBS
        assert sum(stats.blob_mounts.values()) == BLOBS * (len(REPOSITORIES) - 1)
    else:
        assert sent == [BLOBS] * len(REPOSITORIES)


def test_five_repositories_take_little_longer_than_one(world: World, mounts: bool) -> None:
    _, one = push(world, ["acme/other"])
    if mounts:  # blobs that are there already would be mounted from there
        for digest in world.registry.blobs("acme/other"):
            world.registry.forget("acme/other", digest)
    _, five = push(world, REPOSITORIES)
    extra = (len(REPOSITORIES) - 1) * PUT
    uploads = 0 if mounts else extra * BLOBS / 4  # at four at once
    assert five <= LONGER * one + extra + uploads, f"one took {one:.1f} s"

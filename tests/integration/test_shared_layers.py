"""Fifty images on eight common layers: no repository gets a layer twice, even in parallel."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import httpx2
import pytest
from tests.support.engines import Engine, running_engine
from tests.support.front import Answer, Behaviour, Front, Rule, Step, on
from tests.support.loadable import Loadable, archive_of, file, layer_of
from tests.support.outcomes import outcomes, prove
from tests.support.processes import wait_until
from tests.support.registry import Registry
from tests.support.runner import Job
from tests.support.saved import digest_of

pytestmark = pytest.mark.timeout(300)

CLASSIC, CONTAINERD = "trixie-classic", "sid-containerd"
IMAGES = {CLASSIC: 50, CONTAINERD: 12}
"""The containerd store takes five times as long to load and to remove them."""

PARALLEL = 8
COMMON = tuple(layer_of(file(f"common-{number}", bytes(1000 * number))) for number in range(8))
BLOBS = len(COMMON) + 2
"""Of one image: it has its own layer and config."""


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    release, store = request.param.split("-")
    archive = archive_of(
        {f"shared:{number}": image(number) for number in range(IMAGES[request.param])}
    )
    with running_engine(f"sh-{token_hex(3)}", release=release, store=store) as engine:
        engine.docker("load", "--quiet", stdin=archive)
        yield engine


def image(number: int) -> Loadable:
    return Loadable(layers=(*COMMON, layer_of(file("own", b"%d" % number))))


@pytest.fixture
def job(tmp_path: Path, engine: Engine) -> Job:
    return Job(tmp_path, engine)


def push(job: Job, front: Front, registry: Registry, form: str) -> int:
    """Push all images in one run; ``form`` makes a repository and tag of an image's number.

    Return how many there are.
    """
    names = job.engine.docker("image", "ls", "--format", "{{.Tag}}", "shared").split()
    inputs = {
        "tags": "\n".join(
            f"shared:{number} => {front.address}/{form.format(number)}" for number in names
        ),
        "transport": "direct",
        "max-parallel": f"{PARALLEL}",
    }
    step = job.run_here(inputs)
    assert set(outcomes(step).values()) == {"pushed"}, step.log
    prove(step, registry.address)
    return len(names)


@pytest.mark.parametrize("engine", [CLASSIC, CONTAINERD], indirect=True)
def test_one_repository_gets_every_blob_once(job: Job, front: Front, registry: Registry) -> None:
    images = push(job, front, registry, f"one/{token_hex(4)}:{{}}")
    [sent] = front.stats().blob_uploads.values()
    assert len(sent) == len(COMMON) + 2 * images
    assert set(sent.values()) == {1}


@pytest.mark.parametrize("engine", [CLASSIC], indirect=True)
def test_fifty_repositories_mount_what_one_of_them_has(
    job: Job, front: Front, registry: Registry
) -> None:
    images = push(job, front, registry, f"many-{token_hex(4)}/{{}}:1")
    stats = front.stats()
    assert len(stats.blob_uploads) == images
    for repository, sent in stats.blob_uploads.items():
        assert set(sent.values()) == {1}
        assert len(sent) + stats.blob_mounts.get(repository, 0) == BLOBS
    # a blob that no repository has yet cannot be mounted, and no more than these are in flight
    everywhere = Counter(digest for sent in stats.blob_uploads.values() for digest in sent)
    assert max(everywhere.values()) <= PARALLEL


@pytest.mark.parametrize("engine", [CONTAINERD], indirect=True)
def test_repositories_that_may_not_mount_get_every_blob_once(
    job: Job, front: Front, registry: Registry
) -> None:
    mounts = on(Step.UPLOAD_POST, reference="sha256:*")
    front.set(Behaviour(rules=(Rule(match=mounts, answer=Answer(status=405)),)))
    images = push(job, front, registry, f"many-{token_hex(4)}/{{}}:1")
    stats = front.stats()
    assert stats.blob_mounts == {}
    assert stats.count(Step.UPLOAD_POST, status=405) > 0
    assert [len(sent) for sent in stats.blob_uploads.values()] == [BLOBS] * images
    assert {times for sent in stats.blob_uploads.values() for times in sent.values()} == {1}


@pytest.mark.parametrize("engine", [CONTAINERD], indirect=True)
def test_a_blob_that_another_job_sends_meanwhile_is_not_sent_again(
    job: Job, front: Front, registry: Registry
) -> None:
    """Every blob was found missing; while the first is sent, another job sends the others."""
    repository = f"meanwhile/{token_hex(4)}"
    front.set(Behaviour(delays={Step.UPLOAD_PUT: 5}))
    inputs = {"source": "shared:0", "transport": "direct", "max-parallel": "1"}
    running = job.start_here({**inputs, "tags": f"{front.address}/{repository}:1"})
    wait_until(lambda: len(set(arrived(front, Step.BLOB_HEAD))) == BLOBS)
    wait_until(lambda: len(arrived(front, Step.UPLOAD_PUT)) == 1)
    with httpx2.Client(base_url=f"http://{registry.address}", timeout=30) as client:
        for blob in image(0).blobs:
            upload(client, f"/v2/{repository}/blobs/uploads/", blob)
    step = running.wait()
    assert step.status == 0, step.log
    prove(step, registry.address)
    assert len(arrived(front, Step.UPLOAD_PUT)) == 1


def arrived(front: Front, step: Step) -> list[str]:
    """Return the blobs of the requests of ``step``; a read may occur twice."""
    return [entry.reference for entry in front.log() if entry.step is step]


def upload(client: httpx2.Client, place: str, blob: bytes) -> None:
    where = httpx2.URL(client.post(place).headers["Location"])
    where = where.copy_merge_params({"digest": digest_of(blob)})
    client.put(where, content=blob).raise_for_status()

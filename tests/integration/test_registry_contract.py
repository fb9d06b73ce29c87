"""The contract of every registry: two real ones of different makers, and ours in memory.

Where they differ it is in `Served`, so that a registry which changes its mind fails a test.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from secrets import token_hex

import httpx2
import pytest
from tests.support.cases import closed_address
from tests.support.front import running_front
from tests.support.memory import MemoryRegistry
from tests.support.registry import running_crane, running_registry

from ghcr_push.failures import ErrorInfo, PushError, classify
from ghcr_push.model import BlobOutcome, Descriptor, Kind, Manifest
from ghcr_push.references import Digest, Repository
from ghcr_push.registry.client import RegistryClient

pytestmark = pytest.mark.anyio

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
NOTHING = Digest(f"sha256:{'0' * 64}")


@dataclass(frozen=True, kw_only=True)
class Served:
    """A registry and its deviations.

    - `mounts`: a blob of another repository is there after a mount.
    - `shares_blobs`: a blob of one repository is there in all of them.
    - `resumes`: an upload whose connection broke goes on where it broke.
    - `missing`: the code with which a manifest is not there.
    - `refuses_blob`, `refuses_child`: the status for a manifest that names a blob, or an index
      that names a manifest, which is not there; None: it is taken.
    - `checks_digest`: a manifest under another one's digest is refused.
    """

    address: str
    mounts: bool
    shares_blobs: bool
    resumes: bool
    missing: str
    refuses_blob: int | None
    refuses_child: int | None
    checks_digest: bool


def of_docker(address: str, *, resumes: bool) -> Served:
    return Served(
        address=address,
        mounts=True,
        shares_blobs=False,
        resumes=resumes,
        missing="MANIFEST_UNKNOWN",
        refuses_blob=400,
        refuses_child=400,
        checks_digest=True,
    )


@contextmanager
def docker_registry() -> Iterator[Served]:
    with running_registry() as registry:
        # it signs how far an upload has come into its location, and knows no other
        yield of_docker(registry.address, resumes=False)


@contextmanager
def crane() -> Iterator[Served]:
    with running_crane() as address:
        yield Served(
            address=address,
            mounts=False,
            shares_blobs=True,
            resumes=False,
            missing="NAME_UNKNOWN",
            refuses_blob=None,
            refuses_child=404,
            checks_digest=False,
        )


@contextmanager
def memory() -> Iterator[Served]:
    with running_front(MemoryRegistry()) as front:
        yield of_docker(front.address, resumes=True)
        assert front.stats().front_errors == 0


@pytest.fixture(scope="module", params=[docker_registry, crane, memory], ids=lambda p: p.__name__)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with request.param() as served:
        yield served


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    async with RegistryClient({}) as client:
        yield client


@pytest.fixture
def repository(served: Served) -> Repository:
    return Repository(served.address, f"acme/{token_hex(4)}")


class Bytes:
    """A blob in memory; its chunks break off once at ``breaks_at``."""

    def __init__(self, content: bytes, breaks_at: int | None = None) -> None:
        self.content = content
        self.registry = None
        self.digest = digest_of(content)
        self.size = len(content)
        self.breaks_at = breaks_at

    def release(self) -> None:
        pass

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        breaks_at, self.breaks_at = self.breaks_at, None
        for place in range(start, self.size, 50_000):
            if breaks_at is not None and place >= breaks_at:
                raise httpx2.WriteError("the connection broke")
            yield self.content[place : place + 50_000]


def digest_of(content: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def fresh(size: int = 1000) -> Bytes:
    """Return a blob that no registry has."""
    return Bytes(Random(token_hex(8)).randbytes(size))


def manifest_of(config: Bytes) -> Manifest:
    described = {"mediaType": CONFIG, "digest": config.digest, "size": config.size}
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": described, "layers": []})
    return Manifest(OCI, digest_of(raw.encode()), raw.encode())


def index_of(child: Manifest) -> Manifest:
    described = {"mediaType": OCI, "digest": child.digest, "size": len(child.raw)}
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]})
    return Manifest(INDEX, digest_of(raw.encode()), raw.encode())


async def refusal_of(call: Awaitable[object]) -> ErrorInfo:
    with pytest.raises(PushError) as raised:
        await call
    return raised.value.evidence


async def uploaded(client: RegistryClient, repository: Repository) -> Bytes:
    blob = fresh()
    assert await client.upload(repository, blob).attempt() is BlobOutcome.SENT
    return blob


# -- reached ------------------------------------------------------------------------------------


async def test_a_registry_is_reached_and_a_closed_port_is_not(
    served: Served, client: RegistryClient
) -> None:
    await client._session.endpoint(served.address)
    with closed_address() as closed, pytest.raises(PushError) as raised:
        await client._session.endpoint(closed)
    assert raised.value.evidence.unconnected


# -- blobs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_a_blob_exists_after_its_upload(
    served: Served, client: RegistryClient, repository: Repository, size: int
) -> None:
    blob = fresh(size)
    if size:  # every registry may have had the empty blob before
        assert not await client.has_blob(repository, blob.digest)
    upload = client.upload(repository, blob)
    assert await upload.attempt() is BlobOutcome.SENT
    assert upload.bytes_sent == size
    assert await client.has_blob(repository, blob.digest)
    there = httpx2.get(f"http://{served.address}/v2/{repository.name}/blobs/{blob.digest}")
    assert there.content == blob.content


async def test_a_blob_is_of_its_repository(served: Served, client: RegistryClient) -> None:
    one, other = (Repository(served.address, f"acme/{token_hex(4)}") for _ in range(2))
    blob = await uploaded(client, one)
    assert await client.has_blob(other, blob.digest) is served.shares_blobs


async def test_a_blob_is_mounted_or_else_sent(
    served: Served, client: RegistryClient, repository: Repository
) -> None:
    origin = Repository(served.address, f"acme/{token_hex(4)}")
    blob = await uploaded(client, origin)
    assert await client.can_mount(repository, blob.digest, origin)
    upload = client.upload(repository, blob)
    landed = await upload.attempt(mount_from=origin)
    assert landed is (BlobOutcome.MOUNTED if served.mounts else BlobOutcome.SENT)
    assert upload.bytes_sent == (0 if served.mounts else blob.size)
    assert await client.has_blob(repository, blob.digest)


async def test_a_blob_that_cannot_be_mounted_is_sent(
    served: Served, client: RegistryClient, repository: Repository
) -> None:
    origin, blob = Repository(served.address, f"acme/{token_hex(4)}"), fresh()
    if not served.shares_blobs:
        assert not await client.can_mount(repository, blob.digest, origin)
    assert await client.upload(repository, blob).attempt(mount_from=origin) is BlobOutcome.SENT
    assert await client.has_blob(repository, blob.digest)


async def test_a_broken_upload_is_continued_or_restarted(
    served: Served, client: RegistryClient, repository: Repository
) -> None:
    blob = Bytes(Random(token_hex(8)).randbytes(3_000_000), breaks_at=2_000_000)
    upload = client.upload(repository, blob)
    assert classify(await refusal_of(upload.attempt())).kind is Kind.NETWORK
    assert await upload.attempt() is BlobOutcome.SENT
    assert (upload.bytes_sent < 4_000_000) is served.resumes
    there = httpx2.get(f"http://{served.address}/v2/{repository.name}/blobs/{blob.digest}")
    assert there.content == blob.content


async def test_other_bytes_than_their_digest_says_are_refused(
    client: RegistryClient, repository: Repository
) -> None:
    blob = fresh()
    blob.content = bytes(blob.size)
    assert (await refusal_of(client.upload(repository, blob).attempt())).status == 400
    assert not await client.has_blob(repository, blob.digest)


async def test_asking_to_write_leaves_nothing_and_its_upload_is_used(
    served: Served, client: RegistryClient, repository: Repository
) -> None:
    await client.check_write_access(repository)
    blob = await uploaded(client, repository)
    assert await client.has_blob(repository, blob.digest)
    listed = httpx2.get(f"http://{served.address}/v2/{repository.name}/tags/list").json()
    assert not listed.get("tags")


# -- manifests ----------------------------------------------------------------------------------


async def test_a_written_manifest_is_there_by_tag_and_digest(
    client: RegistryClient, repository: Repository
) -> None:
    manifest = manifest_of(await uploaded(client, repository))
    described = Descriptor(OCI, manifest.digest, len(manifest.raw))
    assert await client.head(repository, "v1") is None
    await client.put(repository, "v1", manifest)
    assert await client.head(repository, "v1") == described
    assert await client.head(repository, manifest.digest) == described
    assert await client.get(repository, "v1") == manifest
    assert await client.get(repository, manifest.digest) == manifest


async def test_a_tag_moves(client: RegistryClient, repository: Repository) -> None:
    first = manifest_of(await uploaded(client, repository))
    second = manifest_of(await uploaded(client, repository))
    for manifest in (first, second):
        await client.put(repository, "latest", manifest)
        assert await client.get(repository, "latest") == manifest
    assert await client.get(repository, first.digest) == first


async def test_an_index_is_put_after_its_children(
    client: RegistryClient, repository: Repository
) -> None:
    child = manifest_of(await uploaded(client, repository))
    await client.put(repository, child.digest, child)
    assert await client.get(repository, child.digest) == child
    await client.put(repository, "multi", index_of(child))
    assert await client.get(repository, "multi") == index_of(child)


async def test_a_missing_blob_or_manifest_has_its_error_code(
    served: Served, client: RegistryClient, repository: Repository
) -> None:
    assert await client.head(repository, NOTHING) is None
    for reference in ("none", NOTHING):
        refusal = await refusal_of(client.get(repository, reference))
        assert (refusal.status, refusal.code) == (404, served.missing)


async def test_a_manifest_of_a_missing_blob_is_refused_or_accepted(
    served: Served, client: RegistryClient, repository: Repository
) -> None:
    manifest = manifest_of(fresh())
    if served.refuses_blob is None:
        await client.put(repository, "v1", manifest)
        return
    refusal = await refusal_of(client.put(repository, "v1", manifest))
    assert (refusal.status, refusal.code) == (served.refuses_blob, "MANIFEST_BLOB_UNKNOWN")
    assert await client.head(repository, "v1") is None


async def test_an_index_of_a_missing_child_is_refused(
    served: Served, client: RegistryClient, repository: Repository
) -> None:
    index = index_of(manifest_of(fresh()))
    refusal = await refusal_of(client.put(repository, "multi", index))
    assert refusal.status == served.refuses_child
    assert classify(refusal).kind in {Kind.NOT_VISIBLE, Kind.MANIFEST_REFUSED}
    assert await client.head(repository, "multi") is None


async def test_a_manifest_under_another_digest_is_refused_or_detected(
    served: Served, client: RegistryClient, repository: Repository
) -> None:
    manifest = manifest_of(await uploaded(client, repository))
    if served.checks_digest:
        refusal = await refusal_of(client.put(repository, NOTHING, manifest))
        assert (refusal.status, refusal.code) == (400, "DIGEST_INVALID")
        assert await client.head(repository, NOTHING) is None
    else:
        await client.put(repository, NOTHING, manifest)
        assert classify(await refusal_of(client.head(repository, NOTHING))).kind is Kind.MANGLED

"""Uploads of blobs to a real registry, through a front with faults."""

import hashlib
from collections.abc import AsyncIterator
from random import Random
from secrets import token_hex

import httpx2
import pytest
from anyio import to_thread
from tests.support.front import (
    Answer,
    Auth,
    Behaviour,
    Front,
    Rule,
    Step,
    User,
    on,
)
from tests.support.processes import wait_until
from tests.support.registry import Registry

from ghcr_push.credentials import Credential
from ghcr_push.failures import PushError, classify
from ghcr_push.model import BlobOutcome, Kind
from ghcr_push.references import Digest, Repository
from ghcr_push.registry.client import RegistryClient
from ghcr_push.registry.http import TimeLimits

pytestmark = pytest.mark.anyio

POST, PATCH, PUT, STATUS = (
    Step.UPLOAD_POST,
    Step.UPLOAD_PATCH,
    Step.UPLOAD_PUT,
    Step.UPLOAD_GET,
)
CREDENTIAL = Credential(username="robot", password="secret")


class Bytes:
    """A blob in memory; its chunks break off once at ``breaks_at``."""

    def __init__(self, seed: str, size: int = 3_000_000, breaks_at: int | None = None) -> None:
        self.registry = None
        self.content = Random(seed).randbytes(size)
        self.digest = Digest(f"sha256:{hashlib.sha256(self.content).hexdigest()}")
        self.size = size
        self.breaks_at = breaks_at

    def release(self) -> None:
        pass

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        breaks_at, self.breaks_at = self.breaks_at, None
        for place in range(start, self.size, 50_000):
            if breaks_at is not None and place >= breaks_at:
                raise httpx2.WriteError("the connection broke")
            yield self.content[place : place + 50_000]


def repository(front: Front, name: str) -> Repository:
    return Repository(front.address, f"{name}/{token_hex(4)}")


def content_of(registry: Registry, repository: Repository, blob: Bytes) -> bytes:
    url = f"http://{registry.address}/v2/{repository.name}/blobs/{blob.digest}"
    return httpx2.get(url, follow_redirects=True).content


def bytes_of_uploads(registry: Registry, repository: Repository) -> int:
    """Return how many bytes the registry has written of unfinished uploads."""
    data = registry.folder.glob(f"**/repositories/{repository.name}/_uploads/*/data")
    return sum(path.stat().st_size for path in data)


@pytest.mark.parametrize("locations", ["absolute", "relative", "other_host"])
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_sends_a_blob_in_two_requests(
    front: Front, registry: Registry, locations: str, size: int
) -> None:
    front.set(Behaviour.model_validate({"locations": locations}))
    blob, to = Bytes(f"{locations}{size}", size), repository(front, "sent")
    async with RegistryClient({}) as client:
        assert not await client.has_blob(to, blob.digest)
        upload = client.upload(to, blob)
        assert await upload.attempt() is BlobOutcome.SENT
        assert await client.has_blob(to, blob.digest)
    assert upload.bytes_sent == size
    assert content_of(registry, to, blob) == blob.content
    assert front.stats().count(POST, PATCH, PUT) == 2


async def test_starts_again_if_the_registry_cannot_continue(
    front: Front, registry: Registry
) -> None:
    # docker's registry signs an upload's progress in its location, and accepts no other
    blob, to = Bytes("broken", breaks_at=2_000_000), repository(front, "broken")
    async with RegistryClient({}) as client:
        upload = client.upload(to, blob)
        with pytest.raises(PushError) as raised:
            await upload.attempt()
        assert classify(raised.value.evidence).kind is Kind.NETWORK
        await to_thread.run_sync(wait_until, lambda: bytes_of_uploads(registry, to) > 0)
        assert await upload.attempt() is BlobOutcome.SENT
    assert content_of(registry, to, blob) == blob.content
    stats = front.stats()
    assert (stats.count(POST), stats.count(STATUS, status=404), stats.count(PATCH)) == (2, 1, 0)
    assert upload.bytes_sent == 2_000_000 + blob.size


async def test_reuses_an_upload_without_any_bytes(front: Front) -> None:
    blob, to = Bytes("nothing", breaks_at=0), repository(front, "nothing")
    async with RegistryClient({}) as client:
        upload = client.upload(to, blob)
        with pytest.raises(PushError):
            await upload.attempt()
        assert await upload.attempt() is BlobOutcome.SENT
    assert (front.stats().count(POST), front.stats().count(STATUS, status=204)) == (1, 1)


async def test_a_failed_status_request_keeps_the_upload(front: Front) -> None:
    front.set(Behaviour(rules=(Rule(match=on(STATUS), first=1),)))
    blob, to = Bytes("status", breaks_at=0), repository(front, "status")
    async with RegistryClient({}) as client:
        upload = client.upload(to, blob)
        for _ in range(2):
            with pytest.raises(PushError):
                await upload.attempt()
        assert await upload.attempt() is BlobOutcome.SENT
    assert front.stats().count(POST) == 1


async def test_finds_a_blob_whose_commit_was_not_answered(front: Front) -> None:
    front.set(Behaviour(rules=(Rule(match=on(PUT), effect="after", first=1),)))
    blob, to = Bytes("lost", 100_000), repository(front, "lost")
    async with RegistryClient({}) as client:
        assert await client.upload(to, blob).attempt() is BlobOutcome.FOUND


@pytest.mark.parametrize("connection", ["close", "reset"])
async def test_finds_a_blob_whose_commit_ended_with_the_connection(
    front: Front, connection: str
) -> None:
    answer = Answer.model_validate({"connection": connection})
    front.set(Behaviour(rules=(Rule(match=on(PUT), answer=answer, effect="after", first=1),)))
    blob, to = Bytes(connection, 100_000), repository(front, "lost")
    async with RegistryClient({}) as client:
        assert await client.upload(to, blob).attempt() is BlobOutcome.FOUND


@pytest.mark.parametrize("step", [POST, PUT])
async def test_a_refusal_is_reported_with_status_and_wait(front: Front, step: Step) -> None:
    busy = Answer(status=503, headers={"Retry-After": "7"}, body="busy")
    front.set(Behaviour(rules=(Rule(match=on(step), answer=busy, first=1),)))
    blob, to = Bytes(f"busy{step}", 100_000), repository(front, "busy")
    async with RegistryClient({}) as client:
        upload = client.upload(to, blob)
        with pytest.raises(PushError) as raised:
            await upload.attempt()
        failure = classify(raised.value.evidence)
        assert (failure.kind, failure.status, failure.asked_wait) == (Kind.SERVER_ERROR, 503, 7)
        assert await upload.attempt() is BlobOutcome.SENT


async def test_an_answer_with_another_digest_is_no_success(front: Front) -> None:
    other = Answer(status=201, headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"})
    front.set(Behaviour(rules=(Rule(match=on(PUT), answer=other, first=1),)))
    blob, to = Bytes("other", 100_000), repository(front, "other")
    async with RegistryClient({}) as client:
        upload = client.upload(to, blob)
        with pytest.raises(PushError) as raised:
            await upload.attempt()
        assert raised.value.evidence.kind is Kind.MANGLED
        assert await upload.attempt() is BlobOutcome.SENT
    assert front.stats().count(POST) == 2


async def test_mounts_a_blob_from_another_repository(front: Front, registry: Registry) -> None:
    blob, origin, to = Bytes("mount"), repository(front, "origin"), repository(front, "mounted")
    async with RegistryClient({}) as client:
        await client.upload(origin, blob).attempt()
        upload = client.upload(to, blob)
        assert await upload.attempt(mount_from=origin) is BlobOutcome.MOUNTED
    assert (upload.bytes_sent, front.stats().blob_mounts) == (0, {to.name: 1})
    assert content_of(registry, to, blob) == blob.content


async def test_uploads_a_blob_that_cannot_be_mounted(front: Front) -> None:
    blob, to = Bytes("unmounted"), repository(front, "unmounted")
    async with RegistryClient({}) as client:
        nowhere = repository(front, "nowhere")
        assert await client.upload(to, blob).attempt(mount_from=nowhere) is BlobOutcome.SENT
    assert front.stats().count(POST) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
async def test_uploads_where_a_mount_is_refused(front: Front, status: int) -> None:
    refused = Rule(match=on(POST), answer=Answer(status=status), first=1)
    front.set(Behaviour(rules=(refused,)))
    blob, to = Bytes(f"refused{status}"), repository(front, "refused")
    async with RegistryClient({}) as client:
        origin = repository(front, "origin")
        assert await client.upload(to, blob).attempt(mount_from=origin) is BlobOutcome.SENT


@pytest.mark.parametrize(("status", "mounts"), [(401, 1), (403, 1), (404, 2)])
async def test_what_may_not_be_read_is_mounted_into_no_other_repository(
    front: Front, status: int, mounts: int
) -> None:
    refused = Rule(match=on(POST, reference="sha256:*"), answer=Answer(status=status))
    front.set(Behaviour(rules=(refused,)))
    origin, blob = repository(front, "origin"), Bytes(f"closed{status}", 1000)
    async with RegistryClient({}) as client:
        for name in ("first", "second"):
            upload = client.upload(repository(front, name), blob)
            assert await upload.attempt(mount_from=origin) is BlobOutcome.SENT
    assert front.stats().count(POST, status=status) == mounts


async def test_the_first_blob_continues_the_upload_that_checked_permission(front: Front) -> None:
    to = repository(front, "asked")
    async with RegistryClient({}) as client:
        await client.check_write_access(to)
        assert await client.upload(to, Bytes("asked-1", 1000)).attempt() is BlobOutcome.SENT
        assert front.stats().count(POST) == 1
        assert await client.upload(to, Bytes("asked-2", 1000)).attempt() is BlobOutcome.SENT
    assert front.stats().count(POST) == 2
    assert front.stats().count(Step.UPLOAD_DELETE) == 0


async def test_an_unused_upload_is_cancelled_at_the_end(front: Front) -> None:
    async with RegistryClient({}) as client:
        await client.check_write_access(repository(front, "vain"))
        assert front.stats().count(Step.UPLOAD_DELETE) == 0
    assert front.stats().count(Step.UPLOAD_DELETE, status=204) == 1


async def test_an_old_upload_is_not_continued(front: Front) -> None:
    to, now = repository(front, "old"), [0.0]
    async with RegistryClient({}, clock=lambda: now[0]) as client:
        await client.check_write_access(to)
        now[0] = 31.0
        assert await client.upload(to, Bytes("old", 1000)).attempt() is BlobOutcome.SENT
    assert front.stats().count(POST) == 2
    assert front.stats().count(Step.UPLOAD_DELETE, status=204) == 1


async def test_gives_up_after_a_time_without_a_byte(front: Front) -> None:
    silent = Answer(connection="hang")
    front.set(Behaviour(rules=(Rule(match=on(POST), answer=silent, first=1),)))
    blob, to = Bytes("silent", 100_000), repository(front, "silent")
    async with RegistryClient({}, time_limits=TimeLimits(transfer=2)) as client:
        upload = client.upload(to, blob)
        with pytest.raises(PushError) as raised:
            await upload.attempt()
        assert raised.value.evidence.kind is Kind.TIMEOUT
        assert await upload.attempt() is BlobOutcome.SENT


@pytest.mark.parametrize("size", [0, 100_000])
async def test_the_answer_to_a_commit_is_waited_for_and_the_blob_sent_once(
    front: Front, size: int
) -> None:
    front.set(Behaviour(delays={PUT: 1.5}))
    blob, to = Bytes("slow", size), repository(front, "slow")
    async with RegistryClient({}, time_limits=TimeLimits(transfer=0.5)) as client:
        assert await client.upload(to, blob).attempt() is BlobOutcome.SENT
    assert front.stats().count(PUT) == 1


async def test_the_remaining_bytes_are_sent_although_the_answer_names_no_location(
    front: Front,
) -> None:
    nowhere = Answer(headers={"Location": ""})
    front.set(Behaviour(rules=(Rule(match=on(PATCH), answer=nowhere, effect="alter"),)))
    blob, to = Bytes("nowhere", breaks_at=2_000_000), repository(front, "nowhere")
    async with RegistryClient({}) as client:
        upload = client.upload(to, blob)
        with pytest.raises(PushError):
            await upload.attempt()
        assert await upload.attempt() is BlobOutcome.SENT


@pytest.mark.parametrize("locations", ["absolute", "other_host"])
async def test_credentials_stay_home_and_a_mount_asks_for_its_own_token(
    front: Front, locations: str
) -> None:
    auth = Auth(mode="token", users={"robot": User(password="secret")}, expires_in=1000)
    front.set(Behaviour.model_validate({"locations": locations, "auth": auth}))
    blob, to = Bytes(f"auth{locations}"), repository(front, f"auth-{locations}")
    origin = repository(front, f"origin-{locations}")
    async with RegistryClient({front.address: CREDENTIAL}) as client:
        assert await client.upload(origin, blob).attempt() is BlobOutcome.SENT
        assert await client.upload(to, blob).attempt(mount_from=origin) is BlobOutcome.MOUNTED
    assert "other" not in front.credentials()
    asked = [entry.path for entry in front.log() if entry.step is Step.TOKEN]
    assert any(path.count("repository") == 2 for path in asked)

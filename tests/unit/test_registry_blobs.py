"""Uploads to registries that differ from docker's."""

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from tests.support.saved import digest_of

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import BlobOutcome, Kind
from ghcr_push.references import Repository
from ghcr_push.registry.client import RegistryClient

pytestmark = pytest.mark.anyio

IMAGE = Repository("ghcr.io", "acme/app")
UPLOADS = "/v2/acme/app/blobs/uploads/"


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
        for place in range(start, self.size, 10):
            if place == breaks_at:
                raise httpx2.WriteError("the connection broke")
            yield self.content[place : place + 10]


class Resumable(httpx2.AsyncBaseTransport):
    """A registry that keeps the bytes of a broken upload and reports how many."""

    def __init__(self, *, ranges: str = "0-{last}", most: int | None = None) -> None:
        self.ranges = ranges
        self.most = most
        self.kept = b""
        self.seen: list[tuple[str, str]] = []
        self.turn = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v2/":
            return httpx2.Response(200)
        self.seen.append((request.method, request.headers.get("Content-Range", "")))
        self.turn += 1
        here = {"Location": f"{UPLOADS}one?turn={self.turn}&sig=a%2Fb%3D"}
        match request.method:
            case "HEAD":
                return httpx2.Response(404)
            case "POST":
                return httpx2.Response(202, headers=here)
            case "GET":
                kept = self.ranges.format(last=len(self.kept) - 1)
                return httpx2.Response(204, headers={**here, "Range": kept})
        start = re.match(r"(\d+)-", request.headers.get("Content-Range", ""))
        assert start is None or int(start[1]) == len(self.kept)
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        async for chunk in request.stream:
            self.kept += chunk
        if request.method == "PATCH":
            return httpx2.Response(202, headers=here)
        assert request.url.query.startswith(b"turn=%d&sig=a%%2Fb%%3D&digest=" % (self.turn - 1))
        right = request.url.params["digest"] == digest_of(self.kept)
        return httpx2.Response(201 if right else 400)

    def client(self) -> RegistryClient:
        return RegistryClient({}, transport=self)


async def test_sends_only_the_rest_where_the_registry_tells_what_it_has() -> None:
    registry, blob = Resumable(), Bytes(b"0123456789" * 10, breaks_at=60)
    async with registry.client() as client:
        upload = client.upload(IMAGE, blob)
        with pytest.raises(PushError):
            await upload.attempt()
        assert await upload.attempt() is BlobOutcome.SENT
    assert registry.kept == blob.content
    assert registry.seen == [
        ("POST", ""),
        ("PUT", ""),
        ("HEAD", ""),
        ("GET", ""),
        ("PATCH", "60-99"),
        ("PUT", ""),
    ]
    assert upload.bytes_sent == 100


class Unreadable(Bytes):
    """A blob whose source breaks off in the middle, every time."""

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        yield self.content[start : start + 10]
        message = "docker://ghcr.io/acme/base:1: the connection broke"
        raise PushError(ErrorInfo(origin=Origin.RUN, kind=Kind.SOURCE_UNREACHABLE, message=message))


async def test_a_source_that_breaks_off_does_not_count_as_a_cut_off_upload() -> None:
    registry, blob = Resumable(), Unreadable(b"0123456789" * 10)
    async with registry.client() as client:
        upload = client.upload(IMAGE, blob)
        for _ in range(3):
            with pytest.raises(PushError) as raised:
                await upload.attempt()
            assert raised.value.evidence.kind is Kind.SOURCE_UNREACHABLE
            assert "cut off" not in raised.value.evidence.message
    assert "HEAD" not in {method for method, _ in registry.seen}


async def test_only_commits_if_the_registry_has_all_bytes() -> None:
    registry, blob = Resumable(), Bytes(b"0123456789" * 10, breaks_at=60)
    async with registry.client() as client:
        upload = client.upload(IMAGE, blob)
        with pytest.raises(PushError):
            await upload.attempt()
        registry.kept = blob.content
        assert await upload.attempt() is BlobOutcome.SENT
    assert [method for method, _ in registry.seen[3:]] == ["GET", "PUT"]


@pytest.mark.parametrize("ranges", ["0-500", "", "bytes 0-59/*", "7-59", "many"])
async def test_starts_again_if_the_registry_reports_a_senseless_range(ranges: str) -> None:
    registry, blob = Resumable(ranges=ranges), Bytes(b"0123456789" * 10, breaks_at=60)
    async with registry.client() as client:
        upload = client.upload(IMAGE, blob)
        with pytest.raises(PushError):
            await upload.attempt()
        registry.kept = b""
        assert await upload.attempt() is BlobOutcome.SENT
    assert [method for method, _ in registry.seen[3:]] == ["GET", "POST", "PUT"]


async def refused(answers: dict[str, httpx2.Response]) -> PushError:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v2/":
            return httpx2.Response(200)
        return answers.get(request.method, httpx2.Response(404))

    transport = httpx2.MockTransport(handle)
    async with RegistryClient({}, transport=transport) as client:
        with pytest.raises(PushError) as raised:
            await client.upload(IMAGE, Bytes(b"content")).attempt()
    return raised.value


async def test_a_layer_larger_than_the_registry_accepts_is_not_sent() -> None:
    seen = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(202, headers={"Location": f"{UPLOADS}one"})

    blob = Bytes(b"content")
    blob.size = (10 << 30) + 1
    async with RegistryClient({}, transport=httpx2.MockTransport(handle)) as client:
        with pytest.raises(PushError, match="accepts at most") as raised:
            await client.upload(IMAGE, blob).attempt(Repository("ghcr.io", "acme/base"))
    assert raised.value.evidence.kind is Kind.TOO_LARGE
    assert blob.digest in raised.value.evidence.message
    assert not seen


@pytest.mark.parametrize("location", [None, "", "http://ghcr.io/elsewhere", "ftp://ghcr.io/"])
async def test_refuses_an_invalid_location_or_one_without_https(location: str | None) -> None:
    headers = {} if location is None else {"Location": location}
    error = await refused({"POST": httpx2.Response(202, headers=headers)})
    assert error.evidence.kind is Kind.UNSUPPORTED


@pytest.mark.parametrize("status", [200, 204, 301, 400, 403, 404, 500])
async def test_refuses_any_other_answer_to_the_first_request(status: int) -> None:
    assert (await refused({"POST": httpx2.Response(status)})).evidence.status == status


@pytest.mark.parametrize("status", [301, 303, 400, 401, 403, 404, 413, 429, 500, 503])
async def test_raises_the_refusal_of_a_commit(status: int) -> None:
    started = httpx2.Response(202, headers={"Location": f"{UPLOADS}one"})
    error = await refused({"POST": started, "PUT": httpx2.Response(status)})
    assert error.evidence.status == status


@pytest.mark.parametrize(("status", "held"), [(200, True), (404, False)])
async def test_has_a_blob_or_not(status: int, held: bool) -> None:
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200 if request.url.path == "/v2/" else status)
    )
    async with RegistryClient({}, transport=transport) as client:
        assert await client.has_blob(IMAGE, digest_of(b"")) is held


async def test_a_refused_read_shows_nothing_about_the_blob() -> None:
    transport = httpx2.MockTransport(
        lambda request: httpx2.Response(200 if request.url.path == "/v2/" else 403)
    )
    async with RegistryClient({}, transport=transport) as client:
        with pytest.raises(PushError):
            await client.has_blob(IMAGE, digest_of(b""))


def storing(answer: httpx2.Response | Exception, location: str) -> httpx2.MockTransport:
    """Redirect every read of a blob to ``location``, which returns ``answer``."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v2/":
            return httpx2.Response(200)
        if request.url.host == "ghcr.io":
            return httpx2.Response(307, headers={"Location": location})
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx2.MockTransport(handle)


@pytest.mark.parametrize(
    ("answer", "location"),
    [
        (httpx2.Response(200), "http://storage.test/blob"),
        (httpx2.Response(200), "ftp://storage.test/blob"),
        (httpx2.Response(200), "https://ghcr.io/round"),
        (httpx2.Response(403), "https://storage.test/blob?signature=1"),
        (httpx2.Response(404), "https://storage.test/blob"),
        (httpx2.Response(500), "https://storage.test/blob"),
        (httpx2.ConnectError("refused"), "https://storage.test/blob"),
        (httpx2.ConnectTimeout("dead"), "https://storage.test/blob"),
    ],
)
async def test_a_read_redirected_to_an_unreachable_host_shows_nothing(
    answer: httpx2.Response | Exception, location: str
) -> None:
    async with RegistryClient({}, transport=storing(answer, location)) as client:
        assert await client.has_blob(IMAGE, digest_of(b"")) is False


async def test_a_redirected_read_finds_the_blob() -> None:
    transport = storing(httpx2.Response(200), "https://storage.test/blob")
    async with RegistryClient({}, transport=transport) as client:
        assert await client.has_blob(IMAGE, digest_of(b"")) is True


async def test_an_upload_s_own_requests_follow_redirects_with_all_their_bytes() -> None:
    blob, taken = Bytes(b"0123456789" * 3), list[tuple[str, bytes]]()

    async def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v2/":
            return httpx2.Response(200)
        if request.url.host == "ghcr.io":
            moved = str(request.url).replace("ghcr.io", "writes.test")
            await request.aread()
            return httpx2.Response(307, headers={"Location": moved})
        taken.append((request.method, await request.aread()))
        here = {"Location": f"{UPLOADS}one"}
        return httpx2.Response(202 if request.method == "POST" else 201, headers=here)

    async with RegistryClient({}, transport=httpx2.MockTransport(handle)) as client:
        assert await client.upload(IMAGE, blob).attempt() is BlobOutcome.SENT
    assert taken == [("POST", b""), ("PUT", blob.content)]

"""The client's requests, and its checks of the answers."""

import errno
import hashlib
import json
import logging
from collections.abc import Callable
from contextlib import nullcontext

import anyio
import httpx2
import pytest

from ghcr_push.credentials import Credential
from ghcr_push.failures import ErrorInfo, PushError, classify
from ghcr_push.model import Descriptor, Kind, Manifest
from ghcr_push.references import Digest, Repository
from ghcr_push.registry.client import RegistryClient

pytestmark = pytest.mark.anyio

OCI = "application/vnd.oci.image.manifest.v1+json"
RAW = json.dumps({"schemaVersion": 2, "mediaType": OCI, "layers": []}).encode()
DIGEST = Digest(f"sha256:{hashlib.sha256(RAW).hexdigest()}")
SHA512 = Digest(f"sha512:{hashlib.sha512(RAW).hexdigest()}")
OTHER = Digest(f"sha256:{'b' * 64}")
MANIFEST = Manifest(OCI, DIGEST, RAW)
IMAGE = Repository("ghcr.io", "acme/app")
HEADERS = {"Docker-Content-Digest": DIGEST, "Content-Type": OCI}
Handler = Callable[[httpx2.Request], httpx2.Response]


class Registry:
    """Answers the ping, and all else by ``handler``; records the requests."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.seen: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v2/":
            return httpx2.Response(200)
        self.seen.append(request)
        return self.handler(request)

    def client(self, *insecure: str) -> RegistryClient:
        return RegistryClient(
            {}, transport=httpx2.MockTransport(self), insecure_registries=insecure
        )


def answering(
    status: int, *, content: bytes = b"", headers: dict[str, str] | None = None
) -> Registry:
    return Registry(lambda _: httpx2.Response(status, content=content, headers=headers or {}))


async def evidence_of(awaitable: object) -> ErrorInfo:
    with pytest.raises(PushError) as raised:
        await awaitable  # type: ignore[misc]  # a coroutine of whichever result
    return raised.value.evidence


async def test_head_describes_what_a_tag_names() -> None:
    registry = answering(200, headers={**HEADERS, "Content-Length": "527"})
    async with registry.client() as client:
        assert await client.head(IMAGE, "v1") == Descriptor(OCI, DIGEST, 527)
    (request,) = registry.seen
    assert (request.method, str(request.url)) == (
        "HEAD",
        "https://ghcr.io/v2/acme/app/manifests/v1",
    )
    assert request.headers["Accept"].count("vnd.oci.image") == 2
    assert request.headers["Accept"].count("vnd.docker.distribution.manifest") == 2
    assert request.headers["User-Agent"].startswith("ghcr-push/")
    assert request.headers["Accept-Encoding"] == "identity"


async def test_head_of_nothing_is_nothing() -> None:
    async with answering(404).client() as client:
        assert await client.head(IMAGE, "v1") is None


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "9"}, {"Docker-Content-Digest": "sha256:0"}]
)
async def test_head_fetches_where_the_answer_says_too_little(headers: dict[str, str]) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.method == "HEAD":
            return httpx2.Response(200, headers=headers)
        return httpx2.Response(200, content=RAW)

    async with Registry(handler).client() as client:
        assert await client.head(IMAGE, "v1") == Descriptor(OCI, DIGEST, len(RAW))


async def test_head_of_a_digest_must_answer_with_it() -> None:
    async with answering(200, headers={**HEADERS, "Content-Length": "5"}).client() as client:
        assert (await evidence_of(client.head(IMAGE, OTHER))).kind is Kind.MANGLED


# -- registries without HEAD, or without a reason in it -------------------------------------------


def without_head(status: int, headers: dict[str, str] | None = None) -> Registry:
    """Answer every HEAD with ``status`` and every GET with the manifest."""

    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.method == "HEAD":
            return httpx2.Response(status, headers=headers or {})
        return httpx2.Response(200, content=RAW, headers=HEADERS)

    return Registry(handler)


def methods(registry: Registry) -> list[str]:
    return [request.method for request in registry.seen]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 411, 415, 501])
async def test_reads_use_get_if_the_registry_refuses_head_and_answers_get(status: int) -> None:
    registry = without_head(status)
    async with registry.client() as client:
        for _ in range(3):
            assert await client.head(IMAGE, "v1") == Descriptor(OCI, DIGEST, len(RAW))
    assert methods(registry) == ["HEAD", "GET", "GET", "GET"]


@pytest.mark.parametrize("status", [401, 408, 421, 425, 429, 500, 502, 503, 504])
async def test_a_temporary_failure_of_head_is_reported_unchanged(status: int) -> None:
    registry = without_head(status)
    async with registry.client() as client:
        assert (await evidence_of(client.head(IMAGE, "v1"))).status == status
    assert methods(registry) == ["HEAD"]


async def test_a_throttled_head_is_reported_unchanged() -> None:
    async with without_head(403, {"Retry-After": "7"}).client() as client:
        evidence = await evidence_of(client.head(IMAGE, "v1"))
    assert (evidence.status, evidence.retry_after) == (403, 7)


@pytest.mark.parametrize(
    "headers",
    [{"Docker-Distribution-Api-Version": "registry/2.0"}, {"Content-Type": "application/json"}],
)
async def test_a_registry_s_own_404_means_that_nothing_is_there(headers: dict[str, str]) -> None:
    registry = without_head(404, headers)
    async with registry.client() as client:
        assert await client.head(IMAGE, "v1") is None
    assert methods(registry) == ["HEAD"]


async def test_a_404_is_believed_of_a_registry_that_answers_heads() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/v1"):
            return httpx2.Response(200, headers={**HEADERS, "Content-Length": "9"})
        return httpx2.Response(404)

    registry = Registry(handler)
    async with registry.client() as client:
        assert await client.head(IMAGE, "v1") is not None
        assert await client.head(IMAGE, "v2") is None
    assert methods(registry) == ["HEAD", "HEAD"]


async def test_heads_of_one_registry_say_nothing_of_another_s() -> None:
    registry = without_head(405)
    async with registry.client() as client:
        await client.head(IMAGE, "v1")
        await client.head(Repository("other.test", "acme/app"), "v1")
    assert methods(registry) == ["HEAD", "GET", "HEAD", "GET"]


@pytest.mark.parametrize("status", [403, 412])
async def test_a_refused_head_is_reported_with_the_text_of_a_get(status: int) -> None:
    words = {"errors": [{"code": "PROJECTPOLICYVIOLATION", "message": "not scanned"}]}

    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.method == "HEAD":
            return httpx2.Response(status)
        return httpx2.Response(status, json=words)

    registry = Registry(handler)
    async with registry.client() as client:
        evidence = await evidence_of(client.head(IMAGE, "v1"))
    assert (evidence.status, evidence.code) == (status, "PROJECTPOLICYVIOLATION")
    assert evidence.message == "not scanned"
    assert methods(registry) == ["HEAD", "GET"]


@pytest.mark.parametrize(
    ("reference", "headers", "digest"),
    [
        ("v1", HEADERS, DIGEST),
        ("v1", {"Content-Type": "application/json"}, DIGEST),
        ("v1", {"Docker-Content-Digest": SHA512}, SHA512),
        (DIGEST, {}, DIGEST),
        (SHA512, HEADERS, SHA512),
    ],
)
async def test_get_gives_the_exact_bytes(
    reference: str, headers: dict[str, str], digest: Digest
) -> None:
    async with answering(200, content=RAW, headers=headers).client() as client:
        assert await client.get(IMAGE, reference) == Manifest(OCI, digest, RAW)


@pytest.mark.parametrize(
    ("reference", "headers"),
    [
        ("v1", {"Docker-Content-Digest": OTHER}),
        (OTHER, {}),
        (OTHER, {"Docker-Content-Digest": OTHER}),
    ],
)
async def test_get_believes_no_digest_but_that_of_the_bytes(
    reference: str, headers: dict[str, str]
) -> None:
    async with answering(200, content=RAW, headers=headers).client() as client:
        evidence = await evidence_of(client.get(IMAGE, reference))
    assert evidence.kind is Kind.MANGLED
    assert OTHER in evidence.message
    assert DIGEST in evidence.message


async def test_digests_that_cannot_be_checked_are_not_believed() -> None:
    async with answering(200, content=RAW).client() as client:
        evidence = await evidence_of(client.get(IMAGE, f"sha384:{'a' * 96}"))
    assert evidence.kind is Kind.UNSUPPORTED


async def test_signed_addresses_stay_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    moved = httpx2.Response(307, headers={"Location": "https://cdn.example/x?signature=s3cret"})
    registry = Registry(
        lambda request: (
            moved if request.url.host == "ghcr.io" else httpx2.Response(200, content=RAW)
        )
    )
    async with registry.client() as client:
        await client.get(IMAGE, "v1")
    assert "s3cret" not in caplog.text
    assert {record.name for record in caplog.records} == {"ghcr_push.requests"}


async def test_requests_of_others_with_the_same_library_are_logged_as_configured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with answering(200, content=RAW).client() as client:
        await client.get(IMAGE, "v1")
    async with httpx2.AsyncClient(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(200))
    ) as theirs:
        await theirs.get("https://elsewhere.example/")
    assert "https://elsewhere.example/" in caplog.text


async def test_get_takes_the_answers_media_type_where_the_manifest_names_none() -> None:
    raw = b'{"schemaVersion": 2}'
    headers = {"Content-Type": f"{OCI}; charset=utf-8"}
    async with answering(200, content=raw, headers=headers).client() as client:
        assert (await client.get(IMAGE, "v1")).media_type == OCI


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"[]", b"", b"[" * 9999])
async def test_get_of_something_else_is_reported(body: bytes) -> None:
    async with answering(200, content=body).client() as client:
        assert (await evidence_of(client.get(IMAGE, "v1"))).kind is Kind.MANGLED


async def test_manifests_are_bounded() -> None:
    most = 4 * 1024 * 1024
    raw = b'{"a": "' + b"x" * (most - 9) + b'"}'
    async with answering(200, content=raw).client() as client:
        assert len((await client.get(IMAGE, "v1")).raw) == most
    async with answering(200, content=raw + b" ").client() as client:
        assert (await evidence_of(client.get(IMAGE, "v1"))).kind is Kind.TOO_LARGE


async def test_texts_of_errors_are_bounded() -> None:
    async with answering(500, content=b"x" * 1_000_000).client() as client:
        assert len((await evidence_of(client.get(IMAGE, "v1"))).message) == 65_536


async def test_put_sends_the_exact_bytes() -> None:
    registry = answering(201, headers={"Docker-Content-Digest": DIGEST})
    async with registry.client() as client:
        await client.put(IMAGE, "v1", MANIFEST)
    (request,) = registry.seen
    assert (request.method, request.content) == ("PUT", RAW)
    assert request.headers["Content-Type"] == OCI


@pytest.mark.parametrize(
    ("status", "headers"), [(201, {}), (200, HEADERS), (202, HEADERS), (204, HEADERS)]
)
async def test_put_is_written(status: int, headers: dict[str, str]) -> None:
    async with answering(status, headers=headers).client() as client:
        await client.put(IMAGE, "v1", MANIFEST)


async def test_put_does_not_accept_any_page_as_a_success() -> None:
    async with answering(200, content=b"<html>sign in</html>").client() as client:
        assert (await evidence_of(client.put(IMAGE, "v1", MANIFEST))).status == 200


async def test_put_of_other_bytes_than_sent_is_reported() -> None:
    async with answering(201, headers={"Docker-Content-Digest": OTHER}).client() as client:
        evidence = await evidence_of(client.put(IMAGE, "v1", MANIFEST))
    assert (evidence.kind, evidence.status) == (Kind.MANGLED, 201)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_reads_follow_redirects_and_show_nothing_elsewhere(method: str) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "ghcr.io" and not request.headers.get("Authorization"):
            return httpx2.Response(401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        match request.url.host, request.url.path:
            case "ghcr.io", "/v2/acme/app/manifests/v1":
                return httpx2.Response(307, headers={"Location": "/v2/moved"})
            case "ghcr.io", _:
                return httpx2.Response(302, headers={"Location": "https://a:b@cdn.example/x?sig=1"})
            case _:
                return httpx2.Response(200, content=RAW, headers=HEADERS)

    registry = Registry(handler)
    credentials = {"ghcr.io": Credential(username="u", password="p")}
    async with RegistryClient(credentials, transport=httpx2.MockTransport(registry)) as client:
        if method == "GET":
            await client.get(IMAGE, "v1")
        else:
            await client.head(IMAGE, "v1")
    first, shown, moved, elsewhere = registry.seen[:4]
    assert "Authorization" not in first.headers
    assert shown.headers["Authorization"] == moved.headers["Authorization"]
    assert "Authorization" not in elsewhere.headers
    assert (elsewhere.method, elsewhere.url.query) == (method, b"sig=1")


@pytest.mark.parametrize(
    "location",
    ["http://ghcr.io/x", "http://cdn.example/x", "file:///etc/passwd", "https://a:b/", ""],
)
async def test_redirects_that_are_not_followed(location: str) -> None:
    registry = answering(302, headers={"Location": location})
    async with registry.client() as client:
        evidence = await evidence_of(client.get(IMAGE, "v1"))
    assert (evidence.kind, evidence.status) == (Kind.UNSUPPORTED, 302)
    assert len(registry.seen) == 1


async def test_redirects_end() -> None:
    registry = answering(302, headers={"Location": "/v2/again"})
    async with registry.client() as client:
        evidence = await evidence_of(client.head(IMAGE, "v1"))
    assert evidence.message.endswith("more than 5 redirects")
    assert len(registry.seen) == 6


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_writes_follow_no_redirect_that_would_make_reads_of_them(status: int) -> None:
    registry = answering(status, headers={"Location": "https://cdn.example/x?signature=s3cret"})
    async with registry.client() as client:
        evidence = await evidence_of(client.put(IMAGE, "v1", MANIFEST))
    assert len(registry.seen) == 1
    assert "https://cdn.example/x, " in evidence.message


def moving(status: int, location: str) -> Registry:
    """Redirect every write to ``ghcr.io`` to ``location``, which accepts it."""

    def handler(request: httpx2.Request) -> httpx2.Response:
        if str(request.url).startswith(location):
            return httpx2.Response(201, headers={"Location": "/v2/acme/app/manifests/v1"})
        return httpx2.Response(status, headers={"Location": location})

    return Registry(handler)


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("location", ["https://ghcr.io/moved", "https://writes.test/v2/x?a=b"])
async def test_writes_follow_a_redirect_that_keeps_the_method(status: int, location: str) -> None:
    registry = moving(status, location)
    async with registry.client() as client:
        await client.put(IMAGE, "v1", MANIFEST)
    assert [(each.method, str(each.url)) for each in registry.seen[1:]] == [("PUT", location)]
    assert [each.content for each in registry.seen] == [RAW, RAW]


@pytest.mark.parametrize("location", ["https://writes.test/v2/x", "https://ghcr.io:8443/v2/x"])
async def test_a_redirected_write_shows_nothing_to_another_origin(location: str) -> None:
    registry = moving(307, location)

    def ask(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v2/":
            return httpx2.Response(401, headers={"WWW-Authenticate": "Basic realm=x"})
        return registry(request)

    user = Credential(username="octocat", password="s3cret-password")
    transport = httpx2.MockTransport(ask)
    async with RegistryClient({"ghcr.io": user}, transport=transport) as client:
        await client.put(IMAGE, "v1", MANIFEST)
    assert [each.headers.get("Authorization") is None for each in registry.seen] == [False, True]


@pytest.mark.parametrize("location", ["http://ghcr.io/moved", "ftp://ghcr.io/", ""])
async def test_a_redirected_write_never_leaves_https(location: str) -> None:
    registry = answering(307, headers={"Location": location})
    async with registry.client() as client:
        assert (await evidence_of(client.put(IMAGE, "v1", MANIFEST))).kind is Kind.UNSUPPORTED
    assert len(registry.seen) == 1


async def test_redirects_of_a_write_end() -> None:
    registry = answering(308, headers={"Location": "/round"})
    async with registry.client() as client:
        evidence = await evidence_of(client.put(IMAGE, "v1", MANIFEST))
    assert evidence.message.endswith("more than 5 redirects")
    assert len(registry.seen) == 6


async def test_docker_io_answers_elsewhere() -> None:
    registry = answering(404)
    async with registry.client() as client:
        await client.head(Repository("docker.io", "library/busybox"), "v1")
    assert registry.seen[0].url.host == "registry-1.docker.io"


@pytest.mark.parametrize(
    ("registry", "insecure", "schemes"),
    [
        ("ghcr.io", (), ["https"]),
        ("reg.local:5000", (), ["https"]),
        ("reg.local:5000", ("reg.local",), ["https"]),
        ("reg.local:5000", ("reg.local:5000",), ["https", "http"]),
        ("localhost", (), ["https", "http"]),
        ("localhost:5000", (), ["https", "http"]),
        ("127.9.0.1:5000", (), ["https", "http"]),
        ("[::1]:5000", (), ["https", "http"]),
        ("localhost.evil.example", (), ["https"]),
    ],
)
async def test_plain_http_is_for_allowed_registries_only(
    registry: str, insecure: tuple[str, ...], schemes: list[str]
) -> None:
    seen = list[str]()

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.scheme)
        assert "Authorization" not in request.headers
        if request.url.scheme == "https":
            raise httpx2.ConnectError("TLS is not spoken")
        return httpx2.Response(200)

    credentials = {registry: Credential(username="u", password="p")}
    transport = httpx2.MockTransport(handler)
    async with RegistryClient(
        credentials, transport=transport, insecure_registries=insecure
    ) as client:
        with nullcontext() if len(schemes) == 2 else pytest.raises(PushError):
            await client._session.endpoint(registry)
    assert seen == schemes


TIMED_OUT = httpx2.ConnectTimeout("")
BROKEN_TLS = httpx2.ConnectError("reset")


@pytest.mark.parametrize("no_tls", [TIMED_OUT, BROKEN_TLS], ids=["silent", "reset"])
@pytest.mark.parametrize("status", [200, 401])
async def test_a_server_that_does_not_answer_over_tls_is_asked_in_plain_http(
    no_tls: httpx2.TransportError, status: int
) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme == "https":
            raise no_tls
        return httpx2.Response(status)

    async with RegistryClient({}, transport=httpx2.MockTransport(handler)) as client:
        endpoint = await client._session.endpoint("localhost:5000")
    assert endpoint.origin.scheme == "http"


@pytest.mark.parametrize(
    ("no_tls", "kind"), [(TIMED_OUT, Kind.TIMEOUT), (BROKEN_TLS, Kind.NETWORK)]
)
async def test_a_server_that_wants_tls_is_asked_over_tls_again(
    no_tls: httpx2.TransportError, kind: Kind
) -> None:
    answers: list[httpx2.TransportError | httpx2.Response]
    answers = [no_tls, httpx2.Response(400), httpx2.Response(200)]

    def handler(_: httpx2.Request) -> httpx2.Response:
        answer = answers.pop(0)
        if isinstance(answer, httpx2.Response):
            return answer
        raise answer

    async with RegistryClient({}, transport=httpx2.MockTransport(handler)) as client:
        assert (await evidence_of(client._session.endpoint("localhost:5000"))).kind is kind
        endpoint = await client._session.endpoint("localhost:5000")
    assert endpoint.origin.scheme == "https"


async def test_a_registry_that_needs_tls_is_not_asked_in_plain_http_after_a_time_out() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        assert request.url.scheme == "https"
        raise TIMED_OUT

    async with RegistryClient({}, transport=httpx2.MockTransport(handler)) as client:
        assert (await evidence_of(client._session.endpoint("ghcr.io"))).kind is Kind.TIMEOUT


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, None),
        (503, None),
        (403, None),
        (429, None),
        (404, Kind.UNSUPPORTED),
        (302, Kind.UNSUPPORTED),
    ],
)
async def test_a_refused_ping_is_reported_and_retried(status: int, kind: Kind | None) -> None:
    answers = [status, 200]
    transport = httpx2.MockTransport(lambda _: httpx2.Response(answers.pop(0)))
    async with RegistryClient({}, transport=transport) as client:
        evidence = await evidence_of(client._session.endpoint("ghcr.io"))
        assert (evidence.status, evidence.kind) == (status, kind)
        await client._session.endpoint("ghcr.io")
        await client._session.endpoint("ghcr.io")
    assert answers == []


async def test_an_impossible_port_is_reported() -> None:
    async with answering(200).client() as client:
        evidence = await evidence_of(client.head(Repository("ghcr.io:99999", "a/b"), "v1"))
    assert evidence.kind is Kind.HOST_UNKNOWN


async def test_cookies_are_not_kept() -> None:
    registry = answering(404, headers={"Set-Cookie": "session=1"})
    async with registry.client() as client:
        await client.head(IMAGE, "v1")
        await client.head(IMAGE, "v1")
    assert all("Cookie" not in request.headers for request in registry.seen)


async def test_one_failed_ping_counts_for_all_waiting_requests() -> None:
    pings, failures = 0, list[int | None]()

    async def handler(_: httpx2.Request) -> httpx2.Response:
        nonlocal pings
        pings += 1
        await anyio.lowlevel.checkpoint()
        return httpx2.Response(500)

    async def ask(client: RegistryClient) -> None:
        failures.append((await evidence_of(client.head(IMAGE, "v1"))).status)

    async with (
        RegistryClient({}, transport=httpx2.MockTransport(handler)) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(5):
            group.start_soon(ask, client)
    assert (pings, failures) == (1, [500] * 5)


@pytest.mark.parametrize("answered", [0, 1])
async def test_a_registry_that_has_answered_once_is_never_given_up(
    answered: int,
) -> None:
    left = answered

    def handler(_: httpx2.Request) -> httpx2.Response:
        nonlocal left
        if left:
            left -= 1
            return httpx2.Response(200)
        raise httpx2.ConnectError("") from ConnectionRefusedError(errno.ECONNREFUSED, "")

    async with RegistryClient({}, transport=httpx2.MockTransport(handler)) as client:
        for _ in range(2):
            evidence = await evidence_of(client.head(IMAGE, "v1"))
            assert evidence.kind is Kind.NETWORK
            assert evidence.unconnected is not bool(answered)


async def test_a_proxy_for_plain_http_that_requires_a_login_is_reported_as_the_proxy() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme == "https":
            raise httpx2.ConnectError("no TLS here")
        return httpx2.Response(407)

    client = RegistryClient(
        {},
        transport=httpx2.MockTransport(handler),
        insecure_registries=["plain.test"],
        environ={"HTTP_PROXY": "http://octocat:s3cret@proxy.test:3128"},
    )
    async with client:
        evidence = await evidence_of(client._session.endpoint("plain.test"))
    failure = classify(evidence)
    assert (failure.kind, failure.retryable) == (Kind.PROXY, False)
    assert "the proxy proxy.test:3128, which HTTP_PROXY names, refused: 407" in evidence.message
    assert "s3cret" not in evidence.message


@pytest.mark.parametrize("refusal", ["403 Forbidden", "502 Bad Gateway"])
async def test_a_proxy_that_makes_no_tunnel_for_plain_http_is_asked_without_one(
    refusal: str,
) -> None:
    """By default, Squid opens tunnels to port 443 only."""

    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme == "https":
            raise httpx2.ProxyError(refusal)
        return httpx2.Response(200)

    for insecure, reached in ((["plain.test:5000"], True), ([], False)):
        client = RegistryClient(
            {},
            transport=httpx2.MockTransport(handler),
            insecure_registries=insecure,
            environ={"ALL_PROXY": "http://proxy.test:3128"},
        )
        async with client:
            if reached:
                await client._session.endpoint("plain.test:5000")
            else:
                evidence = await evidence_of(client._session.endpoint("plain.test:5000"))
                assert f"refused: {refusal}" in evidence.message

"""Which server gets which credentials, and when tokens are renewed."""

import base64
import json
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs

import anyio
import httpx2
import pytest
from tests.support.saved import digest_of

from ghcr_push.credentials import Credential
from ghcr_push.failures import PushError, classify
from ghcr_push.model import Kind
from ghcr_push.references import Digest, Repository
from ghcr_push.registry.client import RegistryClient

pytestmark = pytest.mark.anyio

SECRET = "s3cret-password"
USER = Credential(username="octocat", password=SECRET)
BASIC = f"Basic {base64.b64encode(f'octocat:{SECRET}'.encode()).decode()}"
DIGEST = f"sha256:{'a' * 64}"


@dataclass
class World:
    """A registry and its token service, by host; records the authorizations of all requests."""

    challenge: str = 'Bearer realm="https://ghcr.io/token",service="ghcr.io"'
    grant: Callable[[int], httpx2.Response] = lambda number: httpx2.Response(
        200, json={"token": f"t{number}", "expires_in": 300}
    )
    valid: set[str] = field(default_factory=lambda: {f"Bearer t{n}" for n in range(1, 100)})
    seen: list[httpx2.Request] = field(default_factory=list)
    now: float = 1000.0

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        if "/v2/" not in request.url.path:
            return self.grant(len(self.tokens))
        if self.challenge and request.headers.get("Authorization") not in self.valid:
            return httpx2.Response(401, headers={"WWW-Authenticate": self.challenge})
        headers = {"Docker-Content-Digest": DIGEST, "Content-Length": "7"}
        return httpx2.Response(200, headers=headers)

    @property
    def tokens(self) -> list[httpx2.Request]:
        return [request for request in self.seen if "/v2/" not in request.url.path]

    @property
    def shown(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.seen]

    def client(self, *users: tuple[str, Credential]) -> RegistryClient:
        return RegistryClient(
            dict(users or [("ghcr.io", USER)]),
            transport=httpx2.MockTransport(self.answer),
            clock=lambda: self.now,
        )


IMAGE = Repository("ghcr.io", "acme/app")


@dataclass
class Content:
    """A blob in memory."""

    content: bytes
    digest: Digest
    registry: None = None

    @property
    def size(self) -> int:
        return len(self.content)

    def release(self) -> None:
        pass

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        yield self.content[start:]


async def failed(client: RegistryClient, repository: Repository = IMAGE) -> PushError:
    with pytest.raises(PushError) as raised:
        await client.head(repository, "v1")
    return raised.value


async def test_a_token_is_fetched_once_and_shown_to_the_registry() -> None:
    world = World()
    async with world.client() as client:
        await client.head(IMAGE, "v1")
        await client.head(IMAGE, "v2")
    assert world.shown == [None, BASIC, "Bearer t1", "Bearer t1"]
    query = parse_qs(world.tokens[0].url.query.decode())
    assert query == {"service": ["ghcr.io"], "scope": ["repository:acme/app:pull,push"]}


async def test_a_token_for_a_mount_is_asked_for_with_a_parameter_for_each_repository() -> None:
    world = World()
    async with world.client() as client:
        await client.can_mount(IMAGE, Digest(DIGEST), Repository("ghcr.io", "acme/base"))
    query = parse_qs(world.tokens[0].url.query.decode())
    assert query["scope"] == ["repository:acme/app:pull,push", "repository:acme/base:pull"]


async def test_a_source_is_read_with_a_token_for_that_alone() -> None:
    """A source may belong to others, so push permission there must not be requested."""
    challenge = 'Bearer realm="https://quay.io/token",service="quay.io"'
    world, theirs = World(challenge=challenge), Repository("quay.io", "theirs/base")
    users = (("ghcr.io", USER), ("quay.io", Credential(username="them", password="other")))
    async with world.client(*users) as client:
        with suppress(PushError):  # the answer is no manifest
            await client.source_manifest(theirs, "1")
        with suppress(PushError):
            await client.source_referrers(theirs, Digest(DIGEST))
        with suppress(PushError):
            async with aclosing(client.source_blob(theirs, Digest(DIGEST), 0, 7)) as pieces:
                assert [piece async for piece in pieces] == []
    [token] = world.tokens
    query = parse_qs(token.url.query.decode())
    assert query == {"service": ["quay.io"], "scope": ["repository:theirs/base:pull"]}
    shown = base64.b64encode(b"them:other").decode()
    assert token.headers["Authorization"] == f"Basic {shown}"
    assert set(world.shown) == {None, f"Basic {shown}", "Bearer t1"}


async def test_many_at_once_share_one_ping_and_one_token() -> None:
    world = World()
    async with world.client() as client, anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(client.head, IMAGE, f"v{number}")
    assert (len(world.seen), len(world.tokens)) == (12, 1)


async def test_each_repository_has_a_token_of_its_own() -> None:
    world = World()
    async with world.client() as client:
        await client.head(IMAGE, "v1")
        await client.head(Repository("ghcr.io", "acme/other"), "v1")
    assert world.shown[-1] == "Bearer t2"


@pytest.mark.parametrize(
    ("lifetime", "lasts", "renewed"),
    [
        (300, 269, 271),
        (60, 53, 55),
        (None, 53, 55),
        (-5, 53, 55),
        ("x", 53, 55),
        (1, 0.8, 0.95),
        (10**10, 53, 55),
    ],
)
async def test_a_token_is_renewed_before_it_expires(
    lifetime: object, lasts: float, renewed: float
) -> None:
    world = World()
    world.grant = lambda number: httpx2.Response(
        200, json={"access_token": f"t{number}", "expires_in": lifetime}
    )
    async with world.client() as client:
        await client.head(IMAGE, "v1")
        world.now = 1000 + lasts
        await client.head(IMAGE, "v1")
        assert len(world.tokens) == 1
        world.now = 1000 + renewed
        await client.head(IMAGE, "v1")
    assert len(world.tokens) == 2


async def test_a_kept_token_that_is_refused_is_renewed_once() -> None:
    world = World()
    async with world.client() as client:
        await client.head(IMAGE, "v1")
        world.valid = {"Bearer t2"}
        await client.head(IMAGE, "v1")
        assert world.shown[-2:] == [BASIC, "Bearer t2"]
        world.valid = set()
        assert (await failed(client)).evidence.status == 401
    assert world.shown[-3:] == ["Bearer t2", BASIC, "Bearer t3"]


async def test_a_new_token_that_is_refused_is_dropped_for_the_next_try() -> None:
    world = World(valid={"Bearer t2"})
    async with world.client() as client:
        assert (await failed(client)).evidence.status == 401
        assert len(world.seen) == 3
        await client.head(IMAGE, "v1")
    assert world.shown[-1] == "Bearer t2"


async def test_basic_is_answered_with_the_password() -> None:
    world = World(challenge='Basic realm="r"', valid={BASIC})
    async with world.client() as client:
        await client.head(IMAGE, "v1")
    assert world.shown == [None, BASIC]


async def test_basic_without_credentials_shows_none() -> None:
    world = World(challenge='Basic realm="r"', valid={BASIC})
    async with world.client(("other.example", USER)) as client:
        assert (await failed(client)).evidence.status == 401
    assert world.shown == [None, None]


async def test_a_wrong_password_is_shown_once() -> None:
    world = World(challenge='Basic realm="r"', valid=set())
    async with world.client() as client:
        assert (await failed(client)).evidence.status == 401
    assert world.shown == [None, BASIC]


async def test_a_registry_may_ask_later_than_at_the_ping() -> None:
    world = World()
    challenge, world.challenge = world.challenge, ""
    async with world.client() as client:
        await client._session.endpoint("ghcr.io")
        world.challenge = challenge
        await client.head(IMAGE, "v1")
    assert world.shown == [None, None, BASIC, "Bearer t1"]


async def test_no_challenge_no_credentials() -> None:
    world = World(challenge="")
    async with world.client() as client:
        await client.head(IMAGE, "v1")
    assert world.shown == [None, None]


async def test_an_identity_token_goes_by_post() -> None:
    world = World()
    async with world.client(("ghcr.io", Credential(identity_token="identity"))) as client:
        await client.head(IMAGE, "v1")
    request = world.tokens[0]
    assert (request.method, request.url.query) == ("POST", b"")
    assert parse_qs(request.content.decode()) == {
        "grant_type": ["refresh_token"],
        "service": ["ghcr.io"],
        "client_id": ["ghcr-push"],
        "scope": ["repository:acme/app:pull,push"],
        "refresh_token": ["identity"],
    }


async def test_without_credentials_the_token_is_anonymous() -> None:
    world = World()
    async with world.client(("ghcr.io.example", USER)) as client:
        await client.head(IMAGE, "v1")
    assert world.shown == [None, None, "Bearer t1"]


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("ghcr.io", "https://ghcr.io/token"),
        ("ghcr.io", "https://ghcr.io:8443/token"),
        ("ghcr.io", "https://auth.ghcr.io/token"),
        ("docker.io", "https://auth.docker.io/token"),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth"),
        ("registry.git.test", "https://git.test/jwt/auth"),
        ("registry.git.test", "https://login.example:8443/token"),
        ("registry.git.test", "https://10.0.0.7/token"),
        ("registry.git.test", "https://[fd00::7]/token"),
    ],
)
async def test_token_services_that_get_credentials(registry: str, realm: str) -> None:
    world = World(challenge=f'Bearer realm="{realm}"')
    async with world.client((registry, USER)) as client:
        await client.head(Repository(registry, "acme/app"), "v1")
    assert world.shown == [None, BASIC, "Bearer t1"]
    assert str(world.tokens[0].url).startswith(realm)


@pytest.mark.parametrize("realm", ["/token", "token", "//registry.test/token"])
async def test_a_token_service_without_a_host_is_on_the_registry(realm: str) -> None:
    world = World(challenge=f'Bearer realm="{realm}"')
    async with world.client(("registry.test", USER)) as client:
        await client.head(Repository("registry.test", "acme/app"), "v1")
    assert str(world.tokens[0].url).partition("?")[0] == "https://registry.test/token"
    assert world.shown == [None, BASIC, "Bearer t1"]


@pytest.mark.parametrize(
    ("realm", "named"),
    [
        ("http://registry.test/token", "http://registry.test/token"),
        ("http://elsewhere.test/token", "http://elsewhere.test/token"),
        ("http://127.0.0.1/token", "http://127.0.0.1/token"),
        ("ftp://registry.test/token", "ftp://registry.test/token"),
        ("//169.254.169.254/token", "169.254.169.254"),
        ("https://registry.test:x/token", "an invalid address"),
        ("https://169.254.169.254/token", "169.254.169.254"),
        ("https://2852039166/token", "2852039166"),
        ("https://0xa9fea9fe/token", "0xa9fea9fe"),
        ("https://169.254.43518/token", "169.254.43518"),
        ("https://[fe80::1]/token", "fe80::1"),
        ("https://[::ffff:169.254.169.254]/token", "::ffff:"),
    ],
)
async def test_token_services_that_get_no_credentials(realm: str, named: str) -> None:
    world = World(challenge=f'Bearer realm="{realm}"')
    async with world.client(("registry.test", USER)) as client:
        evidence = (await failed(client, Repository("registry.test", "acme/app"))).evidence
    assert evidence.kind is Kind.CREDENTIALS
    assert "token service" in classify(evidence).advice
    assert "registry.test" in evidence.message
    assert named in evidence.message
    assert world.shown == [None]


@pytest.mark.parametrize(
    ("realm", "goes_there"),
    [
        ("http://plain.test/token", True),
        ("http://plain.test:5001/token", True),
        ("https://plain.test/token", True),
        ("https://login.test/token", True),
        ("http://login.test/token", False),
        ("http://auth.plain.test/token", False),
        ("http://169.254.169.254/token", False),
    ],
)
async def test_a_registry_over_plain_http_names_its_own_host_or_https(
    realm: str, goes_there: bool
) -> None:
    world = World(challenge=f'Bearer realm="{realm}"')

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme == "https" and "/v2/" in request.url.path:
            raise httpx2.ConnectError("no TLS here")
        return world.answer(request)

    client = RegistryClient(
        {"plain.test": USER},
        insecure_registries=["plain.test"],
        transport=httpx2.MockTransport(answer),
    )
    image = Repository("plain.test", "acme/app")
    async with client:
        if goes_there:
            await client.head(image, "v1")
            assert BASIC in world.shown
        else:
            assert (await failed(client, image)).evidence.kind is Kind.CREDENTIALS
            assert world.shown == [None]


@pytest.mark.parametrize(
    ("registry", "realm", "goes_there"),
    [
        ("ghcr.io", "https://ghcr.io/token", True),
        ("containers.ghe.test", "https://containers.ghe.test/token", True),
        ("ghcr.io", "https://auth.ghcr.io/token", True),
        ("ghcr.io", "https://login.test/token", False),
        ("ghcr.io", "https://ghcr.io.evil.test/token", False),
        ("ghcr.io", "https://evilghcr.io/token", False),
        ("ghcr.io", "https://ghcr.io@evil.test/token", False),
        ("containers.ghe.test", "https://ghe.test/token", False),
    ],
)
async def test_the_jobs_token_goes_to_the_registrys_own_service_only(
    registry: str, realm: str, goes_there: bool
) -> None:
    token = replace(USER, own_service=True)
    world = World(challenge=f'Bearer realm="{realm}"')
    image = Repository(registry, "acme/app")
    async with world.client((registry, token)) as client:
        if goes_there:
            await client.head(image, "v1")
            assert world.shown == [None, BASIC, "Bearer t1"]
        else:
            assert (await failed(client, image)).evidence.kind is Kind.CREDENTIALS
            assert world.shown == [None]


async def test_a_bearer_token_goes_to_the_registrys_own_origin_only() -> None:
    world = World(challenge='Bearer realm="https://login.test/token"')
    digest = digest_of(b"content")

    def answer(request: httpx2.Request) -> httpx2.Response:
        world.seen.append(request)
        if request.url.host == "login.test":
            return httpx2.Response(200, json={"token": "t1"})
        if request.url.host == "storage.test":
            return httpx2.Response(201)
        if request.headers.get("Authorization") is None:
            return httpx2.Response(401, headers={"WWW-Authenticate": world.challenge})
        return httpx2.Response(202, headers={"Location": "https://storage.test/upload"})

    client = RegistryClient({"git.test": USER}, transport=httpx2.MockTransport(answer))
    async with client:
        await client.upload(Repository("git.test", "a/b"), Content(b"content", digest)).attempt()
    shown = [(each.url.host, each.headers.get("Authorization")) for each in world.seen]
    assert shown == [
        ("git.test", None),
        ("login.test", BASIC),
        ("git.test", "Bearer t1"),
        ("storage.test", None),
    ]


async def test_a_refusal_of_the_token_service_is_quoted() -> None:
    body = {"errors": [{"code": "DENIED", "message": "denied"}]}
    world = World(grant=lambda _: httpx2.Response(403, json=body, headers={"Retry-After": "9"}))
    async with world.client() as client:
        evidence = (await failed(client)).evidence
    assert evidence.message == "token service: denied"
    assert (evidence.status, evidence.code, evidence.retry_after) == (403, "DENIED", 9)


@pytest.mark.parametrize(
    "body",
    ["{}", "<html>", '{"token": ""}', '{"token": 5}', '{"token": "a\\nb"}', "[]", "[" * 9999],
)
async def test_an_answer_without_a_token_is_reported(body: str) -> None:
    world = World(grant=lambda _: httpx2.Response(200, content=body))
    async with world.client() as client:
        evidence = (await failed(client)).evidence
    assert (evidence.kind, evidence.status) == (Kind.AUTH_BLIP, 200)
    assert evidence.message.endswith("answer has no token")


async def test_no_secret_shows_in_errors_or_in_objects() -> None:
    def down(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v2/":
            return httpx2.Response(401, headers={"WWW-Authenticate": World.challenge})
        raise httpx2.ReadError("gone", request=request)

    client = RegistryClient({"ghcr.io": USER}, transport=httpx2.MockTransport(down))
    async with client:
        error = await failed(client)
    text = "".join(traceback.format_exception(error)) + repr(vars(client)) + repr(error.evidence)
    assert "https://ghcr.io/token: ReadError" not in text
    assert "GET https://ghcr.io/token: gone" in text
    assert SECRET not in text
    assert BASIC.removeprefix("Basic ") not in text
    assert "octocat" in repr(USER)
    assert json.dumps(SECRET) not in repr(USER)

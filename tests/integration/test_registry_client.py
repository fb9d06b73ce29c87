"""The registry client with a real registry, behind a front with configured faults."""

import hashlib
import json
import ssl
import subprocess
import traceback
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import httpx2
import pytest
from anyio.streams.tls import TLSListener
from tests.support.front import (
    Answer,
    Auth,
    Behaviour,
    Bucket,
    Front,
    Rule,
    Step,
    User,
    oci_error,
    on,
    running_front,
)
from tests.support.registry import Registry, running_registry

from ghcr_push.credentials import Credential
from ghcr_push.failures import ErrorInfo, PushError, classify
from ghcr_push.model import Descriptor, Kind, Manifest
from ghcr_push.references import Digest, Repository
from ghcr_push.registry.client import RegistryClient
from ghcr_push.registry.http import Connections, TimeLimits, TlsPolicy

pytestmark = pytest.mark.anyio

OCI = "application/vnd.oci.image.manifest.v1+json"
USER = Credential(username="octocat", password="s3cret-password")
OTHER = f"sha256:{'b' * 64}"
QUICK = TimeLimits(transfer=2)
TOKENS = Auth(mode="token", users={"octocat": User(password=USER.password)})


def digest_of(raw: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(raw).hexdigest()}")


def upload(
    address: str, name: str, text: str = "one", auth: tuple[str, str] | None = None
) -> Manifest:
    """Upload the blobs of a manifest past the front; return the manifest, which differs by text."""
    config = json.dumps({"comment": text}).encode()
    with httpx2.Client(base_url=f"http://{address}", auth=auth, timeout=30) as client:
        location = client.post(f"/v2/{name}/blobs/uploads/").headers["Location"]
        url = httpx2.URL(location).copy_merge_params({"digest": digest_of(config)})
        assert client.put(url, content=config).status_code == 201
    described = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest_of(config),
        "size": len(config),
    }
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI, "config": described, "layers": []})
    return Manifest(OCI, digest_of(raw.encode()), raw.encode())


@pytest.fixture
def image(front: Front, request: pytest.FixtureRequest) -> Repository:
    """Return a separate repository for each test, behind the front."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-").lower()
    return Repository(front.address, f"acme/{'-'.join(filter(None, name.split('-')))}")


@pytest.fixture
def manifest(registry: Registry, image: Repository) -> Manifest:
    return upload(registry.address, image.name)


def client_of(front: Front, **options: object) -> RegistryClient:
    return RegistryClient({front.address: USER}, **options)  # type: ignore[arg-type]  # its own


async def evidence_of(call: Awaitable[object]) -> ErrorInfo:
    with pytest.raises(PushError) as raised:
        await call
    traceback_text = "".join(traceback.format_exception(raised.value))
    assert USER.password not in traceback_text
    return raised.value.evidence


def steps(front: Front) -> list[tuple[Step, int]]:
    return [(entry.step, entry.status) for entry in front.log()]


async def test_a_written_manifest_is_there(
    front: Front, image: Repository, manifest: Manifest
) -> None:
    async with client_of(front) as client:
        assert await client.head(image, "v1") is None
        await client.put(image, "v1", manifest)
        described = Descriptor(OCI, manifest.digest, len(manifest.raw))
        assert await client.head(image, "v1") == described
        assert await client.head(image, manifest.digest) == described
        assert await client.get(image, "v1") == manifest
        assert await client.get(image, manifest.digest) == manifest
        assert (await evidence_of(client.get(image, "v2"))).code == "MANIFEST_UNKNOWN"
    assert [step for step, _ in steps(front)].count(Step.PING) == 1
    assert front.credentials() == {}


async def test_one_token_serves_a_repository_until_the_registry_forgets_it(
    front: Front, image: Repository, manifest: Manifest
) -> None:
    front.set(Behaviour(auth=TOKENS))
    async with client_of(front) as client:
        await client.put(image, "v1", manifest)
        await client.put(image, "v2", manifest)
        assert front.stats().count(Step.TOKEN) == 1
        # a new authentication, which knows none of the tokens issued so far
        front.set(Behaviour(auth=TOKENS.model_copy(update={"expires_in": 200.0})))
        await client.put(image, "v3", manifest)
    assert steps(front) == [
        (Step.PING, 401),
        (Step.TOKEN, 200),
        (Step.MANIFEST_PUT, 201),
        (Step.MANIFEST_PUT, 201),
        (Step.MANIFEST_PUT, 401),
        (Step.TOKEN, 200),
        (Step.MANIFEST_PUT, 201),
    ]


async def test_a_token_that_expired_unseen_is_renewed(front: Front, image: Repository) -> None:
    front.set(Behaviour(auth=TOKENS.model_copy(update={"expires_in": 1.0})))
    async with client_of(front, clock=lambda: 0.0) as client:
        await client.head(image, "v1")
        await anyio.sleep(1.1)
        await client.head(image, "v1")
    assert [status for step, status in steps(front) if step is Step.MANIFEST_HEAD] == [
        404,
        401,
        404,
    ]


async def test_many_tasks_share_a_token(front: Front, image: Repository) -> None:
    front.set(Behaviour(auth=TOKENS))
    async with client_of(front) as client, anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(client.head, image, f"v{number}")
    stats = front.stats()
    assert (stats.count(Step.PING), stats.count(Step.TOKEN)) == (1, 1)
    assert stats.count(Step.MANIFEST_HEAD, status=404) == 20


async def test_a_read_only_user_is_refused_at_the_first_write(
    front: Front, image: Repository, manifest: Manifest
) -> None:
    reader = User(password=USER.password, rights={"*": frozenset({"pull"})})
    front.set(Behaviour(auth=Auth(mode="token", users={"octocat": reader})))
    async with client_of(front) as client:
        assert await client.head(image, "v1") is None
        evidence = await evidence_of(client.put(image, "v1", manifest))
    assert (evidence.status, evidence.code) == (403, "DENIED")
    assert evidence.message == "permission_denied: write_package"
    assert classify(evidence).kind is Kind.DENIED
    assert front.stats().count(Step.MANIFEST_PUT) == 1


async def test_a_wrong_password_is_reported_with_the_token_services_text(
    front: Front, image: Repository
) -> None:
    front.set(Behaviour(auth=TOKENS))
    wrong = {front.address: Credential(username="octocat", password="wrong")}
    async with RegistryClient(wrong) as client:
        evidence = await evidence_of(client.head(image, "v1"))
    assert (evidence.status, evidence.code) == (403, "DENIED")
    assert evidence.message == "token service: denied"


async def test_writers_without_credentials_are_refused(front: Front, image: Repository) -> None:
    front.set(Behaviour(auth=TOKENS.model_copy(update={"anonymous": {"*": {"pull"}}})))
    async with RegistryClient({}) as client:
        evidence = await evidence_of(client.head(image, "v1"))
    # a token for writing is requested
    assert (evidence.status, evidence.message) == (401, "token service: authentication required")


async def test_basic_with_the_registrys_own_passwords() -> None:
    with running_registry(auth=("octocat", USER.password)) as registry:
        image = Repository(registry.address, "acme/basic")
        manifest = upload(registry.address, image.name, auth=("octocat", USER.password))
        async with RegistryClient({registry.address: USER}) as client:
            await client.put(image, "v1", manifest)
            assert await client.get(image, "v1") == manifest
        wrong = Credential(username="octocat", password="wrong")
        async with RegistryClient({registry.address: wrong}) as client:
            evidence = await evidence_of(client.head(image, "v1"))
        assert evidence.status == 401
        assert classify(evidence).kind is Kind.UNAUTHORIZED


@pytest.mark.parametrize("mode", ["token", "basic"])
async def test_a_foreign_registry_that_asks_gets_nothing(
    front: Front,
    image: Repository,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1\nlogin octocat\npassword s3cret-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    front.set(Behaviour(auth=Auth.model_validate({"mode": mode, "users": TOKENS.users})))
    async with RegistryClient({"ghcr.io": USER, "127.0.0.1": USER}) as client:
        assert (await evidence_of(client.head(image, "v1"))).status == 401
    assert front.credentials() == {}


async def test_a_token_service_elsewhere_gets_nothing(
    front: Front, image: Repository, registry: Registry
) -> None:
    with running_front(registry.address, Behaviour(auth=TOKENS)) as elsewhere:
        realm = f"http://localhost:{elsewhere.address.rpartition(':')[2]}/token"
        asks = oci_error(
            401, "UNAUTHORIZED", "who is it?", {"WWW-Authenticate": f'Bearer realm="{realm}"'}
        )
        front.set(Behaviour(rules=(Rule(match=on(Step.PING), answer=asks),)))
        async with client_of(front) as client:
            evidence = await evidence_of(client.head(image, "v1"))
        assert evidence.kind is Kind.CREDENTIALS
        assert "/token as its token service" in evidence.message
        assert (elsewhere.log(), elsewhere.credentials()) == ([], {})
    assert front.credentials() == {}


async def test_a_redirect_leads_elsewhere_without_the_authorization(
    front: Front, image: Repository, manifest: Manifest, registry: Registry
) -> None:
    with running_front(registry.address) as elsewhere:
        path = f"/v2/{image.name}/manifests/v1"
        moved = Answer(status=307, headers={"Location": f"http://{elsewhere.address}{path}"})
        reads = on(Step.MANIFEST_GET, Step.MANIFEST_HEAD)
        front.set(Behaviour(auth=TOKENS, rules=(Rule(match=reads, answer=moved),)))
        async with client_of(front) as client:
            await client.put(image, "v1", manifest)
            assert await client.get(image, "v1") == manifest
            described = await client.head(image, "v1")
        assert described is not None
        assert described.digest == manifest.digest
        assert [entry.path for entry in elsewhere.log()] == [path, path]
        assert elsewhere.credentials() == {}


async def test_a_throttle_names_its_wait_in_text_and_header(
    front: Front, image: Repository
) -> None:
    bucket = Bucket(per_minute=1, burst=1, steps=frozenset({Step.MANIFEST_HEAD, Step.MANIFEST_GET}))
    front.set(Behaviour(bucket=bucket.model_copy(update={"header": True})))
    async with client_of(front) as client:
        await client.head(image, "v1")
        by_head = await evidence_of(client.head(image, "v1"))
        by_get = await evidence_of(client.get(image, "v1"))
    assert (by_head.status, by_get.status, by_get.code) == (429, 429, "TOOMANYREQUESTS")
    # a minute from the first read on, less the time since
    for evidence in (by_head, by_get):
        assert evidence.retry_after is not None
        assert 30 < evidence.retry_after <= 60
    assert "allowed: 1/minute" in by_get.message
    assert classify(by_get).kind is Kind.THROTTLED


async def test_an_answer_that_is_lost_may_have_been_a_success(
    front: Front, image: Repository, manifest: Manifest
) -> None:
    front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_PUT), effect="after", first=1),)))
    async with client_of(front) as client:
        evidence = await evidence_of(client.put(image, "v1", manifest))
        assert (evidence.status, evidence.kind) == (500, None)
        assert "without a text" in evidence.message
        described = await client.head(image, "v1")
    assert described is not None
    assert described.digest == manifest.digest


@pytest.mark.parametrize("effect", ["before", "after"])
@pytest.mark.parametrize(
    ("connection", "kind"),
    [
        ("close", Kind.NETWORK),
        ("reset", Kind.NETWORK),
        ("midway", Kind.NETWORK),
        ("hang", Kind.TIMEOUT),
    ],
)
async def test_connections_that_break(
    front: Front, image: Repository, manifest: Manifest, effect: str, connection: str, kind: Kind
) -> None:
    answer = {"status": 201, "body": "x" * 100, "connection": connection}
    rule = {"match": {"steps": "MANIFEST_PUT"}, "answer": answer, "effect": effect, "first": 1}
    front.set(Behaviour.model_validate({"rules": [rule]}))
    async with client_of(front, time_limits=QUICK) as client:
        evidence = await evidence_of(client.put(image, "v1", manifest))
        assert (evidence.kind, evidence.status) == (kind, None)
        assert evidence.message.startswith(f"PUT http://{front.address}/v2/{image.name}")
        assert (await client.head(image, "v1") is None) is (effect == "before")
        await client.put(image, "v1", manifest)


async def test_large_pages_are_cut_and_the_next_request_is_sound(
    front: Front, image: Repository
) -> None:
    page = Answer(status=502, headers={"Content-Type": "text/html"}, body="<p>x</p>" * 100_000)
    front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_GET), answer=page, first=1),)))
    async with client_of(front) as client:
        evidence = await evidence_of(client.get(image, "v1"))
        assert (evidence.status, len(evidence.message)) == (502, 65_536)
        assert (await evidence_of(client.get(image, "v1"))).status == 404


async def test_another_digest_than_the_sent_one_is_reported(
    front: Front, image: Repository, manifest: Manifest
) -> None:
    lies = Answer(status=200, headers={"Docker-Content-Digest": OTHER})
    front.set(Behaviour(rules=(Rule(effect="alter", answer=lies),)))
    async with client_of(front) as client:
        for call in (
            client.put(image, "v1", manifest),
            client.get(image, "v1"),
            client.head(image, manifest.digest),
        ):
            evidence = await evidence_of(call)
            assert evidence.kind is Kind.MANGLED
            assert OTHER in evidence.message


async def test_a_closed_port() -> None:
    async with RegistryClient({}) as client:
        evidence = await evidence_of(client._session.endpoint("127.0.0.1:1"))
    assert evidence.kind is Kind.NETWORK
    assert evidence.message == "GET http://127.0.0.1:1/v2/: connection refused"


async def test_a_host_that_does_not_exist() -> None:
    async with RegistryClient({}) as client:
        evidence = await evidence_of(client._session.endpoint("registry.invalid"))
    # a machine without a name server cannot know that the host does not exist
    assert evidence.kind in {Kind.HOST_UNKNOWN, Kind.NETWORK}


async def test_no_proxy_stands_before_this_machine(
    front: Front, image: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with client_of(front) as client:
        assert await client.head(image, "v1") is None
        evidence = await evidence_of(client._session.endpoint("registry.invalid"))
    assert (evidence.kind, evidence.status) == (Kind.PROXY, None)


async def test_an_unusable_proxy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://u:s3cret-password@proxy.invalid")
    monkeypatch.delenv("https_proxy", raising=False)
    async with RegistryClient({}) as client:
        evidence = await evidence_of(client._session.endpoint("registry.invalid"))
    assert "names a proxy that cannot be used" in evidence.message


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncIterator[tuple[str, list[int]]]:
    """Run a server that finds nothing; yield its address, and the requests per connection."""
    counts = list[int]()
    answer = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"

    async def serve(stream: anyio.abc.ByteStream) -> None:
        place = len(counts)
        counts.append(0)
        try:
            while b"HTTP/1.1" in (asked := await stream.receive()):
                counts[place] += 1
                await stream.send(answer % (200 if b" /v2/ " in asked else 404))
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
        finally:
            await anyio.aclose_forcefully(stream)

    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1")
    address = f"127.0.0.1:{tcp.extra(anyio.abc.SocketAttribute.local_port)}"
    listener = tcp if context is None else TLSListener(tcp, context, standard_compatible=False)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield address, counts
        group.cancel_scope.cancel()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Create a certificate that no authority signed."""
    folder = tmp_path_factory.mktemp("tls")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    files = ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"]
    subprocess.run([*request, *files], cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_connections_are_used_again(certificate: ssl.SSLContext) -> None:
    for context in (None, certificate):
        async with listening(context) as (address, counts), RegistryClient({}) as client:
            for number in range(4):
                assert await client.head(Repository(address, "a/b"), f"v{number}") is None
        # plain: the first connection was the attempt with TLS
        assert counts == ([0, 5] if context is None else [5])


async def test_only_this_machine_may_show_any_certificate(certificate: ssl.SSLContext) -> None:
    connections = Connections(TimeLimits(), "test", None, {})
    async with listening(certificate) as (address, _):
        url = httpx2.URL(f"https://{address}/v2/")
        for trust in (TlsPolicy.LOOPBACK, TlsPolicy.UNVERIFIED):
            answer = await connections.send("GET", url, trust=trust, headers={})
            assert answer.status == 200
        evidence = await evidence_of(
            connections.send("GET", url, trust=TlsPolicy.VERIFIED, headers={})
        )
        await connections.aclose()
    assert evidence.kind is Kind.CERTIFICATE
    assert evidence.message.endswith("certificate verify failed: self-signed certificate")


async def test_a_server_without_tls_is_reported() -> None:
    connections = Connections(TimeLimits(), "test", None, {})
    async with listening(None) as (address, _):

        async def ask() -> None:
            url = httpx2.URL(f"https://{address}/v2/")
            await connections.send("GET", url, trust=TlsPolicy.VERIFIED, headers={})

        evidence = await evidence_of(ask())
        await connections.aclose()
    assert evidence.kind is Kind.NETWORK
    assert "closed during the TLS handshake" in evidence.message

"""The front's promises, with a real registry."""

import base64
import hashlib
import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from tests.support.front import (
    WRITES,
    Answer,
    Auth,
    Behaviour,
    Bucket,
    Event,
    Faults,
    Front,
    Lag,
    Outage,
    Rule,
    Secondary,
    Stats,
    Step,
    User,
    on,
    running_front,
)
from tests.support.registry import Registry, running_registry

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
ACCEPT = {"Accept": MEDIA_TYPE}
LOST = Rule(match=on(Step.MANIFEST_PUT), effect="after", first=1)


@pytest.fixture
def client(front: Front) -> Iterator[httpx2.Client]:
    with client_at(front.address) as client:
        yield client


def client_at(address: str) -> httpx2.Client:
    return httpx2.Client(base_url=f"http://{address}", timeout=30)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def put_blob(client: httpx2.Client, repository: str, content: bytes) -> httpx2.Response:
    opened = client.post(f"/v2/{repository}/blobs/uploads/")
    assert opened.status_code == 202
    url = httpx2.URL(opened.headers["Location"]).copy_merge_params({"digest": digest_of(content)})
    return client.put(url, content=content)


def manifest(client: httpx2.Client, repository: str, text: str = "one") -> bytes:
    """Upload the blobs of a manifest, and return the manifest, which differs by `text`."""
    config = json.dumps({"comment": text}).encode()
    assert put_blob(client, repository, config).status_code == 201
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest_of(config),
                "size": len(config),
            },
            "layers": [],
        }
    ).encode()


def put_tag(
    client: httpx2.Client, repository: str, reference: str, content: bytes
) -> httpx2.Response:
    url = f"/v2/{repository}/manifests/{reference}"
    return client.put(url, content=content, headers={"Content-Type": MEDIA_TYPE})


def tag_digest(client: httpx2.Client, repository: str, tag: str) -> str | None:
    answer = client.head(f"/v2/{repository}/manifests/{tag}", headers=ACCEPT)
    return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else None


def error(answer: httpx2.Response) -> tuple[int, str, str]:
    first = answer.json()["errors"][0]
    return answer.status_code, first["code"], first["message"]


def test_without_rules_the_front_passes_everything_unchanged(
    front: Front, client: httpx2.Client
) -> None:
    content = manifest(client, "plain/a")
    assert put_tag(client, "plain/a", "v1", content).status_code == 201
    got = client.get("/v2/plain/a/manifests/v1", headers=ACCEPT)
    assert (got.content, got.headers["Content-Type"]) == (content, MEDIA_TYPE)
    assert client.get("/v2/plain/a/tags/list").json()["tags"] == ["v1"]
    missing = client.get(f"/v2/plain/a/blobs/{digest_of(b'missing')}")
    assert error(missing)[:2] == (404, "BLOB_UNKNOWN")
    stats = front.stats()
    assert stats.manifest_writes == {"plain/a:v1": 1}
    assert [entry.step for entry in front.log()][:2] == [Step.UPLOAD_POST, Step.UPLOAD_PUT]
    assert (stats.refused_writes, stats.requests) == (0, 6)


def test_a_large_blob_streams_both_ways(front: Front, client: httpx2.Client) -> None:
    size = 64 << 20
    piece = bytes(range(256)) * 4096
    whole = hashlib.sha256()
    for _ in range(size // len(piece)):
        whole.update(piece)
    location = client.post("/v2/large/a/blobs/uploads/").headers["Location"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sent = client.put(
        httpx2.URL(location).copy_merge_params({"digest": f"sha256:{whole.hexdigest()}"}),
        content=(piece for _ in range(size // len(piece))),
        headers={"Content-Length": str(size)},
    )
    assert sent.status_code == 201
    back = hashlib.sha256()
    with client.stream("GET", f"/v2/large/a/blobs/sha256:{whole.hexdigest()}") as got:
        for part in got.iter_bytes():
            back.update(part)
    assert back.digest() == whole.digest()
    assert front.stats().upload_bytes == size
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 24 << 20


def test_an_answer_before_the_end_of_a_body_comes_through(
    front: Front, client: httpx2.Client
) -> None:
    for _ in range(5):
        answer = client.put("/v2/early/a/blobs/uploads/gone", content=bytes(8 << 20))
        assert error(answer)[:2] == (404, "BLOB_UPLOAD_INVALID")
    front.set(Behaviour(max_writes=0))
    assert client.put("/v2/early/a/blobs/uploads/x", content=bytes(8 << 20)).status_code == 500


def test_never_more_writes_than_the_limit_reach_the_registry(
    front: Front, client: httpx2.Client
) -> None:
    content = manifest(client, "limit/a")
    front.set(Behaviour(max_writes=2, delays={Step.MANIFEST_PUT: 0.5}))
    front.reset()
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda tag: put_tag(client, "limit/a", f"t{tag}", content), range(40))
        )
    stats = front.stats()
    assert stats.peak_writes == 2
    assert stats.forwarded_peak <= 2
    assert stats.peak_offered > 2
    assert stats.refused_writes == sum(answer.status_code >= 500 for answer in answers) > 0
    assert len(stats.manifest_writes) == stats.count(Step.MANIFEST_PUT, status=201)
    refused = [(entry.status, entry.forwarded) for entry in front.log() if entry.refused]
    assert set(refused) == {(500, False), (502, False)}
    bodies = {answer.text[:1] for answer in answers if answer.status_code >= 500}
    assert bodies == {"", "{", "<"}


def test_an_answer_takes_its_time_whatever_the_registry_needs(
    front: Front, client: httpx2.Client
) -> None:
    content = manifest(client, "takes/a")
    front.set(Behaviour(takes={Step.MANIFEST_PUT: 0.3}, delays={Step.MANIFEST_PUT: 0.1}))
    front.reset()
    assert put_tag(client, "takes/a", "t", content).status_code == 201
    (entry,) = (entry for entry in front.log() if entry.step is Step.MANIFEST_PUT)
    assert entry.seconds >= 0.3


def test_a_sequential_client_is_never_refused(front: Front, client: httpx2.Client) -> None:
    content = manifest(client, "limit/b")
    front.set(Behaviour(max_writes=1))
    for tag in range(50):
        assert put_tag(client, "limit/b", f"t{tag}", content).status_code == 201


def test_the_limit_follows_its_schedule(front: Front, client: httpx2.Client) -> None:
    front.set(Behaviour(max_writes=((0, 0), (1000, 1))))
    assert client.post("/v2/limit/c/blobs/uploads/").status_code == 500
    front.set(Behaviour(max_writes=((0, 1), (1000, 0))))
    assert client.post("/v2/limit/c/blobs/uploads/").status_code == 202


def test_a_lost_answer_has_landed(front: Front, client: httpx2.Client) -> None:
    content = manifest(client, "lost/a")
    front.set(Behaviour(rules=(LOST,)))
    assert put_tag(client, "lost/a", "v1", content).status_code == 500
    assert tag_digest(client, "lost/a", "v1") == digest_of(content)
    assert front.stats().manifest_writes == {"lost/a:v1": 1}


def test_a_refused_write_has_not_landed(front: Front, client: httpx2.Client) -> None:
    content = manifest(client, "lost/b")
    front.set(Behaviour(rules=(LOST.model_copy(update={"effect": "before"}),)))
    assert put_tag(client, "lost/b", "v1", content).status_code == 500
    assert tag_digest(client, "lost/b", "v1") is None


@pytest.mark.parametrize(
    ("connection", "raised"),
    [
        ("close", httpx2.RemoteProtocolError),
        ("reset", httpx2.ReadError),
        ("midway", httpx2.RemoteProtocolError),
        ("hang", httpx2.ReadTimeout),
    ],
)
def test_connections_break_as_ordered(
    front: Front, client: httpx2.Client, connection: str, raised: type[Exception]
) -> None:
    content = manifest(client, "broken/a")
    answer = Answer.model_validate({"status": 201, "body": "abcdef", "connection": connection})
    front.set(Behaviour(rules=(LOST.model_copy(update={"answer": answer}),)))
    with pytest.raises(raised):
        client.put(
            "/v2/broken/a/manifests/v1",
            content=content,
            headers={"Content-Type": MEDIA_TYPE},
            timeout=1 if connection == "hang" else 30,
        )
    assert tag_digest(client, "broken/a", "v1") == digest_of(content)


def test_random_faults_keep_their_rate(front: Front, client: httpx2.Client) -> None:
    content = manifest(client, "random/a")
    front.set(Behaviour(faults=Faults(rate=0.2, lost=0.5)))
    front.reset()
    for tag in range(200):
        put_tag(client, "random/a", f"t{tag}", content)
    stats = front.stats()
    failed = 200 - stats.count(Step.MANIFEST_PUT, status=201)
    assert 20 <= failed <= 60
    assert {500, 502, 503, 504} < set(stats.answers[Step.MANIFEST_PUT])
    assert 200 - failed < len(stats.manifest_writes) < 200


def test_an_outage_stops_everything(front: Front, client: httpx2.Client) -> None:
    front.set(Behaviour(outages=(Outage(start=0),)))
    assert [client.get("/v2/").status_code for _ in range(3)] == [503, 504, 503]


def test_the_bucket_names_the_wait(front: Front, client: httpx2.Client) -> None:
    front.set(Behaviour(bucket=Bucket(per_minute=6, burst=1, header=True)))
    assert client.get("/v2/").status_code == 200
    answer = client.get("/v2/")
    status, code, message = error(answer)
    assert (status, code) == (429, "TOOMANYREQUESTS")
    named = re.fullmatch(r"retry-after: ([\d.]+)s, allowed: 6/minute", message)
    assert named is not None
    assert 0 <= int(answer.headers["Retry-After"]) - float(named[1]) < 1


def test_the_secondary_limit_refuses_all_writes(front: Front, client: httpx2.Client) -> None:
    content = manifest(client, "second/a")
    front.set(Behaviour(secondary=Secondary(writes=2, window=60, penalty=60)))
    assert [put_tag(client, "second/a", tag, content).status_code for tag in "abcd"] == [
        *(201, 201),
        *(403, 403),
    ]
    status, code, message = error(client.post("/v2/second/a/blobs/uploads/"))
    assert (status, code) == (403, "DENIED")
    assert "You have exceeded a secondary rate limit" in message
    assert tag_digest(client, "second/a", "a") == digest_of(content)


def test_a_tag_lags(front: Front, client: httpx2.Client) -> None:
    one, two = manifest(client, "lag/a", "one"), manifest(client, "lag/a", "two")
    front.set(Behaviour(lag=Lag(low=60, high=60)))
    put_tag(client, "lag/a", "v1", one)
    assert error(client.get("/v2/lag/a/manifests/v1"))[:2] == (404, "MANIFEST_UNKNOWN")
    front.reset()
    assert tag_digest(client, "lag/a", "v1") == digest_of(one)
    put_tag(client, "lag/a", "v1", two)
    assert tag_digest(client, "lag/a", "v1") == digest_of(one)
    assert client.get("/v2/lag/a/manifests/v1", headers=ACCEPT).content == one
    assert tag_digest(client, "lag/a", digest_of(two)) == digest_of(two)


def test_a_blob_may_lag_by_a_rule(front: Front, client: httpx2.Client) -> None:
    event = Event(steps=frozenset({Step.UPLOAD_PUT}), same_reference=True)
    late = Rule(
        match=on(Step.BLOB_HEAD),
        answer=Answer(status=404),
        after=event,
        first=1,
        per="reference",
    )
    front.set(Behaviour(rules=(late,)))
    put_blob(client, "lag/b", b"x")
    url = f"/v2/lag/b/blobs/{digest_of(b'x')}"
    assert [client.head(url).status_code for _ in range(2)] == [404, 200]


@pytest.mark.parametrize(("step", "status"), [(Step.MANIFEST_PUT, 201), (Step.MANIFEST_HEAD, 200)])
def test_a_digest_may_be_wrong(
    front: Front, client: httpx2.Client, step: Step, status: int
) -> None:
    content = manifest(client, "wrong/a")
    third = digest_of(b"third")
    answer = Answer(headers={"Docker-Content-Digest": third})
    front.set(Behaviour(rules=(Rule(match=on(step), effect="alter", answer=answer),)))
    answers = [
        put_tag(client, "wrong/a", "v1", content),
        client.head("/v2/wrong/a/manifests/v1", headers=ACCEPT),
    ]
    seen = [(a.status_code, a.headers["Docker-Content-Digest"]) for a in answers]
    assert (status, third) in seen
    assert digest_of(content) in {digest for _, digest in seen}


def test_readers_and_writers_of_one_tag_see_no_fault_of_the_registry(
    front: Front, client: httpx2.Client
) -> None:
    contents = [manifest(client, "race/a", text) for text in "ab"]

    def write_and_read(number: int) -> set[int]:
        put = put_tag(client, "race/a", f"t{number % 3}", contents[number % 2])
        got = client.head(f"/v2/race/a/manifests/t{number % 3}", headers=ACCEPT)
        return {put.status_code, got.status_code}

    with ThreadPoolExecutor(8) as pool:
        seen = set().union(*pool.map(write_and_read, range(200)))
    assert seen == {200, 201}
    assert front.stats().count(status=500) == 0


@pytest.mark.parametrize("locations", ["absolute", "relative", "other_host"])
def test_upload_locations_take_every_form(
    front: Front, client: httpx2.Client, locations: str
) -> None:
    front.set(Behaviour.model_validate({"locations": locations}))
    repository, content = f"places/{locations}", b"content"
    location = client.post(f"/v2/{repository}/blobs/uploads/").headers["Location"]
    starts = {"absolute": f"http://{front.address}/", "relative": "/v2/"}
    assert location.startswith(starts.get(locations, f"http://{front.other_address}/"))
    secret = {"Authorization": "Bearer secret"}
    patched = client.patch(location, content=content, headers=secret)
    assert patched.status_code == 202
    url = httpx2.URL(patched.headers["Location"])
    done = client.put(url.copy_merge_params({"digest": digest_of(content)}))
    assert done.status_code == 201
    assert client.get(f"/v2/{repository}/blobs/{digest_of(content)}").content == content
    place = "other" if locations == "other_host" else "registry"
    assert front.credentials() == {place: {"Bearer secret"}}


AUTH = Auth(
    mode="token",
    users={
        "writer": User(password="w"),
        "reader": User(password="r", rights={"*": frozenset({"pull"})}),
    },
    anonymous={"public/*": frozenset({"pull"})},
)


def token(client: httpx2.Client, user: str | None, scope: str) -> httpx2.Response:
    """Follow the challenge of a request without credentials."""
    challenge = client.get("/v2/").headers["WWW-Authenticate"]
    realm = re.fullmatch(r'Bearer realm="([^"]+)",service="ghcr.io"', challenge)
    assert realm is not None
    query = {"service": "ghcr.io", "scope": scope}
    auth = None if user is None else (user, user[0])
    return client.get(realm[1], params=query, auth=auth)


def bearer(answer: httpx2.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def test_tokens_are_for_their_users_rights_and_scopes(front: Front, client: httpx2.Client) -> None:
    front.set(Behaviour(auth=AUTH))
    scope = "repository:o/a:pull,push"
    writer, reader = token(client, "writer", scope), token(client, "reader", scope)
    opened = "/v2/o/a/blobs/uploads/"
    assert client.post(opened, headers=bearer(writer)).status_code == 202
    refused = client.post(opened, headers=bearer(reader))
    assert error(refused) == (403, "DENIED", "permission_denied: write_package")
    pulling = token(client, "writer", "repository:o/a:pull")
    narrow = client.post(opened, headers=bearer(pulling))
    assert narrow.status_code == 401
    assert 'scope="repository:o/a:pull,push"' in narrow.headers["WWW-Authenticate"]
    assert client.get("/v2/o/a/tags/list", headers=bearer(pulling)).status_code == 404
    wrong = client.get("/token", params={"scope": scope}, auth=("writer", "wrong"))
    assert error(wrong) == (403, "DENIED", "denied")
    assert token(client, None, scope).status_code == 401
    assert token(client, None, "repository:public/a:pull").status_code == 200
    password = base64.b64encode(b"writer:w").decode()
    assert f"Basic {password}" in front.credentials()["token"]
    assert not any(seen.startswith("Basic") for seen in front.credentials()["registry"])


def test_basic_authentication(front: Front, client: httpx2.Client) -> None:
    front.set(Behaviour(auth=AUTH.model_copy(update={"mode": "basic"})))
    assert client.get("/v2/").headers["WWW-Authenticate"].startswith("Basic ")
    assert client.get("/v2/", auth=("reader", "r")).status_code == 200
    assert client.post("/v2/o/a/blobs/uploads/", auth=("reader", "r")).status_code == 403


def test_a_registry_with_a_login_of_its_own_is_reached_through_the_front() -> None:
    with (
        running_registry(auth=("me", "se:cr@t")) as registry,
        running_front(registry.address) as front,
        client_at(front.address) as client,
    ):
        assert client.get("/v2/").status_code == 401
        assert client.get("/v2/", auth=("me", "se:cr@t")).status_code == 200


def test_bandwidth_is_shared(front: Front, client: httpx2.Client) -> None:
    front.set(Behaviour(bandwidth=4e6))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda n: put_blob(client, "slow/a", bytes([n]) * 1_000_000), range(2)))
    uploads = [entry for entry in front.log() if entry.step is Step.UPLOAD_PUT]
    ended = max(entry.t + entry.seconds for entry in uploads)
    assert ended - min(entry.t for entry in uploads) > 0.4


def test_an_error_of_the_front_is_distinguishable() -> None:
    with (
        running_front("127.0.0.1:1") as front,
        client_at(front.address) as client,
    ):
        assert client.get("/v2/").status_code == 599
        assert front.stats().front_errors == 1


def test_the_process_serves_and_reports(registry: Registry) -> None:
    behaviour = json.dumps({"max_writes": 0, "refusals": [{"status": 503}]})
    command = [sys.executable, "-m", "tests.support.front", "--upstream", registry.address]
    with subprocess.Popen(
        [*command, "--behaviour", behaviour], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["address"]
        with client_at(address) as client:
            assert client.post("/v2/a/blobs/uploads/").status_code == 503
            assert client.put("/_front/behaviour", json={"max_writes": 1}).status_code == 200
            assert client.post("/v2/a/blobs/uploads/").status_code == 202
            assert client.put("/_front/behaviour", json={"nonsense": 1}).status_code == 400
            live = Stats.model_validate_json(client.get("/_front/stats").content)
            assert [entry["status"] for entry in client.get("/_front/log").json()] == [503, 202]
        process.send_signal(signal.SIGTERM)
        last = Stats.model_validate_json(process.stdout.readline())
        assert process.wait() == 0
    assert last.count(*WRITES) == live.count(*WRITES) == 2

"""Copies between registries without an engine: failures of the source are reported as such."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
from tests.support.front import (
    Answer,
    Auth,
    Behaviour,
    Front,
    Rule,
    Step,
    oci_error,
    on,
    running_front,
)
from tests.support.layouts import CONFIG, LAYER, Made
from tests.support.registry import running_registry
from tests.support.saved import INDEX, MANIFEST, digest_of

from ghcr_push.references import Repository
from ghcr_push.registry.client import RegistryClient

COMMAND = Path(sys.executable).with_name("ghcr-push")
LARGE = 20 << 20


@pytest.fixture
def front() -> Iterator[Front]:
    """Yield a front before an empty registry, without blobs of another test."""
    with running_registry() as registry, running_front(registry.address) as front:
        yield front


@pytest.fixture
def source() -> Iterator[Front]:
    """Yield a front before its own registry that holds `acme/base:1`."""
    with running_registry() as registry, running_front(registry.address) as front:
        fill(front)
        front.reset()
        yield front


@pytest.fixture
def other() -> Iterator[Front]:
    """Yield a front before another registry, which is empty."""
    with running_registry() as registry, running_front(registry.address) as front:
        yield front


def fill(
    front: Front, name: str = "acme/base", *, seed: int = 7, large: int = LARGE
) -> Mapping[str, bytes]:
    """Put an index of two platforms into a registry; return its blobs by digest, the first large.

    They are text, so that a rule of the front can begin to answer with one.
    """
    made, random, children = Made(), Random(seed), []
    layers = [random.randbytes(size // 2).hex().encode() for size in (large, 5000, 9000)]
    shared = made.named(layers[1], LAYER)
    for architecture, own in (("amd64", layers[0]), ("arm64", layers[2])):
        platform = {"os": "linux", "architecture": architecture}
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": made.named(json.dumps(platform).encode(), CONFIG),
            "layers": [shared, made.named(own, LAYER)],
        }
        child = made.named(json.dumps(document).encode(), MANIFEST)
        children.append({**child, "platform": platform})
    made.index(*children)
    made.uploaded(f"{front.address}/{name}", "1")
    return {digest_of(each): each for each in layers}


def child(front: Front, name: str, architecture: str) -> str:
    """Return the digest of the image for a platform in the index that `fill` made."""
    index = json.loads(raw(front, name, "1"))
    found = [e for e in index["manifests"] if e["platform"]["architecture"] == architecture]
    return str(found[0]["digest"])


def push(tmp_path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the command without docker or a socket."""
    environ = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    done = subprocess.run(
        [COMMAND, "--format", "json", "--backoff-initial", "200ms", *options],
        env={**environ, "PATH": "/nonexistent", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}")


def raw(front: Front, name: str, reference: str) -> bytes:
    headers = {"Accept": f"{INDEX}, {MANIFEST}"}
    return httpx2.get(
        f"http://{front.address}/v2/{name}/manifests/{reference}", headers=headers
    ).content


def copy(tmp_path: Path, source: Front, front: Front, *more: str) -> tuple[int, dict[str, Any]]:
    tags = ",".join(f"{front.address}/acme/copy:{tag}" for tag in ("1", "2", "latest"))
    return push(
        tmp_path, "--tags", tags, "--source", f"docker://{source.address}/acme/base:1", *more
    )


def test_an_index_arrives_byte_for_byte_each_blob_once(
    source: Front, front: Front, tmp_path: Path
) -> None:
    status, report = copy(tmp_path, source, front)
    assert (status, report["totals"]["pushed"]) == (0, 3)
    assert raw(front, "acme/copy", "latest") == raw(source, "acme/base", "1")
    stats = front.stats()
    assert set(stats.blob_uploads["acme/copy"].values()) == {1}
    assert set(stats.manifest_writes.values()) == {1}
    assert source.stats().count(Step.BLOB_GET) == len(stats.blob_uploads["acme/copy"])
    assert not list(tmp_path.rglob("*blob*"))


@pytest.mark.anyio
async def test_a_large_blob_comes_in_pieces_that_are_worth_it(source: Front) -> None:
    """A piece has more bytes than the library reads by default (64 KiB)."""
    amd64 = json.loads(raw(source, "acme/base", "1"))["manifests"][0]["digest"]
    layer = json.loads(raw(source, "acme/base", amd64))["layers"][1]["digest"]
    async with RegistryClient({}) as client:
        base = Repository(source.address, "acme/base")
        sizes = []
        async for piece in client.source_blob(base, layer, 0, LARGE):
            sizes.append(len(piece))
            time.sleep(0.01)  # noqa: ASYNC251 - a busy reader, who finds more than one packet
    assert sum(sizes) == LARGE
    assert max(sizes) > 64 << 10


def test_a_second_run_writes_nothing(source: Front, front: Front, tmp_path: Path) -> None:
    copy(tmp_path, source, front)
    front.reset()
    status, report = copy(tmp_path, source, front)
    assert (status, report["totals"]["unchanged"]) == (0, 3)
    assert not front.stats().manifest_writes
    assert not front.stats().blob_uploads


def test_within_one_registry_everything_is_mounted(source: Front, tmp_path: Path) -> None:
    status, _ = copy(tmp_path, source, source)
    assert status == 0
    stats = source.stats()
    assert stats.blob_uploads.get("acme/copy", {}) == {}
    assert sum(stats.blob_mounts.values()) == 5
    assert stats.upload_bytes == 0


def test_one_platform_is_chosen(source: Front, front: Front, tmp_path: Path) -> None:
    status, _ = copy(tmp_path, source, front, "--platform", "linux/arm64")
    assert status == 0
    assert len(json.loads(raw(front, "acme/copy", "1"))["layers"]) == 2
    assert front.stats().upload_bytes < LARGE


def test_a_platform_is_read_from_the_config_where_the_index_names_none(
    source: Front, front: Front, tmp_path: Path
) -> None:
    made = Made()
    amd64, arm64 = made.image(1), made.image(10, architecture="arm64")
    made.index(amd64, arm64)
    made.uploaded(f"{source.address}/acme/base", "1")
    status, report = copy(tmp_path, source, front, "--platform", "linux/arm64")
    assert status == 0, report
    assert {target["digest"] for target in report["targets"]} == {arm64["digest"]}


@pytest.mark.parametrize(
    "answer",
    [
        oci_error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "1"}),
        oci_error(503, "UNAVAILABLE", "try later"),
        Answer(status=200, body="the layer's", connection="midway"),
        Answer(status=500, connection="reset"),
    ],
    ids=["throttled", "unavailable", "cut", "reset"],
)
def test_a_failing_source_is_read_again_and_does_not_lower_the_targets_limit(
    answer: Answer, source: Front, front: Front, tmp_path: Path
) -> None:
    """The source twice sends none or half of its large layer; meanwhile another source lands."""
    digest, layer = next(iter(fill(source, "acme/troubled", seed=8).items()))
    if answer.connection == "midway":
        answer = answer.model_copy(update={"body": layer.decode()})
    source.reset()
    match = on(Step.BLOB_GET, repository="acme/troubled", reference=digest)
    source.set(Behaviour(rules=(Rule(match=match, answer=answer, first=2),)))
    names = [("troubled", "1"), ("troubled", "2"), ("base", "1")]
    lines = [
        f"docker://{source.address}/acme/{name}:1 => {front.address}/acme/{name}:{tag}"
        for name, tag in names
    ]
    status, report = push(tmp_path, "--tags", "\n".join(lines))
    assert status == 0, report
    assert report["totals"]["lowest_parallel"] == report["max_parallel"]
    assert not [hold for hold in report["holds"] if hold["registry"] == front.address]
    kinds = [
        (target["reference"], attempt["failure"]["kind"])
        for target in report["targets"]
        for attempt in target["content_attempts"]
        if attempt["failure"]
    ]
    assert kinds == [(f"{front.address}/acme/troubled:1", "source-unreachable")] * 2
    for name, tag in names:
        assert raw(front, f"acme/{name}", tag) == raw(source, f"acme/{name}", "1")
        assert set(front.stats().blob_uploads[f"acme/{name}"].values()) == {1}
    asked = [entry for entry in source.log() if entry.reference == digest]
    assert [entry.step for entry in asked] == [Step.BLOB_GET] * 3
    there = f"http://{front.address}/v2/acme/troubled/blobs/{digest}"
    assert httpx2.get(there).content == layer


def test_a_repeated_read_of_a_manifest_is_reported_once_for_its_registry(
    source: Front, front: Front, tmp_path: Path
) -> None:
    answer = oci_error(503, "UNAVAILABLE", "try later")
    source.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_GET), answer=answer, first=3),)))
    status, report = copy(tmp_path, source, front)
    assert status == 0, report
    address = f"docker://{source.address}/acme/base:1"
    assert report["notices"] == [
        f"reading a source failed and is tried again: {address}: try later"
    ]


@pytest.mark.parametrize("renewed", [True, False], ids=["renewed", "denied"])
def test_a_source_that_rejects_a_token_is_asked_with_a_new_one(
    renewed: bool, source: Front, front: Front, tmp_path: Path
) -> None:
    """Refuse layers with 401, once or always; the latter is permanent."""
    fill(source, "acme/guarded", seed=8)
    auth = Auth(mode="token", anonymous={"*": frozenset({"pull"})})
    challenge = f'Bearer realm="http://{source.address}/token",service="ghcr.io"'
    answer = oci_error(401, "UNAUTHORIZED", "the token expired", {"WWW-Authenticate": challenge})
    match = on(Step.BLOB_GET, repository="acme/guarded")
    rule = Rule(match=match, answer=answer, first=1 if renewed else None)
    source.set(Behaviour(auth=auth, rules=(rule,)))
    lines = [
        f"docker://{source.address}/acme/{name}:1 => {front.address}/acme/{name}:1"
        for name in ("guarded", "base")
    ]
    status, report = push(tmp_path, "--tags", "\n".join(lines))
    guarded, base = report["targets"]
    assert base["outcome"] == "pushed"
    assert report["totals"]["lowest_parallel"] == report["max_parallel"]
    assert not [hold for hold in report["holds"] if hold["registry"] == front.address]
    assert {each["number"] for each in guarded["content_attempts"]} == {1}
    if renewed:
        assert (status, guarded["outcome"]) == (0, "pushed")
        assert not [each for each in guarded["content_attempts"] if each["failure"]]
    else:
        assert (status, guarded["failure"]["kind"]) == (1, "source-invalid")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_source_that_may_not_be_read_fails_no_other(
    status: int, source: Front, front: Front, tmp_path: Path
) -> None:
    refusal = oci_error(status, "DENIED", "requested access to the resource is denied")
    match = on(Step.MANIFEST_GET, Step.MANIFEST_HEAD, repository="acme/private")
    source.set(Behaviour(rules=(Rule(match=match, answer=refusal),)))
    good = f"docker://{source.address}/acme/base:1 => {front.address}/acme/copy:good"
    bad = f"docker://{source.address}/acme/private:1 => {front.address}/acme/copy:bad"
    ended, report = push(tmp_path, "--tags", f"{good}\n{bad}")
    outcomes = {each["reference"].rpartition(":")[2]: each for each in report["targets"]}
    assert ended == 1
    assert outcomes["good"]["outcome"] == "pushed"
    assert outcomes["bad"]["failure"]["kind"] == "source-invalid"
    assert "acme/private" in outcomes["bad"]["failure"]["message"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (oci_error(429, "TOOMANYREQUESTS", "slow down"), "source-unreachable"),
        (oci_error(403, "DENIED", "not for you"), "source-invalid"),
        (oci_error(404, "BLOB_UNKNOWN", "blob unknown to registry"), "source-invalid"),
        (Answer(status=206, body="x" * 20, connection="midway"), "source-unreachable"),
    ],
    ids=["throttled", "denied", "gone", "cut"],
)
def test_a_source_that_never_sends_its_blobs_writes_no_tag_and_delays_no_other(
    answer: Answer, kind: str, source: Front, front: Front, tmp_path: Path
) -> None:
    fill(source, "acme/bad", seed=8)
    match = on(Step.BLOB_GET, repository="acme/bad")
    source.set(Behaviour(rules=(Rule(match=match, answer=answer),)))
    lines = [
        f"docker://{source.address}/acme/bad:1 => {front.address}/acme/bad:1",
        f"docker://{source.address}/acme/base:1 => {front.address}/acme/good:1",
    ]
    options = ("--max-attempts", "3", "--backoff-max", "400ms")
    status, report = push(tmp_path, "--tags", "\n".join(lines), *options)
    assert status == 1
    bad, good = report["targets"]
    assert (bad["outcome"], bad["failure"]["kind"]) == ("failed", kind)
    assert good["outcome"] == "pushed"
    assert not any(key.startswith("acme/bad:") for key in front.stats().manifest_writes)
    assert raw(front, "acme/good", "1") == raw(source, "acme/base", "1")
    assert report["totals"]["lowest_parallel"] == report["max_parallel"]
    assert not [hold for hold in report["holds"] if hold["registry"] == front.address]


def test_the_wait_that_a_source_asks_for_is_kept_by_all_its_blobs(
    source: Front, front: Front, tmp_path: Path
) -> None:
    """Let the source throttle every request for blobs of an image for a second."""
    fill(source, "acme/many", seed=9)
    source.reset()
    throttled = oci_error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "1"})
    match = on(Step.BLOB_GET, repository="acme/many")
    source.set(Behaviour(rules=(Rule(match=match, answer=throttled, first=1),)))
    status, report = push(
        tmp_path,
        "--tags",
        f"docker://{source.address}/acme/many:1 => {front.address}/acme/many:1",
        "--max-parallel",
        "1",
    )
    assert status == 0, report
    refused, *others = [e for e in source.log() if e.step is Step.BLOB_GET]
    assert refused.status == 429
    assert others
    assert min(entry.t for entry in others) >= refused.t + 1
    tries = [t for target in report["targets"] for t in target["content_attempts"]]
    assert [attempt["failure"]["kind"] for attempt in tries if attempt["failure"]] == [
        "source-unreachable"
    ]


def test_the_wait_that_a_source_asks_for_is_kept_by_its_other_images(
    source: Front, front: Front, tmp_path: Path
) -> None:
    """Let the source throttle the first request for a blob of any image."""
    for seed, name in enumerate(("acme/one", "acme/two")):
        fill(source, name, seed=20 + seed, large=50_000)
    source.reset()
    throttled = oci_error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "1"})
    source.set(Behaviour(rules=(Rule(match=on(Step.BLOB_GET), answer=throttled, first=1),)))
    lines = [
        f"docker://{source.address}/{n}:1 => {front.address}/{n}:1"
        for n in ("acme/one", "acme/two")
    ]
    status, report = push(tmp_path, "--tags", "\n".join(lines), "--max-parallel", "1")
    assert status == 0, report
    refused, *others = [e for e in source.log() if e.step is Step.BLOB_GET]
    assert refused.status == 429
    assert {entry.repository for entry in others} == {"acme/one", "acme/two"}
    assert min(entry.t for entry in others) >= refused.t + 1


def test_the_wait_that_a_source_asks_for_holds_for_its_part_of_an_index_of_two_registries(
    source: Front, other: Front, front: Front, tmp_path: Path
) -> None:
    """Let one of the sources throttle a layer of each image once; the other need not wait.

    Whichever of the two layers is asked for first, the other image's waits for it.
    """
    layers = [
        (name, next(iter(fill(source, name, seed=seed, large=50_000))))
        for name, seed in (("acme/one", 20), ("acme/two", 21))
    ]
    fill(other, "acme/three", seed=22, large=50_000)
    source.reset()
    other.reset()
    throttled = oci_error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "2"})
    matches = [on(Step.BLOB_GET, repository=name, reference=layer) for name, layer in layers]
    rules = tuple(Rule(match=match, answer=throttled, first=1) for match in matches)
    source.set(Behaviour(rules=rules))
    one = f"docker://{source.address}/acme/one@{child(source, 'acme/one', 'amd64')}"
    two = f"docker://{source.address}/acme/two:1"
    three = f"docker://{other.address}/acme/three@{child(other, 'acme/three', 'arm64')}"
    lines = [
        f"{one} + {three} => {front.address}/acme/index:1",
        f"{two} => {front.address}/acme/two:1",
    ]
    status, report = push(tmp_path, "--tags", "\n".join(lines), "--max-parallel", "1")
    assert status == 0, report
    reads = [e for e in source.log() if e.step is Step.BLOB_GET]
    refused = [e for e in reads if e.status == 429]
    assert {e.repository for e in refused} == {"acme/one", "acme/two"}
    for refusal in refused:
        assert not [e for e in reads if refusal.t < e.t < refusal.t + 2]
    others = [e.t for e in other.log() if e.step is Step.BLOB_GET]
    assert max(others) - min(others) < 2, "the other registry's layers waited too"


def test_a_wait_beyond_the_deadline_delays_no_other_image_of_the_source(
    source: Front, front: Front, tmp_path: Path
) -> None:
    """Let the source name a wait of six hours for one image, as Docker Hub's pull limit does."""
    for seed, name in enumerate(("acme/one", "acme/two")):
        fill(source, name, seed=20 + seed, large=50_000)
    throttled = oci_error(429, "TOOMANYREQUESTS", "pull limit", {"Retry-After": "21600"})
    source.set(Behaviour(rules=(Rule(match=on(Step.BLOB_GET), answer=throttled, first=1),)))
    lines = [
        f"docker://{source.address}/{name}:1 => {front.address}/{name}:1"
        for name in ("acme/one", "acme/two")
    ]
    options = ("--max-parallel", "1", "--timeout", "30s")
    status, report = push(tmp_path, "--tags", "\n".join(lines), *options)
    assert status == 1
    assert sorted(target["outcome"] for target in report["targets"]) == ["failed", "pushed"]
    kinds = [target["failure"]["kind"] for target in report["targets"] if target["failure"]]
    assert kinds == ["source-unreachable"]


def test_a_blob_with_other_bytes_is_never_written(
    source: Front, front: Front, tmp_path: Path
) -> None:
    def lies(entry: str) -> Rule:
        answer = Answer(status=206, body="x" * 9000)
        return Rule(match=on(Step.BLOB_GET, reference=entry), answer=answer)

    arm64 = json.loads(raw(source, "acme/base", "1"))["manifests"][1]["digest"]
    layer = json.loads(raw(source, "acme/base", arm64))["layers"][1]["digest"]
    source.set(Behaviour(rules=(lies(layer),)))
    status, report = copy(tmp_path, source, front)
    assert status == 1
    assert layer in report["targets"][0]["failure"]["message"]
    assert not front.stats().manifest_writes


def test_a_blob_that_the_source_lacks_is_named(source: Front, front: Front, tmp_path: Path) -> None:
    refusal = oci_error(404, "BLOB_UNKNOWN", "blob unknown")
    source.set(Behaviour(rules=(Rule(match=on(Step.BLOB_GET), answer=refusal),)))
    status, report = copy(tmp_path, source, front)
    assert status == 1
    assert re.search(r": sha256:[0-9a-f]{64}: ", report["targets"][0]["failure"]["message"])


def test_images_of_the_jobs_of_a_matrix_become_one_index_with_one_write(
    source: Front, tmp_path: Path
) -> None:
    children = json.loads(raw(source, "acme/base", "1"))["manifests"]
    base = f"{source.address}/acme/base"
    members = " + ".join(f"docker://{base}@{child['digest']}" for child in children)
    status, report = push(tmp_path, "--tags", f"{base}:all", "--source", members)
    assert status == 0, report
    assert json.loads(raw(source, "acme/base", "all"))["manifests"] == children
    stats = source.stats()
    assert stats.manifest_writes == {"acme/base:all": 1}
    assert stats.upload_bytes == 0
    assert not stats.blob_uploads

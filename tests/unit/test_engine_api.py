"""Reading tags through the engine, on its socket or through ``docker system dial-stdio``."""

import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ghcr_push.engine.api import EngineApi
from ghcr_push.engine.command import DockerCommand
from ghcr_push.failures import PushError, classify
from ghcr_push.model import Descriptor, Kind
from ghcr_push.references import Digest, Repository

pytestmark = pytest.mark.anyio

LOCAL = Repository("localhost:5000", "acme/app")
DIGEST = Digest(f"sha256:{'1' * 64}")
FOUND = {"Descriptor": {"mediaType": "m", "digest": DIGEST, "size": 7}, "Platforms": []}

# takes one request, answers as scripted, and records the request and its variables
SCRIPT = """\
import os, sys
from pathlib import Path
here = Path(__file__).parent
seen = b""
while not seen.endswith(b"\\r\\n\\r\\n"):
    seen += sys.stdin.buffer.read1()
(here / "words").write_text(" ".join(sys.argv[1:]))
(here / "request").write_bytes(seen)
(here / "variables").write_text("\\n".join(sorted(os.environ)))
sys.stdout.buffer.write((here / "answer").read_bytes())
sys.stderr.write((here / "errors").read_text())
"""

HOSTS = {
    "TLS": {"DOCKER_HOST": "tcp://engine.test:2376", "DOCKER_TLS_VERIFY": "1"},
    "TLS without proof": {"DOCKER_HOST": "tcp://engine.test:2376", "DOCKER_TLS": "1"},
    "ssh": {"DOCKER_HOST": "ssh://somebody@engine.test"},
    "a context": {"DOCKER_CONTEXT": "remote"},
}


def engine(
    folder: Path,
    status: str,
    body: bytes,
    environ: Mapping[str, str] = HOSTS["ssh"],
    *,
    errors: str = "",
) -> EngineApi:
    """Return the API of an engine that gives one answer, in pieces as HTTP allows them."""
    command = folder / "docker"
    command.write_text(f"#!{sys.executable} -SI\n{SCRIPT}")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    chunks = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n" if body else b"0\r\n\r\n"
    head = f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    (folder / "answer").write_bytes(head.encode() + chunks if status else b"")
    (folder / "errors").write_text(errors)
    given = {**environ, "PATH": str(folder)}
    return EngineApi(DockerCommand(folder, given), {LOCAL.registry: "c2VjcmV0"})


def message(text: str) -> bytes:
    return json.dumps({"message": text}).encode()


@pytest.mark.parametrize("host", HOSTS)
async def test_engines_on_tls_ssh_and_contexts_are_asked_through_the_docker_command(
    tmp_path: Path, host: str
) -> None:
    api = engine(tmp_path, "200 OK", json.dumps(FOUND).encode(), HOSTS[host])
    assert await api.head(LOCAL, "1") == Descriptor("m", DIGEST, 7)
    assert (tmp_path / "words").read_text() == f"--config {tmp_path} system dial-stdio"
    first, *headers = (tmp_path / "request").read_bytes().decode().split("\r\n")
    assert first == "GET /distribution/localhost:5000/acme/app:1/json HTTP/1.1"
    assert "x-registry-auth: c2VjcmV0" in headers
    assert {*HOSTS[host]} <= {*(tmp_path / "variables").read_text().splitlines()}


@pytest.mark.parametrize(
    "said",
    [
        "manifest unknown: manifest unknown",
        "name unknown: repository name not known to registry",
        "unknown: repository acme/app not found",
        "unknown: artifact acme/app:1 not found",
    ],
)
async def test_a_tag_that_does_not_exist_gives_none(tmp_path: Path, said: str) -> None:
    assert await engine(tmp_path, "404 Not Found", message(said)).head(LOCAL, "1") is None


@pytest.mark.parametrize(
    "body", [message("page not found"), b"Not Found", b"404 page not found", b"", b"[]"]
)
async def test_an_engine_that_does_not_read_registries_does_not_say_that_a_tag_is_new(
    tmp_path: Path, body: bytes
) -> None:
    """Podman answers so, and proxies for an engine's socket that allow few paths."""
    with pytest.raises(PushError) as raised:
        await engine(tmp_path, "404 Not Found", body).head(LOCAL, "1")
    assert classify(raised.value.evidence).kind is Kind.ENGINE_REFUSED


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        ("500 Internal Server Error", "manifest unknown: manifest unknown", Kind.NOT_VISIBLE),
        ("403 Forbidden", "denied: requested access to the resource is denied", None),
        ("500 Internal Server Error", "dial tcp 127.0.0.1:1: connect: connection refused", None),
        ("500 Internal Server Error", "lookup r: no such host: not found", None),
    ],
)
async def test_a_refusal_to_the_engine_is_reported(
    tmp_path: Path, status: str, said: str, kind: Kind | None
) -> None:
    with pytest.raises(PushError) as raised:
        await engine(tmp_path, status, message(said)).head(LOCAL, "1")
    assert raised.value.evidence.message == said
    assert kind is None or classify(raised.value.evidence).kind is kind


@pytest.mark.parametrize(
    "body", [b"", b"null", b"17", b"[]", b"{}", b'{"Descriptor": 1}', b'{"Descriptor": {}}', b"<"]
)
async def test_an_answer_of_another_form_raises_push_error(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(PushError) as raised:
        await engine(tmp_path, "200 OK", body).head(LOCAL, "1")
    assert classify(raised.value.evidence).kind is Kind.ENGINE_ERROR


async def test_a_failed_connection_says_why(tmp_path: Path) -> None:
    words = "error during connect: Get http://engine/: ssh: connect to host engine.test: refused"
    with pytest.raises(PushError) as raised:
        await engine(tmp_path, "", b"", errors=words).head(LOCAL, "1")
    assert classify(raised.value.evidence).kind is Kind.ENGINE_UNREACHABLE


@pytest.mark.parametrize("broken", ["missing", "not to be run", "a folder", "no program"])
async def test_a_docker_command_that_cannot_be_started_raises_push_error(
    tmp_path: Path, broken: str
) -> None:
    api = engine(tmp_path, "200 OK", b"{}")
    command = tmp_path / "docker"
    if broken == "not to be run":
        command.chmod(0o644)
    else:
        command.unlink()
    if broken == "a folder":
        command.mkdir()
    if broken == "no program":
        command.write_bytes(b"\0\0\0\0")
        command.chmod(0o755)
    questions = (
        api.head(LOCAL, "1"),
        DockerCommand(tmp_path, {"PATH": str(tmp_path)}).run("a", "b"),
    )
    for question in questions:
        with pytest.raises(PushError) as raised:
            await question
        assert classify(raised.value.evidence).kind is Kind.ENGINE_UNREACHABLE


@pytest.mark.parametrize(
    ("status", "listed", "whole"),
    [
        ("200 OK", {"Manifests": [{"Available": True}, {"Available": True}]}, True),
        ("200 OK", {"Manifests": [{"Available": True}, {"Available": False}]}, False),
        ("200 OK", {"Manifests": None}, True),
        ("200 OK", {}, True),
        ("200 OK", {"Manifests": [{}]}, True),
        ("200 OK", [], True),
        ("404 Not Found", {"message": "page not found"}, True),
    ],
)
async def test_an_engine_says_that_it_lacks_a_part_of_an_image(
    tmp_path: Path, status: str, listed: object, whole: bool
) -> None:
    assert await engine(tmp_path, status, json.dumps(listed).encode()).is_complete("i") is whole


async def test_an_engine_that_does_not_answer_is_not_taken_for_one_with_incomplete_images(
    tmp_path: Path,
) -> None:
    environ = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    assert await engine(tmp_path, "", b"", environ).is_complete("i")

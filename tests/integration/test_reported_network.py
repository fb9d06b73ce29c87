"""Proxies that refuse, and private certificate authorities."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.cases import End, World, closed_address
from tests.support.front import Front, running_front
from tests.support.memory import MemoryRegistry
from tests.support.tls import Authority

from ghcr_push.pushing.pressure import reachability

SECRET = "s3cret-password"
TARGETS = {
    "tags": "registry.test/acme/app:1\nregistry.test/acme/app:2",
    "source": "app:1",
    "transport": "direct",
    "timeout": "60s",
}


@contextmanager
def proxy(status: int) -> Iterator[tuple[str, list[str]]]:
    """Run a proxy that answers every request with ``status``; yield its address."""
    seen = list[str]()

    class Handler(BaseHTTPRequestHandler):
        def refuse(self) -> None:
            seen.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Proxy-Authenticate", "Basic realm=proxy")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_CONNECT = do_GET = do_HEAD = do_POST = refuse  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def check_refused(end: End, variable: str, word: str) -> None:
    """Check that all failed because of the proxy, after few requests, without showing a secret."""
    assert set(end.outcomes.values()) == {"failed"}, end.log
    for name in end.outcomes:
        failure = end.failure(name)
        assert failure["kind"] == "proxy"
        assert variable in failure["message"]
        assert re.search(word, failure["message"]), failure["message"]
        assert "NO_PROXY" in failure["advice"]
    for text in (end.log, end.summary, str(end.outputs), str(end.report)):
        assert SECRET not in text
    assert end.report["cause"] == "network"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(("status", "word"), [(407, "407"), (403, "403")])
def test_a_proxy_that_refuses_is_named_with_its_status(
    world: World, variable: str, status: int, word: str
) -> None:
    with proxy(status) as (address, seen):
        environ = {variable: f"http://octocat:{SECRET}@{address}"}
        end = world.run(TARGETS, environ)
        check_refused(end, variable, word)
        assert set(seen) == {"CONNECT registry.test:443"}
        assert end.outputs["retries"] == "0", "a refusal by a rule stays one"


def test_a_proxy_that_is_gone_is_named(world: World) -> None:
    with closed_address() as address:
        environ = {"HTTPS_PROXY": f"http://octocat:{SECRET}@{address}"}
        check_refused(world.run(TARGETS, environ), "HTTPS_PROXY", "cannot be reached: .*refused")
    assert world.docker is not None
    assert not any("save" in call for call in world.docker.calls)


def test_a_proxy_that_does_not_exist_is_named(world: World) -> None:
    environ = {"HTTPS_PROXY": f"http://octocat:{SECRET}@proxy.invalid:3128"}
    check_refused(world.run(TARGETS, environ), "HTTPS_PROXY", "proxy.invalid:3128.*cannot be")


def test_a_proxy_that_is_no_url_is_named(world: World) -> None:
    environ = {"HTTPS_PROXY": f"gopher://octocat:{SECRET}@proxy.invalid"}
    check_refused(world.run(TARGETS, environ), "HTTPS_PROXY", "cannot be used")


@pytest.mark.parametrize("transport", ["direct", "engine", "auto"])
def test_a_port_that_accepts_no_connections_is_given_up_early(
    world: World, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reachability, "LONGEST_UNCONNECTED", 0.5)
    inputs = {"source": "app:1", "transport": transport, "timeout": "60s", "max-attempts": "100"}
    with closed_address() as address:
        mistyped = {f"{address}/acme/app:1": "failed", f"{address}/acme/app:2": "failed"}
        healthy = f"{world.front.address}/acme/app:1"
        end = world.run({"tags": "\n".join([*mistyped, healthy]), **inputs})
    assert end.outcomes == {**mistyped, "acme/app:1": "pushed"}
    for name in mistyped:
        failure = end.failure(name)
        assert (failure["kind"], failure["retryable"]) == ("network", False)
        assert f"{address} has not answered once in this run: " in failure["message"]
        assert "connection refused" in failure["message"]
        assert "host and port" in failure["advice"]
    assert end.outputs["cause"] == "network"


def test_hosts_of_no_proxy_and_this_machine_need_no_proxy(world: World) -> None:
    with proxy(407) as (address, seen):
        environ = {"HTTPS_PROXY": f"http://{address}", "NO_PROXY": "registry.test"}
        end = world.run({**TARGETS, "max-attempts": "1"}, environ)
        assert set(end.outcomes.values()) == {"failed"}
        assert end.failure("registry.test/acme/app:1")["kind"] in {"host-unknown", "network"}
        both = {"HTTP_PROXY": f"http://{address}", "HTTPS_PROXY": f"http://{address}"}
        end = world.run({"tags": f"{world.front.address}/a/b:1", "source": "app:1"}, both)
        assert set(end.outcomes.values()) == {"pushed"}, end.log
        assert seen == []


# -- private certificate authorities --------------------------------------------------------------

HOSTS = Path("/home/runner/work/app/app")


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Front, Authority]]:
    """Yield a registry called registry.test, no loopback name, whose authority lacks extensions."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: object, *more: object, **named: object) -> object:
        here = "127.0.0.1" if host in ("registry.test", b"registry.test") else host
        return resolve(here, *more, **named)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    authority = Authority(tmp_path, bare=True)
    with running_front(MemoryRegistry(), tls=authority.server()) as front:
        yield front, authority


def pushed_to(front: Front, world: World, **environ: str) -> End:
    port = front.address.rpartition(":")[2]
    workspace = world.folder / "run-1" / "workspace"
    environ |= {"RUNNER_WORKSPACE": str(HOSTS.parent), "GITHUB_WORKSPACE": str(workspace)}
    tags = f"registry.test:{port}/acme/app:1"
    more = {"transport": "direct", "max-attempts": "2", "source": "app:1"}
    return world.run({"tags": tags, **more}, environ)


@pytest.mark.parametrize("named", ["ca.pem", f"{HOSTS}/ca.pem", "{workspace}/ca.pem"])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_private_authority_is_trusted_where_a_variable_names_it(
    world: World, private: tuple[Front, Authority], named: str, variable: str
) -> None:
    front, authority = private
    workspace = world.folder / "run-1" / "workspace"
    workspace.mkdir(parents=True)
    (workspace / "ca.pem").write_bytes(authority.file.read_bytes())
    if variable == "SSL_CERT_DIR":
        (workspace / authority.hashed_name).write_bytes(authority.file.read_bytes())
        named = named.removesuffix("ca.pem") or "."
    end = pushed_to(front, world, **{variable: named.format(workspace=workspace)})
    assert set(end.outcomes.values()) == {"pushed"}, end.log


def test_an_authority_that_nobody_names_is_not_trusted(
    world: World, private: tuple[Front, Authority]
) -> None:
    end = pushed_to(private[0], world)
    (name,) = end.outcomes
    assert end.failure(name)["kind"] == "certificate"
    assert "SSL_CERT_FILE" in end.failure(name)["advice"]
    assert world.docker is not None
    assert not any("save" in call for call in world.docker.calls)


@pytest.mark.parametrize(
    ("variable", "content", "words"),
    [
        ("SSL_CERT_FILE", None, "which is not there"),
        ("SSL_CERT_FILE", "no certificate", "which has no PEM certificate"),
        ("SSL_CERT_DIR", None, "which is no folder here"),
    ],
)
def test_an_unreadable_authority_is_named_in_the_certificate_error(
    world: World,
    private: tuple[Front, Authority],
    variable: str,
    content: str | None,
    words: str,
) -> None:
    if content is not None:
        workspace = world.folder / "run-1" / "workspace"
        workspace.mkdir(parents=True)
        (workspace / "ca.pem").write_text(content)
    end = pushed_to(private[0], world, **{variable: "ca.pem"})
    (name,) = end.outcomes
    assert end.failure(name)["kind"] == "certificate"
    assert f"{variable} names" in end.failure(name)["message"]
    assert words in end.failure(name)["message"]

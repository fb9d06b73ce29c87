"""Pushes without an answer: an unreachable host, or a fault on this side."""

import shlex
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.record_failures.engine import Engine
from tests.support.record_failures.partial_image import partial_image
from tests.support.record_failures.recording import Recording, recording

Serve = Callable[[socket.socket], None]


def unreached(engine: Engine, folder: Path) -> Iterator[Recording]:
    """Push to hosts that do not exist or are no registries; `folder` is for temporary files."""
    host = _own_address()
    servers: dict[str, Serve] = {
        "N15-plain-http": _plain_http,
        "N4-silence": _silence,
        "N5-self-signed": _tls(folder),
        "N5-no-common-cipher": _tls(folder, "CAMELLIA256-SHA@SECLEVEL=0"),
    }
    with ExitStack() as stack:
        hosts = {
            name: stack.enter_context(_listening(serve, host)) for name, serve in servers.items()
        }
        hosts["N6-refused"] = f"{host}:9"
        hosts["N8-no-such-host"] = "registry.invalid"
        for name, address in hosts.items():
            image = f"{address}/acme/{name.lower()}:1"
            engine.make(image)
            printed = engine.docker("push", image)
            yield recording(name, "PING", printed, {address: "registry.example"})


def local(engine: Engine, registry: str, folder: Path) -> Iterator[Recording]:
    """Push with faults on this side: names, images, sockets, credentials, options."""
    there = f"{registry}/acme/there:1"
    engine.make(there)

    def said(name: str, *arguments: str, **env: str) -> Recording:
        printed = engine.docker(*arguments, env=env)
        return recording(name, "LOCAL", printed, {registry: "registry.example"})

    # the classic store asks the registry before it looks for the tag
    yield said("L1-no-tag", "push", f"{registry}/acme/there:2")
    yield said("L1-no-image", "push", f"{registry}/acme/nowhere:1")
    yield said("L1-no-image-to-tag", "tag", f"{registry}/acme/nowhere:1", "x:1")
    yield said("L2-upper-case", "push", f"{registry}/Acme/there:1")
    yield said("L2-space", "push", f"{registry}/acme/the re:1")
    yield said("L2-digest", "push", f"{registry}/acme/there@sha256:{'0' * 64}")
    yield said("L2-all-tags", "push", "--all-tags", there)
    (folder / "config.json").write_text('{"credsStore": "nothere"}', encoding="utf-8")
    yield said("L6-no-helper", "push", there, DOCKER_CONFIG=str(folder))
    yield said("L7-flag", "push", "--nope", "x:1")
    yield said("L7-command", "pusch", "x:1")
    yield said("L8-platform", "push", "--platform", "linux/s390x", there)
    if engine.store == "containerd":
        engine.load(partial_image(f"{registry}/acme/partial:1"))
        yield said("L8-missing-content", "push", f"{registry}/acme/partial:1")
    yield from _sockets(engine, folder)


def _sockets(engine: Engine, folder: Path) -> Iterator[Recording]:
    """Push with a socket that does not exist, or that may not be opened."""

    def said(name: str, host: str, *before: str) -> Recording:
        printed = engine.docker("push", "x:1", env={"DOCKER_HOST": host}, before=before)
        return recording(name, "LOCAL", printed, {})

    stale = folder / "stale.sock"
    with socket.socket(socket.AF_UNIX) as nobody_listens:
        nobody_listens.bind(str(stale))
    yield said("L4-no-socket", f"unix://{folder}/nothing.sock")
    yield said("L4-refused", f"unix://{stale}")
    yield said("L4-tcp-refused", "tcp://127.0.0.1:9")
    stale.chmod(0)
    # root opens any socket unless it gives this right up
    yield said("L5-mode", f"unix://{stale}", "setpriv", "--bounding-set", "-dac_override")


# --- servers that do not speak as a registry does


@contextmanager
def _listening(serve: Serve, host: str) -> Iterator[str]:
    """Pass every connection to a free port of `host` to `serve`; yield the address."""
    with socket.create_server((host, 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"{host}:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _plain_http(connection: socket.socket) -> None:
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")


def _silence(connection: socket.socket) -> None:
    with connection:
        while connection.recv(4096):
            pass


def _tls(folder: Path, ciphers: str | None = None) -> Serve:
    """Return a TLS server with an unsigned certificate for another host."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        shlex.split(
            f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other.example "
            f"-keyout {key} -out {certificate}"
        ),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if ciphers:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)

    def serve(connection: socket.socket) -> None:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

    return serve


def _own_address() -> str:
    """Return an address of this machine that is not loopback: docker excuses those from TLS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return address

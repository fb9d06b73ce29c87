"""An engine whose socket disappears for two seconds during a run, with all connections."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

import pytest
from tests.support.engines import Engine, running_engine
from tests.support.front import Behaviour, Front, Step
from tests.support.outcomes import held
from tests.support.processes import wait_until
from tests.support.registry import Registry

from ghcr_push import push
from ghcr_push.model import Kind, Outcome

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine(f"rs-{token_hex(3)}", store="classic") as engine:
        for number in range(3):
            engine.make_image(f"image{number}", layers=3, seed=number, size=700_000)
        yield engine


class Door:
    """A proxy for the engine's socket that can be closed, which breaks all connections."""

    def __init__(self, path: Path, engine: Path) -> None:
        self.path = path
        self._engine = engine
        self._inside: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self._listening.listen()
        self._start(self._let_in)

    def shut(self) -> None:
        self.path.unlink()
        for each in (self._listening, *self._inside):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _let_in(self) -> None:
        with suppress(OSError):
            while True:
                self._start(self._serve, self._listening.accept()[0])

    def _serve(self, here: socket.socket) -> None:
        with here, socket.socket(socket.AF_UNIX) as there:
            there.connect(str(self._engine))
            self._inside |= {here, there}
            back = threading.Thread(target=_pass_on, args=(there, here))
            back.start()
            _pass_on(here, there)
            back.join()
            self._inside -= {here, there}


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def restarting(door: Door, front: Front) -> Iterator[None]:
    """Close the socket for two seconds once the first upload has begun."""

    def restart() -> None:
        wait_until(lambda: front.stats().count(Step.UPLOAD_POST) > 0)
        door.shut()
        time.sleep(2)
        door.open()

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("transport", ["direct", "engine", "auto"])
def test_an_engine_that_is_absent_for_two_seconds_costs_no_tag(
    engine: Engine,
    front: Front,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    transport: str,
) -> None:
    door = Door(tmp_path / "docker.sock", engine.socket)
    monkeypatch.setenv("PATH", engine.environ["PATH"])
    monkeypatch.setenv("DOCKER_HOST", f"unix://{door.path}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    front.set(Behaviour(delays={Step.UPLOAD_PUT: 0.5}))
    run = token_hex(4)
    targets = [
        f"image{number} => {front.address}/acme/{run}-{number}:{tag}"
        for number in range(3)
        for tag in range(3)
    ]
    door.open()
    with restarting(door, front):
        report = push(targets, transport=transport, max_parallel=2, spool_size="1MB")
    door.shut()
    assert {result.outcome for result in report.targets} == {Outcome.PUSHED}, report.targets
    for result in report.targets:
        assert held(registry.address, result.reference) == result.digest
    kinds = {
        attempt.failure.kind
        for result in report.targets
        for attempt in (*result.attempts, *result.content_attempts)
        if attempt.failure is not None
    }
    assert Kind.ENGINE_RESTARTING in kinds

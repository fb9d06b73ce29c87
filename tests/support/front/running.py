"""A front in a separate thread, for tests with another event loop or none."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from tests.support.front.behaviour import Behaviour
from tests.support.front.server import Server
from tests.support.front.stats import Entry, Stats
from tests.support.front.upstream import Backend

_Result = TypeVar("_Result")


class Front:
    """Passes calls to a server in another thread; callable from any thread."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self.address = server.address
        self.other_address = server.other_address

    def set(self, behaviour: Behaviour) -> None:
        """Set the behaviour; its clock and counters begin at zero."""
        self._there(lambda: self._server.set(behaviour))

    def reset(self) -> None:
        """Forget all counts, the log, and lags; start the behaviour again."""
        self._there(self._server.reset)

    def stats(self) -> Stats:
        """Return the counts since the start or the last reset."""
        return self._there(self._server.stats)

    def log(self) -> list[Entry]:
        """Return the requests since the start or the last reset, in order of arrival."""
        return self._there(self._server.log)

    def credentials(self) -> Mapping[str, frozenset[str]]:
        """Return the `Authorization` headers seen at `registry`, `token` and `other`."""
        return self._there(self._server.credentials)

    def _there(self, call: Callable[[], _Result]) -> _Result:
        done: Future[_Result] = Future()

        def run() -> None:
            try:
                done.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller's thread
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(timeout=30)


@contextmanager
def running_front(
    upstream: str | Backend,
    behaviour: Behaviour | None = None,
    *,
    seed: int = 1,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Front]:
    """Run a front while the block runs, before a registry (its host and port, or in memory)."""
    server = Server(upstream, behaviour or Behaviour(), seed, tls)
    ready: Future[asyncio.AbstractEventLoop] = Future()
    stopping = asyncio.Event()

    async def serve() -> None:
        try:
            await server.start()
        except BaseException as error:
            ready.set_exception(error)
            raise
        ready.set_result(asyncio.get_running_loop())
        await stopping.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="front", daemon=True)
    thread.start()
    loop = ready.result(timeout=30)
    try:
        yield Front(server, loop)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()

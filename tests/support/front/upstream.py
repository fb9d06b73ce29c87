"""The connection to the real registry: bodies stream both ways, and no faults are added.

docker-registry 2.8 rewrites its link files in place, so a read of a tag (or of any other tag of the
same manifest) that falls into a write answers 500 now and then. A front that promises faults
only where they were ordered must keep the two apart: requests that read or write links take turns
per repository. A body is passed on outside of the turn, all but its last piece, for the registry
commits only when it has that. Every request has a connection of its own, because a kept one may
be closed by the other side just when it is used again; it asks to keep it all the same, because
Go's server meets `Connection: close` and a body that it does not want with a reset, which can
overtake its answer.
"""

import asyncio
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

import aiohttp
from aiohttp import AddrInfoType, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tests.support.front.stats import Ledger
from tests.support.front.steps import MANIFESTS, WRITES, Call, Step

_LINKS = MANIFESTS | {Step.BLOB_HEAD, Step.BLOB_GET, Step.UPLOAD_PUT, Step.TAGS_LIST}

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)

Arriving = Callable[[int], Awaitable[None]]
"""Called with the size of each piece of a body, and awaited before the piece is passed on."""


class ClientGoneError(Exception):
    """The client went away before its request or our answer was complete."""


class BodyCutError(Exception):
    """The body reached the length at which it is configured to break off."""


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers without those that concern one connection only."""
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP
    )


@dataclass(slots=True, kw_only=True)
class Landed:
    """The registry's answer; `stream` holds the body of a read, which the sender must close."""

    status: int
    headers: CIMultiDict[str]
    body: bytes = b""
    stream: aiohttp.ClientResponse | None = None


class _Turn:
    """Exclusive access to a repository's links, for one request."""

    def __init__(self, lock: asyncio.Lock | None) -> None:
        self._lock = lock
        self._held = False

    async def take(self) -> None:
        if self._lock is not None and not self._held:
            await self._lock.acquire()
            self._held = True

    def end(self) -> None:
        if self._lock is not None and self._held:
            self._held = False
            self._lock.release()


class ClientBody:
    """The body that a client is sending, up to `cut_after` bytes; `ended_by` says what ended it."""

    def __init__(
        self, request: web.BaseRequest, arriving: Arriving | None, cut_after: int | None = None
    ) -> None:
        self._request = request
        self._arriving = arriving
        self._cut_after = cut_after
        self.ended_by: ClientGoneError | BodyCutError | None = None

    async def read(self) -> bytes:
        """Return the whole body; for manifests."""
        return b"".join([piece async for piece in self.pieces()])

    async def passed_on(self, turn: _Turn) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, its last piece only in `turn`."""
        held = b""
        async for piece in self.pieces():
            if held:
                yield held
            held = piece
        await turn.take()
        if held:
            yield held

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        await welcome(self._request)
        left = self._cut_after
        try:
            async for whole in self._request.content.iter_any():
                piece = whole if left is None else whole[:left]
                if self._arriving:
                    await self._arriving(len(piece))
                yield piece
                if left is not None:
                    left -= len(piece)
                    if len(piece) < len(whole):
                        self.ended_by = BodyCutError()
                        raise self.ended_by
        except (OSError, aiohttp.ClientError, web.RequestPayloadError) as error:
            self.ended_by = ClientGoneError()
            raise self.ended_by from error


async def welcome(request: web.BaseRequest) -> None:
    """Request the body if the client waits for that (`Expect: 100-continue`)."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


class Backend(Protocol):
    """A registry behind the front."""

    async def send(
        self,
        call: Call,
        headers: CIMultiDict[str],
        body: ClientBody | bytes | None,
        ledger: Ledger,
        *,
        serialise: bool,
    ) -> Landed:
        """Answer `call`; raises `ClientGoneError` or `BodyCutError` if the body broke off."""

    async def digest_of(self, repository: str, reference: str) -> str:
        """Return the digest that `reference` names now, empty if it names nothing."""

    async def close(self) -> None:
        """Close every connection."""


class Upstream:
    """Sends requests to the registry at `address` (host and port) over plain HTTP."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(
                limit=0, force_close=True, socket_factory=self._new_socket
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """Close all connections.

        One whose answer came before the end of its body still has bytes to send that nobody
        reads; asyncio would keep it open until the registry loses patience.
        """
        await self._session.close()
        left = [sock for sock in self._sockets if sock.fileno() != -1]
        for sock in left:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        async with asyncio.timeout(30):
            while any(sock.fileno() != -1 for sock in left):
                await asyncio.sleep(0.01)

    async def send(
        self,
        call: Call,
        headers: CIMultiDict[str],
        body: ClientBody | bytes | None,
        ledger: Ledger,
        *,
        serialise: bool,
    ) -> Landed:
        """Pass `call` on and return the answer: complete for a write, only the head for a read.

        Raises `ClientGoneError` if the client broke off its body, `BodyCutError` if we did,
        `aiohttp.ClientError` or `OSError` if the registry cannot be reached.
        """
        guarded = serialise and (call.step in _LINKS or bool(call.mount_from))
        turn = _Turn(self._locks[call.repository] if guarded else None)
        write = call.step in WRITES
        ledger.sent(+write)
        try:
            if isinstance(body, ClientBody):
                response = await self._request(call, headers, body.passed_on(turn))
            else:
                await turn.take()
                response = await self._request(call, headers, body)
            return await _landed(response, read_body=write)
        except aiohttp.ClientError as error:
            if isinstance(body, ClientBody) and body.ended_by is not None:
                raise body.ended_by from error
            raise
        finally:
            ledger.sent(-write)
            turn.end()

    async def digest_of(self, repository: str, reference: str) -> str:
        """Return the digest that `reference` names now, empty if it names nothing."""
        path = f"/v2/{repository}/manifests/{reference}"
        call = Call(step=Step.MANIFEST_HEAD, method="HEAD", path=path, repository=repository)
        headers = CIMultiDict({"Accept": _MANIFEST_TYPES})
        landed = await self.send(call, headers, None, Ledger(), serialise=True)
        if landed.stream is not None:
            landed.stream.close()
        return landed.headers.get("Docker-Content-Digest", "") if landed.status == 200 else ""

    def _new_socket(self, address: AddrInfoType) -> socket.socket:
        sock = socket.socket(*address[:3])
        self._sockets.add(sock)
        return sock

    async def _request(
        self, call: Call, headers: CIMultiDict[str], data: AsyncIterator[bytes] | bytes | None
    ) -> aiohttp.ClientResponse:
        headers["Connection"] = "keep-alive"
        return await self._session.request(
            call.method,
            URL(f"http://{self._address}{call.path}", encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
            skip_auto_headers=_AUTOMATIC,
        )


async def _landed(response: aiohttp.ClientResponse, *, read_body: bool) -> Landed:
    headers = end_to_end(response.headers)
    if not read_body:
        return Landed(status=response.status, headers=headers, stream=response)
    async with response:
        return Landed(status=response.status, headers=headers, body=await response.read())

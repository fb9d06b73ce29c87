"""HTTP for this client: bounded answers, three levels of trust, errors as evidence."""

import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    contextmanager,
)
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Self

import httpx2

from ghcr_push import tracing
from ghcr_push.failures import PushError
from ghcr_push.model import Kind
from ghcr_push.references import Digest, is_digest
from ghcr_push.registry.errors import (
    broken,
    broken_proxy,
    failure,
    refusal,
    refused_by_proxy,
    shown,
)
from ghcr_push.registry.proxies import Proxies, Proxy
from ghcr_push.registry.tls import Authorities

MOST_TEXT: Final = 64 * 1024
"""Maximum bytes read of an error's body; an HTML page can have any size."""

WRITTEN: Final = frozenset({200, 201, 202, 204})
"""Statuses of a successful write: the specification says 201, and other clients
(go-containerregistry, containerd) accept all of these."""

_HIGHEST_PORT = 65_535

_PROXY_LOGIN = 407

_READ: Final = 256 << 10
"""Bytes that asyncio reads from a socket in one call (``selector_events``, ``max_size``)."""

_KEEP_ALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}.items()
        if hasattr(socket, name)
    ),
]
"""Notices within a minute that a peer has vanished while an upload, which may take long, waits for
its answer."""

# they log whole URLs and headers, and redirects may lead to signed URLs
_TALKATIVE = (
    "httpx2",
    *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)
_our_request: ContextVar[bool] = ContextVar("our_request", default=False)


def _of_others(_: logging.LogRecord) -> bool:
    """Drop the libraries' log records about our requests; pass all others."""
    return not _our_request.get()


@contextmanager
def _quiet() -> Iterator[None]:
    token = _our_request.set(True)
    try:
        yield
    finally:
        _our_request.reset(token)


class TlsPolicy(Enum):
    """How far a host is trusted without proof of its identity."""

    VERIFIED = "its certificate is checked"
    UNVERIFIED = "any certificate will do, and plain http"
    LOOPBACK = "the same, and no proxy stands between"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimits:
    """Seconds without progress after which a request fails; not a limit on its duration."""

    connect: float = 10.0
    """For TCP and TLS together; the same limit as in docker's engine."""
    transfer: float = 60.0
    """Between two bytes, of the request or of the answer. The wait for an upload's answer is
    limited by the caller only: it comes when the registry has stored all bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The first ``size`` bytes of what ``open`` starts, again for each request.

    ``on_sent`` is called with the number of bytes of each piece when it is sent.
    """

    size: int
    open: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]
    on_sent: Callable[[int], None]


class Incoming:
    """The body of a success, passed on as it arrives; the caller must close it."""

    def __init__(
        self, response: httpx2.Response, broken_by: Callable[[Exception], PushError]
    ) -> None:
        self._response = response
        self._broken_by = broken_by

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the bytes, once; raise ``PushError`` if they end early."""
        try:
            async for chunk in self._response.aiter_bytes():
                yield chunk
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise self._broken_by(error) from error

    async def aclose(self) -> None:
        """Discard the rest."""
        await self._response.aclose()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """An answer with its whole body, or the first 64 KiB of an error's body."""

    request: str
    """Method and URL, as shown in messages."""
    url: httpx2.URL
    status: int
    headers: httpx2.Headers
    body: bytes
    redirected: bool = False
    """Whether it came after a redirect."""
    incoming: Incoming | None = None
    """The body instead, if the caller wants it as it arrives."""
    arrived: float = 0.0
    """The time of day, in seconds since the epoch."""

    @property
    def digest(self) -> Digest | None:
        """The digest that it names in its headers."""
        named = self.headers.get("Docker-Content-Digest", "").strip()
        return Digest(named) if is_digest(named) else None

    def refusal(self) -> PushError:
        """Return the error for an answer other than the expected one."""
        return refusal(self.request, self.status, self.headers, self.body, self.arrived)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Connections:
    """The open connections of a run, one pool per level of trust and proxy.

    Pools are unbounded: the queue limits the requests in flight. The proxies and authorities of
    ``environ`` are used; cookies, automatic redirects and password files are not.
    """

    def __init__(
        self,
        limits: TimeLimits,
        user_agent: str,
        transport: httpx2.AsyncBaseTransport | None,
        environ: Mapping[str, str],
        insecure_registries: frozenset[str] = frozenset(),
        time_of_day: Callable[[], float] = time.time,
    ) -> None:
        self._time_of_day = time_of_day
        self._limits = limits
        self._insecure_registries = insecure_registries
        self._user_agent = user_agent
        self._transport = transport
        self._proxies = Proxies(environ)
        self._authorities = Authorities(environ)
        self._clients: dict[tuple[TlsPolicy, Proxy | None], httpx2.AsyncClient] = {}
        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(_of_others)

    async def aclose(self) -> None:
        """Close all connections."""
        while self._clients:
            _, client = self._clients.popitem()
            await client.aclose()

    def trust_in(self, url: httpx2.URL) -> TlsPolicy:
        """Return how far the host of ``url`` is trusted: Docker's rule for insecure registries."""
        if url.host == "localhost" or _is_loopback(url.host):
            return TlsPolicy.LOOPBACK
        if url.netloc.decode("ascii") in self._insecure_registries:
            return TlsPolicy.UNVERIFIED
        return TlsPolicy.VERIFIED

    async def send(
        self,
        method: str,
        url: httpx2.URL,
        *,
        trust: TlsPolicy | None = None,
        headers: Mapping[str, str],
        content: bytes | Stream | None = None,
        most: int = MOST_TEXT,
        streamed: bool = False,
    ) -> ApiResponse:
        """Send one request and read its answer, of a success at most ``most`` bytes.

        ``trust`` is by default that in the host. ``streamed`` leaves the body of a success to the
        caller. Raises ``PushError`` if no complete
        answer came; any status is an answer.
        """
        url = url.copy_with(username=None, password=None, fragment=None)
        asked = f"{method} {shown(url)}"
        if url.port is not None and url.port > _HIGHEST_PORT:
            raise failure(f"{asked}: there is no port {url.port}", Kind.HOST_UNKNOWN)
        trust = trust or self.trust_in(url)
        proxy = None if trust is TlsPolicy.LOOPBACK else self._proxies.before(url)
        client = self._client(trust, proxy)

        def broken_by(error: Exception) -> PushError:
            refused = broken_proxy(asked, error, proxy) if proxy is not None else None
            return refused or broken(asked, error, self._authorities.faults)

        incoming, body = None, b""
        try:
            with tracing.request(method, str(url)) as made, _quiet():
                async with AsyncExitStack() as stack:
                    request = client.build_request(
                        method,
                        url,
                        headers=_sized(headers, content),
                        content=await _sent(content, made, stack),
                        timeout=self._timeout(uploads=isinstance(content, Stream)),
                    )
                    response = await client.send(request, stream=True)
                made.status = response.status_code
                if streamed and response.is_success:
                    incoming = Incoming(response, broken_by)
                else:
                    body = await _body(response, asked, most)
                    made.received = len(body)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise broken_by(error) from error
        if proxy is not None and response.status_code == _PROXY_LOGIN:
            raise refused_by_proxy(asked, f"{response.status_code} {response.reason_phrase}", proxy)
        return ApiResponse(
            request=asked,
            url=url,
            status=response.status_code,
            headers=response.headers,
            body=body,
            incoming=incoming,
            arrived=self._time_of_day(),
        )

    def _timeout(self, *, uploads: bool) -> httpx2.Timeout:
        each = self._limits.transfer
        answer = None if uploads else each
        return httpx2.Timeout(connect=self._limits.connect, write=each, read=answer, pool=None)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._authorities.verifying()

    def _through(self, proxy: Proxy) -> httpx2.Proxy:
        own_tls = proxy.url.scheme == "https"
        return httpx2.Proxy(proxy.url, ssl_context=self._tls if own_tls else None)

    def _client(self, trust: TlsPolicy, proxy: Proxy | None) -> httpx2.AsyncClient:
        key = trust, proxy
        if key not in self._clients:
            transport = self._transport or self._new_transport(trust, proxy)
            self._clients[key] = httpx2.AsyncClient(
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                trust_env=False,
                transport=transport,
            )
        return self._clients[key]

    def _new_transport(self, trust: TlsPolicy, proxy: Proxy | None) -> httpx2.AsyncHTTPTransport:
        _read_large_pieces()
        checked = trust is TlsPolicy.VERIFIED
        try:
            return httpx2.AsyncHTTPTransport(
                verify=self._tls if checked else httpx2.create_ssl_context(verify=False),
                trust_env=False,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
                proxy=None if proxy is None else self._through(proxy),
                socket_options=_KEEP_ALIVE,
            )
        except (ValueError, ImportError, httpx2.InvalidURL) as error:
            # the text may contain the proxy's password
            raise failure(
                f"{proxy.variable if proxy else 'the environment'} names a proxy that cannot be "
                "used: give an http:// or https:// URL",
                Kind.PROXY,
            ) from error


def _read_large_pieces() -> None:
    """Make the library read as much as asyncio returns at once, instead of a quarter.

    Each piece has a fixed cost: copying 512 MiB between registries took 3.2 s of processor time
    before and 2.2 s after.
    """
    import httpcore2  # noqa: PLC0415 - the transport imports it too, but not before it is made

    httpcore2.AsyncHTTP11Connection.READ_NUM_BYTES = _READ


def _sized(headers: Mapping[str, str], content: bytes | Stream | None) -> dict[str, str]:
    """Add the length of a stream, which the library does not know."""
    length = {"Content-Length": str(content.size)} if isinstance(content, Stream) else {}
    return {**headers, **length}


async def _sent(
    content: bytes | Stream | None, made: tracing.Request, stack: AsyncExitStack
) -> bytes | AsyncIterator[bytes] | None:
    """Return the body to send, counted as it is sent; ``stack`` closes a stream."""
    if isinstance(content, Stream):
        return _StreamBody(content, await stack.enter_async_context(content.open()), made)
    made.sent = len(content or b"")
    return content


class _StreamBody:
    """Chunks to send; not a generator, since those must be closed if not read to the end."""

    def __init__(self, stream: Stream, chunks: AsyncIterator[bytes], made: tracing.Request) -> None:
        self._stream = stream
        self._chunks = chunks
        self._made = made

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        left = self._stream.size - self._made.sent
        if not left:
            raise StopAsyncIteration
        chunk = (await anext(self._chunks))[:left]
        self._made.sent += len(chunk)
        self._stream.on_sent(len(chunk))
        return chunk


async def _body(response: httpx2.Response, asked: str, most: int) -> bytes:
    """Read a success completely, an error up to the limit; close the response."""
    body = bytearray()
    bound = most if response.is_success else MOST_TEXT
    async with aclosing(response), aclosing(response.aiter_bytes()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > bound:
                break
    if len(body) > bound and response.is_success:
        raise failure(f"{asked}: the answer is larger than {most} bytes", Kind.TOO_LARGE)
    return bytes(body[:bound])

"""The engine's API, for questions that the docker command cannot ask.

A socket or plain TCP is contacted directly; otherwise (TLS, ssh, a context) through ``docker system
dial-stdio``, which connects like every other docker command.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from socket import socket
from subprocess import PIPE
from typing import Final, cast

import anyio
import httpx2
from anyio.abc import Process

from ghcr_push import tracing
from ghcr_push.documents import Document, Fields, as_dict, as_list, json_object
from ghcr_push.engine.command import SHORT_CALL_LIMIT, DockerCommand, no_engine, not_started
from ghcr_push.failures import Origin, PushError
from ghcr_push.model import Descriptor, Kind
from ghcr_push.references import Digest, Repository

DEFAULT_SOCKET: Final = "unix:///var/run/docker.sock"

_LARGEST_ANSWER: Final = 4 << 20

_NOT_FOUND: Final = 404
_NOTHING_THERE: Final = re.compile(
    r"(?:manifest|name) unknown\b|\b(?:repository|artifact|manifest|tag) .{1,300} not found\b",
    re.IGNORECASE,
)
"""How engines report a tag that does not exist: the registry's code, or their own words."""


class EngineApi:
    """The API of the engine behind ``command``; ``authorizations`` are ``X-Registry-Auth``."""

    def __init__(self, command: DockerCommand, authorizations: Mapping[str, str]) -> None:
        self._command = command
        self._authorizations = authorizations

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Have the engine ask the registry (``GET /distribution/{name}/json``) for a tag."""
        value = self._authorizations.get(repository.registry)
        headers = {"X-Registry-Auth": value} if value else dict[str, str]()
        return _described(await self._get(f"/distribution/{repository}:{reference}/json", headers))

    async def manifests(self, image: str) -> list[Document]:
        """Return the engine's list of an image's manifests; nothing before engine 28."""
        answer = await self._get(f"/images/{image}/json?manifests=1", {})
        described = json_object(answer.content) if answer.is_success else None
        return as_list((described or {}).get("Manifests"))

    async def is_complete(self, image: str) -> bool:
        """Return whether the engine has all parts of an image, as far as it says (from 28 on)."""
        try:
            return all(each["Available"] for each in await self.manifests(image))
        except (PushError, KeyError, TypeError):
            return True  # reading the image will show it

    async def _get(self, path: str, headers: Mapping[str, str]) -> httpx2.Response:
        base, transport = self._way()
        try:
            with anyio.fail_after(SHORT_CALL_LIMIT):
                async with httpx2.AsyncClient(
                    transport=transport, timeout=SHORT_CALL_LIMIT, trust_env=False
                ) as client:
                    with tracing.request("GET", f"{base}{path}") as made:
                        answer = await client.get(f"{base}{path}", headers=headers)
                        made.status, made.received = answer.status_code, len(answer.content)
                    return answer
        except (httpx2.HTTPError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise no_engine(f"the engine did not answer: {reason}") from error

    def _way(self) -> tuple[str, httpx2.AsyncBaseTransport | None]:
        environ = self._command.environ
        host = environ.get("DOCKER_HOST") or DEFAULT_SOCKET
        scheme, _, rest = host.partition("://")
        plain = not environ.get("DOCKER_TLS_VERIFY") and not environ.get("DOCKER_TLS")
        named = bool(environ.get("DOCKER_CONTEXT")) and not environ.get("DOCKER_HOST")
        if scheme == "unix" and not named:
            return "http://engine", httpx2.AsyncHTTPTransport(uds=rest)
        if scheme == "tcp" and plain:
            return f"http://{rest}", None
        return "http://engine", _DialStdio(self._command)


class _DialStdio(httpx2.AsyncBaseTransport):
    """One request at a time over the standard streams of ``docker system dial-stdio``."""

    def __init__(self, command: DockerCommand) -> None:
        self._command = command

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request`` and read its whole answer."""
        async with self._connected() as process:
            if process.stdin is None or process.stdout is None:
                raise no_engine("docker system dial-stdio has no streams")
            try:
                await process.stdin.send(_written(request))
                answer = bytearray()
                async for piece in process.stdout:
                    answer += piece
                    if len(answer) > _LARGEST_ANSWER:
                        raise no_engine("the engine's answer is too large")
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # its standard error has the reason
            if not answer:
                said = await process.stderr.receive() if process.stderr else b""
                raise PushError.of(Origin.STORE, said.decode(errors="replace").strip())
        return _read(bytes(answer))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Process]:
        words = self._command.words("system", "dial-stdio")
        try:
            process = await anyio.open_process(
                words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self._command.environ
            )
        except (OSError, ValueError) as error:
            raise not_started(error) from error
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.aclose()


def _written(request: httpx2.Request) -> bytes:
    """Return a request without a body that asks to close the connection after the answer."""
    kept = {name: value for name, value in request.headers.items() if name != "connection"}
    lines = [
        f"{request.method} {request.url.raw_path.decode('ascii')} HTTP/1.1",
        *(f"{name}: {value}" for name, value in kept.items()),
        "connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


class _Bytes:
    """The part of a socket that ``http.client`` needs."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _: str) -> BytesIO:
        return BytesIO(self._raw)


def _read(raw: bytes) -> httpx2.Response:
    response = HTTPResponse(cast("socket", _Bytes(raw)))  # all that it calls is ``makefile``
    try:
        response.begin()
        content = response.read()
    except (HTTPException, OSError) as error:
        raise no_engine("the engine's answer is not HTTP") from error
    return httpx2.Response(response.status, content=content)


def _described(answer: httpx2.Response) -> Descriptor | None:
    """Parse the engine's description of a tag; None if the registry has no such tag."""
    said = json_object(answer.content) or {}
    if answer.is_success:
        return _descriptor(as_dict(said.get("Descriptor")))
    message = str(said.get("message") or answer.text[:2000]).strip()
    if answer.status_code == _NOT_FOUND:
        if _NOTHING_THERE.search(message):
            return None
        refused = f"the engine does not read registries for us: 404 {message}"
        raise PushError.of(Origin.STORE, refused, Kind.ENGINE_REFUSED)
    raise PushError.of(Origin.ENGINE, message)


def _descriptor(fields: Fields) -> Descriptor:
    try:
        return Descriptor(
            str(fields["mediaType"]), Digest(str(fields["digest"])), int(fields["size"])
        )
    except (KeyError, TypeError, ValueError) as error:
        message = f"the engine's answer about a tag cannot be read: {fields!r:.200}"
        raise PushError.of(Origin.STORE, message) from error

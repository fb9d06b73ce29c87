"""Sends answers to a client, complete or broken as configured."""

import asyncio
import socket
import struct

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from tests.support.front.answers import Answer
from tests.support.front.upstream import ClientGoneError, Landed, welcome

_LOST_BYTES = 64
"""Length announced by an answer that breaks off midway and has no body to halve."""


async def dawdle(request: web.BaseRequest, answer: Answer) -> None:
    """Wait for the delay of `answer`; one that hangs ends with `ClientGoneError`."""
    await asyncio.sleep(answer.delay)
    if answer.connection != "hang":
        return
    await welcome(request)
    try:
        # A body left unread would stop the reading from the socket, and with it the news
        # that the client has gone.
        async for _ in request.content.iter_any():
            pass
    except (OSError, aiohttp.ClientError, web.RequestPayloadError) as error:
        raise ClientGoneError from error
    while not _gone(request):
        await asyncio.sleep(0.1)
    raise ClientGoneError


async def send_answer(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """Send an answer of the front's own."""
    headers = CIMultiDict(answer.headers)
    body = answer.body.encode()
    if answer.connection in ("close", "reset"):
        _cut(request, reset=answer.connection == "reset")
        return web.StreamResponse(status=answer.status)
    if answer.connection == "midway":
        headers["Content-Length"] = str(len(body) or _LOST_BYTES)
        response = await _begun(request, answer.status, headers)
        await response.write(body[: len(body) // 2])
        _cut(request, reset=False)
        return response
    return await send_landed(request, Landed(status=answer.status, headers=headers, body=body))


async def send_landed(request: web.BaseRequest, landed: Landed) -> web.StreamResponse:
    """Send the registry's answer unchanged; raises ``ClientGoneError`` if the client is gone."""
    if landed.stream is None and request.method != "HEAD":
        landed.headers["Content-Length"] = str(len(landed.body))
    try:
        response = await _begun(request, landed.status, landed.headers)
        if request.method != "HEAD":
            if landed.body:
                await response.write(landed.body)
            if landed.stream is not None:
                async for piece in landed.stream.content.iter_any():
                    await response.write(piece)
        await response.write_eof()
    except ConnectionResetError as error:
        raise ClientGoneError from error
    finally:
        if landed.stream is not None:
            landed.stream.close()
    return response


async def _begun(
    request: web.BaseRequest, status: int, headers: CIMultiDict[str]
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    await response.prepare(request)
    return response


def _gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _cut(request: web.BaseRequest, *, reset: bool) -> None:
    """End the connection: by a reset at once, else after everything written has been sent."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()

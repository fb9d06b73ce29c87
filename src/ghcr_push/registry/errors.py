"""Errors of a request as evidence: refusals, and answers that never came."""

import errno
import json
import math
import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx2

from ghcr_push.documents import as_list, json_object
from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.failures.error_text import with_phrase
from ghcr_push.model import Kind
from ghcr_push.registry.proxies import Proxy

_LONGEST_DETAIL = 300
"""Characters; a detail is a hint such as a missing digest, not a document."""


class ConnectError(PushError):
    """No connection was made, so nothing was sent."""


def shown(url: httpx2.URL) -> str:
    """Return ``url`` for messages: without user, password, query and fragment."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))


def failure(message: str, kind: Kind | None = None, status: int | None = None) -> PushError:
    """Return an error about the registry in our own words."""
    return PushError(
        ErrorInfo(origin=Origin.REGISTRY, message=message, kind=kind, status=status),
    )


def refusal(
    request: str, status: int, headers: httpx2.Headers, body: bytes, now: float
) -> PushError:
    """Return the error for an answer other than the expected one.

    ``request`` is method and shown URL, ``now`` the time of day in seconds since the epoch. The
    message is the registry's own: the texts of its error list if the body is one
    (distribution-spec, "Error Codes"), else the body as it is, or our words if it is empty.
    """
    text = body.decode(errors="replace").strip()
    code, message = _error_list(text)
    return PushError(
        ErrorInfo(
            origin=Origin.REGISTRY,
            status=status,
            code=code,
            message=message or text or _no_text(request, status),
            retry_after=retry_after(headers.get("Retry-After"), now),
            details=_full_answer(request, status, headers, text),
        )
    )


_TELLING = (
    "Server",
    "Via",
    "Date",
    "Content-Type",
    "Content-Length",
    "Retry-After",
    "WWW-Authenticate",
    "Docker-Distribution-Api-Version",
    "X-GitHub-Request-Id",
    "X-Request-Id",
    "X-Amzn-RequestId",
    "X-Ms-Correlation-Request-Id",
    "CF-Ray",
)
"""Headers that say who answered and identify the request in their logs; none has a secret."""

_MOST_OF_A_BODY = 2_000


def _full_answer(request: str, status: int, headers: httpx2.Headers, text: str) -> str:
    """Return an answer in full, for a maintainer."""
    shown = [f"{name}: {headers[name]}" for name in _TELLING if name in headers]
    more = " ..." if len(text) > _MOST_OF_A_BODY else ""
    return "\n".join(
        [request, f"HTTP {with_phrase(status)}", *shown, "", text[:_MOST_OF_A_BODY] + more]
    )


def _error_list(text: str) -> tuple[str | None, str]:
    """Return the first code and all texts of an error list; empty if the body is none."""
    listed = (json_object(text) or {}).get("errors")
    errors = [error for error in as_list(listed) if isinstance(error, dict)]
    codes = [error["code"] for error in errors if isinstance(error.get("code"), str)]
    texts = dict.fromkeys(filter(None, map(_text, errors)))
    return next(iter(codes), None), "\n".join(texts)


def _text(error: dict[str, object]) -> str:
    message, detail = error.get("message"), error.get("detail")
    said = message if isinstance(message, str) and message else ""
    said = said or str(error.get("code") or "").lower().replace("_", " ")
    if isinstance(detail, dict) and len(detail) > 1:
        # the specification's text for the code, which zot sends before the actual reason
        detail = {name: value for name, value in detail.items() if name != "description"}
    hint = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)
    if isinstance(detail, str | dict) and detail and len(hint) <= _LONGEST_DETAIL:
        return f"{said} ({hint})"
    return said


def _no_text(request: str, status: int) -> str:
    method = request.partition(" ")[0]
    why = "answers to HEAD have no text" if method == "HEAD" else "without a text"
    return f"{request}: {with_phrase(status)}, {why}"


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait; None if it has none.

    RFC 9110, section 10.2.3: seconds, or a date; a past date means no wait. Fractions of a second
    are not in the RFC, but some servers send them.
    """
    text = (value or "").strip()
    if text and text.isascii() and text.replace(".", "", 1).isdigit():
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    try:
        date = parsedate_to_datetime(text)
        # HTTP dates are GMT, also in the old format that does not say so
        moment = date.replace(tzinfo=date.tzinfo or UTC).timestamp()
        return max(0.0, moment - now)
    except (ValueError, OverflowError):
        return None


def broken_proxy(request: str, error: Exception, proxy: Proxy) -> PushError | None:
    """Return the error for a request that failed at ``proxy``; None if it failed beyond it."""
    if isinstance(error, httpx2.ProxyError):
        return refused_by_proxy(request, str(error), proxy)
    untrusted = any(isinstance(cause, ssl.SSLError) for cause in _causes(error))
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout) and not untrusted:
        _, reason = _no_connection(error)
        return _at_proxy(request, f"cannot be reached: {reason}", proxy, Kind.PROXY)
    return None


def refused_by_proxy(request: str, said: str, proxy: Proxy) -> PushError:
    """Return the error for an answer of ``proxy``, such as ``407 Proxy Authentication Required``.

    A 5xx usually means that it cannot reach the registry now. For other statuses the table of
    failures decides; they are only in the text, since no registry answered.
    """
    kind = Kind.NETWORK if said.startswith("5") else None
    return _at_proxy(request, f"refused: {said}", proxy, kind)


def _at_proxy(request: str, what: str, proxy: Proxy, kind: Kind | None) -> PushError:
    message = f"{request}: {proxy}, which {proxy.variable} names, {what}"
    return ConnectError(ErrorInfo(origin=Origin.REGISTRY, message=message, kind=kind))


def broken(request: str, error: Exception, notes: Iterable[str] = ()) -> PushError:
    """Return the error for a request with no answer or an incomplete one.

    ``notes`` explain an untrusted certificate.
    """
    raised: type[PushError] = PushError
    kind: Kind | None
    if isinstance(error, httpx2.TimeoutException):
        if isinstance(error, httpx2.ConnectTimeout):
            raised = ConnectError
        kind, reason = Kind.TIMEOUT, _reason(error)
    elif isinstance(error, httpx2.ConnectError):
        raised = ConnectError
        kind, reason = _no_connection(error)
        if kind is Kind.CERTIFICATE:
            reason = "; ".join([reason, *notes])
    else:
        # a connection that breaks during the answer: the request may have taken effect
        kind = Kind.NETWORK if isinstance(error, httpx2.TransportError) else None
        reason = _reason(error)
    message = f"{request}: {reason}"
    causes = "\n".join(f"{type(each).__name__}: {each}" for each in _causes(error))
    return raised(
        ErrorInfo(
            origin=Origin.REGISTRY,
            message=message,
            kind=kind,
            unconnected=raised is ConnectError and _is_unreachable(error),
            details=f"{message}\n{causes}",
        )
    )


_NOBODY_LISTENS = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})


def _is_unreachable(error: Exception) -> bool:
    """Return whether the host is unknown, nothing listens there, or there is no route."""
    return any(
        cause.errno != socket.EAI_AGAIN
        if isinstance(cause, socket.gaierror)
        else isinstance(cause, OSError) and cause.errno in _NOBODY_LISTENS
        for cause in _causes(error)
    )


_DOING = {httpx2.ConnectTimeout: "connecting", httpx2.WriteTimeout: "sending"}
"""What a request was doing when it timed out, if it was not waiting for the answer."""

_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
"""How OpenSSL reports an answer in plain http, which is not a certificate error."""


def _no_connection(error: Exception) -> tuple[Kind | None, str]:
    """Classify the underlying error: the libraries wrap it, and sometimes lose its text."""
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            # EAI_AGAIN means a failing name server; all others mean that the host does not exist
            unknown = cause.errno != socket.EAI_AGAIN
            return (
                Kind.HOST_UNKNOWN if unknown else Kind.NETWORK
            ), cause.strerror or "no such host"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Kind.CERTIFICATE, f"certificate verify failed: {cause.verify_message}"
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Kind.NETWORK, "the connection was closed during the TLS handshake"
        if isinstance(cause, ssl.SSLError):
            reason = cause.reason or "UNKNOWN_REASON"
            kind = None if reason in _NOT_TLS else Kind.CERTIFICATE
            return kind, f"TLS handshake failed: {reason.lower().replace('_', ' ')}"
    return Kind.NETWORK, _reason(error)


def _reason(error: Exception) -> str:
    """Return the system's error text if there is one, else the library's."""
    if isinstance(error, httpx2.TimeoutException):
        return f"timed out while {_DOING.get(type(error), 'waiting for the answer')}"
    numbers = [cause.errno for cause in _causes(error) if isinstance(cause, OSError)]
    number = next(filter(None, reversed(numbers)), None)
    if number is not None and number in _SYSTEM_ERRORS:
        return os.strerror(number).lower()
    return str(error) or type(error).__name__


_SYSTEM_ERRORS = range(1, 1024)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and its causes; of a group (one error per address) the first."""
    following: BaseException | None = error
    while following is not None:
        yield following
        inner = following.exceptions[0] if isinstance(following, BaseExceptionGroup) else None
        following = inner or following.__cause__ or following.__context__

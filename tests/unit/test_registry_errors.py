"""Errors made from refusals, and from requests without an answer."""

import errno
import json
import socket
import ssl
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.failures import ErrorInfo, classify
from ghcr_push.model import Kind
from ghcr_push.registry.errors import ConnectError, broken, refusal, retry_after, shown

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()


def refused(
    body: bytes = b"", status: int = 403, method: str = "PUT", headers: dict[str, str] | None = None
) -> ErrorInfo:
    error = refusal(
        request=f"{method} https://ghcr.io/v2/a/b/manifests/v1",
        status=status,
        headers=httpx2.Headers(headers or {}),
        body=body,
        now=NOW,
    )
    return error.evidence


def error_list(*errors: object) -> bytes:
    return json.dumps({"errors": errors}).encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("Sat, 21 Nov 2026 12:01:30 GMT", 90),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30),
        ("Sat Nov 21 12:00:10 2026", 10),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("-1", None),
        ("1e9", None),
        ("nan", None),
        (".", None),
        ("soon", None),
        ("²", None),
        ("9" * 400, None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after(value, NOW) == expected


@given(st.integers(min_value=0, max_value=10**9))
def test_retry_after_reads_every_date(seconds: int) -> None:
    date = datetime.fromtimestamp(NOW + seconds, UTC)
    assert retry_after(format_datetime(date, usegmt=True), NOW) == seconds


@given(st.text())
def test_retry_after_takes_any_text(text: str) -> None:
    wait = retry_after(text, NOW)
    assert wait is None or wait >= 0


def test_the_registrys_own_words_are_kept() -> None:
    body = error_list({"code": "DENIED", "message": "permission_denied: write_package"})
    evidence = refused(body, headers={"Retry-After": "3"})
    assert (evidence.status, evidence.code) == (403, "DENIED")
    assert evidence.message == "permission_denied: write_package"
    assert evidence.retry_after == 3


def test_several_errors_are_joined_and_the_first_code_counts() -> None:
    evidence = refused(
        error_list(
            {"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown", "detail": "sha256:aa"},
            "no error",
            {"code": "SIZE_INVALID"},
            {"message": "and another"},
        )
    )
    assert evidence.code == "MANIFEST_BLOB_UNKNOWN"
    assert evidence.message == "blob unknown (sha256:aa)\nsize invalid\nand another"


def test_a_detail_is_shown_if_it_is_short() -> None:
    long = refused(error_list({"code": "X", "message": "m", "detail": "d" * 500}))
    object_ = refused(error_list({"code": "X", "message": "m", "detail": {"Tag": "v1"}}))
    assert (long.message, object_.message) == ("m", 'm ({"Tag": "v1"})')


def test_a_detail_shows_the_reason_and_not_the_meaning_of_the_code() -> None:
    """Zot sends both; Artifactory puts its reason where others explain the code."""
    both = {"description": "During upload, manifests undergo checks. " * 6, "reason": "too old"}
    zot = refused(error_list({"code": "MANIFEST_INVALID", "message": "m", "detail": both}))
    one = refused(error_list({"code": "X", "message": "m", "detail": {"description": "HTTP 403"}}))
    assert zot.message == 'm ({"reason": "too old"})'
    assert one.message == 'm ({"description": "HTTP 403"})'


@pytest.mark.parametrize(
    "body",
    [
        b"<html>502 Bad Gateway</html>",
        b'{"message": "not the specification\'s form"}',
        b'{"errors": {"code": "DENIED"}}',
        b"[" * 100_000,
        b"plain",
    ],
)
def test_other_bodies_are_kept_as_they_are(body: bytes) -> None:
    assert refused(body).message == body.decode()
    assert refused(body).code is None


def test_bytes_that_are_no_text_are_kept_as_far_as_they_are() -> None:
    assert refused(b"bad \xff gateway").message == "bad \ufffd gateway"


def test_an_answer_without_a_text_says_so() -> None:
    assert refused(b"", 500).message == (
        "PUT https://ghcr.io/v2/a/b/manifests/v1: 500 Internal Server Error, without a text"
    )
    assert refused(b" ", 599).message.endswith("v1: 599, without a text")
    assert refused(b"", 403, "HEAD").message.endswith("403 Forbidden, answers to HEAD have no text")


@given(st.binary(max_size=200), st.integers(min_value=100, max_value=999))
def test_any_body_is_taken(body: bytes, status: int) -> None:
    assert refused(body, status).message


def caused(outer: Exception, *causes: BaseException) -> Exception:
    """Return ``outer`` with a chain of causes, as the libraries raise it."""
    below: BaseException = outer
    for cause in causes:
        below.__cause__ = cause
        below = cause
    return outer


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed")
CERTIFICATE.verify_message = "self-signed certificate"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (httpx2.ConnectTimeout(""), Kind.TIMEOUT, "timed out while connecting"),
        (httpx2.ReadTimeout(""), Kind.TIMEOUT, "timed out while waiting for the answer"),
        (httpx2.WriteTimeout(""), Kind.TIMEOUT, "timed out while sending"),
        (
            caused(
                httpx2.ConnectError("All connection attempts failed"),
                OSError("All connection attempts failed"),
                ExceptionGroup("", [ConnectionRefusedError(111, "Connect call failed")]),
            ),
            Kind.NETWORK,
            "connection refused",
        ),
        (
            caused(httpx2.ConnectError(""), socket.gaierror(socket.EAI_NONAME, "not known")),
            Kind.HOST_UNKNOWN,
            "not known",
        ),
        (
            caused(httpx2.ConnectError(""), socket.gaierror(socket.EAI_AGAIN, "Temporary failure")),
            Kind.NETWORK,
            "Temporary failure",
        ),
        (
            caused(httpx2.ConnectError(""), CERTIFICATE),
            Kind.CERTIFICATE,
            "certificate verify failed: self-signed certificate",
        ),
        (
            caused(httpx2.ConnectError(""), EOFError(), ssl.SSLEOFError(8, "EOF occurred")),
            Kind.NETWORK,
            "the connection was closed during the TLS handshake",
        ),
        (
            caused(httpx2.ConnectError(""), tls("WRONG_VERSION_NUMBER")),
            None,
            "TLS handshake failed: wrong version number",
        ),
        (
            caused(httpx2.ConnectError(""), tls("SSLV3_ALERT_HANDSHAKE_FAILURE")),
            Kind.CERTIFICATE,
            "TLS handshake failed: sslv3 alert handshake failure",
        ),
        (httpx2.ReadError(""), Kind.NETWORK, "ReadError"),
        (
            caused(httpx2.ReadError(""), ConnectionResetError(104, "reset")),
            Kind.NETWORK,
            "connection reset by peer",
        ),
        (httpx2.RemoteProtocolError("Server disconnected"), Kind.NETWORK, "Server disconnected"),
        (httpx2.DecodingError("bad gzip"), None, "bad gzip"),
    ],
)
def test_no_answer_becomes_evidence(error: Exception, kind: Kind | None, words: str) -> None:
    evidence = broken("GET https://ghcr.io/v2/", error).evidence
    assert (evidence.kind, evidence.status) == (kind, None)
    assert evidence.message == f"GET https://ghcr.io/v2/: {words}"


def test_only_a_failure_without_any_connection_is_unconnected() -> None:
    assert isinstance(broken("GET x", httpx2.ConnectError("")), ConnectError)
    assert isinstance(broken("GET x", httpx2.ConnectTimeout("")), ConnectError)
    assert not isinstance(broken("GET x", httpx2.ReadError("")), ConnectError)


@pytest.mark.parametrize(
    ("cause", "nobody"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), True),
        (OSError(errno.EHOSTUNREACH, "no route"), True),
        (OSError(errno.ENETUNREACH, "no network"), True),
        (ExceptionGroup("", [ConnectionRefusedError(errno.ECONNREFUSED, "refused")]), True),
        (socket.gaierror(socket.EAI_NONAME, "not known"), True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), False),
        (ConnectionResetError(errno.ECONNRESET, "reset"), False),
        (ssl.SSLEOFError(8, "EOF occurred"), False),
        (CERTIFICATE, False),
    ],
)
def test_an_unreachable_address_is_distinguished(cause: Exception, nobody: bool) -> None:
    error = caused(httpx2.ConnectError(""), cause)
    assert broken("GET x", error).evidence.unconnected is nobody
    assert classify(broken("GET x", error).evidence).unconnected is nobody


def test_urls_are_shown_without_what_may_be_secret() -> None:
    url = httpx2.URL("https://user:word@ghcr.io:8443/token?account=me&secret=x#part")
    assert shown(url) == "https://ghcr.io:8443/token"

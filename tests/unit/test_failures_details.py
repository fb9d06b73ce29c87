"""An unrecognised failure has details for a maintainer, without secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.failures.classify import MOST_DETAILS
from ghcr_push.failures.secrets import without_secrets
from ghcr_push.model import Kind


def engine(text: str) -> ErrorInfo:
    return ErrorInfo(origin=Origin.ENGINE, message=text)


DETAILS = "PUT https://r.example/v2/o/i/manifests/t\nHTTP 418\nServer: kettle\n\nshort and stout"

NOT_KNOWN = {Kind.UNKNOWN, Kind.ENGINE_ERROR, Kind.INTERNAL}


def evidence(kind: Kind | None = None, status: int = 418, details: str = DETAILS) -> ErrorInfo:
    return ErrorInfo(
        origin=Origin.REGISTRY, message="short", status=status, kind=kind, details=details
    )


@pytest.mark.parametrize("kind", [None, *sorted(NOT_KNOWN)])
def test_an_unknown_failure_keeps_its_details(kind: Kind | None) -> None:
    assert classify(evidence(kind)).details == DETAILS


@pytest.mark.parametrize("kind", sorted(set(Kind) - NOT_KNOWN))
def test_known_failures_have_no_details(kind: Kind) -> None:
    assert classify(evidence(kind)).details is None
    assert classify(evidence(status=500)).details is None


def test_dockers_whole_text_is_kept_if_the_message_is_shorter() -> None:
    text = "Error response from daemon: flux capacitor out of alignment"
    failure = classify(ErrorInfo(origin=Origin.ENGINE, message=text))
    assert failure.message == "flux capacitor out of alignment"
    assert failure.details == text


SECRETS = {
    "a signed address": ("Location: https://s.example/b?sig=abcdef123456&se=2", "abcdef123456"),
    "a password in an address": ("GET https://bot:hunter2hunter2@r.example/v2/", "hunter2hunter2"),
    "a bearer token": ("Authorization: Bearer abcdef.123456-xyz", "abcdef.123456-xyz"),
    "a basic password": ("authorization: Basic b2N0b2NhdDpzM2NyZXQ=", "b2N0b2NhdDpzM2NyZXQ="),
    "a token in JSON": ('{"token": "abcdefabcdef", "expires_in": 300}', "abcdefabcdef"),
    "an access token in JSON": ('{"access_token":"abcdefabcdef"}', "abcdefabcdef"),
    "a password in a form": ("grant_type=password&password=hunter2hunter2", "hunter2hunter2"),
    "a JSON web token": (
        "seen eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJyIn0.c2lnbmF0dXJl here",
        "eyJpc3MiOiJyIn0",
    ),
    "GitHub's token": ("for ghp_0123456789abcdefghij and on", "ghp_0123456789abcdefghij"),
    "the job's token": ("for ghs_0123456789abcdefghij.", "ghs_0123456789abcdefghij"),
    "Docker's token": ("for dckr_pat_0123456789-abcdef", "dckr_pat_0123456789-abcdef"),
    "Amazon's key": ("key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
}


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS)
def test_texts_that_look_like_secrets_are_masked(text: str, secret: str) -> None:
    assert secret not in str(classify(evidence(details=f"{DETAILS}\n{text}")).details)
    assert secret not in classify(engine(f"denied: {text}")).message


def test_texts_that_do_not_look_like_secrets_are_kept() -> None:
    for text in (
        DETAILS,
        'WWW-Authenticate: Bearer realm="https://ghcr.io/token",service="ghcr.io"',
        "X-GitHub-Request-Id: 1234:5678:9ABC",
        "sha256:" + "0a" * 32,
        "failed to fetch oauth token: unexpected status from GET request to https://r2.io/t",
        "authentication token has expired",
        "no basic auth credentials",
        "unauthorized: authentication required",
    ):
        assert without_secrets(text) == text


@given(st.text(), st.integers(0, 3))
def test_details_are_bounded_and_can_be_written(text: str, times: int) -> None:
    failure = classify(evidence(details=text * 10**times))
    details = failure.details or ""
    assert len(details) <= 2 * MOST_DETAILS
    assert details.encode() is not None

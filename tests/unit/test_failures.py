"""The table of failures is total and bounded, and classifies each known wording correctly."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.failure_examples import EXAMPLES as BY_ROW
from tests.support.failure_examples import Example, examples_of

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.failures.classify import MOST_SHOWN, recognised
from ghcr_push.failures.error_text import parse
from ghcr_push.failures.policies import POLICIES
from ghcr_push.failures.rule import Rule
from ghcr_push.failures.rules import RULES
from ghcr_push.model import Kind

EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.rows[0]}-{number}")
    for rule in RULES
    for number, example in enumerate(examples_of(rule))
]


def engine(text: str, *, kind: Kind | None = None, retry_after: float | None = None) -> ErrorInfo:
    return ErrorInfo(origin=Origin.ENGINE, message=text, kind=kind, retry_after=retry_after)


def registry(status: int | None, code: str | None = None, text: str = "") -> ErrorInfo:
    return ErrorInfo(origin=Origin.REGISTRY, message=text, status=status, code=code)


# --- the examples of the table


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_each_example_is_recognised_by_its_own_rule(rule: Rule, example: Example) -> None:
    assert recognised(parse(example.evidence)) is rule


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_each_example_gets_its_rules_classification_and_wait(rule: Rule, example: Example) -> None:
    for after_success, verdict in (
        (False, rule.classification),
        (True, rule.after_success or rule.classification),
    ):
        failure = classify(example.evidence, after_success=after_success)
        assert failure.kind is verdict.kind
        assert failure.advice == (verdict.advice or POLICIES[verdict.kind].advice)
        assert failure.asked_wait == (None if example.wait is None else pytest.approx(example.wait))


def test_every_rule_has_examples_and_they_are_of_no_other() -> None:
    assert list(BY_ROW) == [rule.rows[0] for rule in RULES]
    assert all(map(examples_of, RULES))


def test_every_row_of_the_catalogue_is_in_exactly_one_rule() -> None:
    catalogue = {
        *(f"S{n}" for n in range(1, 23)),
        *(f"T{n}" for n in range(1, 4)),
        *(f"D{n}" for n in range(1, 12)),
        *(f"A{n}" for n in range(1, 6)),
        *(f"N{n}" for n in range(1, 18)),
        *(f"R{n}" for n in range(1, 7)),
        "P1",
        "Q1",
        *(f"L{n}" for n in range(1, 13)),
    }
    rows = [row for rule in RULES for row in rule.rows]
    assert len(rows) == len(set(rows))
    assert catalogue <= set(rows)


# --- the policies of kinds

PERMANENT = {
    Kind.DENIED,
    Kind.UNAUTHORIZED,
    Kind.NAME_REFUSED,
    Kind.TOO_LARGE,
    Kind.MANIFEST_REFUSED,
    Kind.UNSUPPORTED,
    Kind.QUOTA,
    Kind.READ_FORBIDDEN,
    Kind.CERTIFICATE,
    Kind.IMAGE_MISSING,
    Kind.CONTENT_MISSING,
    Kind.SOURCE_INVALID,
    Kind.IMAGE_DAMAGED,
    Kind.ENGINE_UNREACHABLE,
    Kind.ENGINE_REFUSED,
    Kind.DISK_FULL,
    Kind.CREDENTIALS,
    Kind.INPUT,
    Kind.INTERNAL,
    Kind.PROTECTED,
    Kind.OVERTAKEN,
    Kind.TAG_REFUSED,
    Kind.CANCELLED,
    Kind.DEADLINE,
    Kind.FAIL_FAST,
    Kind.HELD_BACK,
}
PRESSURE = {
    Kind.THROTTLED,
    Kind.SECONDARY_LIMIT,
    Kind.SERVER_ERROR,
    Kind.TIMEOUT,
    Kind.NOT_VISIBLE,
    Kind.UNKNOWN,
}
CAPS = {
    Kind.SECONDARY_LIMIT: 6,
    Kind.NOT_VISIBLE: 6,
    Kind.PROXY: 3,
    Kind.AUTH_BLIP: 3,
    Kind.MANGLED: 3,
    Kind.ENGINE_ERROR: 4,
    Kind.UNKNOWN: 4,
    Kind.NOT_FOUND: 2,
    Kind.HOST_UNKNOWN: 2,
}
ABOUT_TAG = {Kind.PROTECTED, Kind.OVERTAKEN, Kind.TAG_REFUSED}


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_that_is_known_already_is_kept_and_treated_by_its_kind(kind: Kind) -> None:
    failure = classify(engine("denied: permission_denied: write_package", kind=kind))
    assert failure.kind is kind
    assert failure.retryable is (kind not in PERMANENT)
    assert failure.pressure is (kind in PRESSURE)
    assert failure.cap == CAPS.get(kind)
    assert failure.holds is (kind is Kind.SECONDARY_LIMIT)
    assert failure.tag_only is (kind in ABOUT_TAG)
    assert failure.counts


@pytest.mark.parametrize("kind", Kind)
def test_only_a_throttle_with_a_named_wait_does_not_count(kind: Kind) -> None:
    failure = classify(engine("retry-after: 12.5ms", kind=kind))
    assert failure.counts is (kind not in {Kind.THROTTLED, Kind.SECONDARY_LIMIT})


# --- order, and an earlier success

SECONDARY = "permission_denied: You have exceeded a secondary rate limit. write_package denied"


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        pytest.param(engine(f"denied: {SECONDARY}"), Kind.SECONDARY_LIMIT, id="before denied"),
        pytest.param(registry(403, "DENIED", SECONDARY), Kind.SECONDARY_LIMIT, id="before 403"),
        pytest.param(registry(429, None, SECONDARY), Kind.SECONDARY_LIMIT, id="before 429"),
        pytest.param(
            engine("denied: retry-after: 5ms, allowed: 2000/minute"),
            Kind.THROTTLED,
            id="throttle before denied",
        ),
        pytest.param(
            registry(403, "DENIED", "permission_denied: write_package"),
            Kind.DENIED,
            id="hard refusal before bare 403",
        ),
        pytest.param(
            registry(500, "UNKNOWN", "write failed: no space left on device"),
            Kind.SERVER_ERROR,
            id="the registry's disk is not ours",
        ),
        pytest.param(
            engine("error from registry: no space left on device"),
            Kind.SERVER_ERROR,
            id="nor when docker tells of it",
        ),
        pytest.param(
            registry(502, None, "dial tcp: lookup backend: no such host"),
            Kind.SERVER_ERROR,
            id="the registry's resolver is not ours",
        ),
    ],
)
def test_the_order_of_the_rules_decides(evidence: ErrorInfo, kind: Kind) -> None:
    assert classify(evidence).kind is kind


WITNESSED = {
    "D3": "denied: permission_denied: write_package",
    "D6": "denied: permission_denied: something_else",
    "D1": "denied: denied",
    "A1": "unauthorized: unauthenticated: User cannot be authenticated with the token provided.",
    "A2": "unauthorized: authentication required",
    "A3": "denied: requested access to the resource is denied",
}


@pytest.mark.parametrize("text", WITNESSED.values(), ids=WITNESSED)
def test_a_refusal_after_a_success_in_the_same_repository_is_tried_again(text: str) -> None:
    failure = classify(engine(text), after_success=True)
    assert failure.kind is Kind.AUTH_BLIP
    assert failure.retryable
    assert failure.cap == 3


@pytest.mark.parametrize(
    "text",
    [
        "denied: installation not allowed to Create organization package",
        "denied: permission_denied: The requested installation does not exist.",
        "tag does not exist: ghcr.io/o/i:t",
    ],
)
def test_some_refusals_are_permanent_even_after_a_success(text: str) -> None:
    assert not classify(engine(text), after_success=True).retryable


def test_a_layer_accepted_in_the_same_push_counts_as_a_success_before() -> None:
    progress = "The push refers to repository [ghcr.io/o/i]\n0123456789ab: {}\n"
    refused = "unauthorized: authentication required"
    assert classify(engine(progress.format("Pushed") + refused)).kind is Kind.AUTH_BLIP
    assert classify(engine(progress.format("Waiting") + refused)).kind is Kind.UNAUTHORIZED


@pytest.mark.parametrize(
    "text",
    [
        "Error response from daemon: flux capacitor out of alignment",
        "unexpected EOF",
        "received unexpected HTTP status: 500 Internal Server Error",
        "denied: requested access to the resource is denied",
        "",
    ],
)
def test_an_engines_error_about_its_images_is_never_attributed_to_the_registry(text: str) -> None:
    failure = classify(ErrorInfo(origin=Origin.STORE, message=text))
    assert failure.kind is Kind.ENGINE_ERROR
    assert not failure.pressure


def test_an_answer_of_the_engine_in_json_is_shown_without_it() -> None:
    text = 'Error response from daemon: {"message":"client version 1.20 is too old"}'
    assert classify(engine(text)).message == "client version 1.20 is too old"


# --- codes and statuses that contradict each other

SPEC_CODES = {
    "BLOB_UNKNOWN": Kind.NOT_VISIBLE,
    "BLOB_UPLOAD_INVALID": Kind.NOT_VISIBLE,
    "BLOB_UPLOAD_UNKNOWN": Kind.NOT_VISIBLE,
    "DENIED": Kind.AUTH_BLIP,
    "DIGEST_INVALID": Kind.MANGLED,
    "MANIFEST_BLOB_UNKNOWN": Kind.NOT_VISIBLE,
    "MANIFEST_INVALID": Kind.MANIFEST_REFUSED,
    "MANIFEST_UNKNOWN": Kind.NOT_VISIBLE,
    "NAME_INVALID": Kind.NAME_REFUSED,
    "NAME_UNKNOWN": Kind.NOT_FOUND,
    "SIZE_INVALID": Kind.MANGLED,
    "TAG_INVALID": Kind.TAG_REFUSED,
    "TOOMANYREQUESTS": Kind.THROTTLED,
    "UNAUTHORIZED": Kind.UNAUTHORIZED,
    "UNSUPPORTED": Kind.UNSUPPORTED,
}


@pytest.mark.parametrize("status", [400, 403, 405, 409, 422])
@pytest.mark.parametrize("code", SPEC_CODES)
def test_a_code_of_the_specification_is_believed_with_any_status(code: str, status: int) -> None:
    kind = SPEC_CODES[code]
    assert classify(registry(status, code, "no words that anybody knows")).kind is kind


@pytest.mark.parametrize("code", ["DENIED", "UNAUTHORIZED", "NAME_INVALID", "MANIFEST_INVALID"])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524, 530])
def test_a_refusal_with_a_5xx_status_is_retried(code: str, status: int) -> None:
    failure = classify(registry(status, code, "no words that anybody knows"))
    assert failure.kind is Kind.SERVER_ERROR
    assert failure.retryable


@pytest.mark.parametrize(
    ("status", "kind", "cap"),
    [
        (402, Kind.QUOTA, None),
        (406, Kind.MANIFEST_REFUSED, None),
        (409, Kind.NOT_VISIBLE, 3),
        (410, Kind.NOT_FOUND, 2),
        (411, Kind.UNSUPPORTED, None),
        (412, Kind.READ_FORBIDDEN, None),
        (414, Kind.TOO_LARGE, None),
        (416, Kind.NOT_VISIBLE, 6),
        (421, Kind.SERVER_ERROR, None),
        (423, Kind.TAG_REFUSED, None),
        (425, Kind.SERVER_ERROR, None),
        (431, Kind.TOO_LARGE, None),
        (451, Kind.DENIED, None),
        (501, Kind.UNSUPPORTED, None),
        (507, Kind.QUOTA, None),
        (511, Kind.UNSUPPORTED, 2),
        (523, Kind.SERVER_ERROR, None),
    ],
)
def test_a_status_alone_decides(status: int, kind: Kind, cap: int | None) -> None:
    failure = classify(registry(status))
    assert (failure.kind, failure.cap) == (kind, cap)


def test_bytes_that_are_held_and_called_invalid_are_tried_again() -> None:
    invalid = registry(400, "MANIFEST_INVALID", "manifest invalid")
    assert not classify(invalid).retryable
    again = classify(invalid, already_there=True)
    assert again.kind is Kind.MANIFEST_REFUSED
    assert (again.retryable, again.cap) == (True, 3)
    assert not again.pressure


@pytest.mark.parametrize(
    "evidence",
    [
        registry(400, "MANIFEST_INVALID", "The repository has enabled tag immutability"),
        registry(400, "MANIFEST_INVALID", "cannot update tag 1: it is immutable"),
    ],
)
def test_a_tag_that_cannot_be_moved_stays_so_though_its_bytes_are_held(evidence: ErrorInfo) -> None:
    failure = classify(evidence, after_success=True, already_there=True)
    assert failure.kind is Kind.TAG_REFUSED
    assert not failure.retryable


# --- texts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            """The push refers to repository [ghcr.io/o/i]
0123456789ab: Preparing
0123456789ab: Retrying in 5 seconds
Error response from daemon: received unexpected HTTP status: 502 Bad Gateway
""",
            "received unexpected HTTP status: 502 Bad Gateway",
        ),
        ("Error response from daemon: error from registry: unknown: boom", "boom"),
        ("unknown: \n", "unknown:"),
        ("0123456789ab: Pushed\n", "0123456789ab: Pushed"),
        ("errors:\ndenied: a\nunauthorized: b\n", "errors:\ndenied: a\nunauthorized: b"),
        ("", "no answer and no text"),
        ("a \udcff b", "a \ufffd b"),
    ],
)
def test_the_message_is_the_useful_part(text: str, message: str) -> None:
    assert classify(engine(text)).message == message


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        (registry(502), "HTTP 502 Bad Gateway, without a text"),
        (registry(599), "HTTP 599, without a text"),
        (
            registry(
                504,
                None,
                "<!DOCTYPE html><!-- denied --><html><head><title>Unicorn! &middot; GitHub</title>"
                "<style>p { x: y }</style></head><body><p>This page is\ntaking too long.</p>",
            ),
            "Unicorn! \u00b7 GitHub - This page is taking too long.",
        ),
        (
            engine(
                "error parsing HTTP 413 response body: invalid character '<' looking for beginning "
                'of value: "<html>\\r\\n<head><title>413 Too Large</title></head>\\r\\n<body>'
                '<h1>413 Too Large</h1><hr>nginx</body>\\r\\n"'
            ),
            (
                "error parsing HTTP 413 response body: invalid character '<' looking for "
                "beginning of value: 413 Too Large - nginx"
            ),
        ),
    ],
)
def test_pages_and_silence_are_made_readable(evidence: ErrorInfo, message: str) -> None:
    assert classify(evidence).message == message


def test_status_and_code_are_read_from_dockers_text() -> None:
    put = "failed commit: unexpected status from PUT request to https://r.io/v2/o/404/x: 500 Oh"
    assert classify(engine(put)).status == 500
    assert classify(engine("toomanyrequests: x")).code == "TOOMANYREQUESTS"
    assert classify(engine("failed to fetch oauth token: denied: denied")).code == "DENIED"


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("retry-after: 12.5ms, allowed: 2000/minute", 0.0125),
        ("retry-after: 1m30s", 90),
        ("retry-after: 1h2m3.5s.", 3723.5),
        ("retry-after: 250µs", 0.00025),
        ("retry-after: 250\u03bcs", 0.00025),
        ("retry-after: 10us", 0.00001),
        ("retry-after: 900ns", 9e-7),
        ("retry-after: 17", 17),
        ("Please retry after 5 minutes.", 300),
        ("retry-after: 1s; retry-after: 3s", 3),
        ("retry-after: soon", None),
        ("retry-after: ...", 0),
    ],
)
def test_waits_are_read_as_go_prints_them(text: str, wait: float | None) -> None:
    found = classify(engine(f"toomanyrequests: {text}")).asked_wait
    assert found == (None if wait is None else pytest.approx(wait))


@given(
    seconds=st.floats(min_value=0.001, max_value=86_400),
    header=st.none() | st.floats(allow_nan=True, allow_infinity=True),
)
def test_a_wait_is_never_shorter_than_asked(seconds: float, header: float | None) -> None:
    evidence = engine(f"toomanyrequests: retry-after: {seconds:.6f}s", retry_after=header)
    wait = classify(evidence).asked_wait
    assert wait is not None
    assert wait >= round(seconds, 6) - 1e-9
    if header is not None and 0 <= header < float("inf"):
        assert wait >= header


TEXTS = st.text() | st.lists(
    st.sampled_from(
        [e.text for r in RULES for e in examples_of(r)] + ["<html>", "<!--", "\r", "\\r"]
    )
    | st.text(max_size=20)
).map("".join)


@settings(max_examples=300)
@given(
    origin=st.sampled_from(Origin),
    text=TEXTS | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    status=st.none() | st.integers(-1, 1000),
    code=st.none() | st.text(max_size=20),
    retry_after=st.none() | st.floats(),
    kind=st.none() | st.sampled_from(Kind),
    after_success=st.booleans(),
)
def test_anything_gets_a_bounded_failure(
    *,
    origin: Origin,
    text: str,
    status: int | None,
    code: str | None,
    retry_after: float | None,
    kind: Kind | None,
    after_success: bool,
) -> None:
    evidence = ErrorInfo(
        origin=origin,
        message=text,
        status=status,
        code=code,
        retry_after=retry_after,
        kind=kind,
    )
    failure = classify(evidence, after_success=after_success)
    assert 0 < len(failure.message) <= MOST_SHOWN
    assert failure.message.encode()
    assert failure.advice
    assert failure.asked_wait is None or 0 <= failure.asked_wait < float("inf")
    assert failure == classify(evidence, after_success=after_success)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 3_000_000,
        "<" * 300_000,
        "<html>" + "<!--" * 100_000,
        "<script" * 100_000,
        "a." * 300_000,
        ": " * 300_000,
        "lookup " * 100_000,
        "retry-after: 1" * 50_000,
        "tag repository name token " * 50_000,
        "0123456789ab: Pushed\n" * 50_000 + "EOF",
        "permission_denied:" * 100_000,
    ],
    ids=lambda text: text[:12],
)
def test_huge_texts_are_classified_and_cut(text: str) -> None:
    assert len(classify(engine(text)).message) <= MOST_SHOWN


def test_the_beginning_of_a_huge_text_is_kept() -> None:
    failure = classify(engine("toomanyrequests: " + "x" * 100_000))
    assert failure.kind is Kind.THROTTLED
    assert failure.message.startswith("toomanyrequests: xxx")


WORDS = [
    "denied",
    "eof",
    "secondary-rate-limit",
    "toomanyrequests",
    "unknown-blob",
    "x509",
    "500",
    "write_package",
]


@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), tag=st.sampled_from(WORDS))
def test_names_of_images_are_not_taken_for_errors(words: list[str], tag: str) -> None:
    path = "/".join(words)
    refused = f"unexpected status from PUT request to https://ghcr.io/v2/{path}/manifests/{tag}"
    texts = {
        f"tag does not exist: ghcr.io/{path}:{tag}": Kind.IMAGE_MISSING,
        f"failed to push localhost:5000/{path}:{tag}: {refused}: 413 Too Large": Kind.TOO_LARGE,
        f"failed to push ghcr.io/{path}:{tag}: something else": Kind.UNKNOWN,
    }
    for text, kind in texts.items():
        assert classify(engine(text)).kind is kind


def test_an_unknown_text_is_kept_word_for_word() -> None:
    text = "Error response from daemon: flux capacitor\n  out of ::alignment::"
    failure = classify(engine(text))
    assert failure.kind is Kind.UNKNOWN
    assert failure.message == "flux capacitor\n  out of ::alignment::"
    assert failure.retryable
    assert failure.cap == 4


_WITHOUT_FILES = """
import resource
from ghcr_push.failures import ErrorInfo, Origin, classify
error = ErrorInfo(origin=Origin.REGISTRY, message="[Errno 24] Too many open files")
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
print(classify(error).message)
"""


def test_a_failure_is_classified_when_no_file_can_be_opened() -> None:
    words = [sys.executable, "-c", _WITHOUT_FILES]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "Too many open files" in done.stdout, done.stderr

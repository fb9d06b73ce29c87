"""Parses an error: a client's output without the client's own wrapping.

The same answer of a registry reads differently in each client, and docker keeps neither status nor
code apart from the text. Here the text is cleaned, and status, code and wait are read from it if
they are there. Any text is accepted: empty, huge, HTML, invalid UTF-8.
"""

import html
import json
import math
import re
from dataclasses import dataclass
from encodings import utf_16_le  # noqa: F401 - so that it is there when files cannot be opened
from http import HTTPStatus

from ghcr_push.failures.errors import ErrorInfo, Origin

_MOST_READ = 65_536
"""Maximum characters of a text that are parsed; the cause is at its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorText:
    """The input of the rules."""

    text: str
    """For people: cleaned, HTML pages reduced to their text, never empty."""
    masked: str
    """For rules: the same with ``<url>``, ``<reference>`` and ``<digest>`` as placeholders."""
    status: int | None
    code: str | None
    answered: bool
    """Whether the registry answered, whichever client reports it."""
    wait: float | None
    """Seconds that the registry asked for, the longest if several are named."""
    details: str
    """For a maintainer: what is known besides the text, unchanged."""
    layer_accepted: bool
    """Docker's progress shows that this push had a layer accepted before it failed."""


def parse(evidence: ErrorInfo) -> ErrorText:
    """Return ``evidence`` parsed for the rules; never raises."""
    text, layer_accepted = _well_formed(evidence.message), False
    if evidence.origin in {Origin.ENGINE, Origin.STORE}:
        lines = _NOTE.sub("", text).splitlines()
        layer_accepted = any(_ACCEPTED.fullmatch(line) for line in lines)
        text = "\n".join(line for line in lines if not _PROGRESS.fullmatch(line)) or text
    raw = text.strip()[:_MOST_READ]
    text = _unwrapped(_PREFIXES.sub("", _without_html(raw)))
    masked = _masked(text)
    status, code = evidence.status, evidence.code
    if evidence.origin is Origin.ENGINE:
        if not status and (found := _STATUS.search(_masked(raw))):
            status = int(found[1])
        if not code and (found := _CODE.search(masked)):
            code = found[1].upper().replace(" ", "_")
    return ErrorText(
        text=text or _no_text(evidence),
        masked=masked,
        status=status,
        code=code,
        answered=status is not None or code is not None or _REPEATED.search(raw) is not None,
        wait=_longest_wait(raw, evidence.retry_after),
        details=_well_formed(evidence.details) or (raw if raw != text else ""),
        layer_accepted=layer_accepted,
    )


def _well_formed(text: str) -> str:
    """Replace lone surrogates from undecodable bytes, which no file can hold."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


_PROGRESS = re.compile(
    r"[0-9a-f]{12}: (?:Preparing|Waiting|Pushing|Pushed|Layer already exists|Mounted from|"
    r"Retrying in|Unavailable|Already exists)\b.*"
    r"|The push refers to repository \[.*\]"
    r"|Using default tag: .*"
    r"|.*: digest: sha256:[0-9a-f]{64} size: \d+"
    r"|WARNING: .*"
    r"|\s*"
)
# the docker command's own remarks since version 28, of one line or more
_NOTE = re.compile(r"^ Info -> .*(?:\n {9}.*)*", re.MULTILINE)
_ACCEPTED = re.compile(r"[0-9a-f]{12}: (?:Pushed|Mounted from .*)")


_REPEATED = re.compile(r"\berror from registry: ")
_PREFIXES = re.compile(
    r"\A(?:(?:Error response from daemon|error from registry|Error|unknown): +)+(?=\S)",
    re.IGNORECASE,
)


_WRAPPED = re.compile(r'\{"message":"(?:[^"\\]|\\.)*"\}\n?')


def _unwrapped(text: str) -> str:
    """Return the engine's message from an answer that its client shows unparsed."""
    return str(json.loads(text)["message"]) if _WRAPPED.fullmatch(text) else text


_PAGE = re.compile(r"<!doctype html|<html", re.IGNORECASE)
_UNSEEN = re.compile(
    r"<!--(?:.*?-->|.*)|<(script|style)\b(?:.*?</\1\s*>|.*)", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(r"<[^<>]*>?")
_GO_ESCAPE = re.compile(r"\\[rnt]")


def _without_html(text: str) -> str:
    """Replace an HTML page by its text, each line once; leave other text alone."""
    page = _PAGE.search(text)
    if page is None:
        return text
    shown = _UNSEEN.sub("<>", _GO_ESCAPE.sub(" ", text[page.start() :]))
    pieces = (" ".join(html.unescape(piece).split()).strip(' "') for piece in _TAG.split(shown))
    said = dict.fromkeys(pieces)
    before = text[: page.start()].rstrip(' "\n')
    return " ".join(filter(None, (before, " - ".join(filter(None, said)))))


_URL = re.compile(r"https?://[^\s\"'<>]*[^\s\"'<>:,.;)]", re.IGNORECASE)
_REFERENCE = re.compile(
    r"(?<![\w/.-])(?:[\w-]+(?:\.[\w-]+)+(?::\d+)?|localhost(?::\d+)?|[\w.-]+:\d+)"
    r"/[\w./-]*\w(?::\w[\w.-]*)?(?:@sha256:[0-9a-f]+)?"
)
_DIGEST = re.compile(r"\bsha256:[0-9a-f]{64}\b")


def _masked(text: str) -> str:
    return _DIGEST.sub("<digest>", _REFERENCE.sub("<reference>", _URL.sub("<url>", text)))


_STATUS = re.compile(
    r"(?:unexpected http status"
    r"|unexpected status(?: code)?(?: \[[^\]]{1,80}\])?(?: from \w+ request to <url>)?"
    r"|error parsing http|failed to parse error response|statuscode"
    r"|status code(?: from registry)?):? +([1-5]\d\d)\b",
    re.IGNORECASE,
)


# distribution-spec, "Error Codes", and those that docker's registry and GHCR add. Docker prints
# them in lower case with spaces; UNKNOWN has no meaning, and the others are not answers to a push.
_CODES = (
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DENIED",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "TAG_INVALID",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNAVAILABLE",
    "UNSUPPORTED",
)
_CODE = re.compile(
    r"(?:^|: )(" + "|".join(code.lower().replace("_", " ") for code in _CODES) + r")(?=:|$)",
    re.MULTILINE,
)


_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "m": 60,
    "h": 3600,
    " second": 1,
    " minute": 60,
    " hour": 3600,
}
_UNIT = "|".join(sorted(_SECONDS, key=len, reverse=True))
_WAIT = re.compile(
    rf"retry[- ]after:? {{0,8}}((?:[\d.]{{1,16}}(?:{_UNIT})?){{1,8}})", re.IGNORECASE
)
_GO_PART = re.compile(rf"(\d{{1,12}}(?:\.\d{{0,12}})?|\.\d{{1,12}})({_UNIT})?", re.IGNORECASE)


def _longest_wait(raw: str, header: float | None) -> float | None:
    """Return the longest wait in seconds in header or text.

    Texts have Go's ``time.Duration`` (``12.5ms``, ``1m30s``) or a number of seconds.
    """
    waits = [
        sum(
            float(part[1]) * _SECONDS[(part[2] or "s").lower()]
            for part in _GO_PART.finditer(found[1])
        )
        for found in _WAIT.finditer(raw)
    ]
    if header is not None and math.isfinite(header) and header >= 0:
        waits.append(header)
    return max(waits, default=None)


def _no_text(evidence: ErrorInfo) -> str:
    if evidence.status is None:
        return "no answer and no text"
    return f"HTTP {with_phrase(evidence.status)}, without a text"


def with_phrase(status: int) -> str:
    """Return an HTTP status with its phrase, if it has one."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)

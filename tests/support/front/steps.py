"""Which step of a push or pull a request is, by the routes of the OCI distribution-spec."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, unquote, urlsplit


class Step(StrEnum):
    """One kind of request; the value is its name in JSON."""

    PING = "PING"
    TOKEN = "TOKEN"
    BLOB_HEAD = "BLOB_HEAD"
    BLOB_GET = "BLOB_GET"
    UPLOAD_POST = "UPLOAD_POST"
    UPLOAD_PATCH = "UPLOAD_PATCH"
    UPLOAD_PUT = "UPLOAD_PUT"
    UPLOAD_GET = "UPLOAD_GET"
    UPLOAD_DELETE = "UPLOAD_DELETE"
    MANIFEST_HEAD = "MANIFEST_HEAD"
    MANIFEST_GET = "MANIFEST_GET"
    MANIFEST_PUT = "MANIFEST_PUT"
    MANIFEST_DELETE = "MANIFEST_DELETE"
    TAGS_LIST = "TAGS_LIST"
    REFERRERS = "REFERRERS"
    OTHER = "OTHER"


UPLOADS = frozenset(
    {
        Step.UPLOAD_POST,
        Step.UPLOAD_PATCH,
        Step.UPLOAD_PUT,
        Step.UPLOAD_GET,
        Step.UPLOAD_DELETE,
    }
)
"""The requests to an upload location, and the one that starts an upload."""

WRITES = (UPLOADS - {Step.UPLOAD_GET}) | {Step.MANIFEST_PUT, Step.MANIFEST_DELETE}
"""The writes of a registry, which `max_writes` limits."""

MANIFESTS = frozenset(
    {Step.MANIFEST_HEAD, Step.MANIFEST_GET, Step.MANIFEST_PUT, Step.MANIFEST_DELETE}
)

ALL = frozenset(Step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as a registry understands it.

    `reference` is a tag or digest; for an upload the digest that its query names (`digest` or
    `mount`), else empty. `mount_from` is the repository that an upload POST wants to mount from.
    `size` is the length that the request announces for its body.
    """

    step: Step
    method: str
    path: str
    repository: str = ""
    reference: str = ""
    mount_from: str = ""
    size: int = 0


_NAME = "(?P<name>.+)"
_ROUTES: tuple[tuple[re.Pattern[str], dict[str, Step]], ...] = tuple(
    (re.compile(pattern), steps)
    for pattern, steps in (
        (r"/v2/?", {"GET": Step.PING, "HEAD": Step.PING}),
        (r"/token", {"GET": Step.TOKEN, "POST": Step.TOKEN}),
        (rf"/v2/{_NAME}/blobs/uploads/?", {"POST": Step.UPLOAD_POST}),
        (
            rf"/v2/{_NAME}/blobs/uploads/[^/]+",
            {
                "PATCH": Step.UPLOAD_PATCH,
                "PUT": Step.UPLOAD_PUT,
                "GET": Step.UPLOAD_GET,
                "DELETE": Step.UPLOAD_DELETE,
            },
        ),
        (
            rf"/v2/{_NAME}/blobs/(?P<reference>[^/]+)",
            {"HEAD": Step.BLOB_HEAD, "GET": Step.BLOB_GET},
        ),
        (
            rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)",
            {
                "HEAD": Step.MANIFEST_HEAD,
                "GET": Step.MANIFEST_GET,
                "PUT": Step.MANIFEST_PUT,
                "DELETE": Step.MANIFEST_DELETE,
            },
        ),
        (rf"/v2/{_NAME}/tags/list", {"GET": Step.TAGS_LIST}),
        (rf"/v2/{_NAME}/referrers/(?P<reference>[^/]+)", {"GET": Step.REFERRERS}),
    )
)


def classify(method: str, target: str) -> Call:
    """Return the call that `method` on the request target (path and query) makes."""
    parts = urlsplit(target)
    path, query = unquote(parts.path), parse_qs(parts.query)
    for pattern, steps in _ROUTES:
        found = pattern.fullmatch(path)
        if found and method in steps:
            return _call(steps[method], method, target, found.groupdict().get, query)
    return Call(step=Step.OTHER, method=method, path=target)


def _call(
    step: Step,
    method: str,
    target: str,
    group: Callable[[str], str | None],
    query: dict[str, list[str]],
) -> Call:
    named = group("reference") or ""
    if step in UPLOADS:
        named = (query.get("digest") or query.get("mount") or [""])[0]
    return Call(
        step=step,
        method=method,
        path=target,
        repository=group("name") or "",
        reference=named,
        mount_from=query.get("from", [""])[0] if step is Step.UPLOAD_POST else "",
    )

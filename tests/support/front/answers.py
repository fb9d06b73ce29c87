"""The answers of a failing registry, with GHCR's texts."""

import json
import math
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """A whole answer, `delay` seconds late.

    Connections: `keep`, as HTTP has it; `close` ends it before the answer's first byte; `reset`
    does so with a TCP reset; `midway` after half of the body; `hang` keeps silent until the
    client goes away.

    In headers and body `{scheme}`, `{address}` and `{other_address}` are the front's own, and
    `{path}` is the request's path and query.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int = Field(default=500, ge=200, le=599)
    headers: dict[str, str] = {}
    body: str = ""
    delay: float = Field(default=0, ge=0)
    connection: Literal["keep", "close", "reset", "midway", "hang"] = "keep"

    def filled(self, words: Mapping[str, str]) -> "Answer":
        """Return the answer with its placeholders replaced by `words`."""
        headers = {name: filled(value, words) for name, value in self.headers.items()}
        return self.model_copy(update={"headers": headers, "body": filled(self.body, words)})


def filled(text: str, words: Mapping[str, str]) -> str:
    """Return `text` with `{name}` replaced for every name of `words`; other braces stay."""
    for name, value in words.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def oci_error(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> Answer:
    """Return an answer whose body is the distribution-spec's error list with one error."""
    return Answer(
        status=status,
        headers={"Content-Type": "application/json", **(headers or {})},
        body=json.dumps({"errors": [{"code": code, "message": message}]}) + "\n",
    )


def html(status: int, text: str) -> Answer:
    """Return a page as a load balancer in front of a registry sends it."""
    return Answer(status=status, headers={"Content-Type": "text/html; charset=utf-8"}, body=text)


_UNICORN = """<!DOCTYPE html>
<!--

Hello future GitHubber! I bet you're here to remove those nasty inline styles,
DRY up these templates and make 'em nice and re-usable, right?

-->
<html>
  <head><title>Unicorn! &middot; GitHub</title></head>
  <body>
    <p><strong>We had issues producing the response to your request.</strong></p>
    <p>This page is taking too long to load.</p>
    <p>Sorry about that. Please try refreshing and contact us if the problem persists.</p>
  </body>
</html>
"""

_NGINX_502 = """<html>\r
<head><title>502 Bad Gateway</title></head>\r
<body>\r
<center><h1>502 Bad Gateway</h1></center>\r
</body>\r
</html>\r
"""

EMPTY_500 = Answer(status=500)
JSON_500 = oci_error(500, "UNKNOWN", "Internal Server Error")
HTML_502 = html(502, _NGINX_502)
JSON_503 = oci_error(503, "UNAVAILABLE", "Service Unavailable")
UNICORN_504 = html(504, _UNICORN)

OVERLOAD = (EMPTY_500, JSON_500, HTML_502)
FAULTS = (EMPTY_500, HTML_502, JSON_503, JSON_500, UNICORN_504)
OUTAGE = (JSON_503, UNICORN_504)

DENIED = oci_error(403, "DENIED", "denied")
WRITE_PACKAGE = oci_error(403, "DENIED", "permission_denied: write_package")
UNAUTHORIZED = oci_error(401, "UNAUTHORIZED", "authentication required")
MANIFEST_UNKNOWN = oci_error(404, "MANIFEST_UNKNOWN", "manifest unknown")
TOKEN_BY_GET = oci_error(405, "UNSUPPORTED", "the operation is unsupported")


def secondary_limit(request_id: str) -> Answer:
    """Return GHCR's refusal under a secondary rate limit; the wording is from public reports."""
    inner = json.dumps(
        {
            "documentation_url": (
                "https://docs.github.com/free-pro-team@latest/rest/overview/"
                "rate-limits-for-the-rest-api#about-secondary-rate-limits"
            ),
            "message": (
                "You have exceeded a secondary rate limit. Please wait a few minutes before you "
                "try again. If you reach out to GitHub Support for help, please include the "
                f"request ID {request_id}."
            ),
        },
        indent=2,
    )
    return oci_error(
        403,
        "DENIED",
        "permission_denied: Error from intermediary with HTTP status code 403 "
        f'"Forbidden" - with-body: {inner}',
    )


def too_many_requests(wait: float, per_minute: float, *, header: bool) -> Answer:
    """Return GHCR's 429, which names the wait in its message and not in a header."""
    return oci_error(
        429,
        "TOOMANYREQUESTS",
        f"retry-after: {go_duration(wait)}, allowed: {per_minute:.0f}/minute",
        {"Retry-After": str(math.ceil(wait))} if header else None,
    )


def go_duration(seconds: float) -> str:
    """Return `seconds` (below one hour) as Go's `time.Duration` prints it, to the microsecond."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}µs"
    if seconds < 1:
        return f"{round(seconds * 1000, 3):g}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{round(rest, 6):g}s" if minutes else f"{round(rest, 6):g}s"

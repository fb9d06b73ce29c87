"""The registry has no space: a quota is used up, or a part is larger than it accepts."""

from ghcr_push.failures.rule import Classification, Match, Rule, api, classic, containerd
from ghcr_push.model import Kind

_413 = "<html>\\r\\n<head><title>413 Request Entity Too Large</title></head>"

LIMITS: tuple[Rule, ...] = (
    Rule(
        rows=("Q1",),
        title="A quota is used up",
        why="Refused as denied by Harbor (goharbor/harbor#17390, camunda/keycloak#641), Quay "
        "and DigitalOcean (docker/build-push-action#586), as unauthorized by IBM, as 413 "
        "by Forgejo and Artifactory. It is permanent, and unrelated to permissions.",
        signs=(
            Match(text=r"\bexceed the configured upper limit\b"),
            Match(text=r"\bquota\b.{0,60}\bexceed"),
            Match(text=r"\b(?:exceed\w*|reached|over|not enough)\b.{0,40}\bquota\b"),
            Match(text=r"\bregistry contains \d+ repositories, limit is\b"),
            Match(text=r"\bstorage limit\b"),
            Match(text=r"\bdisk usage is too high\b"),
            Match(text=r"\bmaximum (?:allowed )?number of (?:images|tags|repositories)\b"),
            Match(status=(402, 507)),
        ),
        classification=Classification(kind=Kind.QUOTA),
        examples=(
            classic(
                "denied: adding 151.7 MiB of storage resource, which when updated to current "
                "usage of 100.0 GiB will exceed the configured upper limit of 100.0 GiB."
            ),
            classic("denied: registry contains 1 repositories, limit is 1"),
            classic("denied: You have exceeded your storage quota. Delete one or more images"),
            containerd("error from registry: Quota has been exceed on namespace"),
            containerd("error from registry: the namespace storage limit has been reached"),
            api(403, "DENIED", "Quota has been exceed on namespace"),
            api(401, "UNAUTHORIZED", "You have exceeded your storage quota."),
            api(500, "UNKNOWN", "Quota exceeded when processing the request of adding 1.3 MiB"),
            api(413, None, "The disk usage is too high. Contact your administrator"),
            api(400, "LIMIT_EXCEEDED", "it has the maximum number of images"),
            api(402),
            api(507),
        ),
    ),
    Rule(
        rows=("S16", "S17", "S18"),
        title="Too large",
        why="A proxy's limit for bodies (go-gitea/gitea#33646: nginx; #32270: Cloudflare's 100 "
        "MB), ghcr.io's 4 MiB for the parts of a chunked upload (wasmCloud/wash-archive#268), its "
        "documented 10 GB per layer, or the registry's own limit, also worded as denied.",
        signs=(
            Match(status=(413, 414, 431)),
            Match(text=r"\brequest header or cookie too large\b"),
            Match(text=r"\brequest body is too large\b"),
            Match(text=r"\brequest entity too large\b"),
            Match(text=r"\bexceeds the maximum allowed size\b"),
            Match(text=r"\blarger than\b.{0,40}\ballowed by this registry\b"),
            Match(code="REQUESTED_RANGE_NOT_SATISFIABLE"),
        ),
        classification=Classification(kind=Kind.TOO_LARGE),
        examples=(
            classic(
                "error parsing HTTP 413 response body: invalid character '<' looking for "
                f'beginning of value: "{_413}"'
            ),
            classic(f"unknown: {_413}"),
            classic("denied: adding this part to the layer exceeds the maximum allowed size"),
            containerd(
                "unknown: failed to copy: unexpected status from PUT request to "
                "https://ghcr.io/v2/o/i/blobs/uploads/1: 413 Request Entity Too Large"
            ),
            containerd(
                "error from registry: the request body is too large and exceeds the maximum "
                "permissible limit of 4.00MiB"
            ),
            containerd(
                "error from registry: Uploaded blob of 2 GiB is larger than 1 GiB allowed by this "
                "registry"
            ),
            api(413),
            api(413, "DENIED", "not that much"),
            api(414),
            api(400, None, "<html><title>400 Request Header Or Cookie Too Large</title></html>"),
            api(416, "REQUESTED_RANGE_NOT_SATISFIABLE", "no"),
        ),
    ),
)

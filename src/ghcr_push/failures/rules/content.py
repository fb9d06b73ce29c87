"""The registry's answers about blobs, manifests and names, and its own faults."""

from ghcr_push.failures.rule import Rule, Sign, Verdict, api, buildkit, classic, containerd
from ghcr_push.model import Kind

_UNICORN = (
    "<!DOCTYPE html>\n<html><head><title>Unicorn! &middot; GitHub</title></head><body>"
    "<p>This page is taking too long to load.</p></body></html>"
)
_413 = "<html>\\r\\n<head><title>413 Request Entity Too Large</title></head>"
_PUT = "unexpected status from PUT request to https://ghcr.io/v2/o/i/manifests/t"

CONTENT: tuple[Rule, ...] = (
    Rule(
        rows=("S7", "S8"),
        title="The upload is not known any more",
        why="The client repeated a commit whose answer it had lost, or the registry lost the "
        "upload's state; a new push finds the blob or sends it again "
        "(GoogleContainerTools/jib#4301: 40 of 51 blobs were there).",
        signs=(
            Sign(code="BLOB_UPLOAD_UNKNOWN"),
            Sign(code="BLOB_UPLOAD_INVALID"),
            Sign(text=r"\bblob upload (?:unknown|invalid)\b"),
        ),
        verdict=Verdict(kind=Kind.NOT_VISIBLE),
        examples=(
            classic("blob upload unknown"),
            classic("blob upload invalid"),
            containerd("error from registry: blob upload unknown to registry"),
            containerd("error from registry: blob upload invalid"),
            api(404, "BLOB_UPLOAD_UNKNOWN", "upload gone"),
            api(404, "BLOB_UPLOAD_INVALID", "upload gone"),
        ),
    ),
    Rule(
        rows=("S10",),
        title="The manifest came before its blobs were visible",
        why="Seen when several pushes send the same layers (moby/moby#22854, "
        "containerd/nerdctl#2404).",
        signs=(Sign(code="MANIFEST_BLOB_UNKNOWN"),),
        verdict=Verdict(kind=Kind.NOT_VISIBLE, cap=4),
        examples=(
            classic("manifest blob unknown: blob unknown to registry"),
            containerd("error from registry: manifest blob unknown"),
            api(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"),
        ),
    ),
    Rule(
        rows=("S9",),
        title="What was just uploaded reads as missing",
        why="Docker looks once after each upload; a 404 there is a read that came too soon, not "
        "a damaged blob (infobloxopen/konk#626, AlexanderMattTurner/agent-glovebox#4055).",
        signs=(
            Sign(code="BLOB_UNKNOWN"),
            Sign(text=r"\bunknown blob\b"),
            Sign(text=r"\bblob unknown\b"),
            # all that the containerd store of engine 26 tells of any 404 at a commit
            Sign(text=r"\bfrom (?:PUT|PATCH) request to <url>: 404\b"),
        ),
        verdict=Verdict(kind=Kind.NOT_VISIBLE),
        examples=(
            classic("unknown blob"),
            containerd("error from registry: blob unknown to registry"),
            containerd(f'failed commit on ref "manifest-sha256:00": {_PUT}: 404 Not Found'),
            api(404, "BLOB_UNKNOWN", "no such thing"),
        ),
    ),
    Rule(
        rows=("S11",),
        title="The manifest is not visible",
        why="An index was pushed before its children were visible, or a tag is read within "
        "seconds of its push (p2pool-starter-stack/pithead#429).",
        signs=(Sign(code="MANIFEST_UNKNOWN"),),
        verdict=Verdict(kind=Kind.NOT_VISIBLE),
        examples=(
            classic("manifest unknown: no such thing"),
            containerd("error from registry: manifest unknown"),
            api(404, "MANIFEST_UNKNOWN", "no such thing"),
        ),
    ),
    Rule(
        rows=("R1",),
        title="The registry does not accept this tag",
        why="The tag may not be moved there (immutable tags), or its name is not allowed.",
        signs=(
            Sign(code="TAG_INVALID"),
            Sign(text=r"\btag\b.{0,200}\bimmutable\b"),
        ),
        verdict=Verdict(kind=Kind.TAG_REFUSED),
        examples=(
            classic("tag invalid: manifest tag did not match URI"),
            containerd("error from registry: the tag 't' exists already and is immutable"),
            api(400, "TAG_INVALID", "no such tag here"),
        ),
    ),
    Rule(
        rows=("L10",),
        title="The registry does not accept the name",
        why="ghcr.io wants OWNER/NAME and answers 400 to names of one part "
        "(docker/build-push-action#1111).",
        signs=(
            Sign(code="NAME_INVALID"),
            Sign(text=r"\binvalid repository name\b"),
            Sign(text=r"\bfrom HEAD request to <url>: 400\b"),
        ),
        verdict=Verdict(kind=Kind.NAME_REFUSED),
        examples=(
            classic("name invalid: not here"),
            containerd("error from registry: invalid repository name"),
            containerd(
                "unexpected status from HEAD request to https://ghcr.io/v2/i/blobs/sha256:00: "
                "400 Bad Request"
            ),
            api(400, "NAME_INVALID", "not here"),
        ),
    ),
    Rule(
        rows=("S13",),
        title="The manifest is not accepted",
        why="Media types or sizes that the registry does not take; no report of it passing.",
        signs=(
            Sign(code="MANIFEST_INVALID"),
            Sign(status=(415,)),
        ),
        verdict=Verdict(kind=Kind.MANIFEST_REFUSED),
        examples=(
            classic("manifest invalid: unknown media type"),
            containerd("error from registry: manifest invalid"),
            api(400, "MANIFEST_INVALID", "unknown media type"),
            api(415),
        ),
    ),
    Rule(
        rows=("S14",),
        title="The registry received other bytes",
        why="Bytes were changed on the way, or two writers shared one upload.",
        signs=(
            Sign(code="DIGEST_INVALID"),
            Sign(code="SIZE_INVALID"),
            Sign(text=r"\bprovided (?:digest|length) did not match\b"),
        ),
        verdict=Verdict(kind=Kind.MANGLED),
        examples=(
            classic("digest invalid: no"),
            containerd("error from registry: provided digest did not match uploaded content"),
            api(400, "DIGEST_INVALID", "no"),
            api(400, "SIZE_INVALID", "no"),
        ),
    ),
    Rule(
        rows=("S16", "S17", "S18"),
        title="Too large",
        why="A proxy's limit for bodies, ghcr.io's 4 MiB for the parts of a chunked upload "
        "(wasmCloud/wash-archive#268), or its documented 10 GB per layer.",
        signs=(
            Sign(status=(413,)),
            Sign(text=r"\brequest body is too large\b"),
            Sign(text=r"\brequest entity too large\b"),
            Sign(code="REQUESTED_RANGE_NOT_SATISFIABLE"),
        ),
        verdict=Verdict(kind=Kind.TOO_LARGE),
        examples=(
            classic(
                "error parsing HTTP 413 response body: invalid character '<' looking for "
                f'beginning of value: "{_413}"'
            ),
            classic(f"unknown: {_413}"),
            containerd(
                "unknown: failed to copy: unexpected status from PUT request to "
                "https://ghcr.io/v2/o/i/blobs/uploads/1: 413 Request Entity Too Large"
            ),
            containerd(
                "error from registry: the request body is too large and exceeds the maximum "
                "permissible limit of 4.00MiB"
            ),
            api(413),
            api(416, "REQUESTED_RANGE_NOT_SATISFIABLE", "no"),
        ),
    ),
    # after the codes: a 5xx whose body is a page or empty has none, and a code says more
    Rule(
        rows=("S1", "S2", "S3", "S4", "S5", "S6"),
        title="The registry failed inside",
        why="Overload or an incident: seconds under a wide matrix "
        "(docker/build-push-action#719), 30 to 90 seconds with the page of GitHub's unicorn, "
        "some minutes or hours in an incident. Fewer writes at once often help.",
        signs=(
            Sign(status=range(500, 600)),
            Sign(status=(499,)),
            Sign(code="UNAVAILABLE"),
            Sign(text=r"\bpage is taking too long to load\b"),
            Sign(text=r"\binternal server error\b"),
            Sign(text=r"\bbad gateway\b"),
            Sign(text=r"\bservice (?:is )?(?:temporarily )?unavailable\b"),
            Sign(text=r"\bgateway time-?out\b"),
            Sign(text=r"\begress is over the account limit\b"),
        ),
        verdict=Verdict(kind=Kind.SERVER_ERROR),
        examples=(
            classic("received unexpected HTTP status: 500 Internal Server Error"),
            classic("received unexpected HTTP status: 502 Bad Gateway"),
            classic("received unexpected HTTP status: 503 Service Unavailable"),
            classic("received unexpected HTTP status: 504 Gateway Time-out"),
            classic("received unexpected HTTP status: 522"),
            containerd(
                'unknown: failed commit on ref "manifest-sha256:00": '
                f"{_PUT}: 500 Internal Server Error"
            ),
            containerd("error from registry: Internal Server Error"),
            containerd("error from registry: Bad Gateway"),
            containerd("error from registry: Service Unavailable"),
            containerd("error from registry: Gateway Timeout"),
            containerd("error from registry: Egress is over the account limit"),
            containerd("error from registry: This page is taking too long to load."),
            buildkit(f"failed to parse error response 504: {_UNICORN}"),
            api(500),
            api(502, None, "<html><head><title>502 Bad Gateway</title></head></html>"),
            api(503, "UNAVAILABLE", "Service Unavailable", retry_after=5, wait=5),
            api(504, None, _UNICORN),
            api(499),
            api(400, "UNAVAILABLE", "later"),
        ),
    ),
    Rule(
        rows=("S12",),
        title="The repository is not known",
        why="ghcr.io creates packages at the first push, so this is a wrong host or owner; a "
        "repository that is just being created is given a second try.",
        signs=(
            Sign(code="NAME_UNKNOWN"),
            Sign(text=r"\b(?:repository name|name) (?:unknown|not known to registry)\b"),
            Sign(status=(404,)),
        ),
        verdict=Verdict(kind=Kind.NOT_FOUND),
        witnessed=Verdict(kind=Kind.NOT_VISIBLE),
        examples=(
            classic("name unknown: no such thing"),
            containerd("error from registry: repository name not known to registry"),
            api(400, "NAME_UNKNOWN", "no such thing"),
            api(404),
        ),
    ),
    Rule(
        rows=("S15",),
        title="The operation is not offered",
        why="Another service than a registry, or one that only serves pulls.",
        signs=(
            Sign(code="UNSUPPORTED"),
            Sign(text=r"\boperation is unsupported\b"),
            Sign(status=(405,)),
        ),
        verdict=Verdict(kind=Kind.UNSUPPORTED),
        examples=(
            classic("unsupported: not here"),
            containerd("error from registry: The operation is unsupported."),
            api(405),
            api(400, "UNSUPPORTED", "not here"),
        ),
    ),
)

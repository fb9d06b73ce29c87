"""The registry's answers about blobs, manifests and names, and its own failures."""

from ghcr_push.failures.rule import Classification, Match, Rule
from ghcr_push.model import Kind

FAULTS: tuple[Rule, ...] = (
    Rule(
        rows=("S1", "S2", "S3", "S4", "S5", "S6"),
        title="Internal error of the registry",
        why="Overload or an incident: seconds under a wide matrix "
        "(docker/build-push-action#719), 30 to 90 seconds with the page of GitHub's "
        "unicorn, some minutes or hours in an incident. Fewer writes at once often help. "
        "If such a status comes with the code of a refusal, the service that decides on "
        "access had failed.",
        signs=(
            # not the permanent ones: 501, 505, 511
            Match(status=(500, *range(502, 505), *range(506, 511), *range(512, 600))),
            Match(status=(421, 425, 499)),
            Match(code="UNAVAILABLE"),
            Match(text=r"\bpage is taking too long to load\b"),
            Match(text=r"\binternal server error\b"),
            Match(text=r"\bbad gateway\b"),
            Match(text=r"\bservice (?:is )?(?:temporarily )?unavailable\b"),
            Match(text=r"\bgateway time-?out\b"),
            # texts of Envoy, GitHub, and a registry with a full disk
            Match(text=r"\b(?:upstream connect error|no healthy upstream)\b"),
            Match(text=r"\bsomething went wrong\b"),
            Match(text=r"\bno space left on device\b"),
            Match(text=r"\begress is over the account limit\b"),
            # Artifactory's, with the code of an invalid manifest (GoogleContainerTools/jib#1445)
            Match(text=r"\bcircuit breaker threshold reached\b"),
        ),
        classification=Classification(kind=Kind.SERVER_ERROR),
    ),
)

CONTENT: tuple[Rule, ...] = (
    Rule(
        rows=("S7", "S8"),
        title="The upload no longer exists",
        why="The client repeated a commit whose answer it had lost, or the registry lost the "
        "upload's state; a new push finds the blob or sends it again "
        "(GoogleContainerTools/jib#4301: 40 of 51 blobs were there).",
        signs=(
            Match(code="BLOB_UPLOAD_UNKNOWN"),
            Match(code="BLOB_UPLOAD_INVALID"),
            Match(text=r"\bblob upload (?:unknown|invalid|cancell?ed|interrupted)\b"),
            # it is at another address than expected
            Match(code="RANGE_INVALID"),
            Match(status=(416,)),
        ),
        classification=Classification(kind=Kind.NOT_VISIBLE),
    ),
    Rule(
        rows=("S22",),
        title="The registry accepts a referrer only after its subject",
        why="cloudflare/serverless-registry refuses signatures of an image that it does not hold "
        "yet; the specification requires registries to accept them.",
        signs=(Match(text=r"\bunknown subject\b"),),
        classification=Classification(
            kind=Kind.UNSUPPORTED,
            advice="Push without `referrers` first, and then again with it.",
        ),
    ),
    Rule(
        rows=("S10",),
        title="The manifest came before its blobs were visible",
        why="Seen when several pushes send the same layers (moby/moby#22854, "
        "containerd/nerdctl#2404).",
        signs=(Match(code="MANIFEST_BLOB_UNKNOWN"),),
        classification=Classification(kind=Kind.NOT_VISIBLE, cap=4),
    ),
    Rule(
        rows=("S9",),
        title="New content is reported as missing",
        why="Docker looks once after each upload; a 404 there is a read that came too soon, not "
        "a damaged blob (infobloxopen/konk#626, AlexanderMattTurner/agent-glovebox#4055).",
        signs=(
            Match(code="BLOB_UNKNOWN"),
            Match(text=r"\bunknown blob\b"),
            Match(text=r"\bblob unknown\b"),
            # the containerd store of engine 26 reports nothing more about any 404 at a commit
            Match(text=r"\bfrom (?:PUT|PATCH) request to <url>: 404\b"),
        ),
        classification=Classification(kind=Kind.NOT_VISIBLE),
    ),
    Rule(
        rows=("S11",),
        title="The manifest is not visible",
        why="An index was pushed before its children were visible, or a tag is read within "
        "seconds of its push (p2pool-starter-stack/pithead#429).",
        signs=(Match(code="MANIFEST_UNKNOWN"),),
        classification=Classification(kind=Kind.NOT_VISIBLE),
    ),
    Rule(
        rows=("L10",),
        title="The registry does not accept the name",
        why="ghcr.io requires OWNER/NAME and answers 400 to names of one part "
        "(docker/build-push-action#1111).",
        signs=(
            Match(code="NAME_INVALID"),
            Match(text=r"\binvalid repository name\b"),
            Match(text=r"\bmissing image name\b"),
            Match(text=r"\bfrom HEAD request to <url>: 400\b"),
        ),
        classification=Classification(kind=Kind.NAME_REFUSED),
    ),
    Rule(
        rows=("S21",),
        title="The image has more layers than the registry accepts",
        why="ECR's limit, reported with an unrelated code (openai/tart#890).",
        signs=(Match(text=r"\blimit on number of layers\b"),),
        classification=Classification(
            kind=Kind.MANIFEST_REFUSED,
            advice="Build the image with fewer layers: join `RUN` and `COPY` lines, or copy the "
            "result into a last stage.",
        ),
    ),
    Rule(
        rows=("S13",),
        title="The manifest is not accepted",
        why="Media types, sizes or signatures that the registry does not accept. Bytes that "
        "it already holds were once called invalid in a race of two tags for the same "
        "manifest (GoogleContainerTools/jib#2470), which is temporary.",
        signs=(
            Match(code="MANIFEST_INVALID"),
            Match(code="MANIFEST_UNVERIFIED"),
            Match(status=(406, 415)),
            # ECR reports it with an unrelated code
            Match(text=r"\binvalid parameter at '?image ?manifest"),
            Match(text=r"\bschema (?:v1|version)\b.{0,40}\bnot supported\b"),
            Match(text=r"\bunsupported media type\b"),
        ),
        classification=Classification(kind=Kind.MANIFEST_REFUSED),
        already_there=Classification(kind=Kind.MANIFEST_REFUSED, retryable=True, cap=3),
    ),
    Rule(
        rows=("S14",),
        title="The registry received different bytes",
        why="Bytes were changed on the way, or two writers shared one upload.",
        signs=(
            Match(code="DIGEST_INVALID"),
            Match(code="SIZE_INVALID"),
            Match(text=r"\bprovided (?:digest|length) did not match\b"),
            Match(text=r"\b(?:digest mismatch|unexpected commit digest)\b"),
        ),
        classification=Classification(kind=Kind.MANGLED),
    ),
    Rule(
        rows=("S12",),
        title="The repository is not known",
        why="ghcr.io creates packages at the first push, so this is a wrong host or owner; "
        "one retry covers a repository that is just being created.",
        signs=(
            Match(code="NAME_UNKNOWN"),
            Match(text=r"\b(?:repository name|name) (?:unknown|not known to registry)\b"),
            # ECR and Google, when the code is lost
            Match(text=r"\brepository with name\b.{0,200}\bdoes not exist\b"),
            Match(text=r"\brepository \S{1,200} not found\b"),
            Match(status=(404, 410)),
        ),
        classification=Classification(kind=Kind.NOT_FOUND),
        after_success=Classification(kind=Kind.NOT_VISIBLE),
    ),
    Rule(
        rows=("S15",),
        title="The operation is not offered",
        why="The host is not a registry, or only serves pulls.",
        signs=(
            Match(code="UNSUPPORTED"),
            Match(text=r"\boperation is unsupported\b"),
            Match(status=(405, 411, 501, 505)),
        ),
        classification=Classification(kind=Kind.UNSUPPORTED),
    ),
    Rule(
        rows=("S19",),
        title="Conflict with another write",
        why="Two jobs write the same thing at the same moment. Some registries report an "
        "immutable tag this way, so few attempts are enough.",
        signs=(
            Match(status=(409,)),
            Match(code="CONFLICT"),
        ),
        classification=Classification(
            kind=Kind.NOT_VISIBLE,
            cap=3,
            advice="Do not push the same tag from two jobs at the same time (`concurrency:`). "
            "If it stays, look for a rule that forbids moving this tag.",
        ),
    ),
)

PAGES: tuple[Rule, ...] = (
    Rule(
        rows=("S20",),
        title="The answer did not come from a registry",
        why="An HTML page instead of the registry's answer: from a proxy, a login, or another "
        "service at that host and port.",
        signs=(
            Match(status=(*range(200, 400), 511)),
            Match(text=r"\berror parsing http response: invalid character '<'"),
            Match(text=r"\bunable to decode token response\b"),
            # an upload whose first answer is an HTML page instead of a location
            Match(text=r"\bno host in request url\b"),
            # a load balancer's 400 (podman-container-tools/skopeo#2723)
            Match(text=r"\byour browser sent an? (?:invalid )?request\b"),
        ),
        classification=Classification(
            kind=Kind.UNSUPPORTED,
            retryable=True,
            cap=2,
            advice="Check the registry's host and port, and what is between: a proxy "
            "(HTTPS_PROXY), a login page, a filter that inspects TLS.",
        ),
    ),
)

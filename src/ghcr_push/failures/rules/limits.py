"""The registry has no space: a quota is used up, or a part is larger than it accepts."""

from ghcr_push.failures.rule import Classification, Match, Rule
from ghcr_push.model import Kind

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
    ),
)

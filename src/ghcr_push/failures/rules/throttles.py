"""The registry reports too many requests."""

from ghcr_push.failures.rule import Classification, Match, Rule
from ghcr_push.model import Kind

THROTTLES: tuple[Rule, ...] = (
    Rule(
        rows=("T2",),
        title="Secondary rate limit",
        why="GitHub's limiter for bursts of writes answers 403, which looks like a refusal; "
        "some tens of manifest writes within minutes trigger it. It ends within minutes "
        "if nothing is sent (virtualcell/vcell#1888, perminder-klair/subwave#1377, "
        "markrussinovich/refchecker#67).",
        signs=(
            Match(text=r"\bsecondary rate limit"),
            Match(text=r"\babuse detection\b"),
        ),
        classification=Classification(kind=Kind.SECONDARY_LIMIT),
    ),
    Rule(
        rows=("T3",),
        title="A quota for several hours is used up",
        why="Docker Hub's quotas reset after hours, too long for a run to wait.",
        signs=(Match(text=r"\byou have reached your .{0,40}rate limit\b"),),
        classification=Classification(
            kind=Kind.THROTTLED,
            retryable=False,
            advice="The registry's quota for this account or address is used up: log in with an "
            "account that has a larger one, or wait some hours.",
        ),
    ),
    Rule(
        rows=("Q2",),
        title="A quota is used up, reported as too many requests",
        why="zot refuses a manifest beyond its quota with the code of a rate limit and the status "
        "413, which no rate limit has. No wait helps.",
        signs=(Match(status=(413,), code="TOOMANYREQUESTS"),),
        classification=Classification(kind=Kind.QUOTA),
    ),
    Rule(
        rows=("T1",),
        title="Too many requests within a minute",
        why="ghcr.io allows about 2,000 requests a minute and names waits of milliseconds in "
        "the message; other jobs share the limit (chainguard-images/images#173, "
        "coreruleset/modsecurity-crs-docker#449, rapidsai/ci-imgs#162).",
        signs=(
            Match(code="TOOMANYREQUESTS"),
            Match(status=(429,)),
            Match(text=r"\btoo ?many ?requests\b"),
            Match(text=r"\bretry-after: ?\d"),
            Match(text=r"\ballowed: \d+/(?:second|minute|hour)\b"),
            # Google's quotas on requests per minute
            Match(text=r"\bquota metric\b"),
            # Amazon's
            Match(text=r"\brate exceeded\b"),
        ),
        classification=Classification(kind=Kind.THROTTLED),
    ),
)

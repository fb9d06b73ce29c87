"""The registry reports too many requests."""

from ghcr_push.failures.rule import Classification, Match, Rule, api, buildkit, classic, containerd
from ghcr_push.model import Kind

_SECONDARY = (
    'permission_denied: Error from intermediary with HTTP status code 403 "Forbidden" - '
    'with-body: {\n  "documentation_url": "https://docs.github.com/rest/overview/'
    'rate-limits-for-the-rest-api#about-secondary-rate-limits",\n  "message": "You have exceeded '
    "a secondary rate limit. Please wait a few minutes before you try again. If you reach out to "
    'GitHub Support for help, please include the request ID 1234:5678."\n}'
)

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
        examples=(
            classic(f"denied: {_SECONDARY}"),
            containerd(f"error from registry: {_SECONDARY}"),
            buildkit(f"unexpected status: 403 Forbidden\ndenied: {_SECONDARY}"),
            api(403, "DENIED", _SECONDARY),
            api(403, "DENIED", _SECONDARY, retry_after=60, wait=60),
            api(403, None, "You have triggered an abuse detection mechanism."),
        ),
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
        examples=(
            classic(
                "toomanyrequests: You have reached your pull rate limit. You may increase the "
                "limit by authenticating and upgrading"
            ),
            containerd("error from registry: You have reached your pull rate limit."),
            api(
                429,
                "TOOMANYREQUESTS",
                "You have reached your unauthenticated pull rate limit.",
            ),
        ),
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
        examples=(
            classic("toomanyrequests: retry-after: 12.5ms, allowed: 2000/minute", wait=0.0125),
            classic("toomanyrequests: slow down"),
            classic("toomanyrequests: Too Many Requests (HAP429)"),
            containerd("error from registry: retry-after: 1m30s, allowed: 2000/minute", wait=90),
            containerd("error from registry: retry-after: 250µs", wait=0.00025),
            containerd("error from registry: allowed: 2000/minute"),
            containerd("error from registry: too many requests"),
            containerd("error from registry: Rate exceeded"),
            containerd("error from registry: Quota exceeded for quota metric 'Requests'"),
            containerd(
                "unknown: failed to copy: unexpected status from POST request to "
                "https://ghcr.io/v2/o/i/blobs/uploads/: 429"
            ),
            buildkit(
                "unexpected status: 429 Too Many Requests\n"
                "toomanyrequests: retry-after: 12.5ms, allowed: 2000/minute",
                wait=0.0125,
            ),
            api(
                429,
                "TOOMANYREQUESTS",
                "retry-after: 10.305464ms, allowed: 2000/minute",
                wait=0.010305464,
            ),
            api(429, None, "", retry_after=7, wait=7),
            api(400, "TOOMANYREQUESTS", "slow down"),
        ),
    ),
)

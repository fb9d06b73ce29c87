"""The table: every known way to fail, in the order of matching.

The order matters. Failures on this side come first. Secondary limits come before any refusal, since
they read ``denied`` too; throttles before 4xx; rules for tags, quotas and sizes before the codes
under which registries report them; permanent refusals before temporary ones, and a status without
code or text last. The last rule matches anything.

To add a way to fail, add a ``Rule`` with its examples to the module where it belongs: tests and
guide are made from it.
"""

from ghcr_push.failures.rule import Classification, Match, Rule, api, classic, containerd
from ghcr_push.failures.rules.access import ACCESS, BARE_REFUSALS, REFUSALS
from ghcr_push.failures.rules.content import CONTENT, FAULTS, PAGES
from ghcr_push.failures.rules.limits import LIMITS
from ghcr_push.failures.rules.local import LOCAL
from ghcr_push.failures.rules.network import NETWORK
from ghcr_push.failures.rules.tags import TAGS
from ghcr_push.failures.rules.throttles import THROTTLES
from ghcr_push.model import Kind

UNKNOWN = Rule(
    rows=("U1",),
    title="Anything else",
    why="An unknown text is retried a few times, and shown unchanged.",
    signs=(Match(),),
    classification=Classification(kind=Kind.UNKNOWN),
    examples=(
        classic("Error response from daemon: flux capacitor out of alignment"),
        containerd("error from registry: flux capacitor out of alignment"),
        api(418, "TEAPOT", "short and stout"),
        api(None),
    ),
)

RULES: tuple[Rule, ...] = (
    *LOCAL,
    *THROTTLES,
    *TAGS,
    *LIMITS,
    *ACCESS,
    *FAULTS,
    *REFUSALS,
    *CONTENT,
    *BARE_REFUSALS,
    *NETWORK,
    *PAGES,
    UNKNOWN,
)

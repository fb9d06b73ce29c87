"""The table: every known way to fail, in the order of matching.

The order matters. Failures on this side come first. Secondary limits come before any refusal, since
they read ``denied`` too; throttles before 4xx; rules for tags, quotas and sizes before the codes
under which registries report them; permanent refusals before temporary ones, and a status without
code or text last. The last rule matches anything.

To add a way to fail, add a ``Rule`` to the module where it belongs, and its examples to
``tests/data/failures/examples.toml``: tests and guide are made from them.
"""

from ghcr_push.failures.rule import Classification, Match, Rule
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

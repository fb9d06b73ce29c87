"""The promises of a run, each checked against the log of the modelled world.

Every check yields a sentence for each promise that it finds broken. A check may be looser than its
promise only if the results do not have what would decide; then a comment says so.
"""

from collections.abc import Sequence

from tests.simulation.content_promises import CONTENT_CHECKS
from tests.simulation.end_promises import END_CHECKS
from tests.simulation.evidence import Check
from tests.simulation.outcome_promises import OUTCOME_CHECKS
from tests.simulation.play import Played
from tests.simulation.pressure_promises import PRESSURE_CHECKS
from tests.simulation.reach_promises import REACH_CHECKS
from tests.simulation.retry_promises import RETRY_CHECKS
from tests.simulation.silence_promises import SILENCE_CHECKS

CHECKS = (
    *OUTCOME_CHECKS,
    *RETRY_CHECKS,
    *PRESSURE_CHECKS,
    *SILENCE_CHECKS,
    *REACH_CHECKS,
    *END_CHECKS,
    *CONTENT_CHECKS,
)


def broken_promises(played: Played, checks: Sequence[Check] = CHECKS) -> list[str]:
    """Return the broken promises, each with the check that found it."""
    if played.ended is None:
        return ["ends: the run did not end"]
    if played.raised is not None:
        return [f"ends: the run raised {played.raised}"]
    return [f"{check.__name__}: {found}" for check in checks for found in check(played)]

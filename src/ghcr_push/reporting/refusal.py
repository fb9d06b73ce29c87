"""Bad input in outputs and summary: nothing was tried, and why."""

from collections.abc import Sequence

from ghcr_push.failures.policies import Cause
from ghcr_push.model import Result
from ghcr_push.reporting.build import build
from ghcr_push.reporting.escape import escape
from ghcr_push.reporting.outputs import outputs


def refused_outputs() -> dict[str, str]:
    """Return all outputs of a run that was rejected before its first request."""
    nothing = build((), started_at="", duration=0.0, cancelled=False, max_parallel=0)
    return outputs(nothing, "") | {
        "result": str(Result.FAILURE),
        "cause": str(Cause.INPUT),
        "lowest-parallel": "",
    }


def refused_summary(problems: Sequence[str]) -> str:
    """Return the job summary of such a run, one line per problem."""
    lines = "\n".join(f"- {escape(problem)}" for problem in problems)
    return f"## ❌ Bad input: nothing was pushed\n\n{lines}\n"

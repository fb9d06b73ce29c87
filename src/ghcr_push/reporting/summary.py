"""The job summary: a run in GitHub's Markdown, for a reader with ten seconds."""

from collections.abc import Sequence

from ghcr_push.failures.policies import Cause
from ghcr_push.model import Result
from ghcr_push.reporting.escape import clipped, escape, prose
from ghcr_push.reporting.gantt import gantt
from ghcr_push.reporting.headline import headline
from ghcr_push.reporting.phrases import count, retries_text, sent, tally, unverified
from ghcr_push.reporting.records import Report
from ghcr_push.reporting.referrers import referrers_of
from ghcr_push.reporting.sections import ByteBudget, failed, kept, landed, planned, retried, skipped
from ghcr_push.reporting.timeline import hold_history, legend, limit_history, rows_left_out

MOST_BYTES = 900 * 1024
"""Maximum UTF-8 bytes of a summary; GitHub drops a summary over 1 MiB, and some near it."""

# space for the sections of targets, each with the rest of those before it; 130 KiB remain for
# everything else, of which the diagram needs 50 at most
_SHARES = (
    (failed, 440),
    (skipped, 60),
    (kept, 40),
    (retried, 70),
    (planned, 80),
    (landed, 80),
)
_KIB = 1024

_MOST_NOTICES = 20
_LONGEST_NOTICE = 400

_PROTECTED_TEXT = (
    "Protected tags were read right before each write. No registry offers a lock between that "
    "read and the write: keep runs that push the same tag apart with `concurrency:`."
)


def summary(report: Report, *, protected: bool = False, guide: str = "") -> str:
    """Return ``report`` as Markdown of at most ``MOST_BYTES``, failures first.

    Rows that do not fit are counted, never silently dropped. ``protected`` says that some tags were
    under ``protect``; then its promise is spelled out. ``guide`` is the address of the guide to
    failures, to which each kind is linked; without it there are no links.
    """
    parts = [
        f"## {escape(headline(report))}",
        _facts(report),
        prose(retries_text(report)),
        prose(referrers_of(report)),
    ]
    room = ByteBudget(guide)
    for section, share in _SHARES:
        room.grow(share * _KIB)
        parts.append(section(report, room))
    parts += [_timeline(report), _notices(report, protected=protected)]
    return "\n\n".join(part for part in parts if part) + "\n"


def refused_summary(problems: Sequence[str]) -> str:
    """Return the summary of a run that was rejected for bad input, one line per problem."""
    lines = "\n".join(f"- {escape(problem)}" for problem in problems)
    return f"## ❌ Bad input: nothing was pushed\n\n{lines}\n"


def _facts(report: Report) -> str:
    """Return the counts of the run in one line, and what was sent in another."""
    if not report.targets:
        return ""
    repositories = len({result.parsed.repository for result in report.targets})
    facts = [f"**{tally(report)}**"]
    if repositories > 1:
        facts.append(f"{repositories:,} repositories")
    totals = report.totals
    if totals.retries:
        again = "1 retry" if totals.retries == 1 else f"{totals.retries:,} retries"
        facts.append(f"{count(totals.attempts, 'attempt')}, {again} among them")
    if totals.lowest_parallel < report.max_parallel:
        facts.append(f"parallel writes: {report.max_parallel}, down to {totals.lowest_parallel}")
    if report.cause is not Cause.NONE:
        facts.append(f"cause: **{report.cause}**")
    lines = [" · ".join(facts)]
    if sending := sent(report):
        lines.append(f"📦 {sending}")
    if len(facts) == 1:  # the counts alone do not deserve a line
        lines = [" · ".join(lines)]
    if unread := len(unverified(report)):
        lines.append(f"⚠️ {count(unread, 'tag')} pushed but not read back, so **not verified**.")
    return "\n\n".join(lines)


def _timeline(report: Report) -> str:
    """Return the diagram of attempts and the limit's history."""
    diagram = gantt(report)
    if not diagram:
        return ""
    lines = [f"```mermaid\n{diagram}```", legend(report)]
    if left := rows_left_out(report):
        lines.append(f"{count(left, 'more tag')} had no room in the picture.")
    lines += [escape(sentence) for sentence in (*limit_history(report), *hold_history(report))]
    title = "⏱️ Timeline"
    if report.result is Result.SUCCESS:
        opening = f"<details>\n<summary>{title}</summary>"
        return "\n\n".join([opening, *lines, "</details>"])
    return "\n\n".join([f"### {title}", *lines])


def _notices(report: Report, *, protected: bool) -> str:
    notices = [
        prose(clipped(sentence, _LONGEST_NOTICE)) for sentence in report.notices[:_MOST_NOTICES]
    ]
    if left := len(report.notices) - len(notices):
        notices.append(f"… and {count(left, 'more notice')}, in the JSON report.")
    if protected:
        notices.append(prose(_PROTECTED_TEXT))
    if not notices:
        return ""
    return "\n".join(["### 📌 Notices", "", *(f"- {notice}" for notice in notices)])

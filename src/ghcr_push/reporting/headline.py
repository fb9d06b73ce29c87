"""A run in one sentence, for readers who read no further."""

from collections import Counter

from ghcr_push.model import Outcome
from ghcr_push.reporting.escape import clipped
from ghcr_push.reporting.outages import Downtime, outages
from ghcr_push.reporting.phrases import (
    cause,
    count,
    counts_of,
    planned_state,
    rounded_span,
    span,
    unverified,
    were_retried,
)
from ghcr_push.reporting.records import Report

_MOST_CAUSES = 3
_LONGEST_REASON = 40

_LONG_HOLD = 10.0
"""Seconds of holds from which the headline mentions them."""

_AT_THE_START = 3.0
"""Seconds in which an outage counts as older than the run: the image is inspected first."""


def headline(report: Report) -> str:
    """Return the run in one sentence: its sign, what was pushed, how long it took, and why."""
    if report.cancelled:
        missed = "".join(f", {each}" for each in _bad(report))
        return f"🛑 Cancelled after {span(report.duration)}: {_pushed_of_all(report)}{missed}"
    if not report.targets:
        return "✅ Nothing to push: no tags were given"
    if report.counts[Outcome.PLANNED] and not report.counts[Outcome.PUSHED]:
        return _dry_run(report)
    return _failed(report) if _bad(report) else _good(report)


def _pushed_of_all(report: Report) -> str:
    return f"{len(report.landed):,} of {count(len(report.targets), 'tag')} pushed"


def _dry_run(report: Report) -> str:
    bad, tags = _bad(report), count(len(report.targets), "tag")
    sign, rest = ("❌", f"; {', '.join(bad)}") if bad else ("📝", ", nothing was written")
    planned = report.ended(Outcome.PLANNED)
    states = Counter(planned_state(target).partition(" ")[0] for target in planned)
    there = states.pop("unchanged", 0)
    fates = Counter(target.expected for target in planned)
    kept, refused = fates[Outcome.KEPT], fates[Outcome.FAILED]
    known = [f"{states[state]:,} {state}" for state in ("new", "moved") if states[state]]
    detail = f" ({', '.join(known)})" if known else ""
    detail += f"; {there:,} unchanged" if there else ""
    detail += f"; {kept:,} protected and kept" if kept else ""
    detail += f"; {refused:,} protected and refused" if refused else ""
    pushed = len(planned) - there - kept - refused
    return f"{sign} Dry run: {pushed:,} of {tags} would be pushed{detail}{rest}"


def _good(report: Report) -> str:
    took = span(report.duration)
    if not (report.counts[Outcome.PUSHED] or report.counts[Outcome.KEPT]):
        return f"✅ Nothing to do: {_there_already(report)} ({took})"
    remarks = [*(_troubles(report) or filter(None, [were_retried(report.landed)])), *_kept(report)]
    if unread := len(unverified(report)):
        remarks.append(f"{unread:,} not read back")
    return f"✅ {_pushed_of_all(report)} in {took}" + (f": {', '.join(remarks)}" if remarks else "")


def _failed(report: Report) -> str:
    bad, tags, took = _bad(report), count(len(report.targets), "tag"), span(report.duration)
    rest = "".join(f", {each}" for each in (*_kept(report), *_troubles(report)))
    if not report.landed:
        which = "The tag was not" if len(report.targets) == 1 else f"None of {tags} was"
        counted = f"{', '.join(bad)}: " if len(bad) > 1 else ""
        return f"❌ {which} pushed in {took}: {counted}{_kinds(report)}{rest}"
    first = bad[0].replace(" ", f" of {tags} ", 1)
    what = f"{', '.join([first, *bad[1:]])}: {_kinds(report)}"
    return f"❌ {what}; {len(report.landed):,} pushed in {took}{rest}"


def _bad(report: Report) -> list[str]:
    """Return ``2 failed`` and ``3 skipped``, each if there are any."""
    return counts_of(report, Outcome.FAILED, Outcome.SKIPPED)


def _kinds(report: Report) -> str:
    """Return the causes of all failures, the most frequent first, the rest counted."""
    failures = (target.failure for target in report.ended(Outcome.FAILED, Outcome.SKIPPED))
    seen = Counter(cause(failure) if failure else "no cause is known" for failure in failures)
    named = [name for name, _ in seen.most_common(_MOST_CAUSES)]
    more = len(seen) - len(named)
    return ", ".join([*named, *([count(more, "more cause")] if more else [])])


def _there_already(report: Report) -> str:
    """Say that all targets already named their images."""
    if len(report.targets) == 1:
        return "the tag names this image already"
    which = {2: "both"}.get(len(report.targets), f"all {len(report.targets):,}")
    return f"{which} tags name their images already"


def _troubles(report: Report) -> list[str]:
    """Return the registry's part in the run's duration: outages, and waits that it asked for."""
    troubles = [_down(outage) for outage in outages(report)]
    held = sum(hold.seconds for hold in report.holds)
    if held >= _LONG_HOLD:
        who = ", ".join(dict.fromkeys(hold.registry for hold in report.holds))
        why = ", ".join(
            dict.fromkeys(clipped(hold.reason, _LONGEST_REASON) for hold in report.holds)
        )
        troubles.append(f"{span(min(held, report.duration))} of it waiting for {who}, {why}")
    return troubles


def _down(outage: Downtime) -> str:
    what = "was down" if any(map(str.isdigit, outage.answers)) else "was out of reach"
    from_the_start = outage.start < _AT_THE_START
    if from_the_start and outage.to_the_end:
        when = "all the time"
    elif outage.to_the_end:
        when = f"for the last {rounded_span(outage.seconds)}"
    else:
        first, seconds = ("the first ", outage.end) if from_the_start else ("", outage.seconds)
        when = f"for {first}{rounded_span(seconds)}"
    return f"{outage.registry} {what} {when} ({', '.join(outage.answers[:_MOST_CAUSES])})"


def _kept(report: Report) -> list[str]:
    """Return ``2 kept`` and, of merged reports, ``3 planned``, each if there are any."""
    return counts_of(report, Outcome.KEPT, Outcome.PLANNED)

"""The words that summaries, annotations, logs and terminals share; plain text, not escaped."""

from collections import Counter
from collections.abc import Iterable

from ghcr_push.model import Kind, Outcome, Step
from ghcr_push.reporting.records import AttemptRecord, FailureRecord, Report, TargetRecord

_HOUR, _MINUTE = 3600, 60

_SHORT_DIGEST = 12
"""Hexadecimal digits, as docker shows them."""

_CAUSES = {
    Kind.SECONDARY_LIMIT: "secondary rate limit",
    Kind.TIMEOUT: "time-out",
    Kind.NETWORK: "network error",
    Kind.CUT_OFF: "upload cut off",
    Kind.PROXY: "proxy out of order",
    Kind.NOT_VISIBLE: "upload not visible yet",
    Kind.AUTH_BLIP: "passing refusal",
    Kind.MANGLED: "mangled upload",
    Kind.UNKNOWN: "unknown error",
    Kind.TAG_REFUSED: "tag refused",
    Kind.QUOTA: "quota used up",
    Kind.READ_FORBIDDEN: "reading forbidden",
    Kind.CREDENTIALS: "credentials unreadable",
    Kind.INPUT: "bad input",
    Kind.INTERNAL: "internal error",
}

_STEPS = {
    Step.INSPECT: "image inspect",
    Step.LOOK: "read",
    Step.PUSH: "push",
    Step.READ: "image read",
    Step.UPLOAD: "upload",
    Step.FETCH: "manifest read",
    Step.RETAG: "tag write",
    Step.PROVE: "read-back",
}


def count(number: int, noun: str) -> str:
    """Return ``1 tag``, ``20 tags``, ``1,000 tags``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def span(seconds: float) -> str:
    """Return a length of time in two units at most: ``0.4 s``, ``3 min 2 s``, ``1 h 4 min``."""
    tenths = round(seconds, 1)
    if tenths < _MINUTE:
        return f"{tenths:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    minutes = round(seconds / _MINUTE)
    return f"{minutes // 60} h {minutes % 60} min"


def short(digest: str) -> str:
    """Return a digest's algorithm and its first twelve digits."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:_SHORT_DIGEST]}"


def cause(failure: FailureRecord) -> str:
    """Return what went wrong in a few words, with the HTTP status where there was one."""
    name = _CAUSES.get(failure.kind, failure.kind.value.replace("-", " "))
    return name if failure.status is None else f"{name} ({failure.status})"


def step(attempt: AttemptRecord) -> str:
    """Return what an attempt was doing."""
    return _STEPS[attempt.step]


def tries(result: TargetRecord) -> str:
    """Return how often a target was tried: ``1 attempt``; ``not tried`` where it never was."""
    if result.attempts or not result.content_attempts:
        return count(len(result.attempts), "attempt") if result.attempts else "not tried"
    return f"its content in {count(len(result.content_attempts), 'attempt')}"


def causes(results: Iterable[TargetRecord]) -> str:
    """Return the failures of all attempts by cause and step, the most frequent first."""
    seen = Counter(
        (cause(attempt.failure), step(attempt))
        for result in results
        for attempt in result.all_attempts
        if attempt.failure is not None
    )
    return ", ".join(
        f"{n:,} \N{MULTIPLICATION SIGN} {what} on {doing}"
        for (what, doing), n in seen.most_common()
    )


def headline(report: Report) -> str:
    """Return the run in one line: its sign, how many were pushed or failed, and the time."""
    if report.cancelled:
        missed = "".join(f", {each}" for each in _bad(report))
        return f"🛑 Cancelled after {span(report.duration)}: {_pushed_of_all(report)}{missed}"
    if not report.targets:
        return "✅ Nothing to push: no tags were given"
    if report.counts[Outcome.PLANNED]:
        return _dry_run(report)
    return _failed(report) if _bad(report) else _good(report)


def _pushed_of_all(report: Report) -> str:
    return f"{len(report.landed):,} of {count(len(report.targets), 'tag')} pushed"


def _dry_run(report: Report) -> str:
    bad, tags = _bad(report), count(len(report.targets), "tag")
    sign, rest = ("❌", f"; {', '.join(bad)}") if bad else ("📝", ", nothing was written")
    planned = report.counts[Outcome.PLANNED]
    return f"{sign} Dry run: {planned:,} of {tags} would be pushed{rest}"


def _good(report: Report) -> str:
    took = span(report.duration)
    if not (report.counts[Outcome.PUSHED] or report.counts[Outcome.KEPT]):
        return f"✅ Nothing to do: {_there_already(report)} ({took})"
    return f"✅ {_pushed_of_all(report)} in {took}{_remarks(report, ': ')}"


def _failed(report: Report) -> str:
    bad, tags, took = _bad(report), count(len(report.targets), "tag"), span(report.duration)
    if not report.landed:
        which = "The tag was not" if len(report.targets) == 1 else f"None of {tags} was"
        return f"❌ {which} pushed: {', '.join([*bad, *_kept(report)])} in {took}"
    first = bad[0].replace(" ", f" of {tags} ", 1)
    told = f"{', '.join([first, *bad[1:]])}; {len(report.landed):,} pushed in {took}"
    return f"❌ {told}{_remarks(report, ', ')}"


def _bad(report: Report) -> list[str]:
    """Return ``2 failed`` and ``3 skipped``, each where there are any."""
    return [
        f"{report.counts[outcome]:,} {outcome}"
        for outcome in (Outcome.FAILED, Outcome.SKIPPED)
        if report.counts[outcome]
    ]


def _there_already(report: Report) -> str:
    """Say that all targets named their images before."""
    if len(report.targets) == 1:
        return "the tag names this image already"
    return f"all {len(report.targets):,} tags name their images already"


def _remarks(report: Report, joint: str) -> str:
    """Return what the headline adds on pushed targets: retries, and proofs not made."""
    again = tried_again(report.landed)
    verb = "was" if again in {"1 tag", "1 layer"} else "were"
    remarks = [f"{again} {verb} retried"] if again else []
    remarks += _kept(report)
    if unread := len(unproved(report)):
        remarks.append(f"{unread:,} not read back")
    return f"{joint}{', '.join(remarks)}" if remarks else ""


def _kept(report: Report) -> list[str]:
    """Return ``2 kept``, where there are any: protected tags that name another image."""
    kept = report.counts[Outcome.KEPT]
    return [f"{kept:,} kept"] if kept else []


def tried_again(results: Iterable[TargetRecord]) -> str:
    """Return ``3 tags and 2 layers``: what needed more than one attempt; empty for nothing.

    A target that is retried for its content alone counts by the layers of that.
    """
    again = [result for result in results if result.retried]
    layers = sum(result.retried_layers for result in again)
    tags = sum(len(result.attempts) > 1 or not result.retried_layers for result in again)
    told = [count(tags, "tag")] * bool(tags) + [count(layers, "layer")] * bool(layers)
    return " and ".join(told)


def tally(report: Report) -> str:
    """Return the number of targets per outcome, those with none left out."""
    return " · ".join(
        f"{report.counts[outcome]:,} {outcome}" for outcome in Outcome if report.counts[outcome]
    )


def retried(report: Report) -> tuple[TargetRecord, ...]:
    """Return the targets that needed more than one attempt, whatever became of them."""
    return tuple(result for result in report.targets if result.retried)


def unproved(report: Report) -> tuple[TargetRecord, ...]:
    """Return the targets that landed by the push's own answer only."""
    return tuple(result for result in report.landed if not result.verified)


def retries_told(report: Report) -> str:
    """Return the sentence on what was tried again and why; empty where nothing was."""
    again = retried(report)
    if not again:
        return ""
    told = tried_again(again)
    verb = "was" if told in {"1 tag", "1 layer"} else "were"
    reasons = causes(again)
    return f"{told} {verb} retried{': ' if reasons else ''}{reasons}."

"""Phrases shared by summaries, annotations, logs and terminals; plain text, not escaped."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from ghcr_push.model import FailureRecord, Kind, Outcome, Step
from ghcr_push.reporting.records import Report, TargetRecord

_OF_SOURCES: Final = frozenset({Kind.SOURCE_INVALID, Kind.SOURCE_UNREACHABLE})
"""The target's registry refused nothing."""

_UNICORN = re.compile(r"Unicorn! \u00b7 GitHub.*", re.DOTALL)
"""The text of the page that GitHub shows in an incident."""

_HOUR, _MINUTE = 3600, 60

_KILO = 1000

_SHORT_DIGEST = 12
"""Number of hexadecimal digits, as docker shows them."""

STEPS: Final = {
    Step.LOOK: "read",
    Step.PUSH: "docker push",
    Step.READ: "image read",
    Step.UPLOAD: "upload",
    Step.FETCH: "manifest read",
    Step.RETAG: "tag write",
    Step.PROVE: "read-back",
}


def count(number: int, noun: str) -> str:
    """Return ``1 tag``, ``20 tags``, ``1,000 tags``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(names: Sequence[str], most: int) -> str:
    """Return ``a, b and 3 more``: at most ``most`` of ``names``, and the number of the others."""
    more = len(names) - most
    return f"{', '.join(names[:most])}{f' and {more:,} more' if more > 0 else ''}"


def span(seconds: float) -> str:
    """Return a duration in two units at most: ``0.4 s``, ``3 min 2 s``, ``1 h 4 min``."""
    tenths = round(seconds, 1)
    if tenths < _MINUTE:
        return f"{tenths:.1f} s"
    rounded = round(seconds)
    if rounded < _HOUR:
        return f"{rounded // _MINUTE} min {rounded % _MINUTE} s"
    minutes = round(seconds / _MINUTE)
    return f"{minutes // 60} h {minutes % 60} min"


def rounded_span(seconds: float) -> str:
    """Return a duration like ``span``, without tenths of a second."""
    return f"{seconds:.0f} s" if round(seconds) < _MINUTE else span(seconds)


def size(number: float) -> str:
    """Return a number of bytes in docker's format: ``24.0 MB``, ``1.3 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < _KILO:
            return f"{number:.0f} B" if unit == "B" else f"{number:,.1f} {unit}"
        number /= _KILO
    return f"{number:,.1f} TB"


def short(digest: str) -> str:
    """Return a digest's algorithm and its first twelve digits."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}:{encoded[:_SHORT_DIGEST]}"


def cause(failure: FailureRecord) -> str:
    """Return a failure's kind, with the HTTP status if there was one.

    For a deadline, add the kind of the failure that was being retried.
    """
    kept = failure.kept_failing
    name = failure.kind if kept is None else f"{failure.kind} after {kept}"
    return name if failure.status is None else f"{name} ({failure.status})"


def common_cause(result: TargetRecord) -> tuple[str, ...]:
    """Return what targets that failed alike have in common."""
    failure = result.failure
    return (cause(failure), failure.advice, str(result.may_have_landed)) if failure else ()


def attempts_text(result: TargetRecord) -> str:
    """Return how often a target was tried, such as ``1 attempt``, or why it was not."""
    if result.attempts:
        return count(len(result.attempts), "attempt")
    if result.content_attempts:
        return f"its content in {count(len(result.content_attempts), 'attempt')}"
    if result.outcome is Outcome.SKIPPED:
        return "never tried"
    failure = result.failure
    if failure is None or failure.status is None or failure.kind in _OF_SOURCES:
        return ""
    return "refused before the first write"


def causes(results: Iterable[TargetRecord]) -> str:
    """Return the failures of all attempts, the most frequent first.

    Each kind appears once, with its statuses and the steps that failed.
    """
    seen: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for result in results:
        for attempt in result.all_attempts:
            if (failure := attempt.failure) is not None:
                seen[failure.kind].append((str(failure.status or ""), STEPS[attempt.step]))
    by_number = sorted(seen.items(), key=lambda of_kind: -len(of_kind[1]))
    return "; ".join(_cause_counted(kind, failures) for kind, failures in by_number)


def _cause_counted(kind: str, failures: Sequence[tuple[str, str]]) -> str:
    """Return one kind's ``failures``, each with its status and its step."""
    statuses = Counter(status for status, _ in failures if status).most_common()
    steps = Counter(doing for _, doing in failures).most_common()
    answers = f" ({', '.join(status for status, _ in statuses)})" if statuses else ""
    where = f" on {steps[0][0]}"
    if len(steps) > 1:
        where = "".join(f", {n:,} on {doing}" for doing, n in steps)
    return f"{len(failures):,} \N{MULTIPLICATION SIGN} {kind}{answers}{where}"


def said(message: str) -> str:
    """Return the text of a registry or tool, with GitHub's page for an incident shortened."""
    return _UNICORN.sub("GitHub's Unicorn page", message)


def tried_again(results: Iterable[TargetRecord]) -> str:
    """Return ``3 tags and 2 layers``: what needed more than one attempt; empty for nothing.

    A target that is retried only for its content counts by its layers.
    """
    again = [result for result in results if result.retried]
    layers = sum(result.retried_layers for result in again)
    tags = sum(len(result.attempts) > 1 or not result.retried_layers for result in again)
    parts = [count(tags, "tag")] * bool(tags) + [count(layers, "layer")] * bool(layers)
    return " and ".join(parts)


def were_retried(results: Iterable[TargetRecord]) -> str:
    """Return ``3 tags and 2 layers were retried``; empty if nothing was."""
    again = tried_again(results)
    return again and f"{again} {'was' if again in {'1 tag', '1 layer'} else 'were'} retried"


def counts_of(report: Report, *outcomes: Outcome) -> list[str]:
    """Return ``2 failed``, ``3 skipped``: the targets with each of ``outcomes``, without zeros."""
    counts = report.counts
    return [f"{counts[outcome]:,} {outcome}" for outcome in outcomes if counts[outcome]]


def tally(report: Report) -> str:
    """Return the number of targets per outcome, without zeros."""
    return " · ".join(counts_of(report, *Outcome))


def unverified(report: Report) -> tuple[TargetRecord, ...]:
    """Return the targets that landed without a verifying read."""
    return tuple(result for result in report.landed if not result.verified)


def retries_text(report: Report) -> str:
    """Return the sentence about retries and their causes; empty if there were none."""
    if not report.retried:
        return ""
    reasons = causes(report.retried)
    return f"{were_retried(report.retried)}{': ' if reasons else ''}{reasons}."


def sent(report: Report) -> str:
    """Return the blobs sent, and those that were not needed; empty for `docker push`."""
    transfers = [target.transfer for target in report.targets if target.transfer]
    parts = []
    if blobs := sum(each.blobs_sent for each in transfers):
        sent_bytes, seconds = sum(each.bytes_sent for each in transfers), _uploading(report)
        rate = f", {size(sent_bytes / seconds)}/s" if seconds else ""
        parts.append(f"{count(blobs, 'blob')} sent: {size(sent_bytes)} in {span(seconds)}{rate}")
    there = {
        "mounted": sum(each.blobs_mounted for each in transfers),
        "there already": sum(each.blobs_found for each in transfers),
    }
    for how, number in there.items():
        if number:
            parts.append(f"{number:,} {how}" if parts else f"{count(number, 'blob')} {how}")
    if parts and (saved := sum(each.bytes_saved for each in transfers)):
        parts.append(f"{size(saved)} not sent")
    return " · ".join(parts)


def _uploading(report: Report) -> float:
    """Return the seconds in which at least one blob was being uploaded."""
    uploads = sorted(
        (attempt.started, attempt.ended)
        for target in report.targets
        for attempt in target.content_attempts
        if attempt.step is Step.UPLOAD
    )
    total, until = 0.0, 0.0
    for start, end in uploads:
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def planned_state(target: TargetRecord) -> str:
    """Return what a dry run found for a tag: ``new``, ``unchanged``, ``moved from sha256:…``.

    For a protected tag that names another image it says what a run would do.
    """
    if not target.before_known:
        return "not read"
    if target.before is None:
        return "new"
    names = short(target.before)
    if target.expected in {Outcome.KEPT, Outcome.FAILED}:
        fate = "kept" if target.expected is Outcome.KEPT else "refused"
        return f"protected, names {names}, would be {fate}"
    return "unchanged" if target.before == target.digest else f"moved from {names}"

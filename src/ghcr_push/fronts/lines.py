"""Events of a run, each as one log line; ``runlog`` selects those to print."""

import re
from collections.abc import Iterator
from typing import Final

from ghcr_push.model import Failure, Hold, Outcome, Plan, Step, Target, TargetResult, TransferStats
from ghcr_push.pushing.events import (
    ContentDone,
    ContentProgress,
    EngineSaid,
    ReferrersBrought,
    Started,
    StillWaiting,
    Waiting,
)
from ghcr_push.references import Repository
from ghcr_push.reporting.escape import visible
from ghcr_push.reporting.phrases import STEPS, cause, count, listed, said, short, span
from ghcr_push.reporting.referrers import referrers_text

MOST_OF_A_MESSAGE: Final = 200
"""Maximum characters of a failure's text in a line; the result and the report have more of it."""

MOST_NAMES: Final = 10
"""Maximum number of tags or repositories named in a line; the others are counted."""

WORTH_SAYING: Final = 1.0
"""Seconds from which the wait before a retry is mentioned."""

WORTH_A_RATE: Final = 1e5
"""Bytes per second below which an upload was mostly waiting, so that its rate is not shown."""

# the runner executes ##[name] anywhere in a line, and ::name:: at its start after blanks
_OLD_COMMAND: Final = re.compile(r"##\[")
_NEW_COMMAND: Final = re.compile(r"^(\s*)::")

_COUNTDOWN: Final = re.compile(r"([0-9a-f]+): Retrying in (\d+) seconds?")

_NOTHING_SAID: Final = re.compile(
    r"(without a text|answers to HEAD have no text)$"
    r"|^(\d{3} )?(internal server error|bad gateway|service unavailable|gateway time-?out)$"
    r"|^(\d{3} )?too many requests$",
    re.IGNORECASE,
)

_MARKS: Final = {
    Outcome.PUSHED: "✓",
    Outcome.UNCHANGED: "✓",
    Outcome.KEPT: "=",
    Outcome.FAILED: "✗",
    Outcome.SKIPPED: "-",
    Outcome.PLANNED: "…",
}


def escape_commands(text: str) -> str:
    """Return outside text as one line without commands for a terminal or runner.

    Control characters (and other invisible ones) are shown escaped; runner commands are broken
    (actions/runner, ``ActionCommand.cs``: version 2 at a line's start, version 1 anywhere).
    """
    line = _OLD_COMMAND.sub("##\\\\[", visible(text))
    return _NEW_COMMAND.sub(r"\1:\\:", line)


class Names:
    """The names in a run's log, without the part that all of them share."""

    def __init__(self, plan: Plan | None = None) -> None:
        repositories = {group.repository for group in plan.groups} if plan else set()
        self._same_repository = len(repositories) == 1
        self._same_registry = len({each.registry for each in repositories}) == 1

    def target(self, target: Target) -> str:
        """Return a target's tag, with its repository if there are several."""
        reference = target.reference
        if self._same_repository:
            return reference.tag
        return f"{self._path(reference.repository)}:{reference.tag}"

    def repository(self, repository: Repository) -> str:
        """Return the start of a line about ``repository``; empty if it is the only one."""
        return "" if self._same_repository else f"{self._path(repository)}: "

    def _path(self, repository: Repository) -> str:
        return repository.name if self._same_registry else str(repository)


def started_line(event: Started, version: str) -> str:
    """Say what will be pushed, from where, and to where."""
    groups = event.plan.groups
    sources = list(dict.fromkeys(str(group.source) for group in groups))
    repositories = list(dict.fromkeys(str(group.repository) for group in groups))
    tags = count(len(event.plan.targets), "tag")
    images = sources[0] if len(sources) == 1 else count(len(sources), "image")
    where = listed(repositories, MOST_NAMES)
    if len(repositories) > 1:
        where = f"{len(repositories):,} repositories: {where}"
    most = count(event.max_parallel, "write")
    return f"ghcr-push {version}: {tags} of {images} to {where}; at most {most} at a time"


def waiting_line(event: Waiting, names: Names) -> str:
    """Say what failed, how, in which attempt, and when the next one is."""
    what = names.target(event.target)
    if event.blob is not None:
        what = f"{names.repository(event.target.reference.repository)}layer {short(event.blob)}"
    elif event.step is Step.READ:
        what = f"{event.target.source}"
    said = words_of(event.failure)
    tried = f"try {event.number} of {event.most}" if event.number else "not counted as a try"
    later = f"; next try in {event.seconds:.0f} s or later" if event.seconds >= WORTH_SAYING else ""
    quote = f": {said}" if said else ""
    what = f"↻ {what}: {STEPS[event.step]} failed, {tried}"
    return f"{what}: {cause(event.failure)}{quote}{later}"


def ended_line(result: TargetResult, names: Names) -> str:
    """Say how a target ended; a failure by its kind, since the result explains it."""
    what = done(result.outcome)
    if result.failure is not None:
        landed = " (a write was in flight: it may have landed)" if result.may_have_landed else ""
        what += f": {cause(result.failure)}{landed}"
    else:
        what += ", ".join(["", *_details(result)])
    return f"{_MARKS[result.outcome]} {names.target(result.target)} {what}"


def _details(result: TargetResult) -> Iterator[str]:
    """Yield the details of a target that did not fail."""
    if result.outcome is Outcome.KEPT:
        yield f"names {short(result.before) if result.before else 'another image'}"
    if result.digest:
        yield short(result.digest)
    if result.outcome is Outcome.PUSHED and result.known_before:
        yield "new" if result.before is None else f"was {short(result.before)}"
    if result.digest and not result.verified:
        yield "not verified"
    if len(result.attempts) > 1:
        yield f"at try {len(result.attempts)}"


def more_ended_line(outcome: Outcome, names: list[str], what: str) -> str:
    """Say that many targets ended in the same way."""
    tags = f"{_MARKS[outcome]} {len(names):,} more {done(outcome)}"
    return f"{tags}{what}: {listed(names, MOST_NAMES)}"


def done(outcome: Outcome) -> str:
    """Return an outcome's word; a failure is in capitals."""
    return "FAILED" if outcome is Outcome.FAILED else outcome.value


def words_of(failure: Failure) -> str:
    """Return the failure's text as one short line; empty if it says no more than the status."""
    text = " ".join(said(failure.message).split())
    if _NOTHING_SAID.search(text):
        return ""
    return text if len(text) <= MOST_OF_A_MESSAGE else f"{text[:MOST_OF_A_MESSAGE]}…"


def uploaded_line(event: ContentDone, names: Names) -> str:
    """Say what was uploaded, how long it took, and what was not needed."""
    where = names.repository(event.seed.reference.repository)
    transfer = event.transfer
    if not transfer.blobs_sent:
        return f"{where}nothing to upload: {_there_already(transfer)}"
    line = f"{count(transfer.blobs_sent, 'blob')} uploaded, {megabytes(transfer.bytes_sent)}"
    line += f" in {span(event.seconds)}"
    if event.seconds and (rate := transfer.bytes_sent / event.seconds) >= WORTH_A_RATE:
        line += f" ({megabytes(rate)}/s)"
    rest = f"; {_there_already(transfer)}" if transfer.blobs_found + transfer.blobs_mounted else ""
    return f"{where}{line}{rest}"


def referrers_line(event: ReferrersBrought, names: Names) -> str:
    """Say how many signatures and other referrers were copied, by type."""
    where = names.repository(event.seed.reference.repository)
    return f"{where}{referrers_text(event.referrers)}"


def _there_already(transfer: TransferStats) -> str:
    parts = []
    if transfer.blobs_found:
        parts.append(f"{transfer.blobs_found} there already")
    if transfer.blobs_mounted:
        parts.append(f"{transfer.blobs_mounted} mounted")
    return f"{', '.join(parts) or 'no blobs'} ({megabytes(transfer.bytes_saved)})"


def uploading_line(uploads: list[ContentProgress], names: Names) -> str:
    """Say how far the active uploads are."""
    done, size = sum(each.done for each in uploads), sum(each.size for each in uploads)
    more = "" if all(each.whole for each in uploads) else " known so far"
    where = f"{len(uploads):,} repositories: "
    if len(uploads) == 1:
        where = names.repository(uploads[0].seed.reference.repository)
    return f"{where}uploading: {done / 1e6:,.1f} of {megabytes(size)}{more}"


def held_line(hold: Hold) -> str:
    """Say for how long nothing is sent to a registry, and why."""
    return f"{hold.registry}: on hold for {hold.seconds:.0f} s: {hold.reason}"


def still_waiting_line(event: StillWaiting) -> str:
    """Say that a registry is still idle."""
    if event.left is None:
        return f"{event.registry}: no request has succeeded for {event.seconds:.0f} s"
    return f"{event.registry}: on hold for another {event.left:.0f} s"


def engine_lines(event: EngineSaid) -> Iterator[str]:
    """Return the engine's output, escaped and marked as quoted, without its countdowns."""
    counting: dict[str, int] = {}
    for line in event.lines:
        if tick := _COUNTDOWN.fullmatch(line):
            layer, seconds = tick[1], int(tick[2])
            running = counting.get(layer) == seconds + 1
            counting[layer] = seconds
            if running:
                continue
        yield f"  | {escape_commands(line)}"


def megabytes(size: float) -> str:
    """Return bytes as ``1,234.5 MB``."""
    return f"{size / 1e6:,.1f} MB"

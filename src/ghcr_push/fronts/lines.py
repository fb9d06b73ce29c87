"""A run as plain log lines: for a runner's log, for pipes, and for whoever reads them at night."""

import re
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Final

from ghcr_push.model import Failure, Outcome, Plan, Step, TargetResult, TransferStats
from ghcr_push.pushing.events import (
    Began,
    ContentDone,
    ContentProgress,
    Ended,
    EngineSaid,
    Event,
    Held,
    LimitChanged,
    Noticed,
    Planned,
    Waiting,
)
from ghcr_push.reporting.escape import visible
from ghcr_push.reporting.phrases import short

MOST_OF_A_MESSAGE: Final = 500
"""Characters of a failure's text in a line; the report has all of it."""

# the runner obeys ##[name] anywhere in a line, and ::name:: at its start after blanks
_OLD_COMMAND: Final = re.compile(r"##\[")
_NEW_COMMAND: Final = re.compile(r"^(\s*)::")

SAID_SINGLY, SAID_TOGETHER = 10, 25
"""Events of one sort that have a line each; of the others, how many one line stands for."""

_COUNTDOWN: Final = re.compile(r"([0-9a-f]+): Retrying in (\d+) seconds?")

_MARKS: Final = {
    Outcome.PUSHED: "✓ pushed",
    Outcome.UNCHANGED: "✓ unchanged",
    Outcome.KEPT: "= kept",
    Outcome.FAILED: "✗ FAILED",
    Outcome.SKIPPED: "- skipped",
    Outcome.PLANNED: "… planned",
}


def harmless(text: str) -> str:
    """Give outside text as one line that no terminal and no runner obeys.

    Control characters (and what else is invisible) are shown escaped; runner commands are broken
    (actions/runner, ``ActionCommand.cs``: version 2 at a line's start, version 1 anywhere).
    """
    line = _OLD_COMMAND.sub("##\\\\[", visible(text))
    return _NEW_COMMAND.sub(r"\1:\\:", line)


def plan_lines(plan: Plan) -> Iterator[str]:
    """Say what is going to be written, from where."""
    for group in plan.groups:
        tags = ", ".join(target.reference.tag for target in group.targets[:10])
        more = len(group.targets) - 10
        rest = f" and {more} more" if more > 0 else ""
        yield harmless(f"{group.source} → {group.repository}: {tags}{rest}")


def event_lines(event: Event) -> Iterator[str]:
    """Say what happened, each line standing for itself; engine output is for ``engine_lines``."""
    match event:
        case Began(target, Step.PUSH, number):  # it takes long; a tag's write is over at once
            again = f", try {number}" if number > 1 else ""
            yield harmless(f"{target}: docker push{again}")
        case Waiting(target, number, failure, seconds):
            yield harmless(
                f"{target}: try {number} failed: {failure_text(failure)}; "
                f"next try after {seconds:.1f} s, when a slot is free"
            )
        case Ended(result):
            yield harmless(f"{result.target}: {_end_text(result)}")
        case LimitChanged(change) if change.new < change.old:  # that it recovers is no news
            yield harmless(
                f"{change.registry}: parallel writes {change.old} → {change.new} ({change.reason})"
            )
        case Held(hold):
            yield harmless(
                f"{hold.registry}: nothing is sent for {hold.seconds:.0f} s ({hold.reason})"
            )
        case Planned(plan):
            yield from plan_lines(plan)
        case Noticed(sentence):
            yield harmless(sentence)
        case ContentProgress() | ContentDone():
            yield harmless(_carriage_line(event))
        case _:
            return


class Log:
    """Keeps a log short: of what happens alike to many targets, some lines stand for all."""

    def __init__(self) -> None:
        self._seen: Counter[Hashable] = Counter()

    def lines(self, event: Event) -> Iterator[str]:
        """Say what happened, unless enough has been said that is like it."""
        alike = _alike(event)
        if alike is None:
            yield from event_lines(event)
            return
        self._seen[alike] += 1
        beyond = self._seen[alike] - SAID_SINGLY
        if beyond <= 0:
            yield from event_lines(event)
        elif beyond % SAID_TOGETHER == 0:
            for line in event_lines(event):
                yield f"{line} (and {SAID_TOGETHER - 1} more like it)"


def _alike(event: Event) -> Hashable:
    """Return what an event has in common with others like it; None where it stands for itself."""
    match event:
        case Ended(result) if result.failure is not None:
            return "ended", result.outcome, result.failure.kind, result.failure.status
        case Ended(result) if not result.retried:
            return "ended", result.outcome, result.target.reference.repository
        case Waiting(_, _, failure, _):
            return "waiting", failure.kind, failure.status
    return None


def engine_lines(event: EngineSaid) -> Iterator[str]:
    """Give the engine's output, made harmless and marked as quoted, its countdowns left out."""
    counting: dict[str, int] = {}
    for line in event.lines:
        if tick := _COUNTDOWN.fullmatch(line):
            layer, seconds = tick[1], int(tick[2])
            running = counting.get(layer) == seconds + 1
            counting[layer] = seconds
            if running:
                continue
        yield f"  | {harmless(line)}"


def failure_text(failure: Failure) -> str:
    """Give kind and text of a failure as one line."""
    text = " ".join(failure.message.split())
    if len(text) > MOST_OF_A_MESSAGE:
        text = f"{text[:MOST_OF_A_MESSAGE]}…"
    return f"{failure.kind}: {text}"


def _carriage_line(event: ContentProgress | ContentDone) -> str:
    how_far = carriage_text(event.carriage)
    if isinstance(event, ContentDone):
        return f"{event.seed}: layers uploaded in {event.seconds:.1f} s: {how_far}"
    if event.expected is not None:
        how_far += f", {max(0, event.expected - event.carriage.blobs)} to come"
    return f"{event.seed}: uploading layers: {how_far}"


def carriage_text(carriage: TransferStats) -> str:
    """Say how many blobs, and bytes, were sent and how many needed not be."""
    parts = [f"{carriage.sent} sent ({_megabytes(carriage.bytes_sent)})"]
    if there := carriage.found + carriage.mounted:
        parts.append(f"{there} there already ({_megabytes(carriage.bytes_saved)})")
    return ", ".join(parts)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _end_text(result: TargetResult) -> str:
    mark = _MARKS[result.outcome]
    if result.failure is not None:
        landed = " (a write was in flight: it may have landed)" if result.may_have_landed else ""
        return f"{mark}: {failure_text(result.failure)}{landed}"
    if result.outcome is Outcome.PLANNED:
        return mark
    if result.outcome is Outcome.KEPT:
        return f"{mark}, names {short(result.before) if result.before else 'another image'}"
    parts = [f"{mark} {short(result.digest) if result.digest else ''}"]
    if result.outcome is Outcome.PUSHED and result.known_before:
        parts.append("new" if result.before is None else f"was {short(result.before)}")
    if not result.verified:
        parts.append("not verified")
    if len(result.attempts) > 1:
        parts.append(f"{len(result.attempts)} attempts")
    return ", ".join(parts)

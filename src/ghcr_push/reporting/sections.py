"""The summary's sections of targets: each target is in exactly one of them."""

from collections.abc import Callable, Container, Iterable, Sequence
from itertools import groupby, takewhile

from ghcr_push.failures.policies import POLICIES
from ghcr_push.model import ENDED_BY_RUN, AttemptRecord, FailureRecord, Outcome
from ghcr_push.references import Repository
from ghcr_push.reporting.escape import advice, clipped, code, escape, visible
from ghcr_push.reporting.outputs import images
from ghcr_push.reporting.phrases import (
    STEPS,
    attempts_text,
    cause,
    count,
    planned_state,
    said,
    short,
    span,
)
from ghcr_push.reporting.records import Report, TargetRecord, grouped

FOLDED_FROM = 11
"""Rows from which a table is folded, with its headline visible."""

FAILED_FOLDED_FROM = 26
"""The same for failed targets, which matter most to the reader."""

LIST_FOLDED_FROM = 41
"""The same for a list of tags, which takes a tenth of a table's space."""

_FEW = 3
"""Minimum rows of a repository that are shown."""

_GHCR = "ghcr.io"

_MOST_REPOSITORIES = 10
_LONGEST_QUOTE = 500
_SHORT_QUOTE = 100
_MOST_LINES = 6
_MOST_DETAILS = 3_000
_MOST_EVENTS = 8

_SHORTEST = 0.05
"""Seconds below which equal failures in a row count as one moment."""

_MILLISECONDS = 0.005
"""Seconds by which rounded times may differ."""

_Column = tuple[str, Callable[[TargetRecord], str]]


class ByteBudget:
    """The bytes left for a summary's sections, and the address of the guide to failures."""

    def __init__(self, guide: str = "") -> None:
        self.guide = guide
        self._left = 0

    def grow(self, more: int) -> None:
        """Add ``more`` bytes."""
        self._left += more

    def take(self, text: str) -> bool:
        """Reserve space for ``text`` and a newline, if there is enough."""
        size = len(text.encode()) + 1
        if size > self._left:
            return False
        self._left -= size
        return True


def failed(report: Report, room: ByteBudget) -> str:
    """Return the failed targets, grouped by cause, with advice."""
    results = report.ended(Outcome.FAILED)
    return _by_cause("❌ Failed", results, (_REFERENCE, _TRIED), room, FAILED_FOLDED_FROM)


def skipped(report: Report, room: ByteBudget) -> str:
    """Return the targets that were never tried, by the reason."""
    results = report.ended(Outcome.SKIPPED)
    above = {each.failure.advice for each in report.ended(Outcome.FAILED) if each.failure}
    return _by_cause("⏭️ Skipped, never tried", results, (_REFERENCE,), room, FOLDED_FROM, above)


def retried(report: Report, room: ByteBudget) -> str:
    """Return the targets that landed after retries, with the causes and waits."""
    results = [result for result in report.landed if result.retried]
    layers = any(result.retried_layers and len(result.attempts) <= 1 for result in results)
    title = f"🔁 Pushed after retries{' of the tag or its layers' if layers else ''}"
    return _by_repository(title, results, (_DIGEST, _BEFORE, _RETRIED), room)


def landed(report: Report, room: ByteBudget) -> str:
    """Return the targets that landed at the first attempt, by repository, and how to pull them."""
    results = [result for result in report.landed if not result.retried]
    first = " at the first try" if len(results) < len(report.landed) else ""
    table = _by_repository(f"✅ Pushed{first}", results, (_DIGEST, _BEFORE), room)
    return "\n\n".join(filter(None, [table, _pulls(report, room)]))


def kept(report: Report, room: ByteBudget) -> str:
    """Return the protected tags that name another image and were left unchanged."""
    results = report.ended(Outcome.KEPT)
    return _in_one_table("🔒 Kept, protected", results, (_REFERENCE, _NAMES), room)


def planned(report: Report, room: ByteBudget) -> str:
    """Return the targets of a dry run, by repository."""
    results = report.ended(Outcome.PLANNED)
    return _by_repository("📝 Would be pushed", results, (_SOURCE, _STATE), room)


# -- layout of sections ------------------------------------------------------------------------


def _by_cause(
    title: str,
    results: Sequence[TargetRecord],
    columns: tuple[_Column, ...],
    room: ByteBudget,
    folded_from: int,
    above: Container[str] = (),
) -> str:
    """Return a block per cause, the run's own end last, else the most frequent first.

    Advice already shown ``above`` is not repeated.
    """
    groups = grouped(results, lambda result: _cause_key(result.failure))
    blocks, total = [], 0
    for group in sorted(groups.values(), key=_by_weight):
        block, same_words = _cause_text(group, room.guide, above)
        if not room.take(block):
            break
        said = _SAID if len(group) < folded_from else _SAID_SHORTLY
        needed = columns if same_words else (*columns, said)
        table, shown = _rows(needed, group, room, folded=len(group) >= folded_from)
        blocks += [block, table]
        total += shown
    return _section(title, results, blocks, total)


def _rows(
    columns: tuple[_Column, ...], results: Sequence[TargetRecord], room: ByteBudget, *, folded: bool
) -> tuple[str, int]:
    """Return a table or, if its rows would differ only by the tag, a list of tags."""
    first, *others = columns
    if len({result.parsed.repository for result in results}) == 1:
        first = _TAG
    values = {tuple(cell(result) for _, cell in others) for result in results}
    if len(values) > 1:
        return _table((first, *others), results, room, folded=folded)
    tags = list(takewhile(room.take, map(first[1], results)))
    listed = " · ".join(filter(None, [", ".join(tags), *values.pop()]))
    return _fold(listed, len(tags)) if len(tags) >= LIST_FOLDED_FROM else listed, len(tags)


def _by_repository(
    title: str, results: Sequence[TargetRecord], last: tuple[_Column, ...], room: ByteBudget
) -> str:
    """Return a table per repository, or one for many; if one is folded, all are.

    A digest that all of a repository share is shown above its table.
    """
    groups = grouped(results, lambda result: result.parsed.repository)
    if len(groups) > _MOST_REPOSITORIES:
        return _in_one_table(title, results, (_REFERENCE, *last), room)
    folded = len(results) >= FOLDED_FROM
    blocks, total = [], 0
    for repository, group in groups.items():
        digests = {result.digest for result in group}
        columns = [each for each in last if each is not _DIGEST or len(digests) > 1]
        shared = f" · {_short(digest)}" if len(digests) == 1 and (digest := group[0].digest) else ""
        table, shown = _rows((_TAG, *columns), group, room, folded=folded and len(group) > _FEW)
        blocks += [f"{_linked(repository)} · {count(len(group), 'tag')}{shared}", table]
        total += shown
    return _section(title, results, blocks, total)


def _in_one_table(
    title: str, results: Sequence[TargetRecord], columns: tuple[_Column, ...], room: ByteBudget
) -> str:
    table, shown = _table(columns, results, room, folded=len(results) >= FOLDED_FROM)
    return _section(title, results, [table], shown)


def _pulls(report: Report, room: ByteBudget) -> str:
    """Return the commands that pull what landed, to copy."""
    landed = images(report)
    if not landed or len(landed) > _MOST_REPOSITORIES:
        return ""
    commands = "\n".join(f"docker pull {visible(image)}" for image in landed)
    block = f"```sh\n{commands}\n```"
    return block if room.take(block) else ""


def _linked(repository: Repository) -> str:
    """Return a repository's name, linked to its page if its registry is known to have one.

    ghcr.io redirects a browser to the package's page for users and organisations
    (OctoLinker/OctoLinker#1455).
    """
    name = code(str(repository))
    return f'<a href="https://{repository}">{name}</a>' if repository.registry == _GHCR else name


def _section(title: str, results: Sequence[TargetRecord], blocks: Iterable[str], shown: int) -> str:
    """Return a section on ``results``; it says if not all are ``shown``."""
    if not results:
        return ""
    left = len(results) - shown
    more = f"… and **{count(left, 'more tag')}**, named in the JSON report." if left else ""
    head = f"### {title} — {count(len(results), 'tag')}"
    return "\n\n".join(filter(None, [head, *blocks, more]))


def _table(
    columns: Sequence[_Column], results: Sequence[TargetRecord], room: ByteBudget, *, folded: bool
) -> tuple[str, int]:
    """Return a table with as many rows as there is room for, and their number."""
    all_rows = (_row(cell(result) for _, cell in columns) for result in results)
    rows = list(takewhile(room.take, all_rows))
    if not rows:
        return "", 0
    head = [_row(title for title, _ in columns), _row("---" for _ in columns)]
    table = "\n".join([*head, *rows])
    return _fold(table, len(rows)) if folded else table, len(rows)


def _fold(text: str, tags: int) -> str:
    return f"<details><summary>Show {count(tags, 'tag')}</summary>\n\n{text}\n\n</details>"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


# -- causes -----------------------------------------------------------------------------------


def _cause_key(failure: FailureRecord | None) -> tuple[str, ...]:
    return () if failure is None else (cause(failure), failure.advice)


def _by_weight(group: Sequence[TargetRecord]) -> tuple[bool, int]:
    failure = group[0].failure
    return failure is not None and failure.kind in ENDED_BY_RUN, -len(group)


def _cause_text(
    group: Sequence[TargetRecord], guide: str, above: Container[str]
) -> tuple[str, bool]:
    """Return what ended the targets of ``group``, and whether all got the same text."""
    failure = group[0].failure
    if failure is None:
        return f"**No cause is known** · {_of(group)}", True
    same = all(result.failure and result.failure.message == failure.message for result in group)
    quote = same and (failure.kind not in ENDED_BY_RUN or failure.kept_failing is not None)
    lines = [
        f"{_kind(failure, guide)} · {_of(group)} — {advice(POLICIES[failure.kind].meaning)}",
        *([_quoted(said(failure.message))] if quote else []),
        *([] if failure.advice in above else [f"👉 {advice(failure.advice)}"]),
    ]
    return "<br>\n".join(lines) + _for_a_maintainer(failure), same


def _of(group: Sequence[TargetRecord]) -> str:
    """Return ``2 tags of REPOSITORY``, if they have one repository."""
    tags, repositories = count(len(group), "tag"), {each.parsed.repository for each in group}
    return f"{tags} of {code(str(repositories.pop()))}" if len(repositories) == 1 else tags


def _kind(failure: FailureRecord, guide: str) -> str:
    """Return a failure's kind, linked to its section in the guide."""
    linked = cause(failure)
    for kind in filter(None, (failure.kind, failure.kept_failing)):
        if guide:
            linked = linked.replace(kind, f'<a href="{guide}#{kind}">{kind}</a>', 1)
    return f"**{linked}**"


def _for_a_maintainer(failure: FailureRecord) -> str:
    """Return the details for a bug report, folded; empty if the cause is known."""
    if not failure.details:
        return ""
    lines = clipped(failure.details, _MOST_DETAILS).splitlines()
    quoted = "<br>\n".join(code(line) for line in lines if line.strip())
    return f"\n\n<details><summary>For a bug report</summary>\n\n{quoted}\n\n</details>"


def _quoted(message: str) -> str:
    """Return outside text as code, shortened to its first lines or characters if it is long."""
    lines = [line for line in clipped(message, _LONGEST_QUOTE).splitlines() if line.strip()]
    kept = lines[:_MOST_LINES] + ["…"] * (len(lines) > _MOST_LINES)
    return "<br>".join(map(code, kept)) or "<i>no message</i>"


def _events(result: TargetRecord) -> list[str]:
    """Return the failed attempts in order of time, equal ones in a row as one, with waits."""
    runs = [
        (name, list(same)) for name, same in groupby(result.all_attempts, key=_attempt_name) if name
    ]
    more = len(runs) - _MOST_EVENTS
    half = _MOST_EVENTS // 2
    shown = [*runs[:half], *runs[-half:]] if more > 0 else runs
    events = [_event(name, tried, result) for name, tried in shown]
    return [*events[:half], f"{more} more", *events[half:]] if more > 0 else events


def _event(name: str, tried: Sequence[AttemptRecord], result: TargetRecord) -> str:
    """Return consecutive attempts with equal failures as one event."""
    if len(tried) == 1:
        wait = _waited(tried[0], result)
        return f"{escape(name)}, waited {span(wait)}" if wait else escape(name)
    seconds = tried[-1].ended - tried[0].started
    over = f" over {span(seconds)}" if seconds >= _SHORTEST else ""
    return f"{len(tried)} \N{MULTIPLICATION SIGN} {escape(name)}{over}"


def _waited(attempt: AttemptRecord, result: TargetRecord) -> float:
    """Return the seconds until the retry of what failed, including its time in the queue."""
    own = attempt in result.attempts
    # blobs have no names here: of several candidates for the retry, take the first
    again = (
        other.started - attempt.ended
        for other in (result.attempts if own else result.content_attempts)
        if own or other.number == attempt.number + 1
    )
    late = (seconds for seconds in again if seconds > attempt.wait - _MILLISECONDS)
    return min(late, default=attempt.wait)


def _attempt_name(attempt: AttemptRecord) -> str | None:
    return None if attempt.failure is None else f"{cause(attempt.failure)} on {STEPS[attempt.step]}"


# -- cells ------------------------------------------------------------------------------------


def _tried(result: TargetRecord) -> str:
    """Return how often and how long a failed target was tried, and the failures."""
    text = attempts_text(result)
    counted = result.attempts or result.content_attempts
    if len(counted) > 1:
        text += f" in {span(max(each.ended for each in counted) - counted[0].started)}"
    events = _events(result)
    # a single failure is in the block's first line already
    text += f": {' → '.join(events)}" if len(events) > 1 else ""
    return f"{text} · ⚠️ **may have landed**" if result.may_have_landed else text


def _said(result: TargetRecord) -> str:
    return said(result.failure.message) if result.failure else ""


def _before(result: TargetRecord) -> str:
    """Return what the tag named before, and whether a read verified what it names now."""
    if result.outcome is Outcome.UNCHANGED:
        text = "unchanged"
    elif not result.before_known:
        text = "not read"
    elif result.before is None:
        text = "new"
    elif result.before == result.digest:
        text = "the same"
    else:
        text = f"moved from {_short(result.before)}"
    return text if result.verified else f"{text} · ⚠️ not verified"


def _short(digest: str) -> str:
    return f'<code title="{escape(digest)}">{escape(short(digest))}</code>'


_REFERENCE: _Column = ("Tag", lambda result: code(result.reference))
_TAG: _Column = ("Tag", lambda result: code(result.parsed.tag))
_TRIED: _Column = ("What was tried", _tried)
_SAID: _Column = ("What was said", lambda result: _quoted(_said(result)))
_SAID_SHORTLY: _Column = (
    "What was said",
    lambda result: code(clipped(_said(result), _SHORT_QUOTE)),
)
_RETRIED: _Column = ("What was retried", lambda result: " → ".join(_events(result)))
_DIGEST: _Column = (
    "Digest",
    lambda result: _short(result.digest) if result.digest else "not known",
)
_BEFORE: _Column = ("Before", _before)
_NAMES: _Column = ("Names", lambda result: _short(result.before) if result.before else "?")
_STATE: _Column = ("Now", lambda result: escape(planned_state(result)))
_SOURCE: _Column = ("From", lambda result: code(result.source))

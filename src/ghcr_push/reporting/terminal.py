"""The end of a run for a terminal or a log: the summary in a few plain lines."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from textwrap import wrap

from ghcr_push.model import Outcome
from ghcr_push.reporting.escape import clipped, visible
from ghcr_push.reporting.headline import headline
from ghcr_push.reporting.phrases import (
    attempts_text,
    cause,
    causes,
    common_cause,
    count,
    listed,
    planned_state,
    retries_text,
    said,
    short,
    tally,
)
from ghcr_push.reporting.records import Report, TargetRecord, grouped
from ghcr_push.reporting.referrers import referrers_of

_MOST_NAMES = 10
"""Maximum number of tags of a repository that are named; the others are counted."""
_MOST_BLOCKS = 20
"""Maximum number of causes, or repositories, that are named; the others are counted."""
_MOST_QUOTES = 3
"""Maximum number of texts of a cause that are quoted; they may differ by the tag that they name."""
_LONGEST_QUOTE = 300
_WIDTH = 100


def terminal(report: Report) -> str:
    """Return the run as plain text, failures first; control characters are made visible."""
    lines = [
        visible(headline(report)),
        *failed_lines(report),
        *left_lines(report),
        retries_text(report),
        *retried_lines(report),
        *landed_lines(report),
        *planned_lines(report),
        visible(referrers_of(report)),
        tally(report),
    ]
    return "".join(f"{line}\n" for line in lines if line)


def failed_lines(report: Report) -> Iterator[str]:
    """Yield the failed targets; targets with the same failure share text and advice."""
    yield from _blocks(report.ended(Outcome.FAILED), common_cause, _failed_block, "cause")


def _failed_block(alike: list[TargetRecord]) -> Iterator[str]:
    yield from _named("✗", alike)
    failure = alike[0].failure
    if failure is None:
        yield "      no cause is known"
        return
    # content shared by several was tried with one of them
    content = [target for target in alike if target.content_attempts and not target.attempts]
    tried = {attempts_text(target) for target in content or alike}
    how_often = f", {how}" if len(tried) == 1 and (how := tried.pop()) else ""
    landed = "; may have landed" if alike[0].may_have_landed else ""
    first, *others = dict.fromkeys(said(each.failure.message) for each in alike if each.failure)
    yield f"      {cause(failure)}{how_often}{landed}: {_quoted(first)}"
    yield from (f"      {_quoted(other)}" for other in others[: _MOST_QUOTES - 1])
    if (more := len(others) + 1 - _MOST_QUOTES) > 0:
        yield f"      … and {count(more, 'other text')}"
    yield f"      {visible(failure.advice)}"


def _quoted(message: str) -> str:
    return visible(clipped(message, _LONGEST_QUOTE))


def left_lines(report: Report) -> Iterator[str]:
    """Yield the targets that were never tried, and the protected ones that were left unchanged."""
    yield from _by_text(report.ended(Outcome.SKIPPED), "-", _skipped, "cause")
    yield from _by_text(report.ended(Outcome.KEPT), "=", _kept, "digest")


def _skipped(target: TargetRecord) -> str:
    return f" skipped: {cause(target.failure)}" if target.failure else " skipped"


def _kept(target: TargetRecord) -> str:
    names = short(target.before) if target.before else "another image"
    return f" kept: protected, and names {visible(names)}"


def retried_lines(report: Report) -> Iterator[str]:
    """Yield the targets that landed after retries, grouped by their reasons."""
    again = [target for target in report.landed if target.retried]
    yield from _by_text(
        again, "↻", lambda target: f" {target.outcome} after {causes([target])}", "reason"
    )


def landed_lines(report: Report, most: int = _MOST_NAMES) -> Iterator[str]:
    """Yield what the registry holds now: a line for each image of a repository.

    Names at most ``most`` of its tags.
    """
    groups = grouped(
        report.landed, lambda each: (_repository(each), each.digest, each.outcome)
    ).values()
    for alike in list(groups)[:_MOST_BLOCKS]:
        first = alike[0]
        image = f"{_repository(first)}@{first.digest}" if first.digest else _repository(first)
        what = str(first.outcome) if first.verified else f"{first.outcome}, not verified"
        yield f"  ✓ {visible(image)} {what}:"
        yield from _wrapped(_tags(alike, most))
    if (more := len(groups) - _MOST_BLOCKS) > 0:
        yield f"  … and {count(more, 'more image')}"


def planned_lines(report: Report) -> Iterator[str]:
    """Yield what a dry run would have pushed, with every tag."""
    planned = report.ended(Outcome.PLANNED)
    for alike in grouped(planned, lambda each: (each.source, _repository(each))).values():
        yield f"  … {visible(alike[0].source)} → {visible(_repository(alike[0]))}:"
        for state, targets in grouped(alike, planned_state).items():
            yield from _wrapped(f"{visible(state)}: {_tags(targets, len(targets))}")


def _wrapped(text: str) -> Iterator[str]:
    """Yield ``text`` below a line, broken at blanks."""
    yield from (f"      {line}" for line in wrap(text, _WIDTH, break_long_words=False))


# -- grouped targets ----------------------------------------------------------------------------


def _by_text(
    targets: Iterable[TargetRecord], mark: str, text: Callable[[TargetRecord], str], noun: str
) -> Iterator[str]:
    """Yield lines of targets with the same ``text`` after their names."""
    yield from _blocks(targets, text, lambda alike: _named(mark, alike, text(alike[0])), noun)


def _blocks(
    targets: Iterable[TargetRecord],
    key: Callable[[TargetRecord], Hashable],
    block: Callable[[list[TargetRecord]], Iterator[str]],
    noun: str,
) -> Iterator[str]:
    groups = list(grouped(targets, key).values())
    for alike in groups[:_MOST_BLOCKS]:
        yield from block(alike)
    if rest := groups[_MOST_BLOCKS:]:
        tags = count(sum(map(len, rest)), "more tag")
        yield f"  … {tags} ({rest[0][0].outcome}), for {count(len(rest), f'other {noun}')}"


def _named(mark: str, alike: Iterable[TargetRecord], rest: str = "") -> Iterator[str]:
    """Yield a line for each repository, with its tags."""
    groups = list(grouped(alike, _repository).values())
    for group in groups[:_MOST_BLOCKS]:
        repository = visible(_repository(group[0]))
        joint = ":" if len(group) == 1 else ": "
        yield f"  {mark} {repository}{joint}{_tags(group, _MOST_NAMES)}{rest}"
    if left := groups[_MOST_BLOCKS:]:
        tags = count(sum(map(len, left)), "more tag")
        where = "another repository" if len(left) == 1 else f"{len(left):,} other repositories"
        yield f"  {mark} {tags} in {where}{rest}"


def _repository(target: TargetRecord) -> str:
    return target.reference.rpartition(":")[0]


def _tags(targets: list[TargetRecord], most: int) -> str:
    return listed([visible(target.reference.rpartition(":")[2]) for target in targets], most)

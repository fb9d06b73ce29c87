"""Prints the user's guide to failures: ``python -m scripts.failures_guide > docs/failures.md``."""

import sys
from collections.abc import Iterator, Sequence

from tests.support.failure_examples import Example, Wording, examples_of

from ghcr_push.failures.policies import POLICIES, Cause, RetryPolicy
from ghcr_push.failures.rule import Classification, Rule
from ghcr_push.failures.rules import RULES
from ghcr_push.model import Kind

_HEADINGS = {
    Cause.PERMISSION: "Permissions",
    Cause.REGISTRY: "The registry",
    Cause.NETWORK: "The network",
    Cause.ENGINE: "The Docker Engine",
    Cause.INPUT: "The workflow: names, images, settings",
    Cause.NONE: "The run itself",
}

_INTRODUCTION = """\
# When a push fails

Every failure in the log, the summary, the annotations and the report has a *kind*. Find the kind
here, or search this page for the error text: it lists the known texts of each client.

## The six most common failures

USUAL

*Retried* says how many attempts a blob, manifest or tag gets (`max-attempts` is the input of that
name). *Slows down* says whether the failure counts as a sign of overload, so that fewer writes are
sent in parallel.
"""


_MADE_FROM = """\
This page is generated from the table in `src/ghcr_push/failures` (`python -m
scripts.failures_guide > docs/failures.md`); change the table, not the page.
"""

_USUAL: tuple[tuple[tuple[Kind, ...], str, str], ...] = (
    (
        (Kind.DENIED, Kind.AUTH_BLIP),
        "`permission_denied: write_package`, `denied`",
        (
            "the job lacks `permissions: packages: write`, "
            "or the package's settings do not list this "
            "repository under *Manage Actions access*"
        ),
    ),
    (
        (Kind.UNAUTHORIZED,),
        "",
        "no credentials for that registry, or a pull request from a fork, whose token is read-only",
    ),
    (
        (Kind.IMAGE_MISSING,),
        "",
        (
            "the image is not in the runner's engine: build it in this job; "
            "docker/build-push-action "
            "keeps it only with `load: true`"
        ),
    ),
    (
        (Kind.SERVER_ERROR, Kind.TIMEOUT),
        "500, 502, 503, 504",
        (
            "an incident: check [githubstatus.com](https://www.githubstatus.com) and run the "
            "job again; it does not send again what was pushed"
        ),
    ),
    (
        (Kind.SECONDARY_LIMIT, Kind.THROTTLED),
        "",
        "too many jobs push at once: lower `strategy.max-parallel`, or push fewer tags",
    ),
    (
        (Kind.OVERTAKEN,),
        "",
        "another job moved the same tag: give both jobs one `concurrency:` group",
    ),
)


def guide(rules: Sequence[Rule] = RULES) -> str:
    """Return the page as Markdown."""
    introduction = _INTRODUCTION.replace("USUAL", "\n".join(usual()))
    return "\n".join([introduction, *_overview(), *_chapters(rules), _MADE_FROM])


def usual(page: str = "") -> Iterator[str]:
    """Yield a table of the most common failures, linked to this guide at ``page``.

    By their frequency in public reports of pushes to ghcr.io.
    """
    yield "| message | usual cause |"
    yield "| --- | --- |"
    for kinds, text, mostly in _USUAL:
        named = ", ".join(f"[`{kind}`]({page}#{kind})" for kind in kinds)
        yield f"| {named}{f': {text}' if text else ''} | {mostly} |"


def _overview() -> Iterator[str]:
    yield "## All kinds\n"
    yield "| kind | what happened | retried | slows down |"
    yield "| --- | --- | --- | --- |"
    for cause in _HEADINGS:
        for kind, policy in _of(cause):
            pressure = "yes" if policy.pressure else "no"
            tries = _tries(policy.cap, retryable=policy.retryable)
            yield f"| [`{kind}`](#{kind}) | {policy.meaning} | {tries} | {pressure} |"
    yield ""


def _chapters(rules: Sequence[Rule]) -> Iterator[str]:
    for cause, heading in _HEADINGS.items():
        yield f"## {heading}\n"
        for kind, policy in _of(cause):
            yield f"### {kind}\n"
            meaning = policy.meaning[0].upper() + policy.meaning[1:]
            yield f"{meaning}.\n\n**What to do:** {policy.advice}\n"
            for rule in rules:
                if rule.classification.kind is kind:
                    yield from _section(rule)


def _of(cause: Cause) -> Iterator[tuple[Kind, RetryPolicy]]:
    return ((kind, known) for kind, known in POLICIES.items() if known.cause is cause)


def _section(rule: Rule) -> Iterator[str]:
    yield f"#### {rule.title} ({', '.join(rule.rows)})\n"
    yield f"{rule.why}\n"
    classification, usual = rule.classification, POLICIES[rule.classification.kind]
    retryable = usual.retryable if classification.retryable is None else classification.retryable
    cap = classification.cap or usual.cap
    if (retryable, cap) != (usual.retryable, usual.cap):
        yield f"Retried: {_tries(cap, retryable=retryable)}.\n"
    if rule.after_success is not None:
        yield _after_a_success(
            rule.after_success.kind, rule.classification.kind, rule.after_success.cap
        )
    if rule.already_there is not None:
        yield f"If the repository already holds the same bytes: {_tries_of(rule.already_there)}.\n"
    if classification.advice is not None:
        yield f"**What to do:** {classification.advice}\n"
    yield "```text"
    yield from _illustrations(examples_of(rule))
    yield "```\n"


def _after_a_success(kind: Kind, usual: Kind, cap: int | None) -> str:
    tries = _tries(cap or POLICIES[kind].cap, retryable=True)
    named = "it is retried" if kind is usual else f"it counts as [`{kind}`](#{kind})"
    return f"If the same repository accepted a push earlier in the run, {named} ({tries}).\n"


def _tries_of(classification: Classification) -> str:
    tries = _tries(classification.cap or POLICIES[classification.kind].cap, retryable=True)
    return f"[`{classification.kind}`](#{classification.kind}), {tries}"


def _tries(cap: int | None, *, retryable: bool) -> str:
    if not retryable:
        return "no"
    return f"up to {cap} attempts" if cap else "up to `max-attempts`"


def _illustrations(examples: tuple[Example, ...]) -> Iterator[str]:
    """Show the first two examples of each wording."""
    for wording in Wording:
        for example in [e for e in examples if e.wording is wording][:2]:
            yield _seen(example)


def _seen(example: Example) -> str:
    answer = " ".join(str(part) for part in (example.status, example.code) if part is not None)
    return ": ".join(filter(None, (answer, example.text.replace("```", "'''")))) or "(no text)"


if __name__ == "__main__":
    sys.stdout.write(guide())

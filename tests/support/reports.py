"""Reports to render: a builder per story, and hypothesis strategies for any report."""

from collections.abc import Iterable
from random import Random

from hypothesis import strategies as st

from ghcr_push.failures.policies import POLICIES
from ghcr_push.model import (
    Attempt,
    Failure,
    Hold,
    Kind,
    LimitChange,
    Outcome,
    Source,
    Step,
    Target,
    TargetResult,
)
from ghcr_push.references import Digest, Repository, TagReference
from ghcr_push.reporting.build import build
from ghcr_push.reporting.records import Report

APP = Repository("ghcr.io", "acme/app")
OPS = Repository("ghcr.io", "acme/ops")

HOSTILE = (
    "<script>alert(1)</script> | `code` | [link](https://evil.example) @acme/admins #1\n"
    "::error::x\n</details> ![](https://evil.example/x.png) \x1b[31mred\x1b[0m \u202egnp.exe "
    "```\n# heading www.evil.example root@evil.example $a^2$ &lt; \\| \\"
)


def digest(number: int) -> Digest:
    """Return a digest that looks real."""
    return Digest(f"sha256:{Random(number).getrandbits(256):064x}")


def target(tag: str, repository: Repository = APP, source: str = "app:build") -> Target:
    return Target(TagReference(repository, tag), Source(source))


def failure(kind: Kind, message: str = "", status: int | None = None) -> Failure:
    """Return a failure with the policy of its kind."""
    policy = POLICIES[kind]
    return Failure(
        kind=kind,
        message=message or f"error: {kind}",
        advice=policy.advice,
        retryable=policy.retryable,
        status=status,
    )


SERVER_ERROR = failure(
    Kind.SERVER_ERROR, "received unexpected HTTP status: 500 Internal Server Error", 500
)
DENIED = failure(Kind.DENIED, "denied: permission_denied: write_package", 403)
THROTTLED = failure(
    Kind.SECONDARY_LIMIT, "You have exceeded a secondary rate limit. Please wait a few minutes", 403
)
TIMEOUT = failure(Kind.TIMEOUT, "no answer after 15 minutes")
CANCELLED = failure(Kind.CANCELLED, "the run was cancelled")


def tried(
    failures: Iterable[Failure], *, started: float, landed: bool = True, step: Step = Step.RETAG
) -> tuple[Attempt, ...]:
    """Return an attempt per failure, waits doubling, then one that landed."""
    attempts: list[Attempt] = []
    at, wait = started, 1.3
    for number, failed in enumerate(failures, 1):
        attempts.append(
            Attempt(
                number=number,
                step=step,
                started=at,
                seconds=0.4,
                limit=4,
                failure=failed,
                wait=wait,
            )
        )
        at, wait = at + 0.4 + wait, wait * 2
    if landed:
        attempts.append(
            Attempt(number=len(attempts) + 1, step=step, started=at, seconds=0.5, limit=4)
        )
    elif attempts:
        last = attempts.pop()
        attempts.append(
            Attempt(
                number=last.number,
                step=last.step,
                started=last.started,
                seconds=last.seconds,
                limit=last.limit,
                failure=last.failure,
            )
        )
    return tuple(attempts)


def pushed(
    subject: Target,
    *,
    at: float = 0.0,
    failures: tuple[Failure, ...] = (),
    before: Digest | None = None,
    content: Digest | None = None,
    verified: bool = True,
    seed: bool = False,
) -> TargetResult:
    """Return a target that landed after ``failures``; unchanged if it was ``content`` before."""
    named = content or digest(1)
    step = Step.PUSH if seed else Step.RETAG
    unchanged = before == named
    return TargetResult(
        target=subject,
        outcome=Outcome.UNCHANGED if unchanged else Outcome.PUSHED,
        digest=named,
        before=before,
        known_before=True,
        verified=verified,
        seed=seed,
        retried=bool(failures),
        attempts=() if unchanged else tried(failures, started=at, step=step),
    )


def not_landed(
    subject: Target,
    *failures: Failure,
    at: float = 0.0,
    outcome: Outcome = Outcome.FAILED,
    may_have_landed: bool = False,
) -> TargetResult:
    """Return a target that failed with the last of ``failures``, or was skipped for it."""
    attempts = tried(failures, started=at, landed=False) if outcome is Outcome.FAILED else ()
    return TargetResult(
        target=subject,
        outcome=outcome,
        known_before=bool(attempts),
        may_have_landed=may_have_landed,
        retried=len(attempts) > 1,
        attempts=attempts,
        failure=failures[-1],
    )


def report(
    results: Iterable[TargetResult],
    *,
    cancelled: bool = False,
    limit_changes: tuple[LimitChange, ...] = (),
    holds: tuple[Hold, ...] = (),
    notices: tuple[str, ...] = (),
) -> Report:
    """Return a report that ended when its last attempt did."""
    ended = tuple(results)
    ends = [a.started + a.seconds for result in ended for a in result.attempts]
    return build(
        ended,
        started_at="2026-03-01T02:00:00Z",
        duration=max(ends, default=0.0) + 0.2,
        cancelled=cancelled,
        max_parallel=4,
        limit_changes=limit_changes,
        holds=holds,
        notices=notices,
    )


def change(at: float, old: int, new: int, reason: str = "writes succeed") -> LimitChange:
    return LimitChange(at=at, registry="ghcr.io", old=old, new=new, reason=reason)


# -- stories ----------------------------------------------------------------------------------


def _tags(number: int) -> list[str]:
    return [f"1.{n // 10}.{n % 10}" for n in range(number)]


def _moment(number: int) -> float:
    """Return when the target of that number begins: 4 at a time, half a second each."""
    return 2.4 + number // 4 * 0.55 if number else 0.0


def all_good(number: int) -> Report:
    """Return a run in which every tag landed at once, some new and some moved."""
    return report(
        pushed(target(tag), at=_moment(n), seed=n == 0, before=digest(7) if n % 3 == 0 else None)
        for n, tag in enumerate(_tags(number))
    )


def retried_run(number: int = 20) -> Report:
    """Return a run in which all landed, some after retries, in two repositories."""
    trouble = {
        3: (SERVER_ERROR,),
        7: (SERVER_ERROR, SERVER_ERROR),
        8: (SERVER_ERROR, TIMEOUT),
        12: (THROTTLED,),
    }
    return report(
        (
            pushed(
                target(tag, OPS if n % 4 == 1 else APP),
                at=_moment(n),
                seed=n < 2,
                failures=trouble.get(n % 20, ()),
                before=(None, digest(7), digest(1))[n % 3],
                content=digest(2) if n % 4 == 1 else digest(1),
            )
            for n, tag in enumerate(_tags(number))
        ),
        limit_changes=(
            change(3.1, 4, 2, "server error (500)"),
            change(5.0, 2, 3),
            change(7.4, 3, 4),
        ),
        holds=(Hold(at=4.6, registry="ghcr.io", seconds=1.2, reason="secondary rate limit"),),
        notices=("`image` was lowered to `ghcr.io/acme/app`.",),
    )


def partly_failed(number: int = 20) -> Report:
    """Return a run in which some failed permanently in two ways, and most landed."""

    def ended(n: int, subject: Target) -> TargetResult:
        if n % 20 == 5:
            return not_landed(subject, *[SERVER_ERROR] * 4, TIMEOUT, at=3.0, may_have_landed=True)
        if n % 20 in {9, 10}:
            return not_landed(subject, DENIED, at=2.0)
        failures = (SERVER_ERROR, SERVER_ERROR) if n % 20 in {2, 14} else ()
        return pushed(subject, at=_moment(n), seed=n == 0, failures=failures)

    return report(
        (
            ended(n, target(tag, OPS if n % 20 in {9, 10} else APP))
            for n, tag in enumerate(_tags(number))
        ),
        limit_changes=(change(3.1, 4, 2, "server error (500)"), change(8.0, 2, 3)),
    )


def all_failed(number: int = 20) -> Report:
    """Return a run that may not write at all."""
    return report(
        not_landed(target(tag), DENIED, at=n * 0.1) for n, tag in enumerate(_tags(number))
    )


def cancelled_run(number: int = 20) -> Report:
    """Return a run cut off in its middle."""

    def ended(n: int, subject: Target) -> TargetResult:
        if n < number * 0.6:
            return pushed(subject, at=_moment(n), seed=n == 0)
        if n < number * 0.75:
            return not_landed(subject, CANCELLED, at=_moment(n), may_have_landed=n % 2 == 0)
        return not_landed(subject, CANCELLED, outcome=Outcome.SKIPPED)

    return report((ended(n, target(t)) for n, t in enumerate(_tags(number))), cancelled=True)


def dry_run(number: int = 20) -> Report:
    """Return a run that only planned."""
    return report(
        TargetResult(target=target(tag, OPS if n % 2 else APP), outcome=Outcome.PLANNED)
        for n, tag in enumerate(_tags(number))
    )


def hostile_run() -> Report:
    """Return a run in which every outside text tries to break out."""
    local = Repository("localhost:5000", "acme/app")
    bad = failure(Kind.UNKNOWN, HOSTILE, 418)
    other = failure(Kind.UNKNOWN, f"{HOSTILE} and more", 418)
    return report(
        (
            pushed(target("title", local), seed=True),
            pushed(target("section", local), at=1.0, failures=(bad,), verified=False),
            pushed(target("__init__", local), at=1.0, before=digest(7), verified=False),
            not_landed(target("a_b_c-.x", local), bad, bad, at=1.0),
            not_landed(target("click", local), other, at=1.0),
            not_landed(target("z" * 128, local), failure(Kind.NETWORK, "x" * 4000), at=2.0),
        ),
        limit_changes=(change(1.4, 4, 2, HOSTILE),),
        notices=(HOSTILE, f"Source `{HOSTILE}` is <b>odd</b>.", "- not a list", "1. nor this"),
    )


def huge(number: int = 10_000) -> Report:
    """Return a run with long messages, no two alike, in every section."""

    def ended(n: int, subject: Target) -> TargetResult:
        said = failure(Kind.UNKNOWN, f"{n} {'|<`' * 1400}", 500)
        if n % 5 == 0:
            return not_landed(subject, *[said] * 3, at=n * 0.01)
        if n % 5 == 1:
            return not_landed(subject, said, outcome=Outcome.SKIPPED)
        return pushed(
            subject,
            at=n * 0.01,
            failures=(said,) if n % 5 == 2 else (),
            content=digest(n),
            before=digest(n + 1),
        )

    return report(
        (
            ended(n, target(f"v{n}", Repository("ghcr.io", f"acme/app{n % 50}")))
            for n in range(number)
        ),
        notices=("x" * 4096,) * 200,
    )


# -- any report -------------------------------------------------------------------------------

_seconds = st.floats(0, 1e4, allow_nan=False)
_digests = st.integers(0, 20).map(digest)
_targets = st.builds(
    target,
    st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True),
    st.sampled_from([APP, OPS, Repository("localhost:5000", "x/y_z")]),
    st.text(min_size=1, max_size=20),
)
failures = st.builds(
    failure,
    st.sampled_from(Kind),
    st.text(st.characters(), max_size=80),
    st.none() | st.integers(400, 599),
)
_attempts = st.lists(
    st.builds(
        Attempt,
        number=st.integers(1, 9),
        step=st.sampled_from(Step),
        started=_seconds,
        seconds=_seconds,
        limit=st.integers(1, 64),
        failure=st.none() | failures,
        wait=_seconds,
    ),
    max_size=3,
).map(tuple)


def _results(subject: Target) -> st.SearchStrategy[TargetResult]:
    landed = st.builds(
        TargetResult,
        target=st.just(subject),
        outcome=st.sampled_from([Outcome.PUSHED, Outcome.UNCHANGED]),
        digest=_digests,
        before=st.none() | _digests,
        known_before=st.booleans(),
        verified=st.booleans(),
        seed=st.booleans(),
        retried=st.booleans(),
        attempts=_attempts,
    )
    other = st.builds(
        TargetResult,
        target=st.just(subject),
        outcome=st.sampled_from([Outcome.FAILED, Outcome.SKIPPED]),
        may_have_landed=st.booleans(),
        retried=st.booleans(),
        attempts=_attempts,
        failure=st.none() | failures,
    )
    return landed | other | st.just(TargetResult(target=subject, outcome=Outcome.PLANNED))


reports = st.builds(
    build,
    started_at=st.just("2026-03-01T02:00:00Z"),
    duration=_seconds,
    cancelled=st.booleans(),
    max_parallel=st.integers(1, 64),
    results=st.lists(_targets, unique_by=lambda t: t.reference, max_size=10).flatmap(
        lambda subjects: st.tuples(*map(_results, subjects))
    ),
    limit_changes=st.lists(
        st.builds(
            LimitChange,
            at=_seconds,
            registry=st.sampled_from(["ghcr.io", "localhost:5000"]),
            old=st.integers(1, 64),
            new=st.integers(1, 64),
            reason=st.text(max_size=30),
        ),
        max_size=5,
    ).map(tuple),
    holds=st.lists(
        st.builds(
            Hold, at=_seconds, registry=st.just("ghcr.io"), seconds=_seconds, reason=st.text()
        ),
        max_size=3,
    ).map(tuple),
    notices=st.lists(st.text(max_size=60), max_size=3).map(tuple),
)

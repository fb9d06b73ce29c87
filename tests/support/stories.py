"""Runs for pictures, played by the real queue on a virtual clock, so that they are realistic.

The world they meet is that of the simulation; names, sizes and texts are those of a usual job.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.model import Failure, Group, Image, Kind, Outcome, Plan, Source, Target, TargetResult
from ghcr_push.pushing.events import Noticed
from ghcr_push.references import Repository, TagReference
from ghcr_push.reporting.build import build
from ghcr_push.reporting.merge import merged
from ghcr_push.reporting.records import Report
from tests.simulation.defaults import default_run
from tests.simulation.play import play
from tests.simulation.scenario import Conditions, Content, Outage, Scenario, Transfer
from tests.support.reports import digest

REGISTRY: Final = "ghcr.io"
CALM: Final = Conditions(limits=((float("-inf"), 64),))
ROUGH: Final = Conditions(limits=((float("-inf"), 2),), faults=0.1)
SIZE: Final = 4_000_000
"""Bytes of a layer."""


def versions(number: int) -> list[str]:
    """Return that many tags, `latest` the first."""
    return ["latest", *(f"1.{n // 10}.{n % 10}" for n in range(number - 1))][:number]


def job(
    conditions: Conditions,
    tags: Mapping[str, list[str]] | int,
    *,
    seed: int = 1,
    layers: int = 6,
    mounted: int = 0,
) -> Scenario:
    """Plan ``tags`` of an image each, by repository: ``layers`` of them, of which some mount."""
    named = {"acme/app": versions(tags)} if isinstance(tags, int) else dict(tags)
    groups = tuple(
        Group(source, repository, tuple(_target(repository, tag, source) for tag in texts))
        for name, texts in named.items()
        for repository, source in [(Repository(REGISTRY, name), Source(name.partition("/")[2]))]
    )
    contents = {
        group.source: Content(
            blobs=tuple(digest(100 * number + layer + 7) for layer in range(layers))
        )
        for number, group in enumerate(groups, 1)
    }
    blobs = [blob for content in contents.values() for blob in content.blobs]
    base = Repository(REGISTRY, "acme/base")
    return replace(
        default_run(seed, conditions, direct=True),
        plan=Plan(groups),
        images={
            source: Image(id=digest(number), layers=layers, in_engine=True)
            for number, source in enumerate(contents, 1)
        },
        digests={source: digest(9 + number) for number, source in enumerate(contents, 1)},
        uploads=dict.fromkeys(contents, 2.0),
        transfer=Transfer(
            contents=contents,
            seconds=dict.fromkeys(blobs, 0.8),
            sizes=dict.fromkeys(blobs, SIZE),
            held=frozenset((base, blob) for blob in blobs[:mounted]),
            mount_sources=(base,) if mounted else (),
            spool=100 * SIZE,
        ),
    )


def _target(repository: Repository, tag: str, source: Source) -> Target:
    return Target(TagReference(repository, tag), source)


def run(scenario: Scenario, started_at: str = "2026-03-01T02:00:00.000Z") -> Report:
    """Play ``scenario`` and return its report."""
    played = play(scenario)
    assert played.raised is None, played.raised
    return build(
        played.results,
        started_at=started_at,
        duration=(played.ended or 0.0) - played.start,
        cancelled=played.cancelled is not None,
        max_parallel=scenario.max_parallel,
        limit_changes=played.changes,
        holds=played.holds,
        notices=[event.sentence for _, event in played.events if isinstance(event, Noticed)],
    )


def retried_layers() -> Report:
    """Push two images whose layers, but no tags, are refused at first."""
    busy = replace(CALM, outages=(_down(1.2, 2.0, writes_only=True),))
    return run(job(busy, {"acme/web": versions(4), "acme/worker": versions(4)}, mounted=2))


def protected() -> Report:
    """Push five tags, of which one names another image and is protected."""
    plain = job(CALM, 5)
    taken = TagReference(Repository(REGISTRY, "acme/app"), "1.0.2")
    return run(replace(plain, protect=("1.*",), standing={taken: digest(3)}))


def partly_failed() -> Report:
    """Push to a repository without the right to write, and over a protected tag."""
    app, ops = (Repository(REGISTRY, f"acme/{name}") for name in ("app", "ops"))
    plain = job(ROUGH, {"acme/app": versions(12), "acme/ops": versions(3)}, seed=5)
    taken = {TagReference(app, "1.0.2"): digest(3)}
    return run(
        replace(plain, protect=("1.*",), standing=taken, denied=frozenset({ops})),
    )


def denied() -> Report:
    """Play a job without the right to write."""
    plain = job(CALM, 20)
    return run(replace(plain, denied=frozenset({Repository(REGISTRY, "acme/app")})))


def image_missing() -> Report:
    """Push five tags of an image that was never loaded."""
    failure = _missing('no such image: "app:1.4.2"; the engine has app:1.4.1')
    groups = job(CALM, 5).plan.groups
    return build(
        [
            TargetResult(target=target, outcome=Outcome.FAILED, failure=failure)
            for group in groups
            for target in group.targets
        ],
        started_at="2026-03-01T02:00:00.000Z",
        duration=0.3,
        cancelled=False,
        max_parallel=4,
    )


def _missing(message: str) -> Failure:
    return classify(ErrorInfo(origin=Origin.RUN, kind=Kind.IMAGE_MISSING, message=message))


def outage() -> Report:
    """Push to a registry that answers 503 for the first twenty seconds."""
    return run(job(replace(CALM, outages=(_down(float("-inf"), 20.0, writes_only=False),)), 5))


def _down(begins: float, ends: float, *, writes_only: bool) -> Outage:
    return Outage(begins=begins, ends=ends, writes_only=writes_only, connection=False)


def rate_limit() -> Report:
    """Reach GitHub's secondary rate limit."""
    return run(job(replace(CALM, secondary=(30, 60.0)), 60))


def cancelled() -> Report:
    """Cancel a job half-way."""
    return run(replace(job(CALM, 40), cancel_at=6.0))


def five_jobs() -> Report:
    """Merge the reports of a matrix of five jobs."""
    jobs = [
        (
            f"job-{number}",
            run(
                job(ROUGH if number == 3 else CALM, {f"acme/part{number}": versions(4)}),
                f"2026-03-01T02:00:{number * 3:02}.000Z",
            ),
        )
        for number in range(1, 6)
    ]
    return merged(jobs)


STORIES: Final[Mapping[str, Callable[[], Report]]] = {
    "one-tag": lambda: run(job(CALM, 1)),
    "clean": lambda: run(job(CALM, {"acme/web": versions(10), "acme/worker": versions(10)})),
    "clean-200": lambda: run(job(CALM, 200)),
    "faults-200": lambda: run(job(ROUGH, 200)),
    "retried-layers": retried_layers,
    "protected": protected,
    "denied": denied,
    "image-missing": image_missing,
    "outage": outage,
    "rate-limit": rate_limit,
    "cancelled": cancelled,
    "five-jobs": five_jobs,
    "partly-failed": partly_failed,
}

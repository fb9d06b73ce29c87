"""Runs with the default inputs, against one registry with given conditions."""

from collections.abc import Sequence

from ghcr_push.model import Group, Image, Plan, Source, Target
from ghcr_push.planning.durations import parse_duration
from ghcr_push.planning.inputs import INPUT_BY_NAME
from ghcr_push.references import Repository, TagReference
from tests.simulation.scenario import BLOB_SIZE, Conditions, Content, Scenario, Transfer, digest_of

REGISTRY = "ghcr.io"


def default(name: str) -> str:
    """Return an input's default as the text in ``action.yml``."""
    return INPUT_BY_NAME[name].default


def default_seconds(name: str) -> float:
    """Return a duration's default in seconds."""
    return parse_duration(default(name))


def default_run(
    seed: int,
    conditions: Conditions,
    *,
    direct: bool,
    groups: Sequence[int] = (20,),
    shared_layer: bool = False,
) -> Scenario:
    """Plan a group of so many tags for each of ``groups``, each with its own image and repository.

    The registry is empty. With ``shared_layer`` all images have one layer in common, and go to one
    repository.
    """
    repositories = [
        Repository(REGISTRY, "acme/app" if shared_layer else f"acme/app{number}")
        for number in range(len(groups))
    ]
    sources = [Source(str(number)) for number in range(len(groups))]
    digests = {source: digest_of(1000 + int(source.image)) for source in sources}
    plan = Plan(
        tuple(
            Group(
                source,
                repository,
                tuple(
                    Target(TagReference(repository, f"t{source.image}.{n}"), source)
                    for n in range(tags)
                ),
            )
            for source, repository, tags in zip(sources, repositories, groups, strict=True)
        )
    )
    return Scenario(
        seed=seed,
        plan=plan,
        images={source: Image(id=digests[source], layers=3, in_engine=True) for source in sources},
        digests=digests,
        uploads=dict.fromkeys(sources, 2.0),
        conditions={REGISTRY: conditions},
        standing={},
        max_parallel=int(default("max-parallel")),
        adaptive=default("adaptive") == "true",
        max_attempts=int(default("max-attempts")),
        backoff_initial=default_seconds("backoff-initial"),
        backoff_max=default_seconds("backoff-max"),
        attempt_timeout=default_seconds("attempt-timeout"),
        timeout=default_seconds("timeout"),
        fail_fast=default("fail-fast") == "true",
        verify=default("verify") == "true",
        transfer=_transfer(sources, shared_layer=shared_layer)
        if direct
        else Transfer(contents={}, seconds={}, sizes={}, held=frozenset()),
    )


def _transfer(sources: list[Source], *, shared_layer: bool) -> Transfer:
    """Make an image of a layer, which all may share, and its own config."""
    contents = {
        source: Content(
            blobs=(
                digest_of(20_000 if shared_layer else 20_000 + int(source.image)),
                digest_of(30_000 + int(source.image)),
            )
        )
        for source in sources
    }
    blobs = {blob for content in contents.values() for blob in content.blobs}
    return Transfer(
        contents=contents,
        seconds=dict.fromkeys(blobs, 1.0),
        sizes=dict.fromkeys(blobs, BLOB_SIZE),
        held=frozenset(),
    )

"""A run from settings to results: every target gets one, however the run ends."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import cast

import anyio

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.model import Failure, Image, Kind, Outcome, Source, TargetResult
from ghcr_push.planning.settings import read_settings
from ghcr_push.pushing.execution import Adapters, Execution
from ghcr_push.pushing.ports import Content, Engine, Registry
from ghcr_push.pushing.pressure.retry import Backoff
from ghcr_push.references import Repository
from ghcr_push.sources.content import FoundContent, Read

DAMAGED = classify(ErrorInfo(origin=Origin.RUN, kind=Kind.SOURCE_INVALID, message="no layout"))


class Given:
    """The sources of a test."""

    def __init__(self, contents: Mapping[str, Content | Failure]) -> None:
        self._contents = contents

    async def find(self, sources: Sequence[Source]) -> dict[Source, Content | Failure]:
        return {source: self._contents[source.image] for source in sources}


class NoTags:
    """A registry without any tag."""

    async def head(self, _: Repository, reference: str) -> None: ...


def content() -> FoundContent:
    return FoundContent(image=Image(id="same", layers=1), read=cast("Read", None))


def executed(
    contents: Mapping[str, Content | Failure], **inputs: str
) -> tuple[Execution, tuple[TargetResult, ...]]:
    """Execute a run whose adapters raise an error when they are closed."""

    @asynccontextmanager
    async def adapters() -> AsyncIterator[Adapters]:
        registry = cast("Registry", NoTags())
        yield Adapters(Given(contents), registry, cast("Engine", None))
        raise RuntimeError("the folder is not empty")

    async def run() -> tuple[Execution, tuple[TargetResult, ...]]:
        execution = Execution(
            read_settings(inputs),
            start=anyio.current_time(),
            backoff=Backoff(initial=1, maximum=1, max_attempts=1, random=Random(0)),
            listen=lambda _: None,
            interrupted=lambda: False,
            observer=lambda _: None,
        )
        return execution, await execution.results(adapters())

    return asyncio.run(run())


def grouped(first: Content | Failure, second: Content | Failure) -> list[int]:
    """Return how many targets each group has, of two with a source each."""
    tags = "one => ghcr.io/acme/app:1\ntwo => ghcr.io/acme/app:2"
    execution, _ = executed({"one": first, "two": second}, tags=tags, **{"dry-run": "true"})
    return [len(group.targets) for group in execution.plan.groups]


def test_a_fault_while_the_adapters_close_costs_no_result() -> None:
    text = "oci-layout:gone"
    _, (result,) = executed({text: DAMAGED}, tags="ghcr.io/acme/app:1", source=text)
    assert result.outcome is Outcome.FAILED
    assert result.failure == DAMAGED


def test_two_names_of_one_content_are_one_group() -> None:
    both = content()
    assert grouped(both, both) == [2]


def test_two_copies_of_an_image_are_two_groups() -> None:
    # a damaged copy shows nothing about the other one
    assert grouped(content(), content()) == [1, 1]


def test_sources_that_fail_alike_are_two_groups() -> None:
    assert grouped(DAMAGED, DAMAGED) == [1, 1]

"""A dry run: each tag is read, and nothing is written."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Final

import anyio

from ghcr_push.model import (
    Descriptor,
    Failure,
    Image,
    Outcome,
    Plan,
    Source,
    Target,
    TargetResult,
)
from ghcr_push.planning.settings import OnProtected, Settings
from ghcr_push.pushing.context import classify_read_error
from ghcr_push.pushing.ports import Registry
from ghcr_push.pushing.pressure.reachability import NO_ANSWER
from ghcr_push.pushing.reads import answered
from ghcr_push.pushing.tag_writers import is_of, may_turn_out_to_be

READS_AT_ONCE: Final = 8
MOST_READ: Final = 500
"""Maximum number of tags to read; a longer list is for planning, and not worth thousands of
requests."""

READ_TIMEOUT: Final = 10.0
"""Time limit of a read in seconds: a tag is not worth a long wait here."""


class DryRun:
    """Reads the tags of ``plan``; ``notice`` gets those that could not be read, and why.

    A target always ends as planned; ``before`` is what its tag names, ``digest`` the same if that
    is this image already, and ``expected`` how a run would end it.
    """

    def __init__(
        self,
        plan: Plan,
        images: Mapping[Source, Image | Failure],
        registry: Registry,
        settings: Settings,
        notice: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._images = images
        self._registry = registry
        self._settings = settings
        self._notice = notice
        self._places = anyio.CapacityLimiter(READS_AT_ONCE)
        self._unread: set[str] = set()
        """Registries and repositories that are not asked again."""

    async def results(self) -> tuple[TargetResult, ...]:
        """Return a result for each target; raises nothing."""
        results: dict[Target, TargetResult] = {}

        async def look(target: Target, image: Image | Failure) -> None:
            results[target] = await self._result(target, image)

        for source, image in self._images.items():
            if isinstance(image, Image) and image.referrers.found:
                found = len(image.referrers.found)
                self._notice(f"{found:,} referrers of {source} would be pushed too")
        asked = [(target, each.source) for each in self._plan.groups for target in each.targets]
        async with anyio.create_task_group() as tasks:
            for target, source in asked[:MOST_READ]:
                tasks.start_soon(look, target, self._images[source])
        for target, source in asked[MOST_READ:]:
            results[target] = self._unlooked(target, self._images[source])
        if len(asked) > MOST_READ:
            self._notice(f"Of {len(asked):,} tags the first {MOST_READ} were read.")
        return tuple(results[target] for target, _ in asked)

    async def _result(self, target: Target, image: Image | Failure) -> TargetResult:
        repository = target.reference.repository
        async with self._places:
            unread = {repository.registry, str(repository)} & self._unread
            if isinstance(image, Failure) or unread:
                return self._unlooked(target, image)
            try:
                read = self._registry.head(repository, target.reference.tag)
                seen = await answered(read, within=READ_TIMEOUT)
                same = seen is not None and await self._named_by(target, seen, image)
            except Exception as error:  # noqa: BLE001 - costs only the report on the tag
                self._report_unread(target, error)
                return self._unlooked(target, image)
        return self._planned(target, image, seen, same=same)

    def _unlooked(self, target: Target, image: Image | Failure) -> TargetResult:
        """Return what is known of a target whose tag was not read."""
        failure = image if isinstance(image, Failure) else None
        outcome = Outcome.FAILED if failure else Outcome.PLANNED
        return TargetResult(target=target, outcome=outcome, failure=failure)

    async def _named_by(self, target: Target, seen: Descriptor, image: Image) -> bool:
        if image.digest is not None:
            return seen.digest == image.digest
        read = self._registry.get(target.reference.repository, seen.digest)
        return is_of(await answered(read, within=READ_TIMEOUT), image)

    def _planned(
        self, target: Target, image: Image, seen: Descriptor | None, *, same: bool
    ) -> TargetResult:
        before = seen.digest if seen is not None else None
        expected = Outcome.UNCHANGED if same else Outcome.PUSHED
        if seen is not None and not same and not may_turn_out_to_be(image, seen):
            tag = target.reference.tag
            if any(fnmatchcase(tag, pattern) for pattern in self._settings.protect):
                keep = self._settings.on_protected is OnProtected.KEEP
                expected = Outcome.KEPT if keep else Outcome.FAILED
        return TargetResult(
            target=target,
            outcome=Outcome.PLANNED,
            expected=expected,
            before=before,
            known_before=True,
            digest=before if same else None,
        )

    def _report_unread(self, target: Target, error: Exception) -> None:
        """Report, once, what could not be read; without an answer, ask nothing more there."""
        repository = target.reference.repository
        failure = classify_read_error(error, str(repository))
        place = repository.registry if failure.kind in NO_ANSWER else str(repository)
        if place not in self._unread:
            self._unread.add(place)
            status = "" if failure.status is None else f" ({failure.status})"
            self._notice(
                f"{place} could not be read, so the report does not say what its tags name: "
                f"{failure.kind}{status}: {failure.message}. {failure.advice}"
            )

"""Settings to a plan: groups of targets, joined if their sources turn out to be the same."""

from collections.abc import Iterable, Mapping

from ghcr_push.model import Group, Plan, Source, Target
from ghcr_push.planning.problems import Problem
from ghcr_push.planning.settings import Settings
from ghcr_push.planning.targets import Conflict
from ghcr_push.references import Repository


def build_plan(settings: Settings) -> Plan:
    """Group the targets by source and repository, in the order in which they were given.

    Sources are compared by their text; ``regroup`` joins those that are the same image.
    """
    return Plan(_grouped(settings.targets, {}))


def regroup(plan: Plan, contents: Mapping[Source, object]) -> Plan:
    """Join the groups of one repository whose sources have the same content in ``contents``.

    A joined group takes the place, source and seed of its first part, its parts follow each other,
    and each target keeps its own source. A source without content stays separate.
    """
    return Plan(_grouped(plan.targets, contents))


def _grouped(targets: Iterable[Target], contents: Mapping[Source, object]) -> tuple[Group, ...]:
    groups: dict[tuple[Repository, object], list[Target]] = {}
    for target in targets:
        content = contents.get(target.source, target.source)
        groups.setdefault((target.reference.repository, content), []).append(target)
    return tuple(
        Group(source=members[0].source, repository=repository, targets=tuple(members))
        for (repository, _), members in groups.items()
    )


def unresolved(
    conflicts: Iterable[Conflict], image_ids: Mapping[Source, str]
) -> tuple[Problem, ...]:
    """Return the problem of each conflict whose sources are not known to be the same image."""
    return tuple(conflict.problem for conflict in conflicts if not _same_image(conflict, image_ids))


def _same_image(conflict: Conflict, image_ids: Mapping[Source, str]) -> bool:
    ids = {image_ids.get(source) for source in conflict.sources}
    return len(ids) == 1 and None not in ids

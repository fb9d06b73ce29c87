"""Targets to a plan: groups, joined if their sources turn out to be the same."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from ghcr_push.model import Group, Plan, Source, Target
from ghcr_push.planning.problems import Problem
from ghcr_push.planning.targets import Conflict
from ghcr_push.references import Repository

_UNKNOWN: Final[Mapping[Source, object]] = MappingProxyType({})


def build_plan(targets: Iterable[Target], contents: Mapping[Source, object] = _UNKNOWN) -> Plan:
    """Group ``targets`` by source and repository, in the order in which they are given.

    Sources with the same content in ``contents`` share a group, which has the source of its first
    target; each target keeps its own. A source without content there stays separate.
    """
    groups: dict[tuple[Repository, object], list[Target]] = {}
    for target in targets:
        content = contents.get(target.source, target.source)
        groups.setdefault((target.reference.repository, content), []).append(target)
    return Plan(
        tuple(
            Group(source=members[0].source, repository=repository, targets=tuple(members))
            for (repository, _), members in groups.items()
        )
    )


def unresolved(
    conflicts: Iterable[Conflict], image_ids: Mapping[Source, str]
) -> tuple[Problem, ...]:
    """Return the problem of each conflict whose sources are not known to be the same image."""
    found = ((each, {image_ids.get(source) for source in each.sources}) for each in conflicts)
    return tuple(conflict.problem for conflict, ids in found if len(ids) > 1 or None in ids)

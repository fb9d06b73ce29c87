"""Parsing ``mount-from``: repositories whose layers may be mounted into the targets' own."""

from collections.abc import Iterable, Iterator

from ghcr_push.planning.faults import common_fault, owner_fault
from ghcr_push.planning.lists import split_list
from ghcr_push.planning.problems import Findings, quoted
from ghcr_push.references import Repository, names_registry, parse_repository

_NAME = "mount-from"


def read_mount_from(
    text: str, registries: Iterable[str], findings: Findings
) -> tuple[Repository, ...]:
    """Parse the repositories, each once; report errors to ``findings``.

    An entry that names no registry (``acme/base``) is a repository of each of ``registries``, the
    targets' own. Mounts do not go from one registry to another, so an entry of any other registry
    is ignored with a notice.
    """
    own = tuple(dict.fromkeys(registries))
    read = (each for entry in split_list(text) for each in _read(entry, own, findings))
    return tuple(dict.fromkeys(read))


def _read(entry: str, own: tuple[str, ...], findings: Findings) -> Iterator[Repository]:
    lowered = entry.lower()
    if lowered != entry:
        findings.notices.append(
            f"{_NAME} {quoted(entry)} was lowered to {quoted(lowered)}: repositories are lower "
            "case."
        )
    # without targets, which is an error of its own, any registry serves to check the name
    homes = own or ("localhost",)
    full = names_registry(lowered)
    for text in [lowered] if full else [f"{registry}/{lowered}" for registry in homes]:
        fault, repository = _parsed(text)
        if repository is None:
            findings.refuse(_NAME, entry, fault)
            return
        if repository.registry in own:
            yield repository
        elif own:
            findings.notices.append(
                f"{_NAME} {quoted(entry)} was left out: no target is on {repository.registry}, "
                "and layers are mounted within one registry only."
            )


def _parsed(text: str) -> tuple[str, Repository | None]:
    """Parse a repository; report why if it is invalid."""
    if fault := common_fault(text):
        return fault, None
    try:
        repository = parse_repository(text)
    except ValueError as error:
        return f"is not a repository: {error}; write it without a tag: ghcr.io/acme/base", None
    fault = owner_fault(repository)
    return fault, None if fault else repository

"""Parsing ``mount-from``: repositories whose layers may be mounted into the targets' own."""

from collections.abc import Iterable, Iterator

from ghcr_push.planning.faults import lower_case, read_repository
from ghcr_push.planning.lists import split_list
from ghcr_push.planning.problems import Findings, quoted
from ghcr_push.references import Repository, names_registry

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
    lowered = lower_case(_NAME, entry, findings)
    # without targets, which is an error of its own, any registry serves to check the name
    homes = own or ("localhost",)
    full = names_registry(lowered)
    for text in [lowered] if full else [f"{registry}/{lowered}" for registry in homes]:
        fault, repository = read_repository(text, "ghcr.io/acme/base")
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

"""The credentials for the registries of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ghcr_push.credentials.credential import Credential, registry_of
from ghcr_push.credentials.docker_config import DockerConfig, read_file, read_variable
from ghcr_push.credentials.helpers import HelperError, ask_helper


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Credentials by registry, and notices about those that could not be read."""

    credentials: Mapping[str, Credential]
    notices: tuple[str, ...] = ()


def resolve(
    registries: Iterable[str],
    explicit: Mapping[str, Credential],
    environment: Mapping[str, str],
    *,
    helper_seconds: float = 10.0,
) -> Resolved:
    """Find the credentials of ``registries``: the ``explicit`` ones, else Docker's.

    Docker's come from its configuration file or a credential helper on ``PATH``, else from
    ``DOCKER_AUTH_CONFIG``. A registry may have none; unreadable ones are reported in notices.
    Blocks while a helper runs, at most ``helper_seconds`` for each.
    """
    given = {registry_of(key): credential for key, credential in explicit.items()}
    wanted = tuple(dict.fromkeys(registries))
    notices: list[str] = []
    found = {registry: given[registry] for registry in wanted if registry in given}
    for read in (read_file, read_variable):
        missing = [registry for registry in wanted if registry not in found]
        config = read(environment, notices) if missing else DockerConfig({})
        for registry in missing:
            if credential := _ask(config, registry, environment, notices, helper_seconds):
                found[registry] = credential
    return Resolved(credentials=found, notices=tuple(dict.fromkeys(notices)))


def _ask(
    config: DockerConfig,
    registry: str,
    environment: Mapping[str, str],
    notices: list[str],
    helper_seconds: float,
) -> Credential | None:
    """Return the answer of ``config``'s helper, else its entry."""
    credential = None
    if helper := config.helper(registry):
        try:
            credential = ask_helper(helper, registry, environment, seconds=helper_seconds)
        except HelperError as error:
            notices.append(str(error))
    return credential or config.entry(registry, notices)

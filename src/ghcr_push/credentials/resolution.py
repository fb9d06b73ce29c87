"""The credentials for the registries of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ghcr_push.credentials.credential import Credential, registry_of
from ghcr_push.credentials.docker_config import (
    DockerConfig,
    docker_config_folder,
    read_config,
    read_variable,
)
from ghcr_push.credentials.helpers import HelperError, ask_helper
from ghcr_push.credentials.job_token import GHCR, NOT_FOR_GHCR, given, token_registry
from ghcr_push.planning.logins import Login


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
    rest = [registry for registry in wanted if registry not in given]
    for read in (_of_file, read_variable):
        missing = [registry for registry in rest if registry not in found]
        config = read(environment, notices) if missing else DockerConfig({})
        for registry in missing:
            if credential := _ask(config, registry, environment, notices, helper_seconds):
                found[registry] = credential
    return Resolved(credentials=found, notices=tuple(dict.fromkeys(notices)))


def _of_file(environment: Mapping[str, str], notices: list[str]) -> DockerConfig:
    return DockerConfig(read_config(docker_config_folder(environment), notices))


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


def resolve_for_job(
    registries: Iterable[str],
    token: str | None,
    logins: Iterable[Login],
    environment: Mapping[str, str],
) -> Resolved:
    """Find the credentials of ``registries``: those of the inputs, the job's token, Docker's.

    Blocks as ``resolve`` does.
    """
    wanted = tuple(registries)
    resolved = resolve(wanted, given(token, logins, environment), environment)
    without = GHCR in wanted and GHCR not in resolved.credentials
    if token and without and token_registry(environment) != GHCR:
        return replace(resolved, notices=(*resolved.notices, NOT_FOR_GHCR))
    return resolved

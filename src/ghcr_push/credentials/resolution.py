"""Which credentials are found for the registries of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ghcr_push.credentials.credential import Credential, registry_of
from ghcr_push.credentials.docker_config import DockerConfig, docker_config_folder, read_config
from ghcr_push.credentials.helpers import HelperError, ask_helper


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Credentials by registry, and sentences about those that could not be read."""

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

    Docker's are those that its configuration holds or a credential helper on ``PATH`` gives. A
    registry with none goes without; what could not be read is told in notices. Blocks while a
    helper runs, at most ``helper_seconds`` for each registry.
    """
    given = {registry_of(key): credential for key, credential in explicit.items()}
    wanted = tuple(dict.fromkeys(registries))
    notices: list[str] = []
    found = {registry: given[registry] for registry in wanted if registry in given}
    rest = [registry for registry in wanted if registry not in given]
    if rest:
        folder = docker_config_folder(environment)
        config = DockerConfig(read_config(folder, notices))
        for registry in rest:
            credential = None
            if helper := config.helper(registry):
                try:
                    credential = ask_helper(helper, registry, environment, seconds=helper_seconds)
                except HelperError as error:
                    notices.append(str(error))
            if credential := credential or config.entry(registry, notices):
                found[registry] = credential
    return Resolved(credentials=found, notices=tuple(dict.fromkeys(notices)))

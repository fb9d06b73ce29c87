"""The registry for the job's own token, and the credentials of a job."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from ghcr_push.credentials.credential import Credential
from ghcr_push.credentials.resolution import Resolved, resolve
from ghcr_push.planning.logins import Login

GITHUB: Final = "https://github.com"
GHCR: Final = "ghcr.io"

NOT_FOR_GHCR: Final = (
    f"No credentials are used for {GHCR}: `token` is the job's own on this GitHub server, "
    f"and {GHCR} does not accept it. Give `username` and `password`."
)


def token_registry(environment: Mapping[str, str]) -> str | None:
    """Return the registry that accepts the job's token, or None if it is unknown.

    GitHub Docs, "Working with the Container registry": ghcr.io, and on a GitHub Enterprise Server
    ``containers.HOSTNAME``. ghcr.io would see a Server's token but not accept it.
    """
    try:
        host = urlsplit(environment.get("GITHUB_SERVER_URL") or GITHUB).hostname
    except ValueError:
        host = None
    if host == urlsplit(GITHUB).hostname:
        return GHCR
    return f"containers.{host}" if host else None


def resolve_for_job(
    registries: Iterable[str],
    token: str | None,
    logins: Iterable[Login],
    environment: Mapping[str, str],
) -> Resolved:
    """Find the credentials of ``registries``: those of the inputs, the job's token, Docker's.

    A login replaces the token for its registry. Blocks as ``resolve`` does.
    """
    wanted, own, explicit = tuple(registries), token_registry(environment), {}
    if token and own:
        user = environment.get("GITHUB_ACTOR") or "token"
        explicit[own] = Credential(username=user, password=token, own_service=True)
    for login in logins:
        explicit[login.registry] = Credential(username=login.username, password=login.password)
    resolved = resolve(wanted, explicit, environment)
    if token and own != GHCR and GHCR in wanted and GHCR not in resolved.credentials:
        return replace(resolved, notices=(*resolved.notices, NOT_FOR_GHCR))
    return resolved

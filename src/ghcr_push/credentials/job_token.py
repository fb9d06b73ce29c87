"""The registry for the job's own token, and the credentials from the inputs."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from ghcr_push.credentials.credential import Credential
from ghcr_push.planning.logins import Login

GITHUB: Final = "https://github.com"
GHCR: Final = "ghcr.io"

NOT_FOR_GHCR: Final = (
    f"{GHCR} goes without credentials: `token` is the job's own on this GitHub server, "
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


def given(
    token: str | None, logins: Iterable[Login], environment: Mapping[str, str]
) -> dict[str, Credential]:
    """Return the inputs' credentials; a login replaces the token for its registry."""
    explicit = {}
    if token and (registry := token_registry(environment)):
        user = environment.get("GITHUB_ACTOR") or "token"
        explicit[registry] = Credential(username=user, password=token, own_service=True)
    for login in logins:
        explicit[login.registry] = Credential(username=login.username, password=login.password)
    return explicit

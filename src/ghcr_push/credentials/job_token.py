"""Whose registry the job's own token is for."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

GITHUB: Final = "https://github.com"
GHCR: Final = "ghcr.io"


def token_registry(environment: Mapping[str, str]) -> str | None:
    """Return the one registry that accepts the job's token; None: none is known.

    GitHub Docs, "Working with the Container registry": ghcr.io, and on a GitHub Enterprise Server
    ``containers.HOSTNAME``. ghcr.io would only learn a Server's token, and not accept it.
    """
    try:
        host = urlsplit(environment.get("GITHUB_SERVER_URL") or GITHUB).hostname
    except ValueError:
        host = None
    if host == urlsplit(GITHUB).hostname:
        return GHCR
    return f"containers.{host}" if host else None

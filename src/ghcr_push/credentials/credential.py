"""Credentials for one registry, and the names of registries in Docker's configuration."""

from dataclasses import dataclass, field

from ghcr_push.references import DEFAULT_REGISTRY

_HUB_KEY = "https://index.docker.io/v1/"
"""docker.io's name in Docker's configuration: the address of its first API."""

_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user's password, or an identity token that a token service accepts instead."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    own_service: bool = False
    """Whether to show it only to a token service on the registry's own host or a subdomain."""


def registry_of(key: str) -> str:
    """Return the registry that ``key``, in one of Docker's spellings, means, as in references.

    ``https://ghcr.io/v1/`` is ghcr.io, and ``https://index.docker.io/v1/`` is docker.io. A key with
    a deeper path, as podman writes for one repository, is unchanged and matches no registry.
    """
    host, slash, path = key.strip().split("://", 1)[-1].partition("/")
    if path.strip("/") not in {"", "v1", "v2"}:
        return f"{host}{slash}{path}"
    host = host.lower()
    return DEFAULT_REGISTRY if host in _HUB_HOSTS else host


def key_of(registry: str) -> str:
    """Return the key under which Docker keeps the credentials of ``registry``."""
    return _HUB_KEY if registry == DEFAULT_REGISTRY else registry

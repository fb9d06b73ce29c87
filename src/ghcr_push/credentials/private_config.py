"""A private Docker configuration for the run, and the credentials header for an engine."""

import json
import os
import shutil
import tempfile
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ghcr_push.credentials.credential import Credential, key_of
from ghcr_push.credentials.docker_config import VARIABLE, read_config

_KEPT = ("HttpHeaders", "currentContext", "proxies")
"""Settings that the docker command needs to reach the user's engine."""

_LINKED = ("contexts", "ca.pem", "cert.pem", "key.pem")
"""Folders linked as well: contexts, and certificates for an engine on TCP
(``DOCKER_TLS_VERIFY``)."""


@contextmanager
def private_docker_config(
    credentials: Mapping[str, Credential], base: Path | None, parent: Path | None = None
) -> Iterator[Path]:
    """Write a Docker configuration that only this user can read; remove it when the block ends.

    It holds ``credentials`` (by registry) and what the docker command needs from the folder
    ``base`` to reach its engine, but no credential helper. It is created in ``parent`` or the
    folder for temporary files. Raises ``OSError`` if it cannot be written.
    """
    folder = Path(tempfile.mkdtemp(prefix="ghcr-push-", dir=parent))
    try:
        config = read_config(base, [])
        kept = {key: config[key] for key in _KEPT if key in config}
        auths = {
            key_of(registry): _written(credential) for registry, credential in credentials.items()
        }
        path = folder / "config.json"
        with open(path, "x", opener=_private, encoding="utf-8") as file:
            json.dump({**kept, "auths": auths}, file)
        for name in _LINKED:
            if base is not None and (base / name).exists():
                (folder / name).symlink_to((base / name).resolve())
        yield folder
    finally:
        # another process may have removed a part of it; the rest must go all the same
        shutil.rmtree(folder, ignore_errors=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _written(credential: Credential) -> dict[str, str]:
    if credential.identity_token:
        return {"identitytoken": credential.identity_token}
    pair = f"{credential.username}:{credential.password}"
    return {"auth": b64encode(pair.encode()).decode()}


def docker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for docker commands, without those that override our configuration.

    docker 28.3 and later reads ``DOCKER_AUTH_CONFIG`` before the file. It may be older than the
    inputs, and its credentials are not meant for every command.
    """
    return {name: value for name, value in environment.items() if name != VARIABLE}


def engine_auth(registry: str, credential: Credential) -> str:
    """Return the ``X-Registry-Auth`` header with which an engine logs in to ``registry``.

    Engine API, "Authentication": JSON in the URL-safe base64 of RFC 4648, with its padding.
    """
    fields = (
        {"identitytoken": credential.identity_token}
        if credential.identity_token
        else {"username": credential.username, "password": credential.password}
    )
    text = json.dumps({**fields, "serveraddress": key_of(registry)})
    return urlsafe_b64encode(text.encode()).decode()

"""Credentials per registry: reads Docker's configuration and writes a private one.

The formats are those of the docker command's ``config.json`` and of its credential helpers. No
network, no arguments with secrets, and no secret in a ``repr`` or a message.
"""

from ghcr_push.credentials.credential import Credential
from ghcr_push.credentials.docker_config import docker_config_folder
from ghcr_push.credentials.job_token import resolve_for_job
from ghcr_push.credentials.private_config import (
    docker_environment,
    engine_auth,
    private_docker_config,
)

__all__ = [
    "Credential",
    "docker_config_folder",
    "docker_environment",
    "engine_auth",
    "private_docker_config",
    "resolve_for_job",
]

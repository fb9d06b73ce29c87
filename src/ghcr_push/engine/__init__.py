"""Adapter: a Docker Engine, through python-on-whales, the docker command and the engine's API.

Engines 20.10, 26.1 and 28.5 were run, with the classic and (where it exists) the containerd
image store; 29 was not. One try each: what docker prints becomes evidence, judged elsewhere.
"""

from ghcr_push.engine.command import content_trust_notices
from ghcr_push.engine.docker import DockerEngine

__all__ = ["DockerEngine", "content_trust_notices"]

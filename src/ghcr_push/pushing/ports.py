"""What the queue needs from the world: an engine, a registry. Adapters stand above and fit in.

Every method is one try; it raises ``PushError`` and nothing else on purpose.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from ghcr_push.model import Descriptor, Manifest, Source
from ghcr_push.references import Digest, Repository, TagReference


class Engine(Protocol):
    """A Docker Engine."""

    async def push(
        self, source: Source, target: TagReference, said: Callable[[Sequence[str]], None]
    ) -> Digest:
        """Run one ``docker push``, give what it printed to ``said``, return the digest it sent.

        Cancelling ends the docker command before it returns.
        """

    async def head(self, repository: Repository, tag: str) -> Descriptor | None:
        """Have the engine ask the registry itself what ``tag`` names; None: nothing."""


class Registry(Protocol):
    """The registries of a run, as our own process reaches them."""

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Say what a tag or digest names; None: nothing."""

    async def get(self, repository: Repository, reference: str) -> Manifest:
        """Fetch a manifest or index with its exact bytes."""

    async def put(self, repository: Repository, tag: str, manifest: Manifest) -> None:
        """Write ``manifest`` under ``tag``."""

    async def put_tags(
        self, repository: Repository, manifest: Manifest, tags: Sequence[str]
    ) -> frozenset[str]:
        """Write ``manifest`` under several tags at once; return those the registry named."""

"""What a run needs from the world: content, registries, an engine. Adapters stand above and fit in.

Every method is one try; it raises ``PushError`` and nothing else on purpose.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

from ghcr_push.model import BlobOutcome, Descriptor, Failure, Image, Manifest, Source
from ghcr_push.references import Digest, Repository, TagReference


class Blob(Protocol):
    """A config or layer, where it lies or in temporary space; compared by identity."""

    @property
    def digest(self) -> Digest:
        """Its digest."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` on, as often as it takes."""

    def release(self) -> None:
        """Give its temporary space back, if it has any; it cannot be read any more."""


class ImageManifests(Protocol):
    """An image that was read whole."""

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Children before the indexes that name them; the last one is the image."""

    @property
    def notice(self) -> str | None:
        """A sentence for the reader where less than the whole index is there."""


class Reading(Protocol):
    """An image that is being read: its blobs, and after the last one the whole."""

    def __aiter__(self) -> Self:
        """Begin."""

    async def __anext__(self) -> Blob:
        """Return the next blob, read on only now; raise ``PushError`` where the stream broke."""

    @property
    def waits_for_space(self) -> bool:
        """Whether the next blob waits for temporary space."""

    @property
    def seconds_compressing(self) -> float:
        """Processor seconds spent on compression so far, all cores together."""

    @property
    def image(self) -> ImageManifests:
        """The image, known after the last blob."""


class TagReader(Protocol):
    """Whoever reads a registry's tags: our process, or an engine that asks for us."""

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Say what a tag names; None: nothing."""


class Content(Protocol):
    """An image, an index or an artifact, wherever it lies; compared by identity.

    Two names of an engine's image have one content. Two copies of an image elsewhere have one each,
    for one that is damaged says nothing of the other.
    """

    @property
    def image(self) -> Image:
        """What is known of it before it is read."""

    @property
    def referrers(self) -> "Content | None":
        """What refers to it and comes along, read in a pass of its own; None: nothing does."""

    def read(self) -> AbstractAsyncContextManager[Reading]:
        """Read it from its beginning while the block runs."""


class Sources(Protocol):
    """Where content comes from: an engine, disks and registries."""

    async def find(self, sources: Sequence[Source]) -> Mapping[Source, Content | Failure]:
        """Find the content of each source, or say why it cannot be; never raises."""


class Engine(TagReader, Protocol):
    """A Docker Engine as it reaches registries in our place."""

    async def push(
        self, source: Source, target: TagReference, said: Callable[[Sequence[str]], None]
    ) -> Digest:
        """Run one ``docker push``, give what it printed to ``said``, return the digest it sent.

        Cancelling ends the docker command before it returns.
        """


class Upload(Protocol):
    """One blob on its way into one repository, over as many tries as it takes."""

    @property
    def bytes_sent(self) -> int:
        """Bytes of all tries so far."""

    async def attempt(self, mount_from: Repository | None = None) -> BlobOutcome:
        """Try once to bring the blob there, by a mount where that works."""


class Registry(Protocol):
    """The registries of a run, as our own process reaches them."""

    async def check_write_access(self, repository: Repository) -> None:
        """Ask whether we may write to ``repository``; nothing of it stays there."""

    async def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Say whether ``repository`` holds the blob."""

    async def can_mount(self, repository: Repository, digest: Digest, origin: Repository) -> bool:
        """Say whether ``origin`` holds the blob, for a mount from there into ``repository``."""

    def upload(self, repository: Repository, blob: Blob) -> Upload:
        """Return the way of ``blob`` into ``repository``."""

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Say what a tag or digest names; None: nothing."""

    async def get(self, repository: Repository, reference: str) -> Manifest:
        """Fetch a manifest or index with its exact bytes."""

    async def put(
        self, repository: Repository, reference: str, manifest: Manifest
    ) -> Digest | None:
        """Write ``manifest`` under a tag or its own digest.

        Returns its subject where the registry lists it among the referrers of that by itself.
        """

    async def referrers(self, repository: Repository, subject: Digest) -> tuple[Digest, ...] | None:
        """List what refers to a manifest; None where the registry has no such list."""

"""The interfaces that a run needs: content, registries, an engine. Adapters implement them.

Every method is one attempt; its only expected error is ``PushError``.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self

from ghcr_push.model import BlobOutcome, Descriptor, Failure, Image, Manifest, Source
from ghcr_push.references import Digest, Repository, TagReference


class Blob(Protocol):
    """A config or layer, in place or in temporary space; compared by identity."""

    @property
    def digest(self) -> Digest:
        """Its digest."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    @property
    def registry(self) -> str | None:
        """The registry that it is read from; None if it lies on this machine."""

    def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` on, any number of times."""

    def release(self) -> None:
        """Free its temporary space, if it has any; it cannot be read any more."""


class ImageManifests(Protocol):
    """An image that was read completely."""

    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """Children before the indexes that name them; the last one is the image."""

    @property
    def notice(self) -> str | None:
        """A sentence for the reader if a part of the index is missing."""


class Reading(Protocol):
    """An image that is being read: its blobs, and after the last one the image."""

    def __aiter__(self) -> Self:
        """Start."""

    async def __anext__(self) -> Blob:
        """Return the next blob, read only now; raise ``PushError`` if the stream breaks."""

    @property
    def waits_for_space(self) -> bool:
        """Whether the next blob waits for temporary space."""

    @property
    def seconds_compressing(self) -> float:
        """Processor seconds of compression so far, over all cores."""

    @property
    def image(self) -> ImageManifests:
        """The image, available after the last blob."""


class TagReader(Protocol):
    """Reads a registry's tags: our process, or an engine for us."""

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Return what a tag names, or None; a ``Registry`` also takes a digest."""


class Content(Protocol):
    """An image, an index or an artifact, in any place; compared by identity.

    Two names of an engine's image have one content. Two copies of an image elsewhere have one each,
    since one may be damaged and the other not.
    """

    @property
    def image(self) -> Image:
        """What is known of it before it is read."""

    @property
    def referrers(self) -> "Content | None":
        """Its referrers to copy, read in a separate pass; None if there are none."""

    def read(self) -> AbstractAsyncContextManager[Reading]:
        """Read it from its beginning while the block runs."""


class Sources(Protocol):
    """The sources of content: an engine, disks and registries."""

    async def find(self, sources: Sequence[Source]) -> Mapping[Source, Content | Failure]:
        """Find the content of each source, or the reason why not; never raises."""


class Engine(TagReader, Protocol):
    """A Docker Engine that pushes for us."""

    async def push(
        self, source: Source, target: TagReference, said: Callable[[Sequence[str]], None]
    ) -> Digest:
        """Run one ``docker push``, pass its output to ``said``, return the digest that it sent.

        When cancelled, it ends the docker command before it returns.
        """


class Upload(Protocol):
    """The upload of one blob into one repository, over any number of attempts."""

    @property
    def bytes_sent(self) -> int:
        """Bytes sent in all attempts so far."""

    async def attempt(self, mount_from: Repository | None = None) -> BlobOutcome:
        """Make one attempt to upload the blob, by a mount if possible."""


class Registry(TagReader, Protocol):
    """The registries of a run, as our own process reaches them."""

    async def check_write_access(self, repository: Repository) -> None:
        """Check for permission to write to ``repository`` without leaving anything there."""

    async def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Return whether ``repository`` has the blob."""

    async def can_mount(
        self, repository: Repository, digest: Digest, mount_from: Repository
    ) -> bool:
        """Return whether ``mount_from`` has the blob, to mount it into ``repository``."""

    def upload(self, repository: Repository, blob: Blob) -> Upload:
        """Return an upload of ``blob`` into ``repository``."""

    async def get(self, repository: Repository, reference: str) -> Manifest:
        """Fetch a manifest or index with its exact bytes."""

    async def put(self, repository: Repository, reference: str, manifest: Manifest) -> None:
        """Write ``manifest`` under a tag or its own digest."""

    async def referrers(self, repository: Repository, subject: Digest) -> tuple[Digest, ...] | None:
        """List the referrers of a manifest; None if the registry has no such list."""

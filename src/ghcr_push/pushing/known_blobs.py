"""The blobs that a registry's repositories hold: what needs no upload, and what can be mounted."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import anyio

from ghcr_push.pushing.context import RunContext
from ghcr_push.pushing.events import Noticed
from ghcr_push.pushing.pressure.limiter import Limiter
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.pushing.progress import Progress
from ghcr_push.pushing.reads import Reader
from ghcr_push.references import Digest, Repository


class KnownBlobs:
    """The blobs that the repositories of one registry hold, as far as this run knows."""

    def __init__(self, context: RunContext, limiter: Limiter) -> None:
        self._context = context
        self._limiter = limiter
        self._mount_sources = [
            each for each in context.mount_sources if each.registry == limiter.registry
        ]
        self.progress = Progress(limiter, context.clock)
        self.mounting = True
        """Whether the last requested mount was granted."""
        self._sending: dict[Digest, anyio.Lock] = {}
        self._held: dict[Digest, list[Repository]] = {}
        self._turns: dict[tuple[Repository, Digest], anyio.Lock] = {}
        self._asked: set[tuple[Repository, Digest]] = set()
        self._asking: dict[Digest, anyio.Lock] = {}

    @asynccontextmanager
    async def sending(self, repository: Repository, digest: Digest) -> AsyncIterator[None]:
        """Wait while another repository receives the blob, so that it can be mounted from there."""
        lock = self._sending.setdefault(digest, anyio.Lock())
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(lock)
            if self.mount_candidate(repository, digest) is not None or not self.mounting:
                await stack.aclose()
            yield

    def lock(self, repository: Repository, digest: Digest) -> anyio.Lock:
        """Return a lock that keeps two groups from uploading one blob at the same time."""
        return self._turns.setdefault((repository, digest), anyio.Lock())

    def add(self, repository: Repository, digest: Digest) -> None:
        """Record that ``repository`` holds the blob."""
        self._held.setdefault(digest, []).append(repository)

    def holds(self, repository: Repository, digest: Digest) -> bool:
        """Return whether ``repository`` is known to hold the blob."""
        return repository in self._held.get(digest, ())

    def mount_candidate(self, repository: Repository, digest: Digest) -> Repository | None:
        """Return another repository from which the blob could be mounted into ``repository``."""
        return next((each for each in self._held.get(digest, ()) if each != repository), None)

    async def look_elsewhere(self, repository: Repository, digest: Digest) -> None:
        """Look for the blob in the mount sources until a repository is known to hold it.

        Each is asked once per blob, for all repositories. Raises nothing: an unreadable
        one counts as one without the blob, and the blob is sent.
        """
        async with self._asking.setdefault(digest, anyio.Lock()):
            for mount_from in tuple(self._mount_sources):
                if self.mount_candidate(repository, digest) is not None:
                    return
                if mount_from != repository and (mount_from, digest) not in self._asked:
                    await self._look(repository, digest, mount_from)

    async def _look(self, repository: Repository, digest: Digest, mount_from: Repository) -> None:
        reader = Reader(self._context, self._limiter, mount_from)
        can_mount = partial(self._context.registry.can_mount, repository, digest, mount_from)
        try:
            async with self._limiter.read() as reading:
                if mount_from not in self._mount_sources:  # it refused another read meanwhile
                    return
                there = await reader.ask(can_mount, reading)
        except AttemptError as failed:
            if failed.failure.retryable:  # the next one that needs the blob asks again
                await anyio.sleep(failed.failure.asked_wait or 0.0)
            elif mount_from in self._mount_sources:
                self._mount_sources.remove(mount_from)
                self._context.observer(
                    Noticed(f"not mounting layers from {mount_from}: {failed.failure.message}")
                )
            return
        self._asked.add((mount_from, digest))
        if there:
            self.add(mount_from, digest)

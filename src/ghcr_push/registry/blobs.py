"""Blobs of a repository: looked for; and what uploads share: permission asked, mounts refused.

distribution-spec, "Pushing blobs".
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import httpx2

from ghcr_push.failures import PushError
from ghcr_push.references import Digest, Repository
from ghcr_push.registry.session import ApiRequest, AstrayError, Session, location_of

KEPT: Final = 30.0
"""Seconds in which an upload that was begun is good to go on with; GHCR ends them after 600."""


async def has_blob(
    session: Session, repository: Repository, digest: Digest, mounts_into: Repository | None = None
) -> bool:
    """Say whether ``repository`` holds the blob; for a mount, seen with the mount's own token.

    A registry may redirect us to its storage, which is not always for us to reach: what goes
    wrong there says nothing of the blob, and what is not seen to be there counts as missing.
    """
    request = ApiRequest(
        method="HEAD", repository=repository, path=f"blobs/{digest}", mounts_into=mounts_into
    )
    try:
        answer = await session.send(request)
    except AstrayError:
        return False
    if answer.status == httpx2.codes.NOT_FOUND:
        return False
    if answer.redirected and answer.status != httpx2.codes.OK:
        return False
    session.expect(answer, {httpx2.codes.OK})
    return True


class ProbedUploads:
    """Uploads begun to learn whether we may; the first blob of each repository takes one up."""

    def __init__(self, session: Session, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._locations: dict[Repository, tuple[httpx2.URL, float]] = {}

    async def begin(self, repository: Repository) -> None:
        """Begin an upload; raise ``PushError`` where that is refused."""
        asked = ApiRequest(method="POST", repository=repository, path="blobs/uploads/", content=b"")
        answer = await self._session.send(asked)
        self._session.expect(answer, {httpx2.codes.ACCEPTED})
        with suppress(PushError):  # a location that is none: the blob's own upload will tell
            self._locations[repository] = (location_of(answer), self._clock())

    def take(self, repository: Repository) -> httpx2.URL | None:
        """Return where an upload into ``repository`` goes on, once; None: begin another one."""
        location, begun = self._locations.get(repository, (None, 0.0))
        if location is None or self._clock() - begun > KEPT:
            return None
        del self._locations[repository]
        return location

    async def abandon(self) -> None:
        """Have the registries forget what was not taken up.

        GHCR keeps nothing of it and answers a DELETE with 405, which is as good as done.
        """
        for repository, (location, _) in self._locations.items():
            with suppress(PushError):
                await self._session.send(
                    ApiRequest(method="DELETE", repository=repository, path="", location=location)
                )
        self._locations.clear()


class Mounts:
    """From where no blob can be mounted, as far as registries have refused it in this run.

    One refusal of any kind is enough: a plain upload always does. Who may not read an origin,
    may not for any repository.
    """

    def __init__(self) -> None:
        self._refused: set[tuple[Repository, Repository | None]] = set()

    def may(self, origin: Repository, repository: Repository) -> bool:
        """Say whether it is worth asking for a mount from ``origin`` into ``repository``."""
        return self._refused.isdisjoint({(origin, repository), (origin, None)})

    def refuse(self, origin: Repository, repository: Repository, error: PushError) -> None:
        """Note how a mount was refused."""
        everywhere = error.evidence.status in {401, 403}
        self._refused.add((origin, None if everywhere else repository))

"""Blobs of a repository: their lookup, and the state that uploads share.

Uploads share the check for write permission and the mounts that were refused. distribution-spec,
"Pushing blobs".
"""

from contextlib import suppress
from typing import Final

import httpx2

from ghcr_push.failures import PushError
from ghcr_push.references import Digest, Repository
from ghcr_push.registry.session import ApiRequest, AstrayError, Session, location_of

KEPT: Final = 30.0
"""Seconds for which a started upload is still used; GHCR ends them after 600."""


async def has_blob(
    session: Session, repository: Repository, digest: Digest, scope: str | None = None
) -> bool:
    """Return whether ``repository`` has the blob, checked with the token for ``scope``.

    A registry may redirect to its storage, which we cannot always reach: an error there says
    nothing about the blob, and a blob that is not found counts as missing.
    """
    request = ApiRequest(method="HEAD", repository=repository, path=f"blobs/{digest}", scope=scope)
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


class StartedUploads:
    """Uploads started to check for permission; the first blob of each repository continues one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._locations: dict[Repository, tuple[httpx2.URL, float]] = {}

    async def start(self, repository: Repository) -> None:
        """Start an upload; raise ``PushError`` if it is refused."""
        asked = ApiRequest(method="POST", repository=repository, path="blobs/uploads/", content=b"")
        answer = await self._session.ask(asked, {httpx2.codes.ACCEPTED})
        with suppress(PushError):  # an invalid location: the blob's own upload will report it
            self._locations[repository] = (location_of(answer), self._session.clock())

    def take(self, repository: Repository) -> httpx2.URL | None:
        """Return the location of an upload into ``repository``, once; None: start another one."""
        location, started = self._locations.get(repository, (None, 0.0))
        if location is None or self._session.clock() - started > KEPT:
            return None
        del self._locations[repository]
        return location

    async def abandon(self) -> None:
        """Cancel the unused uploads at their registries.

        GHCR keeps nothing of them and answers a DELETE with 405, which is fine.
        """
        for repository, (location, _) in self._locations.items():
            with suppress(PushError):
                await self._session.send(
                    ApiRequest(method="DELETE", repository=repository, location=location)
                )
        self._locations.clear()


class Mounts:
    """Mounts that registries have refused in this run.

    One refusal of any kind is enough, since a plain upload always works. Without permission to read
    a repository, no other can mount from it.
    """

    def __init__(self) -> None:
        self._refused: set[tuple[Repository, Repository | None]] = set()

    def may(self, mount_from: Repository, repository: Repository) -> bool:
        """Return whether a mount from ``mount_from`` into ``repository`` is worth a request."""
        return self._refused.isdisjoint({(mount_from, repository), (mount_from, None)})

    def refuse(self, mount_from: Repository, repository: Repository, error: PushError) -> None:
        """Remember how a mount was refused."""
        everywhere = error.evidence.status in {401, 403}
        self._refused.add((mount_from, None if everywhere else repository))

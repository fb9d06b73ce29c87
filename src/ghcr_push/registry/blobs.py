"""Blobs on their way into a repository: looked for, mounted, uploaded, taken up where they broke.

distribution-spec, "Pushing blobs". The upload that most registries like best is two requests, a
POST for a location and one PUT of everything; where it breaks and the registry knows how much it
has, the rest goes by PATCH.
"""

import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol, Self

import httpx2

from ghcr_push import tracing
from ghcr_push.failures import PushError
from ghcr_push.model import Kind, Landed
from ghcr_push.references import Digest, Repository, is_digest
from ghcr_push.registry.errors import failure
from ghcr_push.registry.http import Answer, Stream
from ghcr_push.registry.session import AstrayError, Inquiry, Session, led_to


class Blob(Protocol):
    """What is uploaded: readable from any place, as often as it takes."""

    @property
    def digest(self) -> Digest:
        """Its digest."""

    @property
    def size(self) -> int:
        """Its bytes."""

    def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` on."""


_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_WRITTEN: Final = frozenset({200, 201, 202, 204})
"""For a committed upload; the spec says 201, and other clients take these."""

KEPT: Final = 30.0
"""Seconds in which an upload that was begun is good to go on with; GHCR ends them after 600."""

_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d+)")

_NO_MOUNT: Final = frozenset({400, 401, 403, 404, 405})
"""Answers to a mount, or to the wish for a token for it, that leave the plain upload open."""

_FORGOTTEN: Final = frozenset({400, 404, 410, 416})
"""Answers at an upload's location after which it is of no use."""


async def has_blob(
    session: Session, repository: Repository, digest: Digest, mounts_into: Repository | None = None
) -> bool:
    """Say whether ``repository`` holds the blob; for a mount, seen with the mount's own token.

    A registry may redirect us to its storage, which is not always for us to reach: what goes
    wrong there says nothing of the blob, and what is not seen to be there counts as missing.
    """
    inquiry = Inquiry(
        method="HEAD", repository=repository, path=f"blobs/{digest}", mounts_into=mounts_into
    )
    try:
        answer = await session.ask(inquiry)
    except AstrayError:
        return False
    if answer.status == httpx2.codes.NOT_FOUND:
        return False
    if answer.redirected and answer.status != httpx2.codes.OK:
        return False
    session.expect(answer, {httpx2.codes.OK})
    return True


class Begun:
    """Uploads begun to learn whether we may; the first blob of each repository takes one up."""

    def __init__(self, session: Session, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._locations: dict[Repository, tuple[httpx2.URL, float]] = {}

    async def begin(self, repository: Repository) -> None:
        """Begin an upload; raise ``PushError`` where that is refused."""
        asked = Inquiry(method="POST", repository=repository, path="blobs/uploads/", content=b"")
        answer = await self._session.ask(asked)
        self._session.expect(answer, {httpx2.codes.ACCEPTED})
        with suppress(PushError):  # a location that is none: the blob's own upload will tell
            self._locations[repository] = (led_to(answer), self._clock())

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
                await self._session.ask(
                    Inquiry(method="DELETE", repository=repository, path="", location=location)
                )
        self._locations.clear()


class BlobUpload:
    """One blob on its way into one repository, over as many tries as it takes.

    It remembers the upload's location between tries: what the registry has of it already is not
    sent again. ``bytes_sent`` counts the bytes of all tries, as they leave.
    """

    def __init__(self, session: Session, repository: Repository, blob: Blob, begun: Begun) -> None:
        self.bytes_sent = 0
        self._session = session
        self._repository = repository
        self._blob = blob
        self._begun = begun
        self._location: httpx2.URL | None = None
        self._mountable = True

    async def attempt(self, mount_from: Repository | None = None) -> Landed:
        """Try once to bring the blob there; raise ``PushError`` where it is not there after it.

        ``mount_from``, a repository of the same registry that holds the blob, saves the upload; a
        refused mount is not tried again and no failure.
        """
        with tracing.about(f"{self._repository}@{self._blob.digest}"):
            return await self._attempt(mount_from)

    async def _attempt(self, mount_from: Repository | None) -> Landed:
        offset = await self._taken() if self._location is not None else 0
        if self._location is None:
            if mount_from is not None and self._mountable and await self._mount(mount_from):
                return Landed.MOUNTED
            if self._location is None:
                self._location = self._begun.take(self._repository)
            if self._location is None:
                self._location = led_to(await self._ask(self._uploads(), {202}))
        try:
            await self._send(offset)
        except PushError as error:
            if error.evidence.status in _FORGOTTEN or error.evidence.kind is Kind.MANGLED:
                self._location = None
            if _may_have_landed(error) and await self._is_there():
                self._location = None
                return Landed.FOUND
            raise
        self._location = None
        return Landed.SENT

    async def cancel(self) -> None:
        """Have the registry forget an upload that was begun and will not be ended."""
        if self._location is not None:
            inquiry = self._at_location("DELETE")
            self._location = None
            await self._session.ask(inquiry)

    # -- steps ------------------------------------------------------------------------------

    async def _mount(self, origin: Repository) -> bool:
        """Ask for a mount; False where there is none, with a location if the answer has one."""
        query: Mapping[str, Sequence[str]] = {
            "mount": [self._blob.digest],
            "from": [origin.name],
        }
        try:
            answer = await self._ask(self._uploads(query, origin), {201, 202})
        except PushError as error:
            if error.evidence.status not in _NO_MOUNT:
                raise
            self._mountable = False
            return False
        if answer.status == httpx2.codes.CREATED:
            self._right_digest(answer)
            return True
        self._mountable = False
        self._location = led_to(answer)
        return False

    async def _taken(self) -> int:
        """Return how many bytes the registry has of the upload; forget the upload if it does."""
        answer = await self._session.ask(self._at_location("GET"))
        if _in_trouble(answer.status):
            raise self._session.refusal(answer)
        found = _RANGE.fullmatch(answer.headers.get("Range", "").strip())
        if answer.status not in {200, 202, 204} or found is None:
            self._location = None
            return 0
        if "Location" in answer.headers:
            self._location = led_to(answer)
        last = int(found[1])
        # docker's registry says 0-0 of an upload without a byte, as if it were one of one byte
        offset = last + 1 if last else 0
        if offset > self._blob.size:
            self._location = None
            return 0
        return offset

    async def _send(self, offset: int) -> None:
        """Send what is missing and commit."""
        if 0 < offset < self._blob.size:
            last = self._blob.size - 1
            where = {**_OCTETS, "Content-Range": f"{offset}-{last}"}
            inquiry = self._at_location("PATCH", headers=where, start=offset)
            answer = await self._ask(inquiry, {202, 204})
            self._location = led_to(answer)
            offset = self._blob.size
        start = 0 if offset == 0 else self._blob.size
        inquiry = self._at_location("PUT", headers=_OCTETS, start=start, commit=True)
        self._right_digest(await self._ask(inquiry, _WRITTEN))

    async def _is_there(self) -> bool:
        """Look for the blob after a failed try; a failing look proves nothing."""
        try:
            return await has_blob(self._session, self._repository, self._blob.digest)
        except PushError:
            return False

    # -- requests ---------------------------------------------------------------------------

    def _uploads(
        self, query: Mapping[str, Sequence[str]] | None = None, origin: Repository | None = None
    ) -> Inquiry:
        return Inquiry(
            method="POST",
            repository=self._repository,
            path="blobs/uploads/",
            query=query or {},
            # some servers want a length of a POST, and the library names none of no body
            content=b"",
            mounts_from=origin,
        )

    def _at_location(
        self,
        method: str,
        *,
        headers: Mapping[str, str] | None = None,
        start: int | None = None,
        commit: bool = False,
    ) -> Inquiry:
        """Return an inquiry at the upload's location, with the blob's bytes from ``start`` on."""
        content = None
        if start is not None:
            size = self._blob.size - start
            content = Stream(size=size, chunks=partial(self._counted, start))
        return Inquiry(
            method=method,
            repository=self._repository,
            path="",
            headers=headers or {},
            content=content,
            location=self._committing() if commit else self._location,
        )

    def _committing(self) -> httpx2.URL:
        """Return the location with the digest added, and its own query untouched: it is signed."""
        location = str(self._location)
        joint = "&" if "?" in location else "?"
        return httpx2.URL(f"{location}{joint}digest={self._blob.digest}")

    def _counted(self, start: int) -> AsyncIterator[bytes]:
        return _Counted(self, self._blob.chunks(start))

    async def _ask(self, inquiry: Inquiry, statuses: Collection[int]) -> Answer:
        answer = await self._session.ask(inquiry)
        self._session.expect(answer, statuses)
        return answer

    def _right_digest(self, answer: Answer) -> None:
        """Raise where the registry says that it has other bytes than ours."""
        named = answer.headers.get("Docker-Content-Digest", "").strip()
        same_algorithm = named.partition(":")[0] == self._blob.digest.partition(":")[0]
        if is_digest(named) and same_algorithm and named != self._blob.digest:
            raise failure(
                f"{answer.request}: the registry has {named} instead of {self._blob.digest}",
                Kind.MANGLED,
                answer.status,
            )


class _Counted:
    """Chunks on their way out; no generator, for those must be closed where they are left early."""

    def __init__(self, upload: BlobUpload, chunks: AsyncIterator[bytes]) -> None:
        self._upload = upload
        self._chunks = chunks

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        self._upload.bytes_sent += len(chunk)
        return chunk


def _may_have_landed(error: PushError) -> bool:
    status = error.evidence.status
    return status is None or status in _FORGOTTEN or httpx2.codes.is_server_error(status)


def _in_trouble(status: int) -> bool:
    """Say whether the upload may well be there, and the registry cannot tell now."""
    return status == httpx2.codes.TOO_MANY_REQUESTS or httpx2.codes.is_server_error(status)

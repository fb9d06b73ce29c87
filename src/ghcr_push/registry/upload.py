"""The upload of one blob into a repository: monolithic, resumed where it broke, or in pieces.

Most registries work best with two requests, a POST for a location and one PUT of everything. If
that breaks and the registry knows how much it has, the rest goes by PATCH.
"""

import re
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Final

import httpx2

from ghcr_push import tracing
from ghcr_push.failures import Origin, PushError
from ghcr_push.model import BlobOutcome, Kind
from ghcr_push.pushing.ports import Blob
from ghcr_push.references import Repository
from ghcr_push.registry.ahead import read_ahead
from ghcr_push.registry.blobs import Mounts, StartedUploads, has_blob
from ghcr_push.registry.errors import failure
from ghcr_push.registry.http import WRITTEN, ApiResponse, Stream
from ghcr_push.registry.session import ApiRequest, Session, location_of, mount_scope, same_digest

_OCTETS: Final = {"Content-Type": "application/octet-stream"}
_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d+)")

PIECE: Final = 4 << 20
"""Bytes of a piece if a blob is uploaded in pieces; ghcr.io accepts no more per piece (its limit is
reported in ocx-sh/ocx#237 and wasmCloud/wash-archive#268)."""

LARGEST: Final[Mapping[str, int]] = {"ghcr.io": 10 << 30}
"""Maximum bytes of a blob per registry (GitHub Docs, "Working with the Container registry": 10 GB
per layer; read as the larger unit, so that nothing acceptable is rejected)."""

CUTS: Final = 2
"""Number of times that an upload is cut off before the blob is uploaded in pieces."""

_FORGOTTEN: Final = frozenset({400, 404, 410, 416})
"""Answers at an upload's location that make it unusable."""


class BlobUpload:
    """The upload of one blob into one repository, over any number of attempts.

    It keeps the upload's location between attempts: bytes that the registry already has are not
    sent again. ``bytes_sent`` counts the bytes of all attempts as they are sent.

    An upload that was cut off continues with the rest in one piece; if a registry does not accept
    that, the blob is sent from its beginning. After ``CUTS`` cuts the blob is uploaded in pieces,
    each of which may have the time that the blob did not get.
    """

    def __init__(
        self,
        session: Session,
        repository: Repository,
        blob: Blob,
        *,
        started: StartedUploads,
        mounts: Mounts,
    ) -> None:
        self.bytes_sent = 0
        self._session = session
        self._repository = repository
        self._blob = blob
        self._started = started
        self._mounts = mounts
        self._location: httpx2.URL | None = None
        self._resumes = True
        """Whether the registry accepts the rest of an upload in one piece."""
        self._takes_pieces = blob.size > PIECE
        self._cuts = 0

    async def attempt(self, mount_from: Repository | None = None) -> BlobOutcome:
        """Make one attempt to upload the blob; raise ``PushError`` if it is not there afterwards.

        ``mount_from``, a repository of the same registry that has the blob, saves the upload; a
        refused mount is not retried and is no failure.
        """
        largest = LARGEST.get(self._repository.registry)
        if largest is not None and self._blob.size > largest:
            raise failure(
                f"{self._blob.digest} has {self._blob.size:,} bytes; {self._repository.registry} "
                f"accepts at most {largest:,} in one layer",
                Kind.TOO_LARGE,
            )
        with tracing.about(f"{self._repository}@{self._blob.digest}"):
            return await self._attempt(mount_from)

    async def _attempt(self, mount_from: Repository | None) -> BlobOutcome:
        offset = await self._bytes_received()
        if self._location is None:
            if mount_from is not None and await self._mount(mount_from):
                return BlobOutcome.MOUNTED
            await self._begin()
        if not (offset or self._in_pieces):
            return await self._send_monolithic()
        try:
            return await self._sending(offset, self._send_rest(offset))
        except PushError as error:
            if _is_ours(error) or not _refuses_parts(error):
                raise
        # the registry rejects partial uploads, or lost its part: send the whole blob
        if self._in_pieces:
            self._takes_pieces = False
        self._resumes, self._location = False, None
        await self._begin()
        return await self._send_monolithic()

    # -- steps ------------------------------------------------------------------------------

    @property
    def _in_pieces(self) -> bool:
        return self._takes_pieces and self._cuts >= CUTS

    async def _begin(self) -> None:
        """Get a location to upload to: that of a mount, of a started upload, or a new one."""
        if self._location is None:
            self._location = self._started.take(self._repository)
        if self._location is None:
            self._location = location_of(await self._start())

    async def _mount(self, mount_from: Repository) -> bool:
        """Ask for a mount; False if it is refused, with a location if the answer has one.

        If a mount fails, a plain upload may still work. Only throttling is raised, and waited for.
        """
        if not self._mounts.may(mount_from, self._repository):
            return False
        try:
            answer = await self._start(mount_from)
            if answer.status == httpx2.codes.CREATED:
                same_digest(answer, self._blob.digest, answer.digest)
                return True
            self._location = location_of(answer)
        except PushError as error:
            if error.evidence.status == httpx2.codes.TOO_MANY_REQUESTS:
                raise
            self._mounts.refuse(mount_from, self._repository, error)
        return False

    async def _bytes_received(self) -> int:
        """Return how many bytes the registry has of the upload; forget the upload on an error."""
        if not (self._resumes or self._in_pieces):
            self._location = None
        if self._location is None:
            return 0
        request = ApiRequest(method="GET", repository=self._repository, location=self._location)
        answer = await self._session.send(request)
        if _in_trouble(answer.status):
            raise self._session.refusal(answer)
        found = _RANGE.fullmatch(answer.headers.get("Range", "").strip())
        last = int(found[1]) if found else 0
        # docker's registry answers 0-0 for an empty upload, as if it had one byte
        offset = last + 1 if last else 0
        if found is None or answer.status not in {200, 202, 204} or offset > self._blob.size:
            self._location = None
            return 0
        self._follow(answer)
        return offset

    async def _send_monolithic(self) -> BlobOutcome:
        return await self._sending(0, self._commit(0))

    async def _send_rest(self, offset: int) -> None:
        """Send the missing bytes, in one piece or in many, and commit."""
        size = self._blob.size
        most = PIECE if self._in_pieces else size
        for start in range(offset, size, most):
            end = min(start + most, size)
            where = {**_OCTETS, "Content-Range": f"{start}-{end - 1}"}
            answer = await self._send("PATCH", self._location, where, start, end)
            self._session.expect(answer, {202, 204})
            self._follow(answer)
        await self._commit(size)

    async def _commit(self, start: int) -> None:
        """Send the bytes from ``start`` on with the request that finishes the upload."""
        # the location's own query is signed and must not change
        location = str(self._location)
        joint = "&" if "?" in location else "?"
        url = httpx2.URL(f"{location}{joint}digest={self._blob.digest}")
        answer = await self._send("PUT", url, _OCTETS, start, self._blob.size)
        self._session.expect(answer, WRITTEN)
        same_digest(answer, self._blob.digest, answer.digest)

    async def _sending(self, offset: int, requests: Awaitable[None]) -> BlobOutcome:
        """Await the requests that send the bytes from ``offset``, and interpret their failures."""
        began, sent_before = self._session.clock(), self.bytes_sent
        try:
            await requests
        except PushError as error:
            if _is_ours(error):
                raise
            if error.evidence.status in _FORGOTTEN or error.evidence.kind is Kind.MANGLED:
                self._location = None
            if _may_have_arrived(error) and await self._is_there():
                self._location = None
                return BlobOutcome.FOUND
            sent = self.bytes_sent - sent_before
            if sent and _is_cut(error, all_sent=offset + sent == self._blob.size):
                raise self._cut(error, self._session.clock() - began, offset + sent) from error
            raise
        self._location = None
        return BlobOutcome.SENT

    def _cut(self, error: PushError, seconds: float, offset: int) -> PushError:
        """Report how far a cut-off upload came; a second cut is no accident."""
        self._cuts += 1
        message = (
            f"{error.evidence.message}; the upload was cut off after {seconds:.1f} s, at byte "
            f"{offset:,} of {self._blob.size:,}"
        )
        if self._cuts == 1:
            return PushError(replace(error.evidence, message=message))
        message += f", for the {_ordinal(self._cuts)} time"
        return PushError(replace(error.evidence, message=message, kind=Kind.CUT_OFF))

    def _follow(self, answer: ApiResponse) -> None:
        """Continue at the location in ``answer``, or at the same one if it names none."""
        if answer.headers.get("Location"):
            self._location = location_of(answer)

    async def _is_there(self) -> bool:
        """Look for the blob after a failed attempt; a failed lookup proves nothing."""
        try:
            return await has_blob(self._session, self._repository, self._blob.digest)
        except PushError:
            return False

    # -- requests ---------------------------------------------------------------------------

    async def _start(self, mount_from: Repository | None = None) -> ApiResponse:
        """Ask for an upload, or for a mount from ``mount_from``."""
        request = ApiRequest(
            method="POST",
            repository=self._repository,
            path="blobs/uploads/",
            query={"mount": self._blob.digest, "from": mount_from.name} if mount_from else {},
            # some servers require the length of a POST, and the library sends none without a body
            content=b"",
            scope=mount_scope(self._repository, mount_from) if mount_from else None,
        )
        return await self._session.ask(request, {201, 202} if mount_from else {202})

    async def _send(
        self,
        method: str,
        location: httpx2.URL | None,
        headers: Mapping[str, str],
        start: int,
        end: int,
    ) -> ApiResponse:
        """Send the bytes of the blob from ``start`` to ``end``."""
        content = Stream(
            size=end - start,
            open=lambda: read_ahead(self._blob.chunks(start)),
            on_sent=self._count,
        )
        request = ApiRequest(
            method=method,
            repository=self._repository,
            headers=headers,
            content=content,
            location=location,
        )
        return await self._session.send(request)

    def _count(self, sent: int) -> None:
        self.bytes_sent += sent


def _refuses_parts(error: PushError) -> bool:
    """Return whether the registry rejects parts of a blob, or has forgotten this upload."""
    status = error.evidence.status or 0
    passes = {401, 403, 407, 408, 421, 425, 429}
    return error.evidence.kind is Kind.MANGLED or (
        status == httpx2.codes.NOT_IMPLEMENTED
        or (httpx2.codes.is_client_error(status) and status not in passes)
    )


def _is_ours(error: PushError) -> bool:
    """Return whether reading the blob failed, without the registry's involvement."""
    return error.evidence.origin is Origin.RUN


def _is_cut(error: PushError, *, all_sent: bool) -> bool:
    """Return whether an upload was cut off: without an answer, or with one that says so."""
    status = error.evidence.status
    return status is None or (not all_sent and status in {408, 499, 504, 522, 524})


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _may_have_arrived(error: PushError) -> bool:
    status = error.evidence.status
    return status is None or status in _FORGOTTEN or httpx2.codes.is_server_error(status)


def _in_trouble(status: int) -> bool:
    """Return whether the upload may have succeeded but the registry cannot say now."""
    return status == httpx2.codes.TOO_MANY_REQUESTS or httpx2.codes.is_server_error(status)

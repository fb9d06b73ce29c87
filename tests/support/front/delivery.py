"""Passes requests on to the registry, and changes its answers on the way back.

Here live the ways in which a registry differs from docker-registry 2.8 without failing: tags that
read late, upload locations in other forms, a narrow line.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from random import Random
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from tests.support.front import answers
from tests.support.front.answers import Answer
from tests.support.front.auth import Doorkeeper
from tests.support.front.behaviour import Behaviour
from tests.support.front.limits import Pacer, TagHistory, WriteSlots
from tests.support.front.stats import Ledger
from tests.support.front.steps import UPLOADS, Call, Step
from tests.support.front.upstream import Backend, ClientBody, Landed, end_to_end

_READS = (Step.MANIFEST_HEAD, Step.MANIFEST_GET)


@dataclass(slots=True, kw_only=True)
class Shared:
    """The state that survives a change of behaviour; `addresses` are the main and the other one."""

    upstream: Backend
    ledger: Ledger
    doorkeeper: Doorkeeper
    slots: WriteSlots
    history: TagHistory
    random: Random
    now: Callable[[], float]
    addresses: tuple[str, str]
    scheme: str = "http"

    def words(self, path: str = "") -> dict[str, str]:
        """Return the values of an answer's placeholders."""
        return {
            "scheme": self.scheme,
            "address": self.addresses[0],
            "other_address": self.addresses[1],
            "path": path,
        }


class Delivery:
    """Delivers requests to the registry under one behaviour."""

    def __init__(self, behaviour: Behaviour, shared: Shared) -> None:
        self._behaviour = behaviour
        self._shared = shared
        self._pacer = Pacer(behaviour.bandwidth) if behaviour.bandwidth else None

    async def deliver(
        self, request: web.BaseRequest, call: Call, cut_after: int | None = None
    ) -> Landed | Answer:
        """Pass the request on and return the answer for the client.

        Raises `BodyCutError` once `cut_after` bytes of a longer body have been passed on.
        """
        headers = end_to_end(request.headers)
        # docker-registry builds its locations from this; at the other host they would lead there.
        headers["Host"] = self._shared.addresses[0]
        headers["X-Forwarded-Proto"] = self._shared.scheme
        if self._behaviour.auth.mode != "none":
            headers.popall("Authorization", None)
        arriving = self._arriving if call.step in UPLOADS else None
        body = ClientBody(request, arriving, cut_after) if request.can_read_body else None
        if call.step is Step.MANIFEST_PUT:
            return await self._put_tag(call, headers, body)
        if call.step in _READS:
            return await self._read(call, headers)
        landed = await self._send(call, headers, body)
        if call.step in UPLOADS:
            self._relocate(landed)
        return landed

    async def _send(
        self, call: Call, headers: CIMultiDict[str], body: ClientBody | bytes | None
    ) -> Landed:
        landed = await self._shared.upstream.send(
            call, headers, body, self._shared.ledger, serialise=self._behaviour.serialise
        )
        self._shared.ledger.landed(call, landed.status)
        return landed

    async def _put_tag(
        self, call: Call, headers: CIMultiDict[str], body: ClientBody | bytes | None
    ) -> Landed:
        lag = self._behaviour.lag
        if (
            lag is None
            or ":" in call.reference
            or not fnmatchcase(call.repository, lag.repository)
            or not fnmatchcase(call.reference, lag.reference)
        ):
            return await self._send(call, headers, body)
        old = await self._shared.upstream.digest_of(call.repository, call.reference)
        landed = await self._send(call, headers, body)
        if landed.status == 201:
            self._shared.history.wrote(
                (call.repository, call.reference),
                old=old,
                new=landed.headers["Docker-Content-Digest"],
                visible_at=self._shared.now() + self._shared.random.uniform(lag.low, lag.high),
            )
        return landed

    async def _read(self, call: Call, headers: CIMultiDict[str]) -> Landed | Answer:
        seen = self._shared.history.read((call.repository, call.reference), self._shared.now())
        if seen == "":
            return answers.MANIFEST_UNKNOWN
        if seen is not None:
            path = f"/v2/{call.repository}/manifests/{seen}"
            call = replace(call, path=path, reference=seen)
        return await self._send(call, headers, None)

    def _relocate(self, landed: Landed) -> None:
        """Return an upload's next location in the configured form."""
        location = landed.headers.get("Location")
        if location is None or landed.status != 202 or self._behaviour.locations == "absolute":
            return
        path = urlsplit(location)._replace(scheme="", netloc="").geturl()
        if self._behaviour.locations == "other_host":
            path = f"{self._shared.scheme}://{self._shared.addresses[1]}{path}"
        landed.headers["Location"] = path

    async def _arriving(self, size: int) -> None:
        """Count bytes of an upload, and delay them according to the bandwidth."""
        self._shared.ledger.upload_bytes += size
        if self._pacer is not None:
            await asyncio.sleep(self._pacer.reserve(size, self._shared.now()))

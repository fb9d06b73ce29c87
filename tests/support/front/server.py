"""The front's listeners: requests, answers, and a control endpoint."""

import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from random import Random
from time import monotonic

from aiohttp import web
from pydantic import ValidationError

from tests.support.front.answers import Answer, filled
from tests.support.front.auth import Doorkeeper
from tests.support.front.behaviour import Auth, Behaviour
from tests.support.front.delivery import Shared
from tests.support.front.handling import Handling
from tests.support.front.limits import TagHistory, WriteSlots
from tests.support.front.stats import Entry, Ledger, Stats
from tests.support.front.steps import UPLOADS, Call, Step, classify
from tests.support.front.upstream import Backend, ClientGoneError, Upstream
from tests.support.front.wire import send_answer, send_landed

_CONTROL = "/_front/"
_OWN_FAULT = Answer(status=599, headers={"Front-Error": "1"}, body="the front itself failed\n")

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)


class Server:
    """A front before `upstream`; `address` and `other_address` once started.

    `upstream` is a registry's host and port, or one in memory. With `tls` the front speaks https.
    Lives in one event loop, and all its methods are called there.
    """

    def __init__(
        self,
        upstream: str | Backend,
        behaviour: Behaviour,
        seed: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._upstream = upstream
        self._tls = tls
        self._behaviour = behaviour
        self._random = Random(seed)
        self._runners: list[web.ServerRunner] = []
        self.address = self.other_address = ""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen at `host` and `port` (0: any free one), and at a second port for uploads."""
        self.address = await self._listen(self._main, host, port)
        self.other_address = await self._listen(self._other, host, 0)
        self._shared = Shared(
            upstream=(
                Upstream(self._upstream) if isinstance(self._upstream, str) else self._upstream
            ),
            ledger=Ledger(monotonic()),
            doorkeeper=self._doorkeeper(self._behaviour.auth),
            slots=WriteSlots(),
            history=TagHistory(),
            random=self._random,
            now=monotonic,
            addresses=(self.address, self.other_address),
            scheme=self._scheme,
        )
        self.set(self._behaviour)

    async def stop(self) -> None:
        """Close every connection."""
        for runner in self._runners:
            await runner.cleanup()
        await self._shared.upstream.close()

    def set(self, behaviour: Behaviour) -> None:
        """Set the behaviour; requests in flight end by the old one."""
        if behaviour.auth != self._behaviour.auth:
            self._shared.doorkeeper = self._doorkeeper(behaviour.auth)
        self._behaviour = behaviour
        began = monotonic()
        self._handling = Handling(behaviour, self._shared, lambda: monotonic() - began)

    def reset(self) -> None:
        """Forget all counts, the log, and lags; start the behaviour again."""
        self._shared.ledger = Ledger(monotonic())
        self._shared.history = TagHistory()
        self.set(self._behaviour)

    def stats(self) -> Stats:
        """Return the counts since the start or the last reset."""
        return self._shared.ledger.snapshot(monotonic(), self._shared.slots.taken)

    def log(self) -> list[Entry]:
        """Return the requests since the start or the last reset, in order of arrival."""
        return list(self._shared.ledger.log)

    def credentials(self) -> Mapping[str, frozenset[str]]:
        """Return the `Authorization` headers seen at `registry`, `token` and `other`."""
        return {place: frozenset(seen) for place, seen in self._shared.ledger.credentials.items()}

    @property
    def _scheme(self) -> str:
        return "https" if self._tls else "http"

    def _doorkeeper(self, auth: Auth) -> Doorkeeper:
        words = {
            "scheme": self._scheme,
            "address": self.address,
            "other_address": self.other_address,
        }
        return Doorkeeper(
            auth,
            filled(auth.realm, words),
            lambda: f"{self._random.getrandbits(160):040x}",
        )

    async def _listen(self, handler: _Handler, host: str, port: int) -> str:
        server = web.Server(handler, access_log=None, auto_decompress=False)
        runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, host, port, ssl_context=self._tls).start()
        bound_host, bound_port = runner.addresses[0][:2]
        return f"{bound_host}:{bound_port}"

    async def _main(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith(_CONTROL):
            return await self._control(request, request.path.removeprefix(_CONTROL))
        return await self._handle(request, "registry")

    async def _other(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._handle(request, "other")

    async def _handle(self, request: web.BaseRequest, place: str) -> web.StreamResponse:
        call = replace(classify(request.method, request.raw_path), size=request.content_length or 0)
        ledger = self._shared.ledger
        entry = ledger.arrived(call, monotonic(), self._shared.slots.taken, request.headers)
        if header := request.headers.get("Authorization"):
            ledger.saw("token" if call.step is Step.TOKEN else place, header)
        status = 0
        try:
            response, status = await self._answer(request, call, entry, place)
        except ClientGoneError:
            ledger.clients_gone += 1
            return web.StreamResponse()
        except Exception:
            _log.exception("the front failed at %s %s", call.method, call.path)
            ledger.front_errors += 1
            status = _OWN_FAULT.status
            if request.writer.output_size:
                raise
            return await send_answer(request, _OWN_FAULT)
        else:
            return response
        finally:
            ledger.ended(entry, status, monotonic())

    async def _answer(
        self, request: web.BaseRequest, call: Call, entry: Entry, place: str
    ) -> tuple[web.StreamResponse, int]:
        elsewhere = place == "other"
        if elsewhere and call.step not in UPLOADS | {Step.TOKEN}:
            return await send_answer(request, Answer(status=404)), 404
        reply = await self._handling.reply(request, call, entry, elsewhere=elsewhere)
        if isinstance(reply, Answer):
            broken = reply.connection in ("close", "reset")
            return await send_answer(request, reply), 0 if broken else reply.status
        return await send_landed(request, reply), reply.status

    async def _control(self, request: web.BaseRequest, what: str) -> web.StreamResponse:
        """Serve the control endpoint; its requests are not logged or limited."""
        match request.method, what:
            case "GET", "stats":
                text = self.stats().model_dump_json()
            case "GET", "log":
                text = json.dumps(self._shared.ledger.entries())
            case "GET", "credentials":
                seen = self.credentials()
                text = json.dumps({place: sorted(seen[place]) for place in seen})
            case "GET", "behaviour":
                text = self._behaviour.model_dump_json()
            case "PUT", "behaviour":
                try:
                    self.set(Behaviour.model_validate_json(await request.read()))
                except ValidationError as error:
                    return web.Response(status=400, text=f"{error}\n")
                text = self._behaviour.model_dump_json()
            case "POST", "reset":
                self.reset()
                text = "{}"
            case _:
                return web.Response(status=404, text=f"no {request.method} {what} here\n")
        return web.Response(text=text, content_type="application/json")

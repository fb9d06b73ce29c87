"""The modelled world: registries and an engine in memory, with delays on the virtual clock.

It keeps a log of every request and a history of every tag: what the promises are held against.
"""

import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Literal, NoReturn, Self

import anyio

from ghcr_push.failures import Evidence, Origin, PushError
from ghcr_push.model import Descriptor, Image, Kind, Landed, Manifest, Source
from ghcr_push.references import Digest, Repository, TagReference
from tests.simulation.scenario import Scenario, Weather, digest_of

WRITE, READ, REFUSAL = 0.43, 0.05, 0.2
"""Seconds that a manifest write, a read and a refusal take, give or take a quarter."""

CLEAN_UP = 0.3
"""Seconds that a docker command takes to end after it was cancelled."""

BAD_REQUEST = 400

BLOB_SIZE = 1000

SAVING = 2
"""Images that are read out of the engine at once."""

Operation = Literal[
    "head", "get", "has-blob", "ask", "upload", "child", "put", "batch", "push", "engine-head"
]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(slots=True)
class Request:
    """One request as the registry saw it."""

    operation: Operation
    repository: Repository
    tags: tuple[str, ...]
    digest: Digest | None
    began: float
    level: int = 0
    """Writes of the run in flight at this registry when it began, itself among them."""
    ended: float = float("inf")
    answer: str = "none"
    seen: Digest | None = None
    asked: float = 0.0
    uploaded: bool = False
    void: bool = False
    """A batch that asked whether the registry knows batches, and learnt that it does not."""
    landed: float | None = None
    """When the registry took a blob or a child manifest."""

    @property
    def writes(self) -> bool:
        """Whether it is a write."""
        return self.operation in {"ask", "upload", "child", "put", "batch", "push"}

    @property
    def good(self) -> bool:
        """Whether it was answered with what was asked."""
        return self.answer == "ok"


@dataclass(frozen=True, slots=True)
class Version:
    """What a tag names from a time on; reads show it later."""

    at: float
    shows: float
    digest: Digest
    ours: bool


@dataclass(slots=True)
class Reading:
    """One reading of an image out of the engine."""

    source: Source
    began: float
    ended: float | None = None
    answer: str = "none"


@dataclass(slots=True)
class Traffic:
    """What one registry remembers of its requests."""

    in_flight: int = 0
    heads: int = 0
    tokens: float = 0.0
    counted: float = 0.0
    recent: deque[float] = field(default_factory=deque)
    penalty_ends: float = float("-inf")


class World:
    """Both ports of the queue, ``Engine`` and ``Registry``, under a scenario's weather."""

    def __init__(self, scenario: Scenario, random: Random) -> None:
        self.scenario = scenario
        self.log: list[Request] = []
        self.history: dict[TagReference, list[Version]] = defaultdict(list)
        self.traffic = {name: Traffic() for name in scenario.weather}
        self.start = 0.0
        self._random = random
        self.readings: list[Reading] = []
        self.blobs: list[BlobOut] = []
        """All that came out of the engine."""
        self.parts: dict[tuple[Repository, Digest], float] = {}
        """Since when a repository holds a blob or a child manifest."""
        self._blobs: set[tuple[Repository, Source]] = set()
        self._saving = anyio.Semaphore(SAVING)
        self._moves = deque(sorted(scenario.moves, key=lambda move: move.at))
        self._config = {
            digest: image.id
            for source, digest in scenario.digests.items()
            if (image := scenario.images[source])
        }

    def begin(self) -> None:
        """Let the scenario's times count from now."""
        self.start = anyio.current_time()
        for name, traffic in self.traffic.items():
            bucket = self.scenario.weather[name].bucket
            traffic.tokens, traffic.counted = float(bucket[1] if bucket else 0), self.start
        for reference, digest in self.scenario.standing.items():
            self.history[reference].append(Version(self.start, self.start, digest, ours=False))
        self.parts = dict.fromkeys(self.scenario.carriage.held, self.start)

    # -- the registry's port -----------------------------------------------------------------

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Answer what a tag names, as far as it shows."""
        async with self._reading("head", repository, reference) as request:
            return self._look(request)

    async def get(self, repository: Repository, reference: str) -> Manifest:
        """Answer with a manifest."""
        async with self._reading("get", repository, reference):
            return self._manifest(Digest(reference))

    async def put(self, repository: Repository, reference: str, manifest: Manifest) -> None:
        """Write a tag, or a manifest under its digest."""
        child = reference == manifest.digest
        operation: Operation = "child" if child else "put"
        tags = () if child else (reference,)
        async with self._writing(operation, repository, tags, manifest.digest) as request:
            await self._take(request, tags)

    async def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Answer whether a blob is there."""
        async with self._reading("has-blob", repository, digest) as request:
            if there := self.holds(repository, digest):
                request.seen = digest
            return there

    def upload(self, repository: Repository, blob: "BlobOut") -> "Upload":
        """Return the way of a blob into a repository."""
        return Upload(self, repository, blob)

    async def take_blob(
        self, repository: Repository, digest: Digest, mount_from: Repository | None
    ) -> Landed:
        """Mount a blob, or take it, or find it there although the answer got lost."""
        async with self._writing("upload", repository, (), digest) as request:
            if mount_from and self.holds(mount_from, digest) and self._random.random() < 0.7:
                self._effect(request, ())
                return Landed.MOUNTED
            await self._pass(self.scenario.carriage.seconds[digest])
            request.uploaded = True
            try:
                await self._take(request, ())
            except PushError:
                # our client looks once after an answer that may be lost
                if self.holds(repository, digest) and self._random.random() < 0.5:
                    return Landed.FOUND
                raise
            return Landed.SENT

    def holds(self, repository: Repository, digest: Digest) -> bool:
        """Say whether a blob or child manifest is in a repository now."""
        return self.parts.get((repository, digest), float("inf")) <= anyio.current_time()

    async def ask_to_write(self, repository: Repository) -> None:
        """Begin an upload that goes no further: refused as any write is, and without effect."""
        async with self._writing("ask", repository, (), None):
            pass

    async def put_tags(
        self, repository: Repository, manifest: Manifest, tags: Sequence[str]
    ) -> frozenset[str]:
        """Write several tags, as far as this registry knows how."""
        async with self._writing("batch", repository, tuple(tags), manifest.digest) as request:
            batching = self.scenario.weather[repository.registry].batching
            if batching == "refused":
                self._refuse(request, "unknown-query", 400, "query not understood")
            taken = {"ignored": [], "all": tags, "partial": tags[::2], "failing": tags[:3]}[
                batching
            ]
            await self._take(request, tuple(taken))
            request.void = not taken
            if batching == "failing":
                self._refuse(request, "broken", 500)
            return frozenset(taken)

    # -- the engine's port -------------------------------------------------------------------

    @asynccontextmanager
    async def save(self, source: Source, _: Image) -> AsyncIterator["Saved"]:
        """Let an image be read, blob by blob."""
        async with self._saving:
            reading = Reading(source, anyio.current_time())
            self.readings.append(reading)
            try:
                yield Saved(self, reading, self._random)
            finally:
                reading.ended = anyio.current_time()

    def manifests(self, source: Source) -> tuple[Manifest, ...]:
        """Return the manifests of an image, the image's own at last."""
        digests = (*self.scenario.carriage.contents[source].children, self.scenario.digests[source])
        return tuple(self._manifest(digest) for digest in digests)

    async def push(
        self, source: Source, target: TagReference, said: Callable[[Sequence[str]], None]
    ) -> Digest:
        """Upload the layers that are missing, then write the tag."""
        digest = self.scenario.digests[source]
        repository = target.repository
        async with self._writing("push", repository, (target.tag,), digest) as request:
            if (repository, source) not in self._blobs:
                await self._pass(self.scenario.uploads[source])
                self._blobs.add((repository, source))
                request.uploaded = True
            await self._take(request, (target.tag,))
            said((f"{target.tag}: digest: {digest} size: 1234",))
            return digest

    async def engine_head(self, repository: Repository, tag: str) -> Descriptor | None:
        """Answer what a tag names, asked through the engine."""
        async with self._reading("engine-head", repository, tag) as request:
            return self._look(request)

    # -- how requests go ---------------------------------------------------------------------

    @asynccontextmanager
    async def _reading(
        self, operation: Operation, repository: Repository, reference: str
    ) -> AsyncIterator[Request]:
        now = anyio.current_time()
        request = Request(operation, repository, (reference,), None, now)
        self.log.append(request)
        traffic = self.traffic[repository.registry]
        heads = operation in {"head", "engine-head"}
        traffic.heads += heads
        try:
            await self._pass(READ)
            weather = self.scenario.weather[repository.registry]
            if repository.registry in self.scenario.beyond_reach and operation != "engine-head":
                self._refuse(request, "unreachable")
            self._meet_common(request, weather)
            if self._random.random() < weather.read_faults:
                self._refuse(request, "broken", self._random.choice((500, 502, 503)))
            if self._random.random() < weather.hangs / 4:
                await anyio.sleep_forever()
            yield request
            request.answer = "ok"
        finally:
            traffic.heads -= heads
            request.ended = anyio.current_time()

    @asynccontextmanager
    async def _writing(
        self,
        operation: Operation,
        repository: Repository,
        tags: tuple[str, ...],
        digest: Digest | None,
    ) -> AsyncIterator[Request]:
        traffic = self.traffic[repository.registry]
        traffic.in_flight += 1
        request = Request(operation, repository, tags, digest, anyio.current_time())
        request.level = traffic.in_flight
        self.log.append(request)
        try:
            await self._meet_refusals(request, traffic)
            yield request
            request.answer = "ok"
        except anyio.get_cancelled_exc_class():
            # the request may be on its way already: it takes effect soon, or never
            if operation != "batch" and self._random.random() < 0.5:
                self._effect(request, tags, after=self._random.uniform(0, 3))
            if operation == "push":
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(CLEAN_UP)
            raise
        finally:
            traffic.in_flight -= 1
            request.ended = anyio.current_time()

    async def _meet_refusals(self, request: Request, traffic: Traffic) -> None:
        """Refuse a write for whatever reason comes first."""
        weather = self.scenario.weather[request.repository.registry]
        now = self._now
        over = traffic.in_flight > weather.limit(now)
        await self._pass(REFUSAL / 2)
        if self._random.random() < weather.bugs:
            request.answer = "bug"
            raise RuntimeError("the adapter broke")
        if request.repository in self.scenario.denied:
            self._refuse(request, "denied", 403, "permission_denied: write_package")
        if any(
            TagReference(request.repository, t) in self.scenario.refused_tags for t in request.tags
        ):
            self._refuse(request, "tag-refused", 400, "no such tag here", code="TAG_INVALID")
        self._meet_common(request, weather)
        self._meet_secondary(request, weather, traffic)
        await self._pass(REFUSAL / 2)
        burst = any(begins <= now < ends for begins, ends in weather.bursts)
        if (
            over
            or (burst and self._random.random() < 0.8)
            or self._random.random() < weather.faults
        ):
            self._refuse(request, "broken", self._random.choice((500, 502, 503)))
        if self._random.random() < weather.odd:
            self._refuse(
                request, "odd", *self._random.choice(((404, "x", "BLOB_UNKNOWN"), (418, "?", None)))
            )

    def _meet_common(self, request: Request, weather: Weather) -> None:
        """Refuse a request for an outage or an empty bucket."""
        for outage in weather.outages:
            if outage.covers(self._now, write=request.writes):
                if outage.connection:
                    self._refuse(request, "unreachable")
                self._refuse(request, "down", 503)
        if weather.bucket is None:
            return
        rate, most = weather.bucket
        traffic = self.traffic[request.repository.registry]
        now = anyio.current_time()
        traffic.tokens = min(most, traffic.tokens + rate * (now - traffic.counted))
        traffic.counted = now
        if traffic.tokens >= 1:
            traffic.tokens -= 1
        else:
            self._refuse(
                request,
                "throttled",
                429,
                f"allowed: {rate:g}/second",
                wait=(1 - traffic.tokens) / rate,
            )

    def _meet_secondary(self, request: Request, weather: Weather, traffic: Traffic) -> None:
        if weather.secondary is None:
            return
        most, penalty = weather.secondary
        now = anyio.current_time()
        while traffic.recent and traffic.recent[0] < now - 60:
            traffic.recent.popleft()
        traffic.recent.append(now)
        if now >= traffic.penalty_ends and len(traffic.recent) > most:
            traffic.penalty_ends = now + penalty
        if now < traffic.penalty_ends:
            self._refuse(request, "secondary", 403, "You have exceeded a secondary rate limit.")

    async def _take(self, request: Request, tags: tuple[str, ...]) -> None:
        """Let a write take effect, unless something comes between it and its answer."""
        weather = self.scenario.weather[request.repository.registry]
        await self._pass(WRITE - REFUSAL)
        chance = self._random.random()
        if chance < weather.hangs:
            await anyio.sleep_forever()
        if chance < weather.hangs + weather.lost:
            self._effect(request, tags)
            if self._random.random() < 0.2:
                await anyio.sleep_forever()
            self._refuse(request, "lost", self._random.choice((500, 502, 504)))
        if chance < weather.hangs + weather.lost + weather.late:
            self._effect(request, tags, after=self._random.uniform(0, 20))
            self._refuse(request, "lost", 504)
        self._effect(request, tags)

    def _refuse(
        self,
        request: Request,
        answer: str,
        status: int | None = None,
        text: str = "",
        code: str | None = None,
        *,
        wait: float = 0.0,
    ) -> NoReturn:
        request.answer = answer
        request.void = request.operation == "batch" and status == BAD_REQUEST
        weather = self.scenario.weather[request.repository.registry]
        header = None
        if (
            weather.names_waits
            and status in {403, 429, 503}
            and answer in {"throttled", "secondary", "down"}
        ):
            header = float(self._random.choice((1, 7, 30)))
        if answer == "throttled":
            text = f"retry-after: {wait * 1000:.4f}ms, {text}"
        request.asked = max(wait - 1e-6, header or 0.0)
        raise PushError(_evidence(request, answer, status, text, code, header))

    # -- what tags name ----------------------------------------------------------------------

    def _effect(self, request: Request, tags: tuple[str, ...], after: float = 0.0) -> None:
        if request.digest is None:
            return
        at = anyio.current_time() + after
        if request.operation in {"upload", "child"}:
            request.landed = at
            part = (request.repository, request.digest)
            self.parts[part] = min(at, self.parts.get(part, at))
            return
        lag = self._random.uniform(0, self.scenario.weather[request.repository.registry].lag)
        for tag in tags:
            versions = self.history[TagReference(request.repository, tag)]
            versions.append(Version(at, at + lag, request.digest, ours=True))
            versions.sort(key=lambda version: version.at)

    def _look(self, request: Request) -> Descriptor | None:
        self._let_others_move()
        now = anyio.current_time()
        versions = self.history.get(TagReference(request.repository, request.tags[0]), [])
        shown = [version.digest for version in versions if version.shows <= now]
        if not shown:
            return None
        request.seen = shown[-1]
        return Descriptor(MANIFEST, shown[-1], 1)

    def _let_others_move(self) -> None:
        while self._moves and self._moves[0].at <= self._now:
            move = self._moves.popleft()
            at = self.start + move.at
            self.history[move.reference].append(Version(at, at, move.digest, ours=False))
            self.history[move.reference].sort(key=lambda version: version.at)

    def settle(self) -> None:
        """Let everything that is still under way come to pass."""
        for move in self._moves:
            at = self.start + move.at
            self.history[move.reference].append(Version(at, at, move.digest, ours=False))
            self.history[move.reference].sort(key=lambda version: version.at)

    def _manifest(self, digest: Digest) -> Manifest:
        config = self._config.get(digest, digest_of(9999))
        raw = json.dumps({"config": {"digest": config}, "layers": [1, 2, 3]}).encode()
        return Manifest(MANIFEST, digest, raw)

    @property
    def _now(self) -> float:
        return anyio.current_time() - self.start

    async def _pass(self, seconds: float) -> None:
        await anyio.sleep(seconds * self._random.uniform(0.8, 1.25))


class EngineOf:
    """The engine's port of a world, apart because both ports have a ``head``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.push = world.push
        self.save = world.save
        self.head = world.engine_head


@dataclass(slots=True, eq=False)
class BlobOut:
    """A blob out of the engine, in temporary space until it is released."""

    digest: Digest
    size: int = BLOB_SIZE
    released: anyio.Event = field(default_factory=anyio.Event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()


class Saved:
    """An image on its way out of the engine; reading waits where the temporary space is full."""

    def __init__(self, world: World, reading: Reading, random: Random) -> None:
        self._world = world
        self._reading = reading
        self._left = list(world.scenario.carriage.contents[reading.source].blobs)
        breaks = random.random() < world.scenario.carriage.breaks
        self._breaks_at = random.randrange(len(self._left) + 1) if breaks else -1
        self._pause = random.choice((0.01, 0.01, 0.5, 3.0))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BlobOut:
        await anyio.sleep(self._pause)
        while held := [blob for blob in self._world.blobs if not blob.released.is_set()]:
            if len(held) < self._world.scenario.carriage.spool:
                break
            await held[0].released.wait()
        if len(self._left) == self._breaks_at:
            self._break("cut off", Kind.NETWORK)
        if not self._left:
            if self._reading.source in self._world.scenario.carriage.unreadable:
                self._break("not whole", Kind.CONTENT_MISSING)
            self._reading.answer = "ok"
            raise StopAsyncIteration
        blob = BlobOut(self._left.pop(0))
        self._world.blobs.append(blob)
        return blob

    def _break(self, answer: str, kind: Kind) -> NoReturn:
        self._reading.answer = answer
        raise PushError(Evidence(origin=Origin.ENGINE, message=answer, kind=kind))

    @property
    def images(self) -> "tuple[Whole]":
        """The one image, after its last blob."""
        if self._reading.answer != "ok":
            raise RuntimeError("the images are known after the last blob")
        return (Whole(self._world.manifests(self._reading.source)),)


@dataclass(frozen=True, slots=True)
class Whole:
    """An image that came whole."""

    manifests: tuple[Manifest, ...]
    notice: str | None = None


class Upload:
    """A blob on its way into a repository."""

    def __init__(self, world: World, repository: Repository, blob: BlobOut) -> None:
        self.bytes_sent = 0
        self._world = world
        self._repository = repository
        self._blob = blob

    async def attempt(self, mount_from: Repository | None = None) -> Landed:
        """Try once."""
        if self._blob.released.is_set():
            raise RuntimeError("the blob was released, and is to be read")
        landed = await self._world.take_blob(self._repository, self._blob.digest, mount_from)
        self.bytes_sent += self._blob.size if landed is Landed.SENT else 0
        return landed


_WORDS = {
    "denied": "denied: permission_denied: write_package",
    "secondary": "denied: You have exceeded a secondary rate limit. Please wait.",
    "unreachable": "dial tcp 192.0.2.1:443: connect: connection refused",
}


def _evidence(
    request: Request,
    answer: str,
    status: int | None,
    text: str,
    code: str | None,
    header: float | None,
) -> Evidence:
    """Word an answer as our own client or as docker would."""
    if request.operation not in {"push", "engine-head"}:
        text = text or ("connection refused" if status is None else "")
        return Evidence(
            origin=Origin.REGISTRY, message=text, status=status, code=code, retry_after=header
        )
    words = _WORDS.get(answer) or (
        f"toomanyrequests: {text}"
        if answer == "throttled"
        else f"received unexpected HTTP status: {status}"
    )
    if answer == "tag-refused":
        words = "the tag is immutable"
    if header is not None:
        words += f" (retry-after: {header:g}s)"
    return Evidence(origin=Origin.ENGINE, message=words)

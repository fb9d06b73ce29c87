"""The modelled world: registries and an engine in memory, with delays on the virtual clock.

It keeps a log of every request and a history of every tag; the promises are checked against both.
"""

import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random

import anyio

from ghcr_push.failures import ErrorInfo, Origin, PushError
from ghcr_push.model import BlobOutcome, Descriptor, Kind, Manifest, Source
from ghcr_push.references import Digest, Repository, TagReference
from tests.simulation.images import PARTS, BlobOut, Saved, Space, Upload
from tests.simulation.records import Operation, Reading, Request, Traffic, Version
from tests.simulation.refusals import REFUSAL, Refusals, pass_time
from tests.simulation.scenario import Scenario, digest_of, referring_to

WRITE, READ = 0.43, 0.05
"""Seconds that a manifest write and a read take, give or take a quarter."""

CLEAN_UP = 0.3
"""Seconds that a docker command takes to end after it was cancelled."""

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class World:
    """Both ports of the queue, ``Engine`` and ``Registry``, under a scenario's conditions."""

    def __init__(self, scenario: Scenario, random: Random) -> None:
        self.scenario = scenario
        self.log: list[Request] = []
        self.preflight: list[Request] = []
        self.history: dict[TagReference, list[Version]] = defaultdict(list)
        self.traffic = {name: Traffic() for name in scenario.conditions}
        self.start = 0.0
        self._random = random
        self.refusals = Refusals(scenario, random, self.traffic)
        self.readings: list[Reading] = []
        self.blobs: list[BlobOut] = []
        """All blobs read from the engine."""
        self.space = Space(scenario.transfer.spool)
        self.parts: dict[tuple[Repository, Digest], float] = {}
        """The time from which a repository holds a blob or a child manifest."""
        self._blobs: set[tuple[Repository, Source]] = set()
        self._moves = deque(sorted(scenario.moves, key=lambda move: move.at))
        self._config = {
            digest: image.id
            for source, digest in scenario.digests.items()
            if (image := scenario.images[source])
        }
        self._indexes = {
            digest: scenario.transfer.contents[source].children
            for source, digest in scenario.digests.items()
            if source in scenario.transfer.contents
            and (image := scenario.images[source])
            and image.digest is not None
        }
        self._put: dict[Digest, Manifest] = {}
        """Every manifest that was sent."""
        found = (image.referrers.found for image in scenario.images.values() if image)
        self._subjects = {each.manifest.digest: each.subject for all_ in found for each in all_}
        self._children = {child for children in self._indexes.values() for child in children}

    def preflight_of(self, registry: str) -> list[Request]:
        """Return the requests of the preflight to one registry."""
        return [r for r in self.preflight if r.repository.registry == registry]

    def begin(self) -> None:
        """Let the scenario's times count from now."""
        self.start = anyio.current_time()
        self.refusals.begin()
        for reference, digest in self.scenario.standing.items():
            self.history[reference].append(Version(self.start, self.start, digest, ours=False))
        transfer = self.scenario.transfer
        self.parts = {part: self.start + at for part, at in transfer.arrivals.items()}
        self.parts |= dict.fromkeys(transfer.held, self.start)

    # -- the registry's port -----------------------------------------------------------------

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Return what a tag names, as far as it is visible."""
        async with self._reading("head", repository, reference) as request:
            if ":" in reference:
                return self._part(request, Digest(reference))
            return self._look(request)

    async def get(self, repository: Repository, reference: str) -> Manifest:
        """Return a manifest."""
        async with self._reading("get", repository, reference) as request:
            if reference in self._children and not self.holds(repository, Digest(reference)):
                self.refusals.refuse(request, "gone", 404, "manifest unknown", "MANIFEST_UNKNOWN")
            return self._manifest(Digest(reference))

    async def put(self, repository: Repository, reference: str, manifest: Manifest) -> None:
        """Write a tag, or a manifest under its digest."""
        child = reference == manifest.digest
        operation: Operation = "child" if child else "put"
        tags = () if child else (reference,)
        async with self._writing(operation, repository, tags, manifest.digest) as request:
            if child and manifest.digest in self.scenario.refused_manifests:
                self.refusals.refuse(request, "denied", 403, "this manifest is not allowed")
            self._put[manifest.digest] = manifest
            await self._take(request, tags)

    async def referrers(self, repository: Repository, subject: Digest) -> tuple[Digest, ...] | None:
        """List the referrers of a manifest if the registry has the API."""
        async with self._reading("referrers", repository, subject):
            if repository.registry not in self.scenario.lists_referrers:
                return None
            subjects = self._subjects.items()
            found = (each for each, of in subjects if of == subject)
            return tuple(each for each in found if self.holds(repository, each))

    async def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Return whether a repository has a blob."""
        async with self._reading("has-blob", repository, digest) as request:
            if there := self.holds(repository, digest):
                request.seen = digest
            return there

    async def can_mount(self, _: Repository, digest: Digest, origin: Repository) -> bool:
        """Return whether an origin has a blob; refuse if it may not be read."""
        async with self._reading("can-mount", origin, digest) as request:
            if origin in self.scenario.transfer.closed:
                self.refusals.refuse(
                    request, "denied", 403, "requested access to the resource is denied"
                )
            if there := self.holds(origin, digest):
                request.seen = digest
            return there

    def upload(self, repository: Repository, blob: BlobOut) -> Upload:
        """Return the upload of a blob to a repository."""
        return Upload(self.take_blob, repository, blob)

    async def take_blob(
        self,
        repository: Repository,
        digest: Digest,
        mount_from: Repository | None,
        sent: Callable[[], None],
    ) -> BlobOutcome:
        """Mount a blob, or accept it, or find it there although the answer was lost."""
        async with self._writing("upload", repository, (), digest, mount_from) as request:
            if mount_from and self.holds(mount_from, digest) and self._random.random() < 0.7:
                self._effect(request, ())
                return BlobOutcome.MOUNTED
            for _ in range(PARTS):
                await pass_time(self._random, self.scenario.transfer.seconds[digest] / PARTS)
                sent()
            request.uploaded = True
            try:
                await self._take(request, ())
            except PushError:
                # our client reads once after an answer that may be lost
                if self.holds(repository, digest) and self._random.random() < 0.5:
                    return BlobOutcome.FOUND
                raise
            return BlobOutcome.SENT

    def holds(self, repository: Repository, digest: Digest) -> bool:
        """Return whether a blob or child manifest is in a repository now."""
        return self.parts.get((repository, digest), float("inf")) <= anyio.current_time()

    async def check_write_access(self, repository: Repository) -> None:
        """Start an upload without continuing it: refused like any write, and without effect."""
        async with self._writing("ask", repository, (), None):
            pass

    # -- the engine's port -------------------------------------------------------------------

    @asynccontextmanager
    async def save(self, source: Source) -> AsyncIterator[Saved]:
        """Let an image be read, blob by blob."""
        async with self._saved(source, self.manifests(source)) as saved:
            yield saved

    @asynccontextmanager
    async def save_referrers(self, source: Source) -> AsyncIterator[Saved]:
        """Let the referrers of an image be read, blob by blob."""
        async with self._saved(referring_to(source), ()) as saved:
            yield saved

    @asynccontextmanager
    async def _saved(self, source: Source, manifests: tuple[Manifest, ...]) -> AsyncIterator[Saved]:
        if late := self.scenario.transfer.late.get(source):
            await anyio.sleep(late)
        reading = Reading(source, anyio.current_time())
        self.readings.append(reading)
        try:
            yield Saved(
                reading,
                manifests,
                transfer=self.scenario.transfer,
                space=self.space,
                out=self.blobs,
                random=self._random,
            )
        finally:
            reading.ended = anyio.current_time()

    def manifests(self, source: Source) -> tuple[Manifest, ...]:
        """Return the manifests of an image, the image's own last."""
        digests = (*self.scenario.transfer.contents[source].children, self.scenario.digests[source])
        return tuple(self._manifest(digest) for digest in digests)

    async def push(
        self, source: Source, target: TagReference, said: Callable[[Sequence[str]], None]
    ) -> Digest:
        """Upload the layers that are missing, then write the tag."""
        digest = self.scenario.digests[source]
        repository = target.repository
        async with self._writing("push", repository, (target.tag,), digest) as request:
            if (repository, source) not in self._blobs:
                await pass_time(self._random, self.scenario.uploads[source])
                self._blobs.add((repository, source))
                request.uploaded = True
            self._hold_all(repository, source)
            request.image_sent = True
            await self._take(request, (target.tag,))
            said((f"{target.tag}: digest: {digest} size: 1234",))
            return digest

    def _hold_all(self, repository: Repository, source: Source) -> None:
        """Record that the repository has all of an image; raise if the engine has not."""
        if source in self.scenario.transfer.unreadable:
            raise PushError(
                ErrorInfo(origin=Origin.ENGINE, message="no content", kind=Kind.CONTENT_MISSING)
            )
        now = anyio.current_time()
        content = self.scenario.transfer.contents.get(source)
        for digest in content.parts if content else ():
            part = (repository, digest)
            self.parts[part] = min(now, self.parts.get(part, now))

    async def engine_head(self, repository: Repository, tag: str) -> Descriptor | None:
        """Return what a tag names, as the engine reads it."""
        async with self._reading("engine-head", repository, tag) as request:
            return self._look(request)

    # -- requests ----------------------------------------------------------------------------

    @asynccontextmanager
    async def _reading(
        self, operation: Operation, repository: Repository, reference: str
    ) -> AsyncIterator[Request]:
        now = anyio.current_time()
        request = Request(operation, repository, (reference,), None, now)
        self.log.append(request)
        traffic = self.traffic[repository.registry]
        traffic.reads += 1
        try:
            await self.refusals.wait_if_silent(request)
            await pass_time(self._random, READ)
            self.refusals.refuse_read(request)
            if self._random.random() < self.scenario.conditions[repository.registry].hangs / 4:
                await anyio.sleep_forever()
            yield request
            request.answer = "ok"
        finally:
            traffic.reads -= 1
            request.ended, request.known = anyio.current_time(), len(self.log)

    @asynccontextmanager
    async def _writing(
        self,
        operation: Operation,
        repository: Repository,
        tags: tuple[str, ...],
        digest: Digest | None,
        mount: Repository | None = None,
    ) -> AsyncIterator[Request]:
        traffic = self.traffic[repository.registry]
        traffic.in_flight += 1
        request = Request(operation, repository, tags, digest, anyio.current_time(), mount=mount)
        request.level = traffic.in_flight
        self.log.append(request)
        try:
            await self.refusals.wait_if_silent(request)
            await self.refusals.refuse_write(request)
            yield request
            request.answer = "ok"
        except anyio.get_cancelled_exc_class():
            # the request may have been sent already: it takes effect soon, or never
            complete = operation != "push" or request.image_sent
            if complete and self._random.random() < 0.5 and repository not in self.scenario.denied:
                self._effect(request, tags, after=self._random.uniform(0, 3))
            if operation == "push":
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(CLEAN_UP)
            raise
        finally:
            traffic.in_flight -= 1
            request.ended, request.known = anyio.current_time(), len(self.log)

    async def _take(self, request: Request, tags: tuple[str, ...]) -> None:
        """Let a write take effect, unless a fault prevents it or its answer."""
        conditions = self.scenario.conditions[request.repository.registry]
        await pass_time(self._random, WRITE - REFUSAL)
        chance = self._random.random()
        if chance < conditions.hangs:
            await anyio.sleep_forever()
        if chance < conditions.hangs + conditions.lost:
            self._effect(request, tags)
            if self._random.random() < 0.2:
                await anyio.sleep_forever()
            self.refusals.refuse(request, "lost", self._random.choice((500, 502, 504)))
        if chance < conditions.hangs + conditions.lost + conditions.late:
            self._effect(request, tags, after=self._random.uniform(0, 20))
            self.refusals.refuse(request, "lost", 504)
        self._effect(request, tags)

    # -- tags --------------------------------------------------------------------------------

    def _effect(self, request: Request, tags: tuple[str, ...], after: float = 0.0) -> None:
        if request.digest is None:
            return
        at = anyio.current_time() + after
        if request.operation in {"upload", "child"}:
            request.landed = at
            part = (request.repository, request.digest)
            self.parts[part] = min(at, self.parts.get(part, at))
            return
        lag = self._random.uniform(0, self.scenario.conditions[request.repository.registry].lag)
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

    def _part(self, request: Request, digest: Digest) -> Descriptor | None:
        """Return a manifest by its digest if it is there: a child, or one that a tag named."""
        now = anyio.current_time()
        named = any(
            version.digest == digest and version.at <= now
            for reference, versions in self.history.items()
            if reference.repository == request.repository
            for version in versions
        )
        if not named and not self.holds(request.repository, digest):
            return None
        request.seen = digest
        return Descriptor(MANIFEST, digest, 1)

    def _let_others_move(self) -> None:
        while self._moves and self._moves[0].at <= (anyio.current_time() - self.start):
            move = self._moves.popleft()
            at = self.start + move.at
            self.history[move.reference].append(Version(at, at, move.digest, ours=False))
            self.history[move.reference].sort(key=lambda version: version.at)

    def settle(self) -> None:
        """Let all pending effects take place."""
        for move in self._moves:
            at = self.start + move.at
            self.history[move.reference].append(Version(at, at, move.digest, ours=False))
            self.history[move.reference].sort(key=lambda version: version.at)

    def _manifest(self, digest: Digest) -> Manifest:
        if digest in self._put:
            return self._put[digest]
        config = self._config.get(digest, digest_of(9999))
        document: dict[str, object] = {"config": {"digest": config}, "layers": [1, 2, 3]}
        if children := self._indexes.get(digest, ()):
            named = [{"mediaType": MANIFEST, "digest": each, "size": 1} for each in children]
            document = {"mediaType": INDEX, "manifests": named}
        media_type = INDEX if children else MANIFEST
        return Manifest(media_type, digest, json.dumps(document).encode())

    @property
    def _now(self) -> float:
        return anyio.current_time() - self.start


class EngineOf:
    """The engine's port of a world; separate because both ports have a ``head``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.push = world.push
        self.head = world.engine_head


class Asker:
    """Asks a world's registries whether they answer; ``operation`` says from which process.

    Its requests have a separate log: they are few, and no part of the queue.
    """

    def __init__(self, world: World, operation: Operation) -> None:
        self._world = world
        self._operation = operation
        self._random = Random(world.scenario.seed + 5)

    async def head(self, repository: Repository, reference: str) -> None:
        """Answer as the conditions say."""
        now = anyio.current_time()
        request = Request(self._operation, repository, (reference,), None, now)
        before = self._world.preflight_of(repository.registry)
        resets = self._world.scenario.first_resets if self._operation == "head" else 0
        self._world.preflight.append(request)
        try:
            await pass_time(self._random, READ)
            if sum(each.operation == "head" for each in before) < resets:
                self._world.refusals.refuse(request, "unreachable")
            self._world.refusals.refuse_read(request)
            if (
                self._random.random()
                < self._world.scenario.conditions[repository.registry].hangs / 4
            ):
                await anyio.sleep_forever()
            request.answer = "ok"
        finally:
            request.ended = anyio.current_time()

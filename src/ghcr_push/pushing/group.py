"""One group: its content is uploaded, by us or by docker push, then its tags are written."""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import anyio

from ghcr_push.failures import Origin, PushError
from ghcr_push.model import Failure, Group, Kind, Manifest, Outcome, TargetResult
from ghcr_push.pushing.content_push import ContentPush
from ghcr_push.pushing.context import NotStartedError, RunContext, ours
from ghcr_push.pushing.engine_first import engine_is_quicker
from ghcr_push.pushing.events import Noticed, ReferrersBrought
from ghcr_push.pushing.hindsight import REFUSED
from ghcr_push.pushing.journal import ContentLog
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.pushing.readings import SharedContent
from ghcr_push.pushing.reads import Reader
from ghcr_push.pushing.referrers import ReferrerPush
from ghcr_push.pushing.registry_state import RegistryState
from ghcr_push.pushing.run_control import RunControl
from ghcr_push.pushing.side_by_side import for_each
from ghcr_push.pushing.tag_push import TagPush
from ghcr_push.pushing.tag_writers import ByDockerPush, ByManifestPut, Manifests, TagWriter
from ghcr_push.pushing.together import ONLY_ENGINE
from ghcr_push.pushing.units import Units
from ghcr_push.pushing.unknown_blobs import UnknownBlobs
from ghcr_push.references import Digest, TagReference

T = TypeVar("T")

_OUT_OF_REACH: Final = (
    "only the Docker Engine reaches the registry, and it pushes only complete images of its own"
)


class GroupPush:
    """The push of a group: ``tag_pushes`` are its targets, the first of them the seed.

    The groups of one repository share ``lock``, those of one image share ``content``.
    """

    def __init__(
        self,
        group: Group,
        tag_pushes: list[TagPush],
        *,
        context: RunContext,
        control: RunControl,
        registry_state: RegistryState,
        content: SharedContent,
        lock: anyio.Lock,
    ) -> None:
        self._group = group
        self._repository = group.repository
        self._image = content.image
        self._tag_pushes = tag_pushes
        self._context = context
        self._control = control
        self._registry_state = registry_state
        self._write_access = registry_state.write_access
        self._content = content
        reader = Reader(context, registry_state.limiter, group.repository)
        self._manifests = Manifests(group.repository, context.registry, reader)
        self._lock = lock
        self._unknown_blobs: UnknownBlobs | None = None
        self._together = control.together
        self._doubted = False
        """Whether a refusal was already taken as one of a single tag."""
        self._by_docker_push = self._in_engine(self._manifests)

    def _in_engine(self, manifests: Manifests | None) -> ByDockerPush:
        return ByDockerPush(
            self._group.source,
            self._image,
            engine=self._context.engine,
            manifests=manifests,
            lock=self._lock,
            sent_other=self._sent_other,
        )

    def _sent_other(self, target: TagReference, digest: Digest) -> None:
        """Report that docker push sent one platform of an index; fail it if we can do better."""
        sentence = (
            f"docker push sent {digest} to {target} in place of {self._image.digest}: the engine "
            "lacks a part of the image"
        )
        if self._context.direct and not self._only_engine:
            raise PushError.of(Origin.RUN, sentence, Kind.CONTENT_MISSING)
        self._context.observer(Noticed(sentence))

    @property
    def _only_engine(self) -> bool:
        return self._context.reach.only_engine(self._repository.registry)

    async def run(self) -> None:
        """Bring every target to its outcome, unless the run ends before."""
        try:
            await self._push()
        finally:
            # no other group need wait for this one to join a reading
            for content in filter(None, (self._content, self._content.referrers)):
                content.decide(self._repository)

    async def _push(self) -> None:
        await self._context.reach.decided(self._repository.registry)
        if not self._only_engine:
            if self._context.direct:
                await self._upload_and_write()
            else:
                await self._push_and_retag()
        if self._only_engine and self._together.wanted:
            self._fail(ours(Kind.INPUT, ONLY_ENGINE))
        elif self._only_engine and self._image.in_engine:
            self._registry_state.limiter.outage.record_answer()
            await self._push_tags(self._unended, self._in_engine(None))
        elif self._only_engine:
            self._fail(ours(Kind.NETWORK, _OUT_OF_REACH))

    # -- we upload the layers ---------------------------------------------------------------

    async def _upload_and_write(self) -> None:
        """Upload the content, unless a tag already names it; then write every tag."""
        named = await self._look_first()
        if self._together.wanted and self._has_failed:
            self._leave(named)
            return
        digest = next(iter(named.values()), None)
        digest = digest or await self._docker_push_first() or await self._upload()
        if digest is not None:
            self._content.decide(self._repository)
            if not await self._copy_referrers():
                return
            self._leave(named)
            if not self._together.wanted or await self._may_move():
                await self._write_all(self._unended, digest)

    def _leave(self, named: Iterable[TagPush]) -> None:
        """End targets whose tags already name the image with all its content."""
        for tag_push in named:
            self._learn(tag_push.stay())

    async def _copy_referrers(self) -> bool:
        """Upload the referrers of the image; False if that failed, and all targets with it.

        A user who asks for signatures wants no tag without them.
        """
        tag_pushes, referrers = self._unended, self._content.referrers
        if not tag_pushes or referrers is None or self._only_engine:
            return True
        if not tag_pushes[0].may_begin:
            return False
        seed = tag_pushes[0]
        content_push = self._content_push(seed, referrers)
        copied = await self._tried(ReferrerPush(self._image.referrers.found, content_push).push())
        if isinstance(copied, Failure):
            self._fail(copied)
        elif copied is not None:
            seed.referrers = copied
            self._context.observer(ReferrersBrought(seed.target, copied))
            return True
        return False

    async def _tried(self, push: Awaitable[T]) -> T | Failure | None:
        """Return the result of ``push`` or how it failed; None if the run ended before it began."""
        try:
            return await push
        except NotStartedError:
            return None
        except AttemptError as failed:
            return failed.failure
        except Exception as error:  # noqa: BLE001 - an internal error must not fail other groups
            return self._context.classify(error, self._repository)

    def _content_push(self, seed: TagPush, content: SharedContent) -> ContentPush:
        seed.content_log = seed.content_log or ContentLog(attempts_before=seed.attempt_number)
        units = Units(
            seed=seed.target,
            context=self._context,
            registry_state=self._registry_state,
            may_begin=lambda: seed.may_begin,
            log=seed.content_log,
        )
        return ContentPush(units, content)

    async def _may_move(self) -> bool:
        """Wait for the content of the whole run; False if no tag may be written."""
        if self._unended and (refusal := await self._write_access.refusal(self._repository)):
            self._fail(refusal)
        return not self._has_failed and await self._together.all_ready(self._group)

    @property
    def _has_failed(self) -> bool:
        return any(each.result and each.result.failure for each in self._tag_pushes)

    async def _look_first(self) -> dict[TagPush, Digest]:
        """Read the first and all protected tags: nothing is uploaded for tags that may not move.

        If nothing is to be written unless everything is, read all tags, to find those that need
        nothing. Returns those that already name the image, with the digest that they name.
        """
        first = self._tag_pushes[0]
        first.seed = True
        every = self._together.wanted
        looking = [each for each in self._tag_pushes if every or each.protected or each is first]
        named: dict[TagPush, Digest] = {}

        async def look(tag_push: TagPush) -> None:
            if digest := await tag_push.look_first(self._by_docker_push):
                named[tag_push] = digest
            self._learn(tag_push.result)

        await for_each(looking, look)
        return named

    async def _docker_push_first(self) -> Digest | None:
        """Let ``docker push`` try once if it is faster; return the digest if it succeeds.

        If it fails, we try ourselves: the size of an image must not change the outcome.
        """
        seed = next(iter(self._unended), None)
        if seed is None or not engine_is_quicker(self._image):
            return None
        return await self._docker_push_once(seed)

    async def _docker_push_instead(self, seed: TagPush, failure: Failure) -> Digest | None:
        """Let ``docker push`` try once if the engine lacks layers; return the digest if so.

        It may mount them from where the image was pulled. It must not try if platforms may be
        missing, since it would publish the existing ones under the tag of all.
        """
        lacks_layers = (
            failure.kind is Kind.CONTENT_MISSING and self._image.has_all_platforms is True
        )
        if not lacks_layers or engine_is_quicker(self._image):  # it has tried in this case
            return None
        return await self._docker_push_once(seed)

    async def _docker_push_once(self, seed: TagPush) -> Digest | None:
        if not (self._context.engine_first and self._image.in_engine and seed.may_begin):
            return None
        if await self._write_access.refusal(self._repository):
            return None
        seed.seed = True
        result = await seed.push_once(self._by_docker_push)
        self._learn(result)
        return result.digest if result else None

    async def _upload(self) -> Digest | None:
        """Return the digest of the uploaded content; None if there is none.

        In that case all targets have failed, unless the run ended before they were tried.
        """
        tag_pushes = self._unended
        if not tag_pushes or not tag_pushes[0].may_begin:
            return None
        if refusal := self._write_access.known_refusal(self._repository):
            self._fail(refusal)
            return None
        seed = tag_pushes[0]
        seed.seed = True
        content_push = self._content_push(seed, self._content)
        self._unknown_blobs = content_push.unknown_blobs
        uploaded: Manifest | Failure | None = None
        with self._context.reach.direct_work(self._repository.registry):
            uploaded = await self._tried(content_push.push())
        if uploaded is None:  # the run ended, or only the engine reaches the registry
            return None
        if isinstance(uploaded, Manifest):
            self._manifests.know(uploaded)
            return uploaded.digest
        self._write_access.learn(self._repository, uploaded)
        if digest := await self._docker_push_instead(seed, uploaded):
            return digest
        self._fail(uploaded)
        return None

    # -- docker push uploads the layers -----------------------------------------------------

    async def _push_and_retag(self) -> None:
        if refusal := await self._write_access.refusal(self._repository):
            self._fail(refusal)
            return
        rest = list(self._tag_pushes)
        while rest:
            seed = rest.pop(0)
            seed.seed = True
            await self._push_tag(seed, self._by_docker_push)
            if self._is_seeded(seed, rest):
                if seed.result and seed.result.digest:
                    await self._write_all(rest, seed.result.digest)
                return
            if seed.result is None or not self._unended:
                return

    def _is_seeded(self, seed: TagPush, rest: Sequence[TagPush]) -> bool:
        """Return whether ``seed`` uploaded the content; if it failed for all, end ``rest`` too."""
        result = seed.result
        if result is None or result.failure is None:
            return result is not None and result.outcome is not Outcome.KEPT
        if not (result.failure.tag_only or self._is_doubtful(result.failure)):
            self._control.fail_all(rest, _not_uploaded(result.failure, seed))
        return False

    def _is_doubtful(self, failure: Failure) -> bool:
        """Return whether a refusal may be of one tag alone: the first one is taken as such."""
        first, self._doubted = not self._doubted, True
        return first and failure.kind in REFUSED

    # -- the tags ---------------------------------------------------------------------------

    @property
    def _unended(self) -> list[TagPush]:
        return [each for each in self._tag_pushes if each.result is None]

    async def _write_all(self, tag_pushes: list[TagPush], digest: Digest) -> None:
        if self._only_engine:
            return  # learned meanwhile: each tag is pushed by docker push
        writer = ByManifestPut(
            self._repository,
            digest,
            registry=self._context.registry,
            manifests=self._manifests,
            unknown_blobs=self._unknown_blobs,
        )
        await self._push_tags(tag_pushes, writer)

    async def _push_tags(self, tag_pushes: list[TagPush], writer: TagWriter) -> None:
        await for_each(tag_pushes, lambda each: self._push_tag(each, writer))

    async def _push_tag(self, tag_push: TagPush, writer: TagWriter) -> None:
        refusal = self._write_access.known_refusal(self._repository)
        if refusal is not None and not tag_push.tried:
            tag_push.fail(refusal)
            return
        self._learn(await tag_push.push(writer))

    def _learn(self, result: TargetResult | None) -> None:
        """Record a failure; a refused tag says nothing about the other tags.

        Permissions may differ from tag to tag. A separate request checks whether the repository
        accepts pushes; where only the engine can ask, a push does.
        """
        if result is None or result.failure is None:
            return
        if self._only_engine:
            self._write_access.learn(self._repository, result.failure)
        self._control.note_failure()

    def _fail(self, failure: Failure) -> None:
        self._control.fail_all(self._tag_pushes, failure)


def _not_uploaded(failure: Failure, seed: TagPush) -> Failure:
    """Say for the other targets of a group why their content is missing."""
    return replace(
        failure, message=f"uploading the image failed, with {seed.target}: {failure.message}"
    )

"""One target: read what its tag names, write it, verify the write."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

import anyio

from ghcr_push.failures import PushError
from ghcr_push.model import (
    Descriptor,
    Failure,
    Kind,
    Outcome,
    ReferrerRecord,
    Step,
    Target,
    TargetResult,
)
from ghcr_push.pushing.context import (
    NOT_FOR_US,
    NOT_READABLE,
    NotStartedError,
    RunContext,
    ours,
)
from ghcr_push.pushing.events import Began, Ended, EngineSaid
from ghcr_push.pushing.journal import ContentLog, Journal
from ghcr_push.pushing.pressure.limiter import Limiter, Slot
from ghcr_push.pushing.pressure.retry import AttemptError, FailureCount
from ghcr_push.pushing.reads import LAG_PAUSES, LOOK_STAYS_TRUE, Reader, answered
from ghcr_push.pushing.tag_state import TagState
from ghcr_push.pushing.tag_writers import ByDockerPush, TagWriter, may_turn_out_to_be
from ghcr_push.references import Digest, Repository

MAY_HAVE_LANDED: Final = frozenset({Kind.SERVER_ERROR, Kind.TIMEOUT, Kind.NETWORK, Kind.UNKNOWN})
"""Failures of a write after which the tag may still be there."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the tag named, and when."""

    seen: Descriptor | None
    at: float

    @property
    def digest(self) -> Digest | None:
        """The digest that the tag named, None for no tag."""
        return self.seen.digest if self.seen else None


class TagPush:
    """A target from untried to its one outcome.

    Its state can be read at any moment, so that a run that is cut off reports every target
    correctly. ``may_start`` says whether an untried target may still be tried.
    """

    def __init__(
        self, target: Target, context: RunContext, limiter: Limiter, may_start: Callable[[], bool]
    ) -> None:
        self.target = target
        self.seed = False
        self.content_log: ContentLog | None = None
        """On a seed whose content we upload ourselves: its progress."""
        self.referrers: tuple[ReferrerRecord, ...] = ()
        """The referrers that were copied with it."""
        self.result: TargetResult | None = None
        self._context = context
        self._limiter = limiter
        self._may_start = may_start
        self._failure_count = FailureCount()
        self._journal = Journal(context.clock)
        self._reader = Reader(context, limiter, self.repository)
        self._tag_state = TagState()
        self._last_look: Look | None = None
        """None if the tag could not be read."""
        self._unverified: Failure | None = None
        """How the last read-back failed, if it did."""

    @property
    def repository(self) -> Repository:
        """The repository of the tag."""
        return self.target.reference.repository

    @property
    def tag(self) -> str:
        """The tag to write."""
        return self.target.reference.tag

    @property
    def attempt_number(self) -> int:
        """The number of its attempts so far, including the current one."""
        return self._journal.number

    @property
    def content_attempt_number(self) -> int:
        """The same for the content that is uploaded with it."""
        log = self.content_log
        return log.attempts_before + log.attempt_number if log else 0

    @property
    def tried(self) -> bool:
        """Whether a write was started, also of its content, or an attempt failed."""
        uploading = self.content_log is not None and self.content_log.begun
        return self._tag_state.sent or uploading or bool(self._journal.attempts)

    @property
    def failing(self) -> Failure | None:
        """How its last attempt failed, if it did, or that of the content that is uploaded with it.

        For a first attempt that is being verified: how that fails.

        A failure of ``docker push`` no longer counts once we upload the content.
        """
        own, uploads = self._journal.attempts, self.content_log.attempts if self.content_log else ()
        if self.content_log and uploads and (not own or uploads[-1].started >= own[-1].started):
            return self.content_log.failing or self._unverified
        return self._journal.failing or self._unverified

    @property
    def protected(self) -> bool:
        """Whether the tag may be created but never moved."""
        return any(fnmatchcase(self.tag, pattern) for pattern in self._context.protect)

    @property
    def may_begin(self) -> bool:
        """Whether a write of it may start now."""
        return self.tried or self._may_start()

    async def push(self, writer: TagWriter) -> TargetResult | None:
        """Bring the target to its outcome; failures are in the result, never raised.

        Returns None if the run ended before the target was tried.
        """
        return await self._bring_to_outcome(
            lambda: self._context.backoff.run(
                lambda: self._attempt(writer),
                self._failure_count,
                self._before_wait,
                lambda: self._limiter.spare,
            )
        )

    async def push_once(self, writer: TagWriter) -> TargetResult | None:
        """Bring the target to its outcome in one attempt, or wait as asked and return None.

        A failure is permanent only if it is due to the tag itself: another way of writing may
        succeed. Also None if the run ended before; in both cases ``push`` may continue.
        """

        async def attempt() -> None:
            try:
                await self._attempt(writer)
            except AttemptError as failed:
                if failed.failure.tag_only:
                    raise
                self._failure_count.add(failed)
                wait = failed.failure.asked_wait or 0.0  # including a failure of the read-back
                if failed.failure.retryable:
                    wait = self._context.backoff.wait(
                        failed, self._failure_count, spare=self._limiter.spare
                    )
                self._before_wait(failed, wait)
                await anyio.sleep(wait)
                raise NotStartedError from failed

        return await self._bring_to_outcome(attempt)

    async def _bring_to_outcome(
        self, attempts: Callable[[], Awaitable[None]]
    ) -> TargetResult | None:
        try:
            await attempts()
        except NotStartedError:
            self._journal.drop()
            return None
        except AttemptError as failed:
            return self.fail(failed.failure)
        except Exception as error:  # noqa: BLE001 - an internal error must not fail other targets
            failure = self._context.classify(error, self.repository)
            self._journal.close(failure)
            return self.fail(failure)
        return self._finish(self._tag_state.outcome)

    # -- one attempt ------------------------------------------------------------------------

    async def _attempt(self, writer: TagWriter) -> None:
        """Attempt once, and record it unless its read found everything in place."""
        try:
            if await self._look_and_write(writer):
                await self._verify()
        except AttemptError as failed:
            if not self.may_begin:  # its first read came after the end: it was never tried
                raise NotStartedError from failed
            self._journal.close(failed.failure)
            raise
        if self.tried:
            self._journal.close(None)

    async def _look_and_write(self, writer: TagWriter) -> bool:
        """Read the tag and write it; False if nothing needs to be verified.

        A target waits for its turn before it reads, so that its read does not become outdated in a
        queue.
        """
        async with AsyncExitStack() as window_entry:
            await window_entry.enter_async_context(self._limiter.window.enter())
            if not self.may_begin:
                raise NotStartedError
            self._journal.open(Step.LOOK, self._limiter.limit)
            if await self._look(writer):
                return False
            self._journal.step = Step.FETCH
            await writer.prepare()
            await self._write(writer, window_entry)
        return True

    async def _look(self, writer: TagWriter) -> bool:
        """Read the tag before a write; True if it names the content already, or is kept."""
        self._tag_state.digest = writer.digest
        self._last_look = None
        try:
            seen = await self._reader.in_turn(self._head)
        except AttemptError as failed:
            if self._may_be_written_unread(failed.failure):
                return False
            raise
        return await self._weigh(seen, writer)

    def _may_be_written_unread(self, failure: Failure) -> bool:
        """Return whether a write may follow a read that failed like this."""
        return failure.kind in NOT_READABLE and not self.protected and not self._tag_state.sent

    async def _weigh(self, seen: Descriptor | None, writer: TagWriter) -> bool:
        """Return whether nothing is left to do; raise if the tag must not be written."""
        self._note(seen)
        if seen is None:
            return False
        if await writer.named_by(seen):
            complete = self._tag_state.sent and not self._tag_state.incomplete
            if complete or await writer.is_complete(seen.digest):
                self._tag_state.record_verified(seen)
                return True
            self._tag_state.incomplete = True
            return False
        if self._tag_state.is_overtaken_by(seen):
            raise self._overtaken(seen)
        if self.protected:
            self._tag_state.kept = self._context.keep_protected and not self._tag_state.sent
            if not self._tag_state.kept:
                failure = ours(Kind.PROTECTED, f"{self.tag} is protected and names {seen.digest}")
                raise AttemptError(failure, counts=True)
        return self._tag_state.kept

    def _note(self, seen: Descriptor | None) -> None:
        self._last_look = Look(seen, self._context.clock())
        self._tag_state.looked(seen)

    async def _write(self, writer: TagWriter, window_entry: AsyncExitStack) -> None:
        """Write in a slot, unless another job moved the tag since the last read.

        ``window_entry`` is given to others as soon as the write starts.
        """
        while True:
            async with writer.lock(), self._limiter.write(self.target.reference) as slot:
                moved = slot.open and await self._has_moved()
                if not self.may_begin:
                    raise NotStartedError
                if not moved and slot.begin():
                    await window_entry.aclose()
                    failed = await self._send(writer, slot)
                    break
            if moved and self._last_look and await self._weigh(self._last_look.seen, writer):
                return
        await self._settle(failed, writer)

    async def _has_moved(self) -> bool:
        """Read again, in the slot, if the last read is too old; return whether the tag has moved.

        A protected tag is read right before every write of it.
        """
        last = self._last_look
        if last is None:  # it may not be read
            return False
        if not self.protected and self._context.clock() - last.at <= LOOK_STAYS_TRUE:
            return False
        try:
            seen = await self._reader.at_once(self._head)
        except AttemptError as failed:
            if self._may_be_written_unread(failed.failure):
                return False
            raise
        self._note(seen)
        return self._last_look is not None and self._last_look.digest != last.digest

    async def _send(self, writer: TagWriter, slot: Slot) -> AttemptError | None:
        """Write once, in the slot; return how that failed, if it did."""
        self._journal.send(writer.step, slot.limit)
        self._tag_state.sends()
        self._context.observer(Began(self.target, writer.step, self.attempt_number, slot.limit))
        try:
            digest = await answered(
                writer.send(self.target.reference, self._engine_said),
                within=self._context.attempt_timeout,
            )
        except PushError as error:
            # for a manifest that the repository already holds: it accepted the bytes before
            already_there = writer.step is Step.RETAG
            failure = self._context.classify(error, self.repository, already_there=already_there)
            # only the containerd store, which knows the digest beforehand, pushes an index
            self._tag_state.in_part |= writer.step is Step.PUSH and writer.digest is not None
            return AttemptError(failure, counts=slot.failed(failure))
        slot.succeeded()
        self._tag_state.digest = digest
        self._tag_state.in_part |= writer.digest not in {None, digest}
        return None

    async def _settle(self, failed: AttemptError | None, writer: TagWriter) -> None:
        """Continue after a write; a failed write has taken effect if the tag shows it."""
        if failed is None:
            self._context.accepted.add(self.repository)
            return
        self._tag_state.failed(doubtful=failed.failure.kind in MAY_HAVE_LANDED)
        # if the registry named a wait, the next attempt's read shows the result
        if failed.failure.asked_wait is not None or not await self._landed_after_all(
            failed, writer
        ):
            raise failed
        self._journal.close(failed.failure)

    async def _landed_after_all(self, failed: AttemptError, writer: TagWriter) -> bool:
        """Read back a failed write that may have taken effect; a failed read proves nothing.

        After ``docker push`` any failure may be such, since it does more than write the tag.
        """
        doubtful = failed.failure.kind in MAY_HAVE_LANDED
        if not (doubtful or writer.step is Step.PUSH):
            return False
        try:
            seen = await self._reader.in_turn(self._head)
        except AttemptError as unread:
            failure = replace(failed.failure, asked_wait=unread.failure.asked_wait)
            raise AttemptError(failure, counts=failed.counts) from unread
        if doubtful:
            return await self._weigh(seen, writer)
        if seen is None or self._tag_state.incomplete or not await writer.named_by(seen):
            return False
        self._tag_state.record_verified(seen)
        return True

    async def _verify(self) -> None:
        """Read the tag until it names the sent digest, for about 30 s of lag."""
        if self._tag_state.verified or self._tag_state.kept or not self._context.verify:
            return
        self._journal.begin_verification()
        for pause in LAG_PAUSES:
            try:
                if await self._is_verified():
                    return
                asked = 0.0
            except AttemptError as failed:
                if not failed.failure.retryable:
                    raise
                self._unverified = failed.failure
                asked = failed.failure.asked_wait or 0.0
            await anyio.sleep(max(asked, pause * self._context.backoff.random.uniform(1.0, 1.2)))
        if not await self._is_verified():
            names = f"still names {self._tag_state.before or 'nothing'}"
            failure = ours(Kind.NOT_VISIBLE, f"{self.tag} {names} after the write")
            raise AttemptError(failure, counts=True)

    async def _is_verified(self) -> bool:
        try:
            seen = await self._reader.in_turn(self._head)
        except AttemptError as failed:
            # only the answer to the write is known: landed, not verified
            if self._context.reach.only_engine(self.repository.registry):
                return True
            if self._may_not_be_read(failed.failure):
                self._context.report_unreadable(self.repository, failed.failure)
                return True
            raise
        if seen is None:
            return False
        if seen.digest == self._tag_state.digest:
            self._tag_state.record_verified(seen)
            return True
        if self._tag_state.is_overtaken_by(seen):
            raise self._overtaken(seen)
        return False

    def _may_not_be_read(self, failure: Failure) -> bool:
        """Return whether a failed read-back is hopeless: so was the read before the write."""
        unread = self._last_look is None and failure.kind in NOT_FOR_US
        return failure.kind is Kind.READ_FORBIDDEN or unread

    async def _head(self) -> Descriptor | None:
        reader = self._context.reader(self.repository.registry)
        return await reader.head(self.repository, self.tag)

    def _overtaken(self, seen: Descriptor) -> AttemptError:
        message = f"{self.tag} names {seen.digest}, which this run did not send"
        return AttemptError(ours(Kind.OVERTAKEN, message), counts=True)

    async def look_first(self, writer: ByDockerPush) -> Digest | None:
        """Read before anything is uploaded: end the target if its tag may not be written.

        Returns the digest that the tag names if it is the image with all of its content. A failed
        read proves nothing, except a permanent one of a protected tag: the target's own attempt
        reads again.
        """
        if not self.may_begin:
            return None
        self._journal.open(Step.LOOK, self._limiter.limit)
        try:
            done = await self._is_done_before_all(writer)
        except AttemptError as failed:
            if self._may_not_be_written(failed.failure):
                self._journal.close(failed.failure)
                self.fail(failed.failure)
            else:
                self._journal.drop()
                await anyio.sleep(failed.failure.asked_wait or 0.0)
            return None
        self._journal.drop()
        if done and self._tag_state.kept:
            self.stay()
        return self._tag_state.digest if done and self.result is None else None

    def _may_not_be_written(self, failure: Failure) -> bool:
        """Return whether a failed first read ends it: a protected tag must be read first."""
        unread = failure.kind in NOT_READABLE and not failure.retryable
        return failure.kind is Kind.PROTECTED or (self.protected and unread)

    def stay(self) -> TargetResult:
        """End it unchanged: it names the image already, or is kept."""
        return self._finish(self._tag_state.outcome)

    async def _is_done_before_all(self, writer: ByDockerPush) -> bool:
        seen = await self._reader.in_turn(self._head)
        if seen is not None and await writer.named_by(seen):
            return await self._weigh(seen, writer)
        if seen is None or not self.protected or may_turn_out_to_be(writer.image, seen):
            self._note(seen)
            return False
        return await self._weigh(seen, writer)

    # -- the record -------------------------------------------------------------------------

    def _before_wait(self, failed: AttemptError, seconds: float) -> None:
        self._context.report_wait(self.target, self._journal, failed, self._failure_count, seconds)

    def _engine_said(self, lines: Sequence[str]) -> None:
        self._context.observer(EngineSaid(self.target, tuple(lines)))

    # -- the end ----------------------------------------------------------------------------

    def fail(self, failure: Failure) -> TargetResult:
        """End it as failed, with the reason."""
        return self._finish(Outcome.FAILED, failure)

    def cut_off(self, failure: Failure) -> TargetResult:
        """End it when the run ended first: failed if it was tried, else skipped."""
        if self.tried:
            self._journal.close(failure)
        return self._finish(Outcome.FAILED if self.tried else Outcome.SKIPPED, failure)

    async def look_a_last_time(self) -> None:
        """End it as landed if a write in doubt has taken effect after all.

        If the tag named the image before, with a part lost, the tag does not show it.
        """
        if (
            not self._tag_state.in_doubt
            or self._tag_state.digest is None
            or self._tag_state.incomplete
        ):
            return
        try:
            seen = await self._head()
        except Exception:  # noqa: BLE001 - whatever it is, it proves nothing, and time is up
            return
        if seen is not None and seen.digest == self._tag_state.digest:
            if self._journal.step is None:
                self._journal.open(Step.LOOK, self._limiter.limit)
            self._journal.close(None)
            self._tag_state.record_verified(seen)
            self._finish(self._tag_state.outcome)

    def _finish(self, outcome: Outcome, failure: Failure | None = None) -> TargetResult:
        good, tag_state = failure is None, self._tag_state
        self.result = TargetResult(
            target=self.target,
            outcome=outcome,
            digest=tag_state.digest if good and outcome is not Outcome.KEPT else None,
            before=tag_state.before,
            known_before=tag_state.known_before,
            verified=tag_state.verified and good,
            may_have_landed=tag_state.in_doubt and not good,
            seed=self.seed,
            retried=max(self.attempt_number, self.content_attempt_number) > 1,
            attempts=tuple(self._journal.attempts),
            content_attempts=self.content_log.attempts if self.content_log else (),
            failure=failure,
            transfer=self.content_log.transfer if self.content_log else None,
            referrers=self.referrers,
        )
        self._context.observer(Ended(self.result))
        return self.result

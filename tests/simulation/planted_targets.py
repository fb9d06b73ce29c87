"""Faults planted in the outcomes, retries and waits of targets."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import anyio
import pytest

from ghcr_push.failures import PushError
from ghcr_push.model import Failure, Kind, Outcome, TargetResult
from ghcr_push.pushing import context, tag_push
from ghcr_push.pushing.context import RunContext, ours
from ghcr_push.pushing.group import GroupPush
from ghcr_push.pushing.journal import Journal
from ghcr_push.pushing.pressure.limiter import Limiter
from ghcr_push.pushing.pressure.outage import Outage
from ghcr_push.pushing.pressure.retry import AttemptError, Backoff, FailureCount
from ghcr_push.pushing.run import PushRun
from ghcr_push.pushing.run_control import RunControl
from ghcr_push.pushing.tag_push import TagPush
from ghcr_push.pushing.tag_writers import ByDockerPush, TagWriter
from ghcr_push.references import Repository
from tests.simulation.planting import Faults

FAULTS = Faults()

# -- outcomes -------------------------------------------------------------------------------


@FAULTS.caught_by("one_outcome")
def lost_target(patch: pytest.MonkeyPatch) -> None:
    async def end_all(self: PushRun) -> None: ...

    patch.setattr(PushRun, "_end_all", end_all)


@FAULTS.caught_by("pushed_tags_are_in_the_registry")
def report_before_proof(patch: pytest.MonkeyPatch) -> None:
    async def verify(self: TagPush) -> None:
        self._tag_state.verified = True

    patch.setattr(TagPush, "_verify", verify)


@FAULTS.caught_by("pushed_tags_are_in_the_registry")
def written_without_a_look(patch: pytest.MonkeyPatch) -> None:
    look = TagPush._look

    async def blind(self: TagPush, writer: TagWriter) -> bool:
        await look(self, writer)
        self._tag_state.verified = False
        return False

    patch.setattr(TagPush, "_look", blind)


@FAULTS.caught_by("uncertain_writes_are_reported")
def doubt_forgotten(patch: pytest.MonkeyPatch) -> None:
    fail = TagPush.fail

    def sure(self: TagPush, failure: Failure) -> Any:
        self._tag_state.in_doubt = False
        return fail(self, failure)

    patch.setattr(TagPush, "fail", sure)


@FAULTS.caught_by("causes_are_of_the_target", skip=350)
def fault_sinks_the_group(patch: pytest.MonkeyPatch) -> None:
    async def push(self: TagPush, writer: TagWriter) -> Any:
        try:
            await self._context.backoff.run(
                lambda: self._attempt(writer),
                self._failure_count,
                self._before_wait,
                lambda: False,
            )
        except context.NotStartedError:
            return None
        except AttemptError as failed:
            return self.fail(failed.failure)
        return self._finish(self._tag_state.outcome)

    patch.setattr(TagPush, "push", push)


@FAULTS.caught_by("causes_are_of_the_target")
def cause_of_another_reported(patch: pytest.MonkeyPatch) -> None:
    fail = TagPush.fail

    def wrong(self: TagPush, failure: Failure) -> Any:
        return fail(self, replace(failure, kind=Kind.UNAUTHORIZED))

    patch.setattr(TagPush, "fail", wrong)


@FAULTS.caught_by("causes_are_of_the_target")
def fault_in_a_read_sinks_its_group(patch: pytest.MonkeyPatch) -> None:
    classify = context.RunContext.classify

    def unclassified(self: Any, error: Exception, *args: Any, **named: Any) -> Failure:
        if isinstance(error, RuntimeError):
            raise error
        return classify(self, error, *args, **named)

    patch.setattr(context.RunContext, "classify", unclassified)
    internal = context.internal

    async def run_group(self: PushRun, group: Any, tag_pushes: list[TagPush]) -> None:
        try:
            await self._push_group(group, tag_pushes)
        except Exception as error:  # noqa: BLE001
            for run in tag_pushes:
                if run.result is None:
                    run.fail(internal(error, "the group"))

    patch.setattr(PushRun, "_run_group", run_group)


@FAULTS.caught_by("uncertain_writes_are_reported")
def doubt_where_nothing_was_sent(patch: pytest.MonkeyPatch) -> None:
    fail = TagPush.fail

    def unsure(self: TagPush, failure: Failure) -> Any:
        self._tag_state.in_doubt = True
        return fail(self, failure)

    patch.setattr(TagPush, "fail", unsure)


@FAULTS.caught_by("before_is_true")
def what_was_there_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    finish = TagPush._finish

    def forgetful(self: TagPush, *args: Any) -> Any:
        self._tag_state.known_before, self._tag_state.before = False, None
        return finish(self, *args)

    patch.setattr(TagPush, "_finish", forgetful)


@FAULTS.caught_by("one_outcome")
def end_not_told(patch: pytest.MonkeyPatch) -> None:
    def cut_off(self: TagPush, failure: Failure) -> Any:
        result = TargetResult(target=self.target, outcome=Outcome.SKIPPED, failure=failure)
        self.result = result
        return result

    patch.setattr(TagPush, "cut_off", cut_off)


# -- retries and waits ----------------------------------------------------------------------


@FAULTS.caught_by("permanent_is_tried_once")
def permanent_retried(patch: pytest.MonkeyPatch) -> None:
    gives_up = Backoff.gives_up

    def stubborn(self: Backoff, failed: AttemptError, count: FailureCount, wait: float) -> bool:
        again = AttemptError(replace(failed.failure, retryable=True), counts=failed.counts)
        return gives_up(self, again, count, wait)

    patch.setattr(Backoff, "gives_up", stubborn)


@FAULTS.caught_by("overtaken_is_final")
def overtaken_retried(patch: pytest.MonkeyPatch) -> None:
    overtaken = TagPush._overtaken

    def again(self: TagPush, seen: Any) -> AttemptError:
        self._tag_state.before = seen.digest
        return AttemptError(replace(overtaken(self, seen).failure, retryable=True), counts=True)

    patch.setattr(TagPush, "_overtaken", again)


@FAULTS.caught_by("attempts_are_capped", skip=120)
def caps_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backoff, "gives_up", lambda _, failed, *__: not failed.failure.retryable)


@FAULTS.caught_by("transient_is_retried")
def given_up_early(patch: pytest.MonkeyPatch) -> None:
    gives_up = Backoff.gives_up

    def early(self: Backoff, failed: AttemptError, count: FailureCount, wait: float) -> bool:
        return gives_up(self, failed, count, wait) or count.total >= 2

    patch.setattr(Backoff, "gives_up", early)


@FAULTS.caught_by("load_and_short_outages_lose_nothing")
def outage_charged(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outage, "counts", lambda _, failure: failure.counts)


@FAULTS.caught_by("jitter_has_a_floor")
def jitter_without_floor(patch: pytest.MonkeyPatch) -> None:
    wait = Backoff.wait

    def full(self: Backoff, failed: AttemptError, count: FailureCount, *, spare: bool) -> float:
        asked = failed.failure.asked_wait or 0.0
        return max(asked, self.random.random() * wait(self, failed, count, spare=spare))

    patch.setattr(Backoff, "wait", full)


@FAULTS.caught_by("waits_are_kept")
def wait_shorter_than_asked(patch: pytest.MonkeyPatch) -> None:
    wait = Backoff.wait

    def impatient(
        self: Backoff, failed: AttemptError, count: FailureCount, *, spare: bool
    ) -> float:
        unasked = AttemptError(replace(failed.failure, asked_wait=None), counts=failed.counts)
        return wait(self, unasked, count, spare=spare)

    patch.setattr(Backoff, "wait", impatient)


@FAULTS.caught_by("waits_are_kept")
def read_back_although_told_to_wait(patch: pytest.MonkeyPatch) -> None:
    settle = TagPush._settle

    async def at_once(self: TagPush, failed: AttemptError | None, writer: TagWriter) -> None:
        if failed is not None:
            failed = AttemptError(replace(failed.failure, asked_wait=None), counts=True)
        await settle(self, failed, writer)

    patch.setattr(TagPush, "_settle", at_once)


@FAULTS.caught_by("waits_end")
def waits_without_end(patch: pytest.MonkeyPatch) -> None:
    wait = Backoff.wait
    patch.setattr(Backoff, "wait", lambda *args, spare: 2 * wait(*args, spare=spare) + 10)


# -- content, the end, protection -----------------------------------------------------------


@FAULTS.caught_by("content_is_pushed_once")
def pushes_side_by_side(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ByDockerPush, "lock", lambda _: nullcontext())


@FAULTS.caught_by("seeds_push_alone")
def every_tag_pushed(patch: pytest.MonkeyPatch) -> None:
    async def write_all(self: GroupPush, tag_pushes: list[TagPush], _: Any) -> None:
        await self._push_tags(tag_pushes, self._by_docker_push)

    patch.setattr(GroupPush, "_write_all", write_all)


@FAULTS.caught_by("the_end_is_obeyed")
def attempt_after_cancel(patch: pytest.MonkeyPatch) -> None:
    def cancel(self: PushRun) -> None:
        self._control.cancelled = True

    patch.setattr(PushRun, "cancel", cancel)


@FAULTS.caught_by("the_end_is_obeyed")
def write_finished_after_cancel(patch: pytest.MonkeyPatch) -> None:
    send = TagPush._send

    async def shielded(self: TagPush, *args: Any) -> AttemptError | None:
        with anyio.CancelScope(shield=True):
            failed = await send(self, *args)
        return failed  # noqa: RET504 - a scope may swallow, says its type

    patch.setattr(TagPush, "_send", shielded)


@FAULTS.caught_by("fail_fast_is_obeyed")
def fail_fast_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunControl, "note_failure", lambda _: None)


@FAULTS.caught_by("protected_tags_stay")
def protected_look_skipped_on_retry(patch: pytest.MonkeyPatch) -> None:
    protected = vars(TagPush)["protected"].fget
    patch.setattr(
        TagPush, "protected", property(lambda self: protected(self) and self.attempt_number <= 1)
    )


@FAULTS.caught_by("kept_tags_are_another_images")
def protected_tag_fails_that_was_to_be_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunContext, "keep_protected", property(lambda _: False, lambda *_: None))


@FAULTS.caught_by("ends")
def bug_in_a_read_escapes(patch: pytest.MonkeyPatch) -> None:
    classify = RunContext.classify

    def strict(self: RunContext, error: Exception, repository: Repository) -> Failure:
        if not isinstance(error, PushError):
            raise error
        return classify(self, error, repository)

    patch.setattr(RunContext, "classify", strict)


@FAULTS.caught_by("looks_are_fresh")
def old_looks_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tag_push, "LOOK_STAYS_TRUE", 10_000.0)


@FAULTS.caught_by("attempts_are_recorded")
def attempt_unrecorded(patch: pytest.MonkeyPatch) -> None:
    close = Journal.close

    def forgetful(self: Any, failure: Failure | None) -> None:
        if self.number == 2:
            self.step = None
        close(self, failure)

    patch.setattr(Journal, "close", forgetful)
    patch.setattr(Journal, "waits", lambda *_: None)


@FAULTS.caught_by("attempts_are_recorded")
def retries_made_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TagPush, "content_attempt_number", 2)


@FAULTS.caught_by("deadlines_quote_the_last_failure")
def deadline_says_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TagPush, "failing", None)


@FAULTS.caught_by("deadlines_quote_the_last_failure")
def deadline_quotes_a_past_failure(patch: pytest.MonkeyPatch) -> None:
    failure = ours(Kind.QUOTA, "no room left")
    patch.setattr(Limiter, "current_failure", failure)

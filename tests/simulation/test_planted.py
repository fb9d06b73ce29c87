"""Proof that the suite can fail: faults planted in the queue, each caught by its promise."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import anyio
import pytest

from ghcr_push.model import Failure
from ghcr_push.pushing import gate, target
from ghcr_push.pushing.backoff import AttemptError, Backoff, Tries
from ghcr_push.pushing.batch import Batches
from ghcr_push.pushing.content import Content, InEngine
from ghcr_push.pushing.gate import Ceiling, Gate
from ghcr_push.pushing.journal import Journal
from ghcr_push.pushing.limit import AdaptiveLimit, Place
from ghcr_push.pushing.queue import PushQueue
from ghcr_push.pushing.target import Sent, TargetRun
from tests.simulation.play import play
from tests.simulation.promises import broken_promises
from tests.simulation.scenario import scenario

SEEDS = 1500
"""Seeds among which a planted fault must show; most do within a few."""

Plant = Callable[[pytest.MonkeyPatch], None]
PLANTED: dict[str, tuple[str, Plant]] = {}


def caught_by(check: str) -> Callable[[Plant], Plant]:
    """Register a fault with the check that must find it."""

    def register(plant: Plant) -> Plant:
        PLANTED[plant.__name__] = (check, plant)
        return plant

    return register


# -- slots and limits -----------------------------------------------------------------------


@caught_by("slots_are_used")
def slot_kept_while_waiting(patch: pytest.MonkeyPatch) -> None:
    async def write(self: TargetRun, content: Content) -> None:
        async with content.turn(), self._gate.write(self.target) as slot:
            try:
                await self._settle(await self._send(content, slot), content)
            except AttemptError:
                await anyio.sleep(1)
                raise

    patch.setattr(TargetRun, "_write", write)


@caught_by("limit_is_obeyed")
def cut_per_failure(patch: pytest.MonkeyPatch) -> None:
    def pressed(self: AdaptiveLimit, _: Place) -> bool:
        self.value, old = max(1, self.value // 2), self.value
        return self.value < old

    patch.setattr(AdaptiveLimit, "pressed", pressed)


@caught_by("limit_is_obeyed")
def limit_not_obeyed(patch: pytest.MonkeyPatch) -> None:
    admit = Gate.admit

    def generous(self: Gate) -> None:
        if isinstance(self._limit, AdaptiveLimit):
            value, self._limit.value = self._limit.value, self._limit.ceiling
            admit(self)
            self._limit.value = value

    patch.setattr(Gate, "admit", generous)
    patch.setattr(Gate, "lets_begin", lambda *_: True)


@caught_by("max_parallel_is_kept")
def ceiling_per_registry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ceiling, "take", lambda _: True)


@caught_by("slots_are_used")
def reader_lets_none_in(patch: pytest.MonkeyPatch) -> None:
    def leave(self: Gate, lane: gate._Lane) -> None:
        lane.inside -= 1
        if lane is self._writes:
            self._ceiling.give_back()

    patch.setattr(Gate, "_leave", leave)


@caught_by("slots_are_used")
def timer_forgotten(patch: pytest.MonkeyPatch) -> None:
    async def never(self: Gate, time: float) -> None: ...

    patch.setattr(Gate, "_admit_at", never)


# -- outcomes -------------------------------------------------------------------------------


@caught_by("one_outcome")
def lost_target(patch: pytest.MonkeyPatch) -> None:
    async def end_all(self: PushQueue) -> None: ...

    patch.setattr(PushQueue, "_end_all", end_all)


@caught_by("pushed_is_true")
def report_before_proof(patch: pytest.MonkeyPatch) -> None:
    async def prove(self: TargetRun) -> None:
        self._verified = True

    patch.setattr(TargetRun, "_prove", prove)


@caught_by("pushed_is_true")
def batch_believed_for_unnamed_tags(patch: pytest.MonkeyPatch) -> None:
    def sort(self: Batches, runs: Sequence[TargetRun], _: frozenset[str]) -> None:
        del self
        for run in runs:
            run.end_batch(Sent())

    patch.setattr(Batches, "_sort", sort)


@caught_by("pushed_is_true")
def written_without_a_look(patch: pytest.MonkeyPatch) -> None:
    look = TargetRun._look

    async def blind(self: TargetRun, content: Content) -> bool:
        await look(self, content)
        self._verified = False
        return False

    patch.setattr(TargetRun, "_look", blind)


@caught_by("doubt_is_told")
def doubt_forgotten(patch: pytest.MonkeyPatch) -> None:
    fail = TargetRun.fail

    def sure(self: TargetRun, failure: Failure) -> Any:
        self._in_doubt = False
        return fail(self, failure)

    patch.setattr(TargetRun, "fail", sure)


@caught_by("ends")
def fault_sinks_the_run(patch: pytest.MonkeyPatch) -> None:
    async def land(self: TargetRun, content: Content) -> Any:
        try:
            await self._shared.backoff.run(
                lambda: self._attempt(content), self._tries, self._before_wait
            )
        except target.NotStartedError:
            return None
        except AttemptError as failed:
            return self.fail(failed.failure)
        return self._finish(self._good_outcome())

    patch.setattr(TargetRun, "land", land)


# -- retries and waits ----------------------------------------------------------------------


@caught_by("permanent_is_tried_once")
def permanent_retried(patch: pytest.MonkeyPatch) -> None:
    gives_up = Backoff.gives_up

    def stubborn(self: Backoff, failed: AttemptError, tries: Tries, wait: float) -> bool:
        again = AttemptError(replace(failed.failure, retryable=True), charged=failed.charged)
        return gives_up(self, again, tries, wait)

    patch.setattr(Backoff, "gives_up", stubborn)


@caught_by("overtaken_is_final")
def overtaken_retried(patch: pytest.MonkeyPatch) -> None:
    overtaken = TargetRun._overtaken

    def again(self: TargetRun, seen: Any) -> AttemptError:
        self._before = seen.digest
        return AttemptError(replace(overtaken(self, seen).failure, retryable=True), charged=True)

    patch.setattr(TargetRun, "_overtaken", again)


@caught_by("attempts_are_capped")
def caps_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backoff, "gives_up", lambda _, failed, *__: not failed.failure.retryable)


@caught_by("transient_is_retried")
def given_up_early(patch: pytest.MonkeyPatch) -> None:
    gives_up = Backoff.gives_up

    def early(self: Backoff, failed: AttemptError, tries: Tries, wait: float) -> bool:
        return gives_up(self, failed, tries, wait) or tries.charged >= 2

    patch.setattr(Backoff, "gives_up", early)


@caught_by("plain_troubles_lose_nothing")
def outage_charged(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gate, "_charge", lambda _, failure: failure.charged)


@caught_by("outages_are_probed")
def outage_hammered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gate, "PROBE_LAST", 0.5)
    patch.setattr(gate, "PROBE_FIRST", 0.5)


@caught_by("jitter_has_a_floor")
def jitter_without_floor(patch: pytest.MonkeyPatch) -> None:
    wait = Backoff.wait

    def full(self: Backoff, failed: AttemptError, tries: Tries) -> float:
        asked = failed.failure.wait or 0.0
        return max(asked, self.random.random() * wait(self, failed, tries))

    patch.setattr(Backoff, "wait", full)


@caught_by("waits_are_kept")
def wait_shorter_than_asked(patch: pytest.MonkeyPatch) -> None:
    wait = Backoff.wait

    def impatient(self: Backoff, failed: AttemptError, tries: Tries) -> float:
        unasked = AttemptError(replace(failed.failure, wait=None), charged=failed.charged)
        return wait(self, unasked, tries)

    patch.setattr(Backoff, "wait", impatient)


@caught_by("waits_are_kept")
def read_back_although_told_to_wait(patch: pytest.MonkeyPatch) -> None:
    settle = TargetRun._settle

    async def at_once(self: TargetRun, sent: Sent, content: Content) -> None:
        if sent.failed is not None:
            failed = AttemptError(replace(sent.failed.failure, wait=None), charged=True)
            sent = Sent(failed, doubtful=sent.doubtful)
        await settle(self, sent, content)

    patch.setattr(TargetRun, "_settle", at_once)


@caught_by("holds_are_shared")
def hold_not_shared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gate, "hold", lambda *_: None)


@caught_by("holds_are_shared")
def hold_too_short(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gate, "THROTTLE_FIRST", 20.0)


@caught_by("throttled_starts_are_spaced")
def starts_not_spaced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gate, "SPACING_AFTER_THROTTLE", 0.0)


# -- content, the end, protection -----------------------------------------------------------


@caught_by("content_goes_up_once")
def pushes_side_by_side(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(InEngine, "turn", lambda _: nullcontext())


@caught_by("seeds_push_alone")
def every_tag_pushed(patch: pytest.MonkeyPatch) -> None:
    async def retag(self: PushQueue, seed: TargetRun, rest: list[TargetRun], *_: Any) -> None:
        image = self._images[seed.target.source]
        assert not isinstance(image, Failure)
        held = InEngine(
            seed.target.source,
            image,
            engine=self._shared.engine,
            manifests=self._manifests(seed.repository),
            turn=anyio.Lock(),
        )
        await self._land_all(rest, held)

    patch.setattr(PushQueue, "_retag", retag)


@caught_by("the_end_is_obeyed")
def attempt_after_cancel(patch: pytest.MonkeyPatch) -> None:
    def cancel(self: PushQueue) -> None:
        self._cancelled = True

    patch.setattr(PushQueue, "cancel", cancel)


@caught_by("the_end_is_obeyed")
def write_finished_after_cancel(patch: pytest.MonkeyPatch) -> None:
    send = TargetRun._send

    async def shielded(self: TargetRun, *args: Any) -> Sent:
        with anyio.CancelScope(shield=True):
            sent = await send(self, *args)
        return sent  # noqa: RET504 - a scope may swallow, says its type

    patch.setattr(TargetRun, "_send", shielded)


@caught_by("the_end_is_obeyed")
def fail_fast_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PushQueue, "_note_failure", lambda _: None)


@caught_by("protected_tags_stay")
def protected_look_skipped_on_retry(patch: pytest.MonkeyPatch) -> None:
    protected = vars(TargetRun)["protected"].fget
    patch.setattr(
        TargetRun, "protected", property(lambda self: protected(self) and self.tries <= 1)
    )


@caught_by("protected_tags_stay")
def protected_tags_in_batches(patch: pytest.MonkeyPatch) -> None:
    protected = vars(TargetRun)["protected"].fget
    patch.setattr(TargetRun, "protected", property(lambda self: protected(self) and self.tries > 0))


@caught_by("attempts_are_recorded")
def attempt_unrecorded(patch: pytest.MonkeyPatch) -> None:
    close = Journal.close

    def forgetful(self: Any, failure: Failure | None) -> None:
        if self.number == 2:
            self.step = None
        close(self, failure)

    patch.setattr(Journal, "close", forgetful)
    patch.setattr(Journal, "waits", lambda *_: None)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check, plant = PLANTED[fault]
    plant(monkeypatch)

    caught = (
        broken
        for seed in range(SEEDS)
        if any(broken.startswith(check) for broken in broken_promises(play(scenario(seed))))
        for broken in [seed]
    )

    assert next(caught, None) is not None, f"{check} does not find {fault}"

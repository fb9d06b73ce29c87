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
from ghcr_push.pushing.carry import Carrier, Holdings, _Unit, _UnitEndedError
from ghcr_push.pushing.content import Content, InEngine
from ghcr_push.pushing.gate import Ceiling, Gate
from ghcr_push.pushing.journal import Journal
from ghcr_push.pushing.limit import AdaptiveLimit, Place
from ghcr_push.pushing.ports import Blob
from ghcr_push.pushing.queue import PushQueue
from ghcr_push.pushing.target import Sent, TargetRun
from tests.simulation.content_promises import CONTENT_CHECKS
from tests.simulation.play import play
from tests.simulation.promises import broken_promises
from tests.simulation.scenario import DIRECT, scenario

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


# -- content that we carry ourselves ---------------------------------------------------------


@caught_by("tags_name_what_is_whole")
def tag_before_blobs(patch: pytest.MonkeyPatch) -> None:
    async def bring(_: Carrier, blob: Blob) -> None:
        del blob

    patch.setattr(Carrier, "_bring", bring)


@caught_by("tags_name_what_is_whole")
def tag_before_child_manifests(patch: pytest.MonkeyPatch) -> None:
    async def bring_manifest(_: Carrier, manifest: Any) -> None:
        del manifest

    patch.setattr(Carrier, "_bring_manifest", bring_manifest)


@caught_by("blobs_go_up_once")
def blob_sent_by_two_groups(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Holdings, "turn", lambda *_: nullcontext())


@caught_by("blobs_go_up_once")
def blob_sent_without_a_look(patch: pytest.MonkeyPatch) -> None:
    async def is_there(*_: Any) -> bool:
        return False

    patch.setattr(Carrier, "_is_there", is_there)


@caught_by("nothing_is_left_behind")
def blob_not_released(patch: pytest.MonkeyPatch) -> None:
    bring = Carrier._bring

    async def keeping(self: Carrier, blob: Any) -> None:
        try:
            await bring(self, blob)
        except BaseException:
            patch.setattr(type(blob), "__exit__", lambda *_: None)
            raise

    patch.setattr(Carrier, "_bring", keeping)


@caught_by("images_are_read_again_for_a_reason")
def read_again_for_a_blob_that_ended(patch: pytest.MonkeyPatch) -> None:
    read = Carrier._read

    async def again(self: Carrier, journal: Journal) -> Any:
        try:
            return await read(self, journal)
        except _UnitEndedError as ended:
            if isinstance(ended.why, AttemptError):
                self._record(journal, ended.why.failure)
            raise ended.why from None

    patch.setattr(Carrier, "_read", again)


@caught_by("units_are_capped")
def caps_of_blobs_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backoff, "gives_up", lambda _, failed, *__: not failed.failure.retryable)


@caught_by("refusing_repositories_are_asked_once")
def refusing_repository_not_asked(patch: pytest.MonkeyPatch) -> None:
    async def refusal(*_: Any) -> None: ...

    patch.setattr(PushQueue, "_refusal", refusal)


@caught_by("content_attempts_are_recorded")
def content_retried_in_silence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        TargetRun, "tries_of_content", property(lambda _: 0, lambda *_: None), raising=False
    )


@caught_by("carriages_add_up")
def blobs_counted_with_each_reading(patch: pytest.MonkeyPatch) -> None:
    bring_missing = Carrier._bring_missing

    async def forgetful(self: Carrier, blob: Blob) -> None:
        await bring_missing(self, blob)
        self._brought.clear()

    patch.setattr(Carrier, "_bring_missing", forgetful)


@caught_by("nothing_is_begun_after_fail_fast")
def content_begun_after_fail_fast(patch: pytest.MonkeyPatch) -> None:
    init = Carrier.__init__

    def eager(self: Carrier, *args: Any, **named: Any) -> None:
        init(self, *args, **{**named, "may_begin": lambda: True})

    patch.setattr(Carrier, "__init__", eager)


@caught_by("units_wait_as_asked")
def blob_sent_again_at_once(patch: pytest.MonkeyPatch) -> None:
    persist = Carrier._persist

    async def impatient(self: Carrier, unit: _Unit, attempt: Any) -> Any:
        async def twice() -> Any:
            try:
                return await attempt()
            except AttemptError:
                return await attempt()

        return await persist(self, unit, twice)

    patch.setattr(Carrier, "_persist", impatient)


CONTENT = {check.__name__ for check in CONTENT_CHECKS}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check, plant = PLANTED[fault]
    plant(monkeypatch)
    first = DIRECT if check in CONTENT else 0

    caught = (
        broken
        for seed in range(first, first + SEEDS)
        if any(broken.startswith(check) for broken in broken_promises(play(scenario(seed))))
        for broken in [seed]
    )

    assert next(caught, None) is not None, f"{check} does not find {fault}"

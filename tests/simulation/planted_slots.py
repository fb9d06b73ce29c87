"""Faults planted in the limiter: slots, holds and outages."""

from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from ghcr_push.pushing.pressure import holds, limit, limiter, outage
from ghcr_push.pushing.pressure.global_limit import GlobalLimit
from ghcr_push.pushing.pressure.holds import Holds
from ghcr_push.pushing.pressure.limit import AdaptiveLimit, Write
from ghcr_push.pushing.pressure.limiter import Limiter, ReadSlot, Slot
from ghcr_push.pushing.pressure.queues import Window
from ghcr_push.pushing.pressure.retry import AttemptError
from ghcr_push.pushing.pressure.timers import Timers
from ghcr_push.pushing.tag_push import TagPush
from ghcr_push.pushing.tag_writers import TagWriter
from tests.simulation.planting import Faults

FAULTS = Faults()

# -- slots and limits -----------------------------------------------------------------------


@FAULTS.caught_by("slots_are_used")
def slot_kept_while_waiting(patch: pytest.MonkeyPatch) -> None:
    async def write(self: TagPush, writer: TagWriter, _: object) -> None:
        async with writer.lock(), self._limiter.write(self.target) as slot:
            try:
                await self._settle(await self._send(writer, slot), writer)
            except AttemptError:
                await anyio.sleep(1)
                raise

    patch.setattr(TagPush, "_write", write)


@FAULTS.caught_by("max_parallel_is_kept")
def ceiling_per_registry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(GlobalLimit, "has_slot_for", lambda *_: True)


@FAULTS.caught_by("slots_are_used")
def reader_lets_none_in(patch: pytest.MonkeyPatch) -> None:
    reading = Limiter.read

    def read(self: Limiter) -> AbstractAsyncContextManager[ReadSlot]:
        self.reads.left = lambda: None
        return reading(self)

    patch.setattr(Limiter, "read", read)


@FAULTS.caught_by("slots_are_used")
def one_looks_at_a_time(patch: pytest.MonkeyPatch) -> None:
    admit = Window.admit
    patch.setattr(Window, "admit", lambda self: None if self.inside else admit(self))


@FAULTS.caught_by("slots_are_used")
def timer_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Timers, "wake_at", lambda *_: None)


@FAULTS.caught_by("limit_is_obeyed")
def tried_too_often(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limit, "TRIAL_LEAST", 0.02)


@FAULTS.caught_by("limit_is_obeyed")
def trials_side_by_side(patch: pytest.MonkeyPatch) -> None:
    due = property(lambda self: self._trial_level > self.value)
    patch.setattr(AdaptiveLimit, "trial_due", due)


@FAULTS.caught_by("limit_moves_for_a_reason")
def limit_falls_for_a_refused_tag(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Slot, "_shows_overload", lambda *_, **__: True)


@FAULTS.caught_by("limit_moves_for_a_reason")
def limit_begins_below_the_ceiling(patch: pytest.MonkeyPatch) -> None:
    began = AdaptiveLimit.began

    def cautious(self: AdaptiveLimit) -> Write:
        self.value = max(1, self.value - 1)
        return began(self)

    patch.setattr(AdaptiveLimit, "began", cautious)


@FAULTS.caught_by("limit_moves_for_a_reason")
def limit_falls_as_writes_are_taken(patch: pytest.MonkeyPatch) -> None:
    accepted = AdaptiveLimit.accepted

    def modest(self: AdaptiveLimit, write: Write) -> None:
        accepted(self, write)
        self.value = max(1, self.value - 1)

    patch.setattr(AdaptiveLimit, "accepted", modest)


@FAULTS.caught_by("reads_are_bounded")
def reads_unbounded(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limiter, "READS_PER_WRITE", 5)


# -- outages and holds ----------------------------------------------------------------------


@FAULTS.caught_by("outages_are_probed")
def outage_hammered(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outage, "PROBE_LAST", 0.5)
    patch.setattr(outage, "PROBE_FIRST", 0.5)


@FAULTS.caught_by("holds_are_shared")
def hold_not_shared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Holds, "hold", lambda *_: None)


@FAULTS.caught_by("holds_are_shared", skip=130)
def hold_too_short(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holds, "HOLD_FIRST", 20.0)


@FAULTS.caught_by("throttled_starts_are_spaced", skip=130)
def starts_not_spaced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holds, "SPACING", 0.0)


@FAULTS.caught_by("holds_are_shared", skip=130)
def hold_not_doubled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holds, "HOLD_LAST", holds.HOLD_FIRST)

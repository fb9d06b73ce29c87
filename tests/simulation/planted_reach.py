"""Faults planted in the preflight."""

import pytest

from ghcr_push.model import Kind
from ghcr_push.pushing import preflight
from ghcr_push.pushing.preflight import Reach
from tests.simulation.planting import Faults

FAULTS = Faults()


@FAULTS.caught_by("our_process_pushes_where_it_can")
def asked_too_rarely(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preflight, "PAUSES", (0.0,))


@FAULTS.caught_by("our_process_pushes_where_it_can")
def refusals_taken_for_silence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preflight, "NO_ANSWER", frozenset(Kind))


@FAULTS.caught_by("the_engine_pushes_what_only_it_reaches")
def decided_and_forgotten(patch: pytest.MonkeyPatch) -> None:
    def decide(self: Reach, registry: str, *, only_engine: bool) -> None:
        del only_engine
        self._undecided[registry].set()

    patch.setattr(Reach, "decide", decide)


@FAULTS.caught_by("no_registry_waits_for_another")
def decided_one_after_the_other(patch: pytest.MonkeyPatch) -> None:
    async def decided(self: Reach, _: str) -> None:
        for event in self._undecided.values():
            await event.wait()

    patch.setattr(Reach, "decided", decided)

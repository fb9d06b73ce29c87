"""Faults planted in the isolation of a dead registry from a healthy one."""

import pytest

from ghcr_push.pushing import progress, readings
from ghcr_push.pushing.pressure import reachability
from ghcr_push.pushing.pressure.global_limit import Share
from ghcr_push.pushing.progress import Progress
from tests.simulation.planting import Faults

FAULTS = Faults()


@FAULTS.caught_by("healthy_registries_are_not_held_up")
def silent_registry_takes_all_places_but_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Share, "answers", property(lambda _: True, lambda *_: None))


@FAULTS.caught_by("healthy_registries_are_not_held_up")
def dead_registry_keeps_temporary_space(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Progress, "stalled", lambda _: False)


@FAULTS.caught_by("healthy_registries_are_not_held_up")
def trouble_seen_too_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(progress, "IN_TROUBLE", 1000.0)
    patch.setattr(progress, "QUIET", 1000.0)


@FAULTS.caught_by("healthy_registries_are_not_held_up")
def looked_for_trouble_too_rarely(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(readings, "CHECKED_EVERY", 1000.0)


@FAULTS.caught_by("silent_registries_are_given_up")
def silence_waited_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability, "LONGEST_SILENCE", 10_000.0)

"""Signatures are copied after the layers and before any tag; a failure to copy them is reported.

tests/unit/test_referrers_tag.py tests the list kept by tag with many writers.
"""

from collections.abc import Callable

import pytest

from ghcr_push.pushing.group import GroupPush
from tests.simulation.play import play
from tests.simulation.promises import broken_promises
from tests.simulation.referred import REFERRER_CHECKS, referred

SEEDS = 400


def broken(seed: int) -> list[str]:
    return broken_promises(play(referred(seed)), REFERRER_CHECKS)


@pytest.mark.parametrize("first", range(0, SEEDS, 100))
def test_referrers_come_between_layers_and_tags(first: int) -> None:
    found = [f"{seed}: {what}" for seed in range(first, first + 100) for what in broken(seed)]

    assert not found, "\n".join(found)


def not_brought(patch: pytest.MonkeyPatch) -> None:
    async def nothing(_: GroupPush) -> bool:
        return True

    patch.setattr(GroupPush, "_copy_referrers", nothing)


def refused_and_forgotten(patch: pytest.MonkeyPatch) -> None:
    bring = GroupPush._copy_referrers

    async def whatever(group: GroupPush) -> bool:
        fail, group._fail = group._fail, lambda *_: None  # type: ignore[method-assign]
        await bring(group)
        group._fail = fail  # type: ignore[method-assign]
        return True

    patch.setattr(GroupPush, "_copy_referrers", whatever)


def brought_before_the_layers(patch: pytest.MonkeyPatch) -> None:
    upload = GroupPush._upload

    async def referrers_first(group: GroupPush) -> object:
        await group._copy_referrers()
        return await upload(group)

    patch.setattr(GroupPush, "_upload", referrers_first)


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (not_brought, "tags_move_after_referrers"),
        (refused_and_forgotten, "a_refused_referrer_fails_its_group"),
        (brought_before_the_layers, "referrers_go_up_after_layers"),
    ],
)
def test_a_planted_fault_is_caught(
    plant: Callable[[pytest.MonkeyPatch], None], check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(what.startswith(check) for seed in range(SEEDS) for what in broken(seed))

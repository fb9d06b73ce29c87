"""Slots shared by registries: each has one reserved, and a silent one gets no more."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from ghcr_push.pushing.pressure.global_limit import GlobalLimit, Share


def nobody() -> None: ...


def joined(global_limit: GlobalLimit, count: int, *, waiting: bool = False) -> list[Share]:
    return [global_limit.join(nobody, lambda: waiting) for _ in range(count)]


def taken(share: Share, most: int = 100) -> int:
    """Take all free slots, at most ``most``; return how many those were."""
    return next((number for number in range(most) if not share.take()), most)


def test_a_registry_alone_may_have_every_place() -> None:
    (only,) = joined(GlobalLimit(4), 1)
    assert taken(only) == 4


@pytest.mark.parametrize("most", [2, 4, 8])
@pytest.mark.parametrize("registries", [2, 3])
def test_one_place_is_kept_for_each_registry_that_has_work(most: int, registries: int) -> None:
    hungry, *others = joined(GlobalLimit(most), registries)
    hungry.answers = True
    assert taken(hungry) == max(1, most - len(others))
    assert sum(taken(each, 1) for each in others) == min(len(others), most - 1)


def test_no_registry_takes_more_than_an_even_share_while_another_waits() -> None:
    one, other = joined(GlobalLimit(8), 2, waiting=True)
    one.answers = other.answers = True
    assert (taken(one), taken(other)) == (4, 4)


def test_a_registry_that_never_answered_a_write_has_one_place_while_others_have_work() -> None:
    silent, healthy = joined(GlobalLimit(4), 2)
    assert taken(silent) == 1
    assert taken(healthy, 1) == 1
    healthy.answers = True
    assert taken(healthy) == 2


def test_the_last_registry_with_work_may_use_all_slots() -> None:
    offered: list[str] = []
    global_limit = GlobalLimit(4)
    first = global_limit.join(lambda: offered.append("first"), bool)
    second = global_limit.join(lambda: offered.append("second"), bool)
    assert taken(first) == 1
    second.leave()
    second.leave()
    assert offered == ["first"]
    assert taken(first) == 3


def test_two_registries_on_one_place_alternate() -> None:
    global_limit, order = GlobalLimit(1), list[str]()
    shares: dict[str, Share] = {}

    def taking(name: str) -> Callable[[], None]:
        def take() -> None:
            if len(order) < 10 and shares[name].take():
                order.append(name)

        return take

    for name in ("one", "other"):
        shares[name] = global_limit.join(taking(name), bool)
    taking("one")()
    while len(order) < 10:
        shares[order[-1]].give_back()
    assert all(before != after for before, after in pairwise(order))

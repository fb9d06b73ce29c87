"""Faults to plant in the queue, each with the check that must find it."""

from collections.abc import Callable

import pytest

Plant = Callable[[pytest.MonkeyPatch], None]


class Faults(dict[str, tuple[str, int, Plant]]):
    """Plants by name, each with its check and the seed to look from."""

    def caught_by(self, check: str, *, skip: int = 0) -> Callable[[Plant], Plant]:
        """Register a fault with the check that must find it.

        ``skip`` saves time: so many of the first seeds are known not to show it.
        """

        def register(plant: Plant) -> Plant:
            self[plant.__name__] = (check, skip, plant)
            return plant

        return register

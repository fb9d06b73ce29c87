"""How modules are loaded where somebody waits for them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Look for no garbage while modules load, nor later among what they left: 5 to 15 ms less."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()

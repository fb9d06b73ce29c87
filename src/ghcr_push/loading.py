"""How modules are imported when a person waits for them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Collect no garbage during imports, and later none of what they created: saves 5 to 15 ms."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()

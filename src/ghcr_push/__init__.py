"""Push container images to GitHub Container Registry, reliably.

>>> from ghcr_push import push
>>> report = push(["ghcr.io/acme/app:1.0", "ghcr.io/acme/app:latest"], max_parallel=4)
>>> report.result
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ghcr_push.fronts.python import push
    from ghcr_push.model import Report
    from ghcr_push.planning.problems import InputError

__all__ = ["InputError", "Report", "push"]

_HOMES = {
    "InputError": "ghcr_push.planning.problems",
    "Report": "ghcr_push.model",
    "push": "ghcr_push.fronts.python",
}


def __getattr__(name: str) -> Any:
    # loaded when asked for: the action must hold its signals before anything heavy is imported
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - as above

    return getattr(import_module(_HOMES[name]), name)

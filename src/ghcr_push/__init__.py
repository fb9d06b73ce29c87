"""Push container images to GitHub Container Registry, reliably.

>>> from ghcr_push import push
>>> report = push(["ghcr.io/acme/app:1.0", "ghcr.io/acme/app:latest"], max_parallel=4)
>>> report.ok
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ghcr_push.fronts.python import PushFailed, PushReport, push, push_async
    from ghcr_push.model import FailureRecord, Kind, Outcome, Result
    from ghcr_push.planning.problems import InputError
    from ghcr_push.pushing import events
    from ghcr_push.pushing.events import Event, Observer
    from ghcr_push.reporting.records import TargetRecord

    __version__: str

__all__ = [
    "Event",
    "FailureRecord",
    "InputError",
    "Kind",
    "Observer",
    "Outcome",
    "PushFailed",
    "PushReport",
    "Result",
    "TargetRecord",
    "__version__",
    "events",
    "push",
    "push_async",
]

_HOMES = {
    "Event": "ghcr_push.pushing.events",
    "FailureRecord": "ghcr_push.model",
    "InputError": "ghcr_push.planning.problems",
    "Kind": "ghcr_push.model",
    "Observer": "ghcr_push.pushing.events",
    "Outcome": "ghcr_push.model",
    "PushFailed": "ghcr_push.fronts.python",
    "PushReport": "ghcr_push.fronts.python",
    "Result": "ghcr_push.model",
    "TargetRecord": "ghcr_push.reporting.records",
    "push": "ghcr_push.fronts.python",
    "push_async": "ghcr_push.fronts.python",
}


def __getattr__(name: str) -> Any:  # of any type: PEP 562
    # imported on first use: the action must handle signals before anything heavy is imported
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - as above

        return version("ghcr-push")
    from importlib import import_module  # noqa: PLC0415 - as above

    if name == "events":
        return import_module("ghcr_push.pushing.events")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

"""The way in from Python: where ``docker.push([...])`` of python-on-whales stood."""

import os
from collections.abc import Iterable

from ghcr_push import app
from ghcr_push.model import Report
from ghcr_push.planning.settings import read_settings
from ghcr_push.pushing.events import Event, Observer
from ghcr_push.signals import Interruption


def push(
    targets: str | Iterable[str],
    *,
    observer: Observer | None = None,
    **inputs: str | float | bool,
) -> Report:
    """Push ``targets`` and report how each ended; failures are in the report, not raised.

    ``inputs`` are the action's, with underscores: ``max_parallel=8``, ``source="app"``,
    ``timeout=600`` (numbers are seconds). ``observer`` is called with what happens as it happens.
    Raises ``InputError`` where the inputs are bad, before any request. Credentials come from
    ``token``, ``username`` and ``password``, or the Docker configuration. Blocks; not to be called
    from a running event loop.
    """
    lines = targets if isinstance(targets, str) else "\n".join(targets)
    values = {name.replace("_", "-"): _text(value) for name, value in inputs.items()}
    settings = read_settings({"tags": lines, **values})
    return app.push(
        settings,
        environ=os.environ,
        observer=observer or _unheard,
        interruption=Interruption(),
    )


def _text(value: str | float | bool) -> str:  # noqa: FBT001 - as inputs are
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _unheard(event: Event) -> None:
    """Tell nobody."""

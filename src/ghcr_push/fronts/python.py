"""Entry point for Python: a drop-in for ``docker.push([...])`` of python-on-whales."""

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from difflib import get_close_matches
from inspect import Parameter, Signature, get_annotations, signature
from typing import Protocol, TypedDict, Unpack, runtime_checkable

from ghcr_push import app
from ghcr_push.fronts.delivery import deliver
from ghcr_push.fronts.files import WorkspacePaths
from ghcr_push.fronts.wording import PYTHON
from ghcr_push.model import Outcome, Result
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, read_settings
from ghcr_push.pushing.events import Observer
from ghcr_push.reporting.phrases import cause, count
from ghcr_push.reporting.records import Report, TargetRecord
from ghcr_push.reporting.report import to_json
from ghcr_push.signals import Interruption

Listed = str | Sequence[str]
"""Several values: a sequence, or the text of the action's input."""

Duration = str | float | timedelta
"""Seconds as a number, or text such as ``1m30s``."""


@runtime_checkable
class LocalImage(Protocol):
    """An image of the local engine, such as python-on-whales' ``Image``."""

    @property
    def id(self) -> str:
        """Its ID, ``sha256:…``."""


class Inputs(TypedDict, total=False):
    """The action's inputs except ``tags``, with underscores; omitted ones have their defaults."""

    tags_file: str | os.PathLike[str]
    allow_empty: bool
    image: str
    source: str | LocalImage
    transport: str
    platform: str
    referrers: bool
    compress_layers: bool
    annotations: Listed
    mount_from: Listed
    spool_size: str | int
    max_parallel: int
    adaptive: bool
    max_attempts: int
    backoff_initial: Duration
    backoff_max: Duration
    attempt_timeout: Duration
    timeout: Duration
    fail_fast: bool
    fail_on_error: bool
    token: str
    registry: str
    username: str
    password: str
    registry_auth: str | Sequence[Mapping[str, str]]
    verify: bool
    protect: Listed
    on_protected: str
    all_or_nothing: bool
    declare_artifacts: bool
    dry_run: bool
    summary: bool
    report_file: str | os.PathLike[str]
    insecure_registries: Listed


class PushFailed(Exception):  # noqa: N818 - says what happened, as TimeoutExpired does
    """At least one target failed or was skipped; ``report`` says which, and why."""

    def __init__(self, report: "PushReport") -> None:
        causes = {
            f"{cause(target.failure)}: {target.failure.message}\n  {target.failure.advice}": target
            for target in report.failed
            if target.failure is not None
        }
        lines = [PYTHON.said(f"{target}: {cause}") for cause, target in causes.items()]
        head = f"{len(report.failed)} of {count(len(report.targets), 'target')} not pushed"
        super().__init__("\n".join([head, *lines]))
        self.report = report


@dataclass(frozen=True, kw_only=True)
class PushReport(Report):
    """A finished run; iterating yields a ``TargetRecord`` for each target, in the order given."""

    def __iter__(self) -> Iterator[TargetRecord]:
        return iter(self.targets)

    @property
    def ok(self) -> bool:
        """Whether nothing failed, was skipped or was cancelled."""
        return self.result is Result.SUCCESS

    @property
    def failed(self) -> tuple[TargetRecord, ...]:
        """The targets that failed or were never tried."""
        return tuple(self.ended(Outcome.FAILED, Outcome.SKIPPED))

    def raise_for_failure(self) -> None:
        """Raise ``PushFailed`` unless everything landed."""
        if not self.ok:
            raise PushFailed(self)

    def to_json(self) -> str:
        """Return the JSON report, as the input ``report-file`` writes it."""
        return to_json(self).decode()


def push(
    targets: str | Iterable[str],
    *,
    check: bool = False,
    observer: Observer | None = None,
    **inputs: Unpack[Inputs],
) -> PushReport:
    """Push ``targets`` and report how each ended; failures are in the report, not raised.

    ``check=True`` raises ``PushFailed`` if something was not pushed, as ``docker.push`` does.
    ``observer`` is called with each event as it happens. Raises ``InputError`` for bad inputs,
    before any request, and ``TypeError`` for an unknown keyword. Credentials come from ``token``,
    ``username`` and ``password``, or the Docker configuration. Blocks; in a running event loop use
    ``await push_async(...)``.
    """
    if _in_a_loop():
        raise RuntimeError("push() blocks: in a running event loop, use `await push_async(...)`")
    return asyncio.run(_report(_settings(targets, inputs), observer, check=check))


async def push_async(
    targets: str | Iterable[str],
    *,
    check: bool = False,
    observer: Observer | None = None,
    **inputs: Unpack[Inputs],
) -> PushReport:
    """Do the same as ``push`` in a running asyncio loop.

    Cancelling the await ends every request at once, without a report.
    """
    return await _report(_settings(targets, inputs), observer, check=check)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _spelled_out(function: Callable[..., object]) -> None:
    """Give ``function`` a signature with every input, for ``help()`` and for TAB."""
    own = [
        each.replace(annotation="Observer | None") if each.name == "observer" else each
        for each in signature(function).parameters.values()
        if each.kind is not Parameter.VAR_KEYWORD
    ]
    inputs = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in get_annotations(Inputs).items()
    ]
    function.__signature__ = Signature([*own, *inputs])  # type: ignore[attr-defined] # PEP 362


_spelled_out(push)
_spelled_out(push_async)


async def _report(settings: Settings, observer: Observer | None, *, check: bool) -> PushReport:
    with _python_words():
        report = await app.push(
            settings,
            environ=os.environ,
            observer=observer or (lambda _: None),
            interruption=Interruption(),
        )
    report = deliver(report, settings, os.environ, WorkspacePaths({})).report
    found = PushReport(**{each.name: getattr(report, each.name) for each in fields(report)})
    if check:
        found.raise_for_failure()
    return found


def _settings(targets: str | Iterable[str], inputs: Inputs) -> Settings:
    """Validate the inputs; a value of None means the default."""
    for name in inputs:
        if name not in Inputs.__annotations__:
            near = get_close_matches(name, Inputs.__annotations__, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"there is no input {name!r}{hint}")
    given = {name: value for name, value in inputs.items() if value is not None}
    values = {name.replace("_", "-"): _text(value) for name, value in given.items()}
    with _python_words():
        return read_settings({"tags": _text(targets), **values})


@contextmanager
def _python_words() -> Iterator[None]:
    """Replace the names of inputs in error messages by Python's."""
    try:
        yield
    except InputError as error:
        error.args = ("\n".join(map(PYTHON.said_of_input, str(error).splitlines())),)
        raise


def _text(value: object) -> str:
    """Return a value as the text of the action's input."""
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return str(value)
        case timedelta():
            return str(value.total_seconds())
        case os.PathLike():
            return str(os.fspath(value))
        case LocalImage():
            return str(value.id)
        case bytes() | bytearray() | Mapping():
            pass  # they can be iterated, but not to what they mean
        case Iterable():
            entries = list(value)
            as_yaml = any(isinstance(entry, Mapping) for entry in entries)  # of registry-auth
            return json.dumps(entries) if as_yaml else "\n".join(map(_text, entries))
    # not the value itself, which may hold a password
    kind = "None" if value is None else f"a value of type {type(value).__name__}"
    raise TypeError(f"{kind} is neither text, a number, a duration, a list nor an image")

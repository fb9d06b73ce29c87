"""Handlers for our loggers during a run: every request and command, and internal errors."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from platform import platform, python_version

from ghcr_push.fronts.lines import escape_commands
from ghcr_push.tracing import ROOT

Write = Callable[[str], None]


@contextmanager
def logged(
    *, fault: Write, detail: Write | None = None, secrets: Sequence[str] = ()
) -> Iterator[None]:
    """Send error lines to ``fault`` and detail lines to ``detail``, if they are requested.

    ``secrets`` are masked in every line, though none of ours should contain any.
    """
    handler = _LogLines(fault, detail, secrets)
    level = ROOT.level
    if detail is not None:
        ROOT.setLevel(logging.DEBUG)
        detail(f"ghcr-push {version('ghcr-push')}, Python {python_version()}, {platform()}")
    ROOT.addHandler(handler)
    try:
        yield
    finally:
        ROOT.removeHandler(handler)
        ROOT.setLevel(level)


class _LogLines(logging.Handler):
    """Passes records on as single lines; a traceback is shown only once."""

    def __init__(self, fault: Write, detail: Write | None, secrets: Sequence[str]) -> None:
        super().__init__()
        self._fault = fault
        self._detail = detail
        self._secrets = sorted(secrets, key=len, reverse=True)
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        write = self._fault if record.levelno >= logging.WARNING else self._detail
        if write is None:
            return
        try:
            for line in self._lines(record):
                write(line)
        except OSError:
            return  # the log is closed
        except Exception:  # noqa: BLE001 - logging's own way: what is logged goes on
            self.handleError(record)

    def _lines(self, record: logging.LogRecord) -> Iterator[str]:
        yield self._masked(record.getMessage())
        if record.exc_info is None:
            return
        trace = logging.Formatter().formatException(record.exc_info)
        if trace in self._shown:
            yield "  | (the traceback is the same as one above)"
            return
        self._shown.add(trace)
        for line in trace.splitlines():
            yield f"  | {self._masked(line)}"

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return escape_commands(text)

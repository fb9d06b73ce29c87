"""Debug logging for maintainers: every request and command, and internal errors.

The loggers are ``ghcr_push.requests``, ``ghcr_push.commands`` (level DEBUG) and
``ghcr_push.faults`` (ERROR, with traceback; DEBUG for failures that no rule matches). Headers,
bodies and query parameters are not logged, except a few parameters that are known to hold no
secret: the addresses of uploads and of storage are signed in the others.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic
from typing import Final
from urllib.parse import parse_qsl, urlsplit

ROOT: Final = logging.getLogger("ghcr_push")
"""The parent of all loggers of this package."""

_REQUESTS: Final = logging.getLogger("ghcr_push.requests")
_COMMANDS: Final = logging.getLogger("ghcr_push.commands")
_FAULTS: Final = logging.getLogger("ghcr_push.faults")

_NO_SECRETS: Final = frozenset({"digest", "mount", "from", "scope", "service", "tag", "n", "last"})
"""Query parameters, of the distribution-spec and of token services, that may be shown."""

_subject: ContextVar[str] = ContextVar("subject", default="")


@contextmanager
def about(subject: str) -> Iterator[None]:
    """Add ``subject`` to the log lines of the requests inside, unless they already have one."""
    token = _subject.set(_subject.get() or subject)
    try:
        yield
    finally:
        _subject.reset(token)


@dataclass(slots=True)
class Request:
    """A request in progress: what its log line says of it."""

    sent: int = 0
    """Bytes of the body that were sent, whether or not they arrived."""
    received: int = 0
    status: int | None = None
    """None if no answer came."""


@contextmanager
def request(method: str, url: str) -> Iterator[Request]:
    """Log the request made inside, however it ends."""
    made = Request()

    def line(ending: str) -> str:
        status = "" if made.status is None else str(made.status)
        parts = [
            f"{method} {shown(url)}",
            " ".join(filter(None, (status, ending))),
            f"{made.sent:,} B out",
            f"{made.received:,} B in",
        ]
        return ", ".join(parts)

    with _logged(_REQUESTS, line):
        yield made


@contextmanager
def _logged(logger: logging.Logger, line: Callable[[str], str]) -> Iterator[None]:
    """Log what ``line`` returns for the ending of the block, which is empty if all went well."""
    start, ending = monotonic(), "cut off"
    try:
        yield
        ending = ""
    except Exception as error:
        ending = f"failed: {type(error).__name__}"
        raise
    finally:
        if logger.isEnabledFor(logging.DEBUG):
            about_it = f" ({_subject.get()})" if _subject.get() else ""
            logger.debug("%s, %.3f s%s", line(ending), monotonic() - start, about_it)


def shown(url: str) -> str:
    """Return ``url`` without user, password and fragment, with the secrets of its query masked."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    known = (
        f"{name}={value}" if name in _NO_SECRETS else f"{name}=***"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    query = "&".join(known)
    return f"{parts.scheme}://{host}{parts.path}" + (f"?{query}" if query else "")


@dataclass(slots=True)
class Command:
    """A command in progress; ``status`` is its exit status if it exited."""

    status: int | None = None


@contextmanager
def command(arguments: Sequence[str]) -> Iterator[Command]:
    """Log the command run inside, however it ends."""
    run = Command()

    def line(ending: str) -> str:
        status = "" if run.status is None else f" with status {run.status}"
        return f"{' '.join(arguments)}, {ending or 'ended'}{status}"

    with _logged(_COMMANDS, line):
        yield run


def unknown(where: str, details: str) -> None:
    """Log a failure that no rule matches."""
    _FAULTS.debug("not recognised, %s: %s", where, details)


def fault(where: str, error: Exception) -> None:
    """Log an internal error with its traceback."""
    _FAULTS.error("%s: %s", where, described(error), exc_info=error)


def described(error: Exception) -> str:
    """Return type and text of ``error``; of a group, those of its errors, each once."""
    return "; ".join(dict.fromkeys(f"{type(each).__name__}: {each}" for each in leaves(error)))


def leaves(error: Exception) -> list[Exception]:
    """Return the errors of a group, at any depth; else ``error`` itself."""
    if isinstance(error, ExceptionGroup):
        return [leaf for each in error.exceptions for leaf in leaves(each)]
    return [error]

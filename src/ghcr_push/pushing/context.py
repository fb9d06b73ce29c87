"""The shared state of a run: ports, policies, what it has learned, and how to classify failures."""

from dataclasses import dataclass, field
from traceback import format_exception
from typing import Final

import anyio

from ghcr_push import tracing
from ghcr_push.failures import MOST_DETAILS, ErrorInfo, Origin, PushError, classify
from ghcr_push.model import Failure, Kind, Target
from ghcr_push.pushing.events import Noticed, Observer, Waiting
from ghcr_push.pushing.journal import Journal
from ghcr_push.pushing.ports import Engine, Registry, TagReader
from ghcr_push.pushing.preflight import Reach
from ghcr_push.pushing.pressure.reachability import NO_ANSWER
from ghcr_push.pushing.pressure.retry import AttemptError, Backoff, FailureCount
from ghcr_push.references import Digest, Repository

PROGRESS_EVERY: Final = 5.0
"""Seconds between two progress lines of a transfer, so that they do not flood a log."""

NOT_READABLE: Final = frozenset(
    {Kind.DENIED, Kind.UNAUTHORIZED, Kind.AUTH_BLIP, Kind.NOT_FOUND, Kind.READ_FORBIDDEN}
)
"""Failures of the first read that do not show whether a write is allowed."""

NOT_FOR_US: Final = NOT_READABLE - {Kind.NOT_FOUND}
"""Failures of a read that are final if the tag could not be read before its write."""


MAY_NOT_READ: Final = (
    "Give it permission to read (pull) as well as to write, or skip the read with `verify: false`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Ports, policies, and what the run has learned."""

    registry: Registry
    engine: Engine
    backoff: Backoff
    observer: Observer
    """Called with events as they happen; must return at once and raise nothing."""
    start: float
    """The start of the run, on the clock of the event loop."""
    attempt_timeout: float
    verify: bool
    protect: tuple[str, ...]
    keep_protected: bool = False
    """Whether to leave a protected tag that names another image, without a failure."""
    all_or_nothing: bool = False
    """Whether to write no tag before the content of every target is in its registry."""
    fail_fast: bool = False
    """Whether to start no new target after the first that failed."""
    max_parallel: int = 4
    adaptive: bool = True
    """Whether the limit on writes adapts to the registry, up to ``max_parallel``."""
    direct: bool = False
    """Whether we upload the layers if our process reaches the registry."""
    engine_first: bool = False
    """Whether `docker push` may try first if the engine pushes faster than it exports."""
    mount_sources: tuple[Repository, ...] = ()
    """Repositories whose blobs may be mounted into others of their registry."""
    progress_every: float = PROGRESS_EVERY
    """Seconds between two progress events of a transfer."""
    accepted: set[Repository] = field(default_factory=set)
    """Repositories that accepted a write in this run: later refusals there are transient."""
    unreadable: set[Repository] = field(default_factory=set)
    """Repositories already reported as unreadable by policy."""
    reach: Reach = field(default_factory=Reach)
    """The registries that the engine reaches and our process does not."""

    def clock(self) -> float:
        """Return the seconds since the start of the run."""
        return anyio.current_time() - self.start

    def reader(self, registry: str) -> TagReader:
        """Return the reader for the tags of ``registry``."""
        return self.engine if self.reach.only_engine(registry) else self.registry

    def classify(
        self, error: Exception, repository: Repository, *, already_there: bool = False
    ) -> Failure:
        """Classify an error of one attempt; ``already_there``: the repository has the same bytes.

        Any other error than an adapter's ``PushError`` is internal, and logged with its traceback.
        """
        causes = tracing.leaves(error)
        refusals = [each.evidence for each in causes if isinstance(each, PushError)]
        if len(refusals) < len(causes):
            return internal(error, str(repository))
        failure = classify(
            refusals[0], after_success=repository in self.accepted, already_there=already_there
        )
        by_us = refusals[0].origin not in {Origin.ENGINE, Origin.STORE}
        if by_us and failure.kind in NO_ANSWER:
            self._doubt(repository.registry)
        if failure.kind in {Kind.UNKNOWN, Kind.ENGINE_ERROR}:
            tracing.unknown(str(repository), failure.details or failure.message)
        return failure

    def report_wait(
        self,
        target: Target,
        journal: Journal,
        failed: AttemptError,
        count: FailureCount,
        seconds: float,
        blob: Digest | None = None,
    ) -> None:
        """Record and report that the next attempt comes ``seconds`` after the failed one."""
        journal.waits(seconds)
        step = journal.attempts[-1].step
        number, most = self.backoff.spent(failed.failure, count)
        self.observer(Waiting(target, step, number, most, failed.failure, seconds, blob))

    def report_unreadable(self, repository: Repository, failure: Failure) -> None:
        """Report, once per repository, that its tags cannot be read back."""
        if repository not in self.unreadable:
            self.unreadable.add(repository)
            why, advice = "this account may not read it", MAY_NOT_READ
            if failure.kind is Kind.READ_FORBIDDEN:
                why, advice = "a policy of the registry forbids reading it", failure.advice
            sentence = (
                f"Tags pushed to {repository} are not verified: {why} ({failure.message}). {advice}"
            )
            self.observer(Noticed(sentence))

    def _doubt(self, registry: str) -> None:
        """Check again who reaches ``registry``, unless it accepted one of our writes."""
        if all(each.registry != registry for each in self.accepted):
            self.reach.doubt(registry)


def ours(kind: Kind, message: str) -> Failure:
    """Classify a failure that we found ourselves."""
    return classify(ErrorInfo(origin=Origin.RUN, kind=kind, message=message))


def internal(error: Exception, where: str) -> Failure:
    """Classify an internal error and log its traceback.

    The end of the traceback goes into the details.
    """
    tracing.fault(f"internal error, {where}", error)
    return classify(
        ErrorInfo(
            origin=Origin.RUN,
            kind=Kind.INTERNAL,
            message=tracing.described(error),
            details="".join(format_exception(error))[-MOST_DETAILS:],
        )
    )


def classify_read_error(error: Exception, where: str) -> Failure:
    """Classify an error of a read before the run: an error from no adapter is internal."""
    first = tracing.leaves(error)[0]
    return classify(first.evidence) if isinstance(first, PushError) else internal(error, where)


class NotStartedError(Exception):
    """The run ended before the target was tried."""

"""A registry that never answers is given up after a while; any answer counts."""

from dataclasses import dataclass, replace

import pytest

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.model import Failure, Kind
from ghcr_push.pushing.pressure.reachability import (
    LONGEST_SILENCE,
    LONGEST_UNCONNECTED,
    Reachability,
)


@dataclass(slots=True)
class Clock:
    """A clock that is set by hand."""

    now: float = 17.0

    def __call__(self) -> float:
        return self.now


REFUSED = classify(ErrorInfo(origin=Origin.REGISTRY, message="connection refused"))
NO_HOST = classify(ErrorInfo(origin=Origin.ENGINE, message="dial tcp: lookup x: no such host"))
RESET = classify(ErrorInfo(origin=Origin.REGISTRY, message="connection reset"))
SILENT = replace(RESET, kind=Kind.TIMEOUT)
BUSY = classify(ErrorInfo(origin=Origin.REGISTRY, message="busy", status=503))
DENIED = classify(ErrorInfo(origin=Origin.ENGINE, message="denied: permission_denied: x"))


def after_failures(*failures: tuple[float, Failure]) -> Reachability:
    """Return the state after failures, each at so many seconds from the start of the run."""
    clock = Clock()
    reachability = Reachability("localhost:5001", clock)
    for at, failure in failures:
        clock.now = 17.0 + at
        reachability.failed(failure)
    return reachability


def test_a_connection_that_fails_has_no_answer() -> None:
    assert (REFUSED.kind, REFUSED.status, REFUSED.retryable) == (Kind.NETWORK, None, True)


@pytest.mark.parametrize("kind", [REFUSED, NO_HOST])
def test_a_port_that_accepts_no_connection_is_retried_for_a_minute(kind: Failure) -> None:
    assert after_failures((40, kind), (39 + LONGEST_UNCONNECTED, kind)).given_up is None
    given_up = after_failures((40, kind), (41, kind), (40 + LONGEST_UNCONNECTED, kind)).given_up
    assert given_up is not None
    assert (given_up.kind, given_up.retryable) == (kind.kind, False)
    assert given_up.message == (f"localhost:5001 has not answered once in this run: {kind.message}")
    assert "Nothing accepts connections" in given_up.advice


@pytest.mark.parametrize("other", [RESET, SILENT])
@pytest.mark.parametrize("at", [0, 30])
def test_a_registry_that_once_accepted_a_connection_has_the_longest_silence(
    other: Failure, at: int
) -> None:
    began = ((0, other),) if at == 0 else ((0, REFUSED), (at, other))
    assert after_failures(*began, (LONGEST_SILENCE - 1, REFUSED)).given_up is None
    assert after_failures(*began, (LONGEST_SILENCE + 30, REFUSED)).given_up is not None


def test_a_registry_that_has_answered_another_request_is_in_an_outage() -> None:
    clock = Clock()
    reachability = Reachability("localhost:5001", clock)
    reachability.failed(REFUSED)
    reachability.record_answer()
    clock.now += 9000
    reachability.failed(REFUSED)
    assert reachability.given_up is None


@pytest.mark.parametrize("kind", [RESET, SILENT])
def test_silence_is_counted_from_the_first_failure(kind: Failure) -> None:
    assert after_failures((40, kind), (39 + LONGEST_SILENCE, kind)).given_up is None
    given_up = after_failures((40, kind), (41, kind), (40 + LONGEST_SILENCE, kind)).given_up
    assert given_up is not None
    assert (given_up.kind, given_up.retryable) == (kind.kind, False)
    assert given_up.message == (
        "localhost:5001 has not answered once in this run: connection reset"
    )
    assert "port" in given_up.advice


@pytest.mark.parametrize("answer", [BUSY, DENIED])
def test_a_refusal_is_an_answer(answer: Failure) -> None:
    assert after_failures((0, REFUSED), (10, answer), (9000, REFUSED)).given_up is None


def test_a_late_success_is_an_answer() -> None:
    reachability = after_failures((0, REFUSED), (LONGEST_SILENCE, REFUSED))
    reachability.answered()
    reachability.failed(REFUSED)
    assert reachability.given_up is None

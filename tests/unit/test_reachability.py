"""A registry that never answers is given up after a while; any answer at all is one."""

from dataclasses import dataclass, replace

import pytest

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.model import Failure, Kind
from ghcr_push.pushing.pressure.reachability import UNHEARD, Reachability


@dataclass(slots=True)
class Clock:
    """A clock that is set by hand."""

    now: float = 17.0

    def __call__(self) -> float:
        return self.now


REFUSED = classify(ErrorInfo(origin=Origin.REGISTRY, message="connection refused"))
SILENT = replace(REFUSED, kind=Kind.TIMEOUT)
BUSY = classify(ErrorInfo(origin=Origin.REGISTRY, message="busy", status=503))
DENIED = classify(ErrorInfo(origin=Origin.ENGINE, message="denied: permission_denied: x"))


def heard(*failures: tuple[float, Failure]) -> Reachability:
    """Give what was heard after failures, each so many seconds after the run began."""
    clock = Clock()
    hearing = Reachability("localhost:5001", clock)
    for at, failure in failures:
        clock.now = 17.0 + at
        hearing.failed(failure)
    return hearing


def test_a_connection_that_fails_has_no_answer() -> None:
    assert (REFUSED.kind, REFUSED.status, REFUSED.retryable) == (Kind.NETWORK, None, True)


@pytest.mark.parametrize("kind", [REFUSED, SILENT])
def test_silence_is_borne_for_its_time_from_the_first_failure_on(kind: Failure) -> None:
    assert heard((40, kind), (39 + UNHEARD, kind)).given_up is None
    given_up = heard((40, kind), (41, kind), (40 + UNHEARD, kind)).given_up
    assert given_up is not None
    assert (given_up.kind, given_up.retryable) == (kind.kind, False)
    assert given_up.message == (
        "localhost:5001 has not answered once in this run: connection refused"
    )
    assert "port" in given_up.advice


@pytest.mark.parametrize("answer", [BUSY, DENIED])
def test_a_refusal_is_an_answer(answer: Failure) -> None:
    assert heard((0, REFUSED), (10, answer), (9000, REFUSED)).given_up is None


def test_what_was_asked_and_done_is_an_answer_be_it_late() -> None:
    hearing = heard((0, REFUSED), (UNHEARD, REFUSED))
    hearing.answered()
    hearing.failed(REFUSED)
    assert hearing.given_up is None

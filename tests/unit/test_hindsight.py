"""Advice that depends on how the other tags of a run ended."""

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.failures.policies import POLICIES
from ghcr_push.model import Kind
from ghcr_push.pushing.hindsight import out_of_time


def test_a_deadline_without_a_failure_before_it_is_its_own_cause() -> None:
    failure = out_of_time(None)
    assert (failure.kind, failure.kept_failing) == (Kind.DEADLINE, None)
    assert failure.advice == POLICIES[Kind.DEADLINE].advice


def test_a_deadline_quotes_the_last_failure_and_its_advice() -> None:
    last = classify(ErrorInfo(origin=Origin.REGISTRY, status=503, message="try later"))
    failure = out_of_time(last)
    assert (failure.kind, failure.retryable) == (Kind.DEADLINE, False)
    assert (failure.kept_failing, failure.status) == (Kind.SERVER_ERROR, 503)
    assert failure.message == "the run's time was up; before, it failed with: try later"
    assert failure.advice == last.advice, "it speaks of the time limit already"


def test_a_deadline_adds_the_time_limit_to_advice_that_does_not_name_it() -> None:
    last = classify(ErrorInfo(origin=Origin.REGISTRY, message="connection reset"))
    failure = out_of_time(last)
    assert failure.advice == f"{last.advice} A longer `timeout` helps with temporary failures."

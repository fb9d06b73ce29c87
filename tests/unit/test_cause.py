"""The output `cause`, which separates a team's own faults from the registry's incidents."""

from dataclasses import replace

import pytest

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.failures.policies import Cause
from ghcr_push.model import Attempt, Failure, Kind, Outcome, Source, Step, Target
from ghcr_push.model import TargetResult as Ended
from ghcr_push.references import parse_tag_reference
from ghcr_push.reporting.build import build
from ghcr_push.reporting.cause import cause_of
from ghcr_push.reporting.records import Report

TARGET = Target(parse_tag_reference("ghcr.io/acme/app:1"), Source("app"))
PUSHED = Ended(target=TARGET, outcome=Outcome.PUSHED)


def failure(kind: Kind) -> Failure:
    return classify(ErrorInfo(origin=Origin.RUN, kind=kind, message="said"))


def failed(kind: Kind, *attempts: Kind) -> Ended:
    tries = (
        Attempt(number=n, step=Step.RETAG, started=n, seconds=1, limit=4, failure=failure(each))
        for n, each in enumerate(attempts, start=1)
    )
    return Ended(
        target=TARGET, outcome=Outcome.FAILED, failure=failure(kind), attempts=tuple(tries)
    )


def report(*results: Ended) -> Report:
    return build(results, started_at="", duration=1, cancelled=False, max_parallel=4)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (Kind.SERVER_ERROR, Cause.REGISTRY),
        (Kind.SECONDARY_LIMIT, Cause.REGISTRY),
        (Kind.NETWORK, Cause.NETWORK),
        (Kind.DENIED, Cause.PERMISSION),
        (Kind.IMAGE_MISSING, Cause.INPUT),
        (Kind.PROTECTED, Cause.INPUT),
        (Kind.INTERNAL, Cause.ENGINE),
        (Kind.CANCELLED, Cause.NONE),
    ],
)
def test_every_failed_target_has_the_cause_of_its_kind(kind: Kind, cause: Cause) -> None:
    assert cause_of(failed(kind)) is cause


def test_every_kind_has_a_policy() -> None:
    assert {cause_of(failed(kind)) for kind in Kind} == set(Cause) - {Cause.MIXED}


def test_a_target_that_was_cut_off_has_the_cause_of_its_last_failed_attempt() -> None:
    cut_off = failed(Kind.DEADLINE, Kind.NETWORK, Kind.SERVER_ERROR, Kind.DEADLINE)
    assert cause_of(cut_off) is Cause.REGISTRY


def test_a_target_that_landed_after_failures_has_no_cause() -> None:
    landed = replace(PUSHED, attempts=failed(Kind.DENIED, Kind.SERVER_ERROR).attempts)
    assert cause_of(landed) is Cause.NONE


def test_a_run_has_the_one_cause_of_its_failures_or_is_mixed() -> None:
    assert report(PUSHED).cause is Cause.NONE
    assert report(PUSHED, failed(Kind.DENIED), failed(Kind.CANCELLED)).cause is (Cause.PERMISSION)
    assert report(failed(Kind.DENIED), failed(Kind.NETWORK)).cause is Cause.MIXED

"""The recorded output of docker clients is classified as the registry's answer requires."""

import itertools
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.record_failures.page import PAGE, page

from ghcr_push.failures import ErrorInfo, Origin, classify
from ghcr_push.failures.error_text import ErrorText, parse
from ghcr_push.failures.rules import RULES
from ghcr_push.model import Failure, Kind

DATA = Path(__file__).parents[1] / "data" / "failures"
SCENARIOS: dict[str, dict[str, Any]] = tomllib.loads((DATA / "scenarios.toml").read_text())
USUAL = SCENARIOS.pop("usual")
_JUDGED = tomllib.loads((DATA / "exceptions.toml").read_text())
EXCEPTIONS: list[dict[str, Any]] = _JUDGED["exception"]
NOT_RECORDED: dict[str, str] = _JUDGED["not-recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The output of a client of an engine with a store, at a step of a scenario."""

    engine: str
    store: str
    scenario: str
    step: str
    stderr: str
    stdout: str

    @property
    def landed(self) -> bool:
        return ": Pushed" in self.stdout

    @property
    def reading(self) -> ErrorText:
        return parse(ErrorInfo(origin=Origin.ENGINE, message=self.stderr))

    @property
    def usual(self) -> set[Kind]:
        """The correct kinds for the answer, in any wording."""
        return {Kind(kind) for kind in SCENARIOS[self.scenario]["kinds"]}

    @property
    def right(self) -> set[Kind]:
        """The correct kinds for it; others if its output is known to say less."""
        excused = [exception for exception in EXCEPTIONS if excuses(exception, self)]
        return {Kind(kind) for e in excused for kind in e["kinds"]} or self.usual


def excuses(exception: dict[str, Any], recorded: Recorded) -> bool:
    return (
        recorded.scenario in exception["scenarios"]
        and recorded.step in exception.get("steps", [recorded.step])
        and recorded.store == exception["store"]
        and recorded.engine.startswith(tuple(exception["engines"]))
    )


def recordings() -> list[Recorded]:
    return [
        Recorded(
            engine=file["engine"],
            store=file["store"],
            **{key: value for key, value in recording.items() if key != "exit"},
        )
        for path in sorted(DATA.glob("*.json"))
        for file in [json.loads(path.read_text(encoding="utf-8"))]
        for recording in file["recordings"]
    ]


RECORDINGS = [
    pytest.param(r, id=f"{r.scenario}-{r.step}-{r.engine}-{r.store}") for r in recordings()
]


def classified(text: str, *, after_success: bool = False) -> Failure:
    return classify(ErrorInfo(origin=Origin.ENGINE, message=text), after_success=after_success)


@pytest.mark.parametrize("recorded", RECORDINGS)
def test_the_output_of_a_client_is_classified_as_the_registrys_answer(recorded: Recorded) -> None:
    failure = classified(recorded.stderr)
    assert failure.kind in recorded.right, recorded.stderr
    wait: Any = SCENARIOS[recorded.scenario].get("wait")
    if wait is not None and "retry-after" in recorded.stderr:
        assert failure.asked_wait == pytest.approx(wait)
    if SCENARIOS[recorded.scenario].get("final") and "rate limit" in recorded.stderr:
        assert not failure.retryable


@pytest.mark.parametrize("recorded", RECORDINGS)
def test_progress_lines_of_docker_change_only_whether_a_push_succeeded_before(
    recorded: Recorded,
) -> None:
    both = classified(f"{recorded.stdout}\n{recorded.stderr}")
    assert both == classified(recorded.stderr, after_success=recorded.landed)


def test_after_a_success_a_temporary_refusal_is_retried() -> None:
    for recorded in recordings():
        after_success = SCENARIOS[recorded.scenario].get("after_success", [])
        if after_success:
            assert classified(recorded.stderr, after_success=True).kind in after_success, recorded


ANSWERS = [name for name, scenario in SCENARIOS.items() if "status" in scenario]


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in {"S9-head", "N1-midway"}])
def test_the_same_answer_to_our_own_client_is_classified_alike(name: str) -> None:
    """No text is lost there, so there are no exceptions."""
    scenario = SCENARIOS[name]
    evidence = ErrorInfo(
        origin=Origin.REGISTRY,
        status=scenario["status"],
        code=scenario.get("code"),
        message=scenario.get("message", scenario.get("body", "")),
    )
    failure = classify(evidence)
    assert failure.kind in {Kind(kind) for kind in scenario["kinds"]}
    assert failure.retryable is not scenario.get("final", not failure.retryable)
    assert failure.asked_wait == scenario.get("wait")
    if "after_success" in scenario:
        assert classify(evidence, after_success=True).kind in scenario["after_success"]


def test_every_recording_is_of_a_scenario_and_a_step_of_it() -> None:
    for recorded in recordings():
        steps = SCENARIOS[recorded.scenario].get("steps", USUAL)
        assert recorded.step in (steps or {"PING", "LOCAL"}), recorded


def test_every_row_is_recorded_or_says_why_not() -> None:
    met = {row for r in recordings() for row in SCENARIOS[r.scenario]["rows"]}
    rows = {row for rule in RULES for row in rule.rows}
    assert rows - met == set(NOT_RECORDED)
    assert met <= rows


def test_every_exception_is_used_and_has_a_reason() -> None:
    for exception in EXCEPTIONS:
        assert exception["reason"]
        for scenario, engine in itertools.product(exception["scenarios"], exception["engines"]):
            excused = [
                r
                for r in recordings()
                if r.scenario == scenario
                and r.engine.startswith(engine)
                and excuses(exception, r)
                and classified(r.stderr).kind not in r.usual
            ]
            assert excused, (scenario, engine)


def test_the_page_of_recordings_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run: python -m tests.support.record_failures --page"
    )

"""A run that reaches its deadline quotes the last failure wherever it reports one."""

import pytest
from tests.support.cases import World
from tests.support.front import Behaviour, Rule, Step, oci_error, on


def test_a_deadline_quotes_the_last_real_failure(world: World) -> None:
    unwell = oci_error(503, "UNAVAILABLE", "the storage is on fire")
    world.front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_PUT), answer=unwell),)))
    end = world.push("acme/app:1", "acme/app:2", timeout="4s")
    assert set(end.outcomes.values()) <= {"failed", "skipped"}
    failures = [end.failure(name) for name in end.outcomes]
    ended = [each for each in failures if each["kind"] == "deadline"]
    assert ended, failures
    for failure in ended:
        assert failure["kept_failing"] == "server-error"
        assert failure["status"] == 503
        assert "the storage is on fire" in failure["message"]
        assert "githubstatus" in failure["advice"]
    assert {each["cause"] for each in end.report["targets"]} == {"registry"}
    assert end.outputs["cause"] == "registry"
    for text in (end.log, end.summary):
        assert "the storage is on fire" in text
        assert "deadline after server-error (503)" in text


@pytest.mark.parametrize("step", [Step.BLOB_HEAD, Step.UPLOAD_POST])
def test_a_failure_of_the_content_is_reported_with_each_of_its_tags(
    world: World, step: Step
) -> None:
    unwell = oci_error(502, "UNAVAILABLE", "no upstream")
    world.front.set(Behaviour(rules=(Rule(match=on(step), answer=unwell),)))
    end = world.push("acme/app:1", "acme/app:2", "acme/app:3", timeout="4s")
    assert set(end.outcomes.values()) <= {"failed", "skipped"}
    for name in end.outcomes:
        failure = end.failure(name)
        assert failure["status"] == 502, failure
        assert "server-error" in {failure["kind"], failure["kept_failing"]}

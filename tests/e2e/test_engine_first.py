"""A large image of a containerd store: by docker push first, and by direct upload if that fails."""

import pytest
from tests.support.engines import Engine
from tests.support.front import Behaviour, Front, Rule, Step, on
from tests.support.front.answers import JSON_500
from tests.support.outcomes import outcomes, prove
from tests.support.registry import Registry
from tests.support.runner import Job

from ghcr_push.pushing.engine_first import QUICKER_FROM


@pytest.fixture
def large(tmp_path_factory: pytest.TempPathFactory, containerd: Engine) -> Job:
    containerd.make_image("large", layers=2, size=QUICKER_FROM // 2 + 1, seed=51)
    return Job(tmp_path_factory.mktemp("job"), containerd)


def inputs(front: Front, **more: str) -> dict[str, str]:
    return {"image": f"{front.address}/acme/app", "tags": "1\n2", "source": "large", **more}


def test_docker_push_uploads_it(large: Job, front: Front, registry: Registry) -> None:
    step = large.run(inputs(front))
    assert step.status == 0, step.log
    prove(step, registry.address)
    [seed] = [each for each in step.report["targets"] if each["seed"]]
    assert [attempt["step"] for attempt in seed["attempts"]] == ["push"]
    assert seed["transfer"] is None
    [notice] = [each for each in step.report["notices"] if "`docker push` first" in each]
    assert notice in step.log
    again = large.run(inputs(front))
    assert set(outcomes(again).values()) == {"unchanged"}


@pytest.mark.parametrize("written", [0, 1])
def test_after_a_failure_of_docker_push_we_upload(
    large: Job, front: Front, registry: Registry, written: int
) -> None:
    """It writes the parts of an index under the tag, and may fail when the tag names one."""
    rule = Rule(match=on(Step.MANIFEST_PUT), answer=JSON_500, skip=written, first=1)
    front.set(Behaviour(rules=(rule,)))
    step = large.run(inputs(front, **{"backoff-initial": "100ms"}))
    assert step.status == 0, step.log
    prove(step, registry.address)
    assert set(front.stats().blob_uploads["acme/app"].values()) == {1}, "nothing was sent twice"
    [seed] = [each for each in step.report["targets"] if each["seed"]]
    assert seed["attempts"][0]["step"] == "push"
    assert seed["attempts"][0]["failure"]["kind"] == "server-error"
    assert seed["transfer"]["blobs_found"] == len(front.stats().blob_uploads["acme/app"])
    assert seed["retried"]


def test_direct_never_runs_docker_push(large: Job, front: Front) -> None:
    step = large.run(inputs(front, transport="direct"))
    assert step.status == 0, step.log
    [seed] = [each for each in step.report["targets"] if each["seed"]]
    assert seed["transfer"]["blobs_sent"] == len(front.stats().blob_uploads["acme/app"])

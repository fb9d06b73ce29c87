"""Direct uploads of layers, with the action's built container, on real engines."""

import pytest
from tests.support.engines import Engine
from tests.support.front import Behaviour, Faults, Front, Rule, Step, on
from tests.support.front.answers import JSON_500
from tests.support.outcomes import outcomes, prove
from tests.support.registry import Registry
from tests.support.runner import Job

LAYERS = 6


@pytest.fixture
def either_job(tmp_path_factory: pytest.TempPathFactory, either: Engine) -> Job:
    either.make_image("direct", layers=LAYERS, size=40_000, seed=11)
    return Job(tmp_path_factory.mktemp("job"), either)


def inputs(front: Front, repository: str = "acme/app", **more: str) -> dict[str, str]:
    """Return the inputs for two tags of ``direct``, whose layers we always upload ourselves."""
    return {
        "image": f"{front.address}/{repository}",
        "tags": "1\n2",
        "source": "direct",
        "transport": "direct",
        **more,
    }


def pulled(engine: Engine, reference: str) -> str:
    """Return the ID of an image that was just pulled."""
    engine.docker("image", "rm", "--force", reference, check=False)
    engine.docker("pull", "--quiet", reference)
    return engine.docker("image", "inspect", "--format", "{{.Id}}", reference)


def test_an_uploaded_image_equals_the_engines_image(
    either_job: Job, front: Front, registry: Registry
) -> None:
    step = either_job.run(inputs(front))
    assert step.status == 0, step.log
    prove(step, registry.address)
    engine = either_job.engine
    had = engine.docker("image", "inspect", "--format", "{{.Id}}", "direct")
    assert pulled(engine, f"{front.address}/acme/app:1") == had
    stats = front.stats()
    assert set(stats.blob_uploads["acme/app"].values()) == {1}
    [seed] = [each for each in step.report["targets"] if each["seed"]]
    assert seed["transfer"]["blobs_sent"] == len(stats.blob_uploads["acme/app"])
    assert seed["transfer"]["bytes_sent"] == stats.upload_bytes


def test_a_second_run_reads_nothing_from_the_engine_and_writes_nothing(
    either_job: Job, front: Front
) -> None:
    assert either_job.run(inputs(front)).status == 0
    front.reset()
    step = either_job.run(inputs(front))
    assert set(outcomes(step).values()) == {"unchanged"}
    assert front.stats().count(Step.UPLOAD_POST, Step.UPLOAD_PUT, Step.MANIFEST_PUT) == 0
    assert all(each["transfer"] is None for each in step.report["targets"])


def test_a_new_tag_of_a_known_image_sends_no_blob(either_job: Job, front: Front) -> None:
    assert either_job.run(inputs(front)).status == 0
    front.reset()
    step = either_job.run(inputs(front, tags="3"))
    assert set(outcomes(step).values()) == {"pushed"}
    assert front.stats().blob_uploads == {}


def test_one_changed_layer_sends_one_layer_and_one_config(job: Job, front: Front) -> None:
    engine = job.engine
    engine.make_image("base", layers=5, size=20_000, seed=21)
    assert job.run(inputs(front, source="base")).status == 0
    front.reset()
    engine.build("FROM base\nCOPY --from=base /layer-0 /again\n", "--tag", "changed")
    assert job.run(inputs(front, source="changed", tags="4")).status == 0
    assert len(front.stats().blob_uploads["acme/app"]) == 2


def test_groups_that_share_layers_send_each_once(job: Job, front: Front) -> None:
    engine = job.engine
    engine.make_image("shared", layers=5, size=20_000, seed=31)
    for number in range(4):
        engine.build(f"FROM shared\nLABEL number={number}\n", "--tag", f"child-{number}")
    tags = [f"child-{n} => {front.address}/acme/app:child-{n}" for n in range(4)]
    step = job.run({"tags": "\n".join(tags), "transport": "direct", "max-parallel": "8"})
    assert step.status == 0, step.log
    uploads = front.stats().blob_uploads["acme/app"]
    assert set(uploads.values()) == {1}
    assert len(uploads) == 5 + 4


def test_layers_that_another_repository_has_are_mounted(job: Job, front: Front) -> None:
    job.engine.make_image("mounted", layers=4, size=20_000, seed=41)
    first = inputs(front, "acme/one", source="mounted", tags="1")
    tags = f"{front.address}/acme/one:1\n{front.address}/acme/two:1"
    step = job.run({**first, "tags": tags, "max-parallel": "1"})
    assert step.status == 0, step.log
    stats = front.stats()
    sent = sum(len(blobs) for blobs in stats.blob_uploads.values())
    assert sent + sum(stats.blob_mounts.values()) == 2 * (4 + 1)
    assert sum(stats.blob_mounts.values()) > 0


@pytest.mark.parametrize("most", [1, 2])
def test_a_registry_of_low_capacity_gets_everything(
    either_job: Job, front: Front, registry: Registry, most: int
) -> None:
    delays = {Step.UPLOAD_PUT: 0.05, Step.MANIFEST_PUT: 0.05}
    front.set(Behaviour(max_writes=most, faults=Faults(rate=0.1), delays=delays))
    step = either_job.run(inputs(front, **{"max-parallel": "4", "backoff-initial": "200ms"}))
    assert step.status == 0, step.log
    prove(step, registry.address)
    assert front.stats().peak_writes <= most


def test_a_blob_whose_commit_was_answered_500_is_not_sent_again(job: Job, front: Front) -> None:
    lost = Rule(match=on(Step.UPLOAD_PUT), answer=JSON_500, effect="after", first=3)
    front.set(Behaviour(rules=(lost,)))
    job.engine.make_image("lost", layers=3, size=20_000, seed=51)
    step = job.run(inputs(front, source="lost"))
    assert step.status == 0, step.log
    assert set(front.stats().blob_uploads["acme/app"].values()) == {1}


def test_a_repository_that_refuses_is_asked_once(job: Job, front: Front) -> None:
    body = '{"errors":[{"code":"DENIED","message":"permission_denied: write_package"}]}'
    denied = Rule(
        match=on(Step.UPLOAD_POST, repository="acme/closed"),
        answer=JSON_500.model_copy(update={"status": 403, "body": body}),
    )
    front.set(Behaviour(rules=(denied,)))
    job.engine.make_image("refused", layers=4, size=20_000, seed=61)
    closed, opened = f"{front.address}/acme/closed", f"{front.address}/acme/open"
    tags = f"{closed}:1\n{closed}:2\n{opened}:1"
    step = job.run({"tags": tags, "source": "refused", "transport": "direct"})
    assert step.status == 1
    assert outcomes(step) == {
        f"{closed}:1": "failed",
        f"{closed}:2": "failed",
        f"{opened}:1": "pushed",
    }
    assert front.stats().answers[Step.UPLOAD_POST][403] == 1
    assert step.outputs["cause"] == "permission"
    assert "packages: write" in step.summary


def test_an_image_that_is_gone_fails_with_its_reason(job: Job, front: Front) -> None:
    step = job.run(inputs(front, source="never-built"))
    assert step.status == 1
    assert set(outcomes(step).values()) == {"failed"}
    assert "never-built" in step.summary

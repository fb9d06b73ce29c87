"""The main job: the promises of the action, checked with its built container."""

import pytest
from tests.e2e.conftest import Engines
from tests.support.engines import Engine
from tests.support.front import (
    WRITES,
    Auth,
    Behaviour,
    Faults,
    Front,
    Rule,
    Step,
    User,
    on,
)
from tests.support.front.answers import EMPTY_500, HTML_502, JSON_500, JSON_503
from tests.support.outcomes import outcomes, prove
from tests.support.registry import Registry
from tests.support.runner import Job
from tests.support.runner import Step as StepOfJob

LAYERS = 15
TWENTY = [f"1.{minor}" for minor in range(20)]


@pytest.fixture(scope="session")
def big(either: Engine) -> Engine:
    """Yield an engine that holds ``big``, an image of 15 layers."""
    either.make_image("big", layers=LAYERS, size=50_000)
    return either


@pytest.fixture
def big_job(tmp_path_factory: pytest.TempPathFactory, big: Engine) -> Job:
    return Job(tmp_path_factory.mktemp("job"), big)


def twenty(front: Front, repository: str = "acme/app") -> dict[str, str]:
    """Return the inputs for twenty tags of ``big``."""
    return {"image": f"{front.address}/{repository}", "tags": "\n".join(TWENTY), "source": "big"}


def targets(front: Front, repository: str = "acme/app") -> list[str]:
    return [f"{front.address}/{repository}:{tag}" for tag in TWENTY]


def lose_answers(front: Front, *tags: str) -> None:
    """Return rules by which writes of these tags take effect and answer 500."""
    front.set(
        Behaviour(
            rules=tuple(
                Rule(match=on(Step.MANIFEST_PUT, reference=tag), answer=JSON_500, effect="after")
                for tag in tags
            )
        )
    )


def test_a_healthy_registry_gets_each_layer_once_and_each_tag_once(
    big_job: Job, front: Front, registry: Registry
) -> None:
    step = big_job.run(twenty(front))
    check_all_pushed(step, front, registry)
    assert step.outputs["result"] == "success"
    assert step.outputs["retries"] == "0"
    assert step.summary.startswith("## ✅ 20 of 20 tags pushed")
    stats = front.stats()
    uploads = stats.blob_uploads["acme/app"]
    assert len(uploads) > LAYERS  # the configuration is a blob too
    assert set(uploads.values()) == {1}
    for tag in TWENTY:
        assert stats.manifest_writes[f"acme/app:{tag}"] == 1
    # no more than a read, the write and the read-back
    for tag in TWENTY[1:]:
        asked = [entry for entry in front.log() if entry.reference == tag]
        assert len(asked) <= 3, (tag, [(entry.method, entry.status) for entry in asked])
    # beside the tags, an index has manifests of its own, each written once
    by_digest = [name for name in stats.manifest_writes if "@" in name]
    assert sum(stats.manifest_writes[name] for name in by_digest) <= 2
    assert f"acme/app@{step.outputs['digest']}" not in by_digest


def test_a_registry_with_a_capacity_of_two_gets_all_twenty(
    big_job: Job, front: Front, registry: Registry
) -> None:
    bear_two_writes(front)
    step = big_job.run({**twenty(front), "max-parallel": "4"})
    check_all_pushed(step, front, registry)
    assert front.stats().refused_writes > 0
    assert step.outputs["lowest-parallel"] in {"1", "2"}
    assert step.report["limit_changes"]


def test_docker_push_gets_all_twenty_there_too(job: Job, front: Front, registry: Registry) -> None:
    # not in the containerd store, whose docker push gives up at the first refused layer
    job.engine.make_image("big", layers=LAYERS, size=50_000)
    bear_two_writes(front)
    step = job.run({**twenty(front), "max-parallel": "4", "transport": "engine"})
    check_all_pushed(step, front, registry)
    assert front.stats().refused_writes > 0


def bear_two_writes(front: Front) -> None:
    """Answer 500 and 502 to every write beyond two in flight, each after a while."""
    delays = {Step.UPLOAD_POST: 0.02, Step.UPLOAD_PUT: 0.05, Step.MANIFEST_PUT: 0.1}
    front.set(Behaviour(max_writes=2, refusals=(EMPTY_500, JSON_500, HTML_502), delays=delays))


def check_all_pushed(step: StepOfJob, front: Front, registry: Registry) -> None:
    assert step.status == 0, step.log
    assert outcomes(step) == dict.fromkeys(targets(front), "pushed")
    prove(step, registry.address)


def test_a_fifth_of_the_writes_may_fail(big_job: Job, front: Front, registry: Registry) -> None:
    answers = (EMPTY_500, HTML_502, JSON_503, JSON_500)
    front.set(Behaviour(faults=Faults(rate=0.2, answers=answers, lost=0.2)))
    step = big_job.run({**twenty(front), "backoff-initial": "200ms"})
    check_all_pushed(step, front, registry)
    stats = front.stats()
    assert all(stats.count(*WRITES, status=status) for status in (500, 502, 503))


def test_a_lost_answer_counts_as_pushed_and_costs_no_second_write(
    big_job: Job, front: Front, registry: Registry
) -> None:
    # of the second ten: the first meet the one write that asks for several tags at once
    lose_answers(front, "1.12", "1.15")
    step = big_job.run(twenty(front))
    check_all_pushed(step, front, registry)
    assert step.listed("retried") == []
    assert front.stats().count(Step.MANIFEST_PUT, status=500) == 2
    for tag in TWENTY:
        assert front.stats().manifest_writes[f"acme/app:{tag}"] == 1


def test_a_lost_answer_costs_no_second_docker_push(
    job: Job, front: Front, registry: Registry
) -> None:
    # not in the containerd store, whose docker push writes several manifests under the tag
    job.engine.make_image("big", layers=LAYERS, size=50_000)
    lose_answers(front, "1.0")
    step = job.run({**twenty(front), "transport": "engine"})
    check_all_pushed(step, front, registry)
    assert step.listed("retried") == []
    assert front.stats().manifest_writes["acme/app:1.0"] == 1
    assert set(front.stats().blob_uploads["acme/app"].values()) == {1}


def test_a_write_that_failed_and_did_not_land_is_among_the_retried(
    big_job: Job, front: Front, registry: Registry
) -> None:
    once = Rule(match=on(Step.MANIFEST_PUT, reference="1.17"), answer=JSON_500, first=1)
    front.set(Behaviour(rules=(once,)))
    step = big_job.run({**twenty(front), "backoff-initial": "100ms"})
    assert step.status == 0, step.log
    assert step.listed("retried") == [f"{front.address}/acme/app:1.17"]
    assert front.stats().manifest_writes["acme/app:1.17"] == 1
    prove(step, registry.address)


def test_a_second_run_writes_nothing(big_job: Job, front: Front, registry: Registry) -> None:
    first = big_job.run(twenty(front))
    assert first.status == 0, first.log
    front.reset()
    second = big_job.run(twenty(front))
    assert second.status == 0, second.log
    assert outcomes(second) == dict.fromkeys(targets(front), "unchanged")
    prove(second, registry.address)
    assert front.stats().count(*WRITES) == 0
    assert second.outputs["digest"] == first.outputs["digest"]


@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_a_repository_that_refuses_fails_no_other(
    big_job: Job, front: Front, transport: str
) -> None:
    user = User(
        password="s3cret-password",
        rights={
            "acme/open": frozenset({"pull", "push"}),
            "acme/closed": frozenset({"pull"}),
        },
    )
    users = {"octocat": user}
    front.set(Behaviour(auth=Auth(mode="token", users=users)))
    good = [f"{front.address}/acme/open:1.{number}" for number in range(5)]
    bad = [f"{front.address}/acme/closed:1.{number}" for number in range(5)]
    step = big_job.run(
        {
            "transport": transport,
            "tags": "\n".join(good + bad),
            "source": "big",
            "registry": front.address,
            "username": "octocat",
            "password": "s3cret-password",
        }
    )
    assert step.status == 1, step.log
    assert outcomes(step) == dict.fromkeys(good, "pushed") | dict.fromkeys(bad, "failed"), step.log
    assert step.outputs["result"] == "partial"
    # asked once, and the other tags of the repository not even that; a layer that has landed in the
    # other repository before may be mounted meanwhile, and a refused mount tries a plain upload
    writes = [e for e in front.log() if e.repository == "acme/closed" and e.step in WRITES]
    refused = [entry for entry in writes if entry.status != 401]
    assert {entry.status for entry in refused} == {403}, refused
    mounts = sum("mount=" in entry.path for entry in refused)
    assert 1 <= len(refused) - mounts <= 1 + mounts, refused
    # the registry's text, and the advice
    assert "permission_denied: write_package" in step.summary.replace("&#95;", "_")
    assert "<code>permissions: packages: write</code>" in step.summary
    assert "Manage Actions access" in step.summary


def test_a_registry_that_only_the_engine_reaches(
    big_job: Job, front: Front, registry: Registry
) -> None:
    """Like a service on the runner's localhost, seen from a container with its own network."""
    front.set(Behaviour(auth=Auth(mode="basic", users={"octocat": User(password="s3cret")})))
    login = {"registry": front.address, "username": "octocat", "password": "s3cret"}
    three = {**twenty(front), "tags": "1.0, 1.1, 1.2"} | login
    step = big_job.run(three, network="none")
    assert step.status == 0, step.log
    assert set(outcomes(step).values()) == {"pushed"}
    prove(step, registry.address)
    assert all(each["verified"] for each in step.report["targets"])
    assert any("but not from this process" in each for each in step.report["notices"])
    second = big_job.run(three, network="none")
    assert second.status == 0, second.log
    assert set(outcomes(second).values()) == {"unchanged"}


def test_an_unreachable_registry(big_job: Job) -> None:
    nowhere = {"image": "127.0.0.1:1/acme/app", "tags": "1", "source": "big"}
    step = big_job.run(nowhere | {"timeout": "10s"})
    assert step.status == 1, step.log
    assert outcomes(step) == {"127.0.0.1:1/acme/app:1": "failed"}
    assert "connection refused" in step.log


@pytest.mark.parametrize(
    ("release", "store"), [("sid", "classic"), ("sid", "containerd"), ("bookworm", "classic")]
)
def test_other_engines_do_the_same(
    engines: Engines,
    tmp_path_factory: pytest.TempPathFactory,
    front: Front,
    registry: Registry,
    release: str,
    store: str,
) -> None:
    engine = engines.get(release, store)
    engine.make_image("small", layers=3)
    job = Job(tmp_path_factory.mktemp("job"), engine)
    inputs = {"image": f"{front.address}/acme/small", "tags": "1,1.0,latest", "source": "small"}
    first = job.run(inputs)
    assert first.status == 0, first.log
    assert set(outcomes(first).values()) == {"pushed"}
    assert all(each["verified"] for each in first.report["targets"])
    prove(first, registry.address)
    front.reset()
    second = job.run(inputs)
    assert second.status == 0, second.log
    assert set(outcomes(second).values()) == {"unchanged"}
    assert front.stats().count(*WRITES) == 0

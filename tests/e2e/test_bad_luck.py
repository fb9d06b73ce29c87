"""Bad input and failures: one clear sentence, the right exit status, and no lost result."""

import os
import socket
from pathlib import Path

import pytest
from tests.support.engines import Engine
from tests.support.front import WRITES, Answer, Auth, Behaviour, Front, Rule, Step, User, on
from tests.support.outcomes import held, outcomes, prove
from tests.support.registry import Registry
from tests.support.runner import GITHUB, Job
from tests.support.runner import Step as StepOfJob

UNREADABLE = {
    "max-parallel": ("0", "'0' is not a whole number from 1 to 64"),
    "max-attempts": ("many", "'many' is not a whole number from 1 to 100"),
    "backoff-initial": ("-1s", "'-1s' is not a duration; write it like `500ms`"),
    "timeout": ("soon", "'soon' is not a duration"),
    "adaptive": ("maybe", "'maybe' is neither `true` nor `false`"),
    "transport": ("pigeon", "'pigeon' is none of `auto`, `direct`, `engine`"),
    "protect": ("v 1", "'v 1' can match no tag"),
    "insecure-registries": ("http://x", "'http://x' is not a registry"),
    "registry-auth": ("- {registry: ghcr.io", "registry-auth is not YAML"),
    "image": ("ghcr.io/app", "has no owner"),
}


@pytest.fixture(scope="module", autouse=True)
def images(classic: Engine) -> None:
    classic.make_image("small", layers=2)
    classic.make_image("other", layers=2, seed=1)
    classic.docker("tag", "small", "same")


def one(front: Front) -> dict[str, str]:
    return {"tags": f"small => {front.address}/acme/app:1"}


def reference(front: Front, name: str = "app", tag: str = "1") -> str:
    return f"{front.address}/acme/{name}:{tag}"


def check_refused(step: StepOfJob, front: Front, *sentences: str) -> None:
    """Check that the inputs were rejected with this text before the first request."""
    assert step.status == 2, step.log
    assert front.log() == []
    for sentence in sentences:
        assert sentence in step.log
    assert step.outputs["result"] == "failure"
    assert step.listed("failed") == step.listed("pushed") == []
    assert step.summary.startswith("## ❌ Bad input: nothing was pushed")
    assert "Traceback" not in step.log


# -- input ------------------------------------------------------------------------------------


def test_all_problems_are_reported_at_once(job: Job, front: Front) -> None:
    given = {name: value for name, (value, _) in UNREADABLE.items()}
    step = job.run({"tags": reference(front)} | given)
    check_refused(step, front, *(sentence for _, sentence in UNREADABLE.values()))
    for name in UNREADABLE:
        assert f"::{name}: " in step.log or f"::{name} " in step.log


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ("", "docker/metadata-action yields no tags on many pull requests; set `allow-empty: "),
        ("{address}/acme/app:1 2", "has a space in it; write one entry per line"),
        ("https://{address}/acme/app:1", "starts with a protocol; leave it out"),
        ("{address}/acme/app@sha256:" + "a" * 64, "names a digest, which cannot be pushed to"),
        ("1.0", "is a bare tag, or a name without a tag: set `image`"),
        ("{address}/acme/App:1", "must be lower case"),
        ("ftp://x => {address}/acme/app:1", "cannot be the name of an image"),
        ('{{"tags": 1}}', "is JSON without a list of references at its key `tags`"),
    ],
)
def test_tags_that_cannot_be_read(job: Job, front: Front, tags: str, sentence: str) -> None:
    step = job.run({"tags": tags.format(address=front.address)})
    check_refused(step, front, sentence)


def test_nothing_to_do_is_a_success_where_that_is_allowed(job: Job, front: Front) -> None:
    step = job.run({"tags": " \n ", "allow-empty": "true"})
    assert step.status == 0, step.log
    assert step.outputs["result"] == "success"
    assert step.summary.startswith("## ✅ Nothing to push")
    assert front.log() == []


def test_two_sources_of_one_target_may_be_one_image(
    job: Job, front: Front, registry: Registry
) -> None:
    target = reference(front)
    step = job.run({"tags": f"small => {target}\nsame => {target}"})
    assert step.status == 0, step.log
    assert outcomes(step) == {target: "pushed"}
    prove(step, registry.address)


@pytest.mark.parametrize("second", ["other", "no-such-image"])
def test_two_sources_of_one_target_may_not_be_two_images(
    job: Job, front: Front, second: str
) -> None:
    target = reference(front)
    step = job.run({"tags": f"small => {target}\n{second} => {target}"})
    check_refused(step, front, f"is given the sources 'small' and '{second}', not known as one")


def test_ten_thousand_tags_are_planned(job: Job, front: Front) -> None:
    # a variable of a process holds 128 KiB, and a runner passes inputs as variables
    tags = "\n".join(str(number) for number in range(10_000))
    image = {"image": f"{front.address}/acme/app", "source": "small", "dry-run": "true"}
    step = job.run({"tags": tags} | image)
    assert step.status == 0, step.log
    assert len(step.listed("planned")) == 10_000
    assert step.outputs["truncated"] == "false"
    assert len(step.report["targets"]) == 10_000
    assert len(step.summary.encode("utf-16-le")) // 2 < 900 * 1024
    assert front.stats().count(*WRITES) == 0


# -- the engine ---------------------------------------------------------------------------------


def test_an_image_that_is_not_there_fails_alone(job: Job, front: Front, registry: Registry) -> None:
    good = [reference(front, "a"), reference(front, "a", "2"), reference(front, "b")]
    bad = [reference(front, "a", "3"), reference(front, "c"), reference(front, "d")]
    given = zip(["small", "no-such-image", "same", "other", "nor:this", ""], range(6), strict=True)
    names = [name for name, _ in given]
    order = [good[0], bad[0], good[1], good[2], bad[1], bad[2]]
    tags = "\n".join(
        f"{name} => {target}" if name else target for name, target in zip(names, order, strict=True)
    )
    step = job.run({"tags": tags})
    assert step.status == 1, step.log
    assert outcomes(step) == dict.fromkeys(good, "pushed") | dict.fromkeys(bad, "failed")
    prove(step, registry.address)
    assert step.outputs["result"] == "partial"
    for name in ("no-such-image", "nor:this", bad[2]):
        assert f"the engine has no image '{name}'" in step.log
    assert "<code>load: true</code>" in step.summary


def check_no_engine(step: StepOfJob, front: Front, sentence: str) -> None:
    assert step.status == 1, step.log
    assert outcomes(step) == {reference(front): "failed"}
    assert step.outputs["result"] == "failure"
    assert sentence in step.log
    assert "**engine-unreachable**" in step.summary
    assert step.log.count("::error ") == 1


def test_a_socket_that_is_missing(job: Job, front: Front) -> None:
    step = job.run(one(front), options=["--env", "DOCKER_HOST=unix:///nowhere.sock"])
    check_no_engine(step, front, "Cannot connect to the Docker daemon at unix:///nowhere.sock")
    assert "<code>-v /var/run/docker.sock:/var/run/docker.sock</code>" in step.summary


def test_a_socket_that_refuses(job: Job, front: Front, tmp_path: Path) -> None:
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(dead))
    options = ["--volume", f"{dead}:/dead.sock", "--env", "DOCKER_HOST=unix:///dead.sock"]
    step = job.run(one(front), options=options)
    check_no_engine(step, front, "Cannot connect to the Docker daemon at unix:///dead.sock")


def test_a_socket_that_is_not_for_this_user(job: Job, front: Front) -> None:
    for name in ("workspace", "file_commands-1"):
        (job.folder / name).mkdir(mode=0o777)
        (job.folder / name).chmod(0o777)
    for name in ("output", "summary"):
        (job.folder / "file_commands-1" / name).touch()
        (job.folder / "file_commands-1" / name).chmod(0o666)
    step = job.run(one(front), options=["--user", "65534:65534"])
    check_no_engine(step, front, "permission denied while trying to connect")
    assert "<code>--group-add</code>" in step.summary


# -- the registry -------------------------------------------------------------------------------


def test_an_unresolvable_registry_fails_no_other(
    job: Job, front: Front, registry: Registry
) -> None:
    step = job.run({**one(front), "tags": f"{one(front)['tags']}\nsmall => name.invalid/a/b:1"})
    assert step.status == 1, step.log
    assert outcomes(step) == {reference(front): "pushed", "name.invalid/a/b:1": "failed"}
    prove(step, registry.address)
    assert "host-unknown" in step.log
    assert "Check the registry's host name for a typing error" in step.summary


@pytest.mark.parametrize(
    ("mode", "tries", "sentence"),
    [
        ("basic", 1, "Check `token`, or `registry`, `username` and `password`"),
        # ghcr.io's token service sometimes refuses valid credentials
        ("token", 3, "the token or password is valid"),
    ],
)
@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_a_wrong_password_is_found_out_soon(
    job: Job, front: Front, mode: str, tries: int, sentence: str, transport: str
) -> None:
    users = {"octocat": User(password="the-right-one")}
    front.set(Behaviour(auth=Auth.model_validate({"mode": mode, "users": users})))
    login = {"registry": front.address, "username": "octocat", "password": "a-wrong-one"}
    tags = "\n".join(f"small => {reference(front, tag=tag)}" for tag in "123")
    quick = {"transport": transport, "backoff-initial": "100ms"}
    step = job.run({"tags": tags} | login | quick)
    assert step.status == 1, step.log
    assert set(outcomes(step).values()) == {"failed"}
    assert max(len(each["attempts"]) for each in step.report["targets"]) <= tries
    assert sentence in step.log
    # 0: cancelled because another request was refused
    assert {entry.status for entry in front.log()} <= {0, 401, 403, 405}


def test_no_password_where_one_is_asked_for(job: Job, front: Front) -> None:
    front.set(Behaviour(auth=Auth(mode="token", users={"octocat": User(password="x")})))
    step = job.run(one(front))
    assert step.status == 1, step.log
    assert step.listed("retried") == []
    assert "<code>username</code> and <code>password</code>" in step.summary


@pytest.mark.parametrize("where", [Step.PING, Step.MANIFEST_HEAD])
def test_a_silent_registry_ends_at_the_time_limit(job: Job, front: Front, where: Step) -> None:
    front.set(Behaviour(rules=(Rule(match=on(where), answer=Answer(connection="hang")),)))
    step = job.run(one(front) | {"timeout": "2s"})
    assert step.status == 1, step.log
    assert set(outcomes(step).values()) <= {"failed", "skipped"}
    assert step.outputs["result"] == "failure"
    # a single answer may take half a minute
    assert float(step.outputs["duration"]) < 20
    assert "deadline" in step.log


# -- the disk -----------------------------------------------------------------------------------


def check_pushed(step: StepOfJob, front: Front, registry: Registry) -> None:
    assert step.status == 0, step.log
    assert outcomes(step) == {reference(front): "pushed"}
    prove(step, registry.address)


def test_a_full_disk_costs_the_summary_alone(job: Job, front: Front, registry: Registry) -> None:
    step = job.run(one(front), environ={"GITHUB_STEP_SUMMARY": "/dev/full"})
    check_pushed(step, front, registry)
    assert "the job summary could not be written: No space left on device." in step.log
    assert "✅ 1 of 1 tag pushed" in step.log


def test_a_disk_that_is_full_for_everything_leaves_the_log(job: Job, front: Front) -> None:
    environ = {"GITHUB_STEP_SUMMARY": "/dev/full", "GITHUB_OUTPUT": "/dev/full"}
    step = job.run(one(front) | {"report-file": "/dev/full"}, environ=environ)
    assert step.status == 1, step.log  # for the report, which was requested
    for what in ("/dev/full", "the outputs", "the job summary"):
        assert f"{what} could not be written: No space left on device." in step.log
    assert "✅ 1 of 1 tag pushed" in step.log
    assert "1 pushed" in step.log
    assert "Traceback" not in step.log


def test_a_read_only_root(job: Job, front: Front, registry: Registry) -> None:
    """The private configuration is written where no later step publishes it."""
    front.set(Behaviour(delays={Step.MANIFEST_PUT: 3}))
    running = job.start(one(front), options=["--read-only"])
    running.wait_for("blobs uploaded")
    workspace = [path.name for path in (job.folder / "workspace").iterdir()]
    temporary = [path.name for path in (job.folder / "runner_temp").iterdir()]
    check_pushed(running.wait(), front, registry)
    assert not [name for name in workspace if name.startswith("ghcr-push-")]
    assert [name for name in temporary if name.startswith("ghcr-push-")]
    assert list((job.folder / "runner_temp").iterdir()) == []


def test_no_folder_for_temporary_files(job: Job, front: Front) -> None:
    options = ["--read-only", "--workdir", "/opt", "--env", "RUNNER_TEMP="]
    step = job.run(one(front), options=options)
    assert step.status == 1, step.log
    assert outcomes(step) == {reference(front): "failed"}
    assert step.outputs["result"] == "failure"
    assert "No usable temporary directory found" in step.log
    assert "Traceback" not in step.log


@pytest.mark.parametrize("asked", ["reports/push.json", ""])
def test_a_read_only_workspace_costs_a_requested_report(
    job: Job, front: Front, registry: Registry, asked: str
) -> None:
    options = ["--tmpfs", f"{GITHUB}/workspace/reports:ro"]
    step = job.run(one(front) | {"report-file": asked}, options=options)
    assert step.status == (1 if asked else 0), step.log
    assert step.listed("pushed") == [reference(front)]
    assert held(registry.address, reference(front)) == step.outputs["digest"]
    assert step.outputs["report"] == ""
    sentence = "reports/push.json could not be written: Read-only file system."
    assert (sentence in step.log) == bool(asked)
    assert step.summary.startswith("## ✅")


def test_nothing_is_left_in_the_workspace_unless_it_is_asked_for(job: Job, front: Front) -> None:
    step = job.run(one(front) | {"report-file": ""})
    assert step.status == 0, step.log
    assert step.outputs["report"] == ""
    assert list((job.folder / "workspace").iterdir()) == []


def test_a_missing_output_file_costs_the_outputs_alone(job: Job, front: Front) -> None:
    step = job.run(one(front), environ={"GITHUB_OUTPUT": f"{GITHUB}/file_commands/gone"})
    assert step.status == 0, step.log
    assert "the outputs could not be written" in step.log
    assert step.summary.startswith("## ✅ 1 of 1 tag pushed")
    assert (job.folder / "workspace/reports/step-1.json").exists()


def test_a_report_file_that_cannot_be_written_fails_the_step(job: Job, front: Front) -> None:
    step = job.run(one(front) | {"report-file": "/proc/no/report.json"})
    assert step.status == 1, step.log
    assert step.listed("pushed") == [reference(front)]
    assert "/proc/no/report.json could not be written" in step.log


def test_a_closed_log_stops_no_push(job: Job, front: Front, registry: Registry) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    running = job.start_here(one(front), log=writes)
    step = running.wait()
    assert outcomes(step) == {reference(front): "pushed"}
    prove(step, registry.address)

"""The report on a tag matches the registry: complete images, kept tags, late answers."""

import threading
import time
from pathlib import Path

import pytest
from tests.support.cases import End, World, image, running_world
from tests.support.docker import Says
from tests.support.front import Answer, Behaviour, Rule, Step, oci_error, on
from tests.support.loadable import Loadable, archive_of_index, file, layer_of
from tests.support.saved import digest_of

from ghcr_push import push
from ghcr_push.pushing.events import ContentDone, Waiting

TAGS = ("acme/app:1", "acme/app:2")
INDEX = [
    Loadable(layers=(layer_of(file("of", each.encode())),), architecture=each)
    for each in ("amd64", "arm64")
]


def index_source(world: World) -> str:
    """Put an index into an archive on disk, and return it as a source."""
    archive, _ = archive_of_index("whole:1", INDEX)
    place = world.folder / "index.tar"
    place.write_bytes(archive)
    return f"oci-archive:{place}"


def test_an_index_whose_child_was_deleted_is_put_again(world: World) -> None:
    source = index_source(world)
    first = world.push(*TAGS, source=source)
    assert set(first.outcomes.values()) == {"pushed"}, first.log
    again = world.push(*TAGS, source=source)
    assert set(again.outcomes.values()) == {"unchanged"}, again.log

    child = world.registry.manifest("acme/app:1")["manifests"][1]["digest"]
    world.registry.forget("acme/app", child)
    end = world.push(*TAGS, source=source)

    assert end.outcomes == dict.fromkeys(TAGS, "pushed"), end.log
    assert world.registry.lacking("acme/app:1") == []
    assert end.digest("acme/app:1") == first.digest("acme/app:1")
    after = world.push(*TAGS, source=source)
    assert set(after.outcomes.values()) == {"unchanged"}, after.log


@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_an_image_whose_layer_was_deleted_is_put_again(world: World, transport: str) -> None:
    world.push(*TAGS)
    layer = world.registry.manifest("acme/app:1")["layers"][0]["digest"]
    world.registry.forget("acme/app", layer)
    end = world.push(*TAGS, transport=transport)
    assert end.outcomes == dict.fromkeys(TAGS, "pushed"), end.log
    assert world.registry.lacking("acme/app:1") == []


def test_each_child_is_looked_for_once_a_run_by_head_alone(world: World) -> None:
    source = index_source(world)
    world.push(*TAGS, source=source)
    children = [each["digest"] for each in world.registry.manifest("acme/app:1")["manifests"]]
    before = {child: world.count(Step.MANIFEST_HEAD, reference=child) for child in children}
    gets = world.count(Step.MANIFEST_GET)
    end = world.push(*TAGS, source=source)
    assert set(end.outcomes.values()) == {"unchanged"}, end.log
    for child in children:
        assert world.count(Step.MANIFEST_HEAD, reference=child) == before[child] + 1
        assert world.count(Step.MANIFEST_GET, reference=child) == 0
    assert world.count(Step.MANIFEST_GET) <= gets + 1


def test_a_protected_tag_is_put_again_where_its_image_is_broken(world: World) -> None:
    world.push("acme/app:1")
    layer = world.registry.manifest("acme/app:1")["layers"][0]["digest"]
    world.registry.forget("acme/app", layer)
    end = world.push("acme/app:1", protect="1")
    assert end.outcomes == {"acme/app:1": "pushed"}, end.log
    assert world.registry.lacking("acme/app:1") == []


def test_a_protected_tag_that_names_another_image_is_kept_on_request(
    world: World,
) -> None:
    there = world.registry.put("acme/app:v1", image("other"))
    end = world.push("acme/app:v1", "acme/app:latest", protect="v*", on_protected="keep")
    assert end.status == 0, end.log
    assert end.outcomes == {"acme/app:v1": "kept", "acme/app:latest": "pushed"}
    assert end.outputs["result"] == "success"
    assert end.target("acme/app:v1")["before"] == there
    assert world.registry.tags("acme/app")["v1"] == there
    assert "Kept, protected" in end.summary
    assert "= v1 kept" in end.log
    assert "acme/app:v1" not in end.outputs["digests"]


@pytest.mark.parametrize(
    ("on_protected", "outcome", "status"), [("fail", "failed", 1), ("keep", "kept", 0)]
)
def test_nothing_is_uploaded_for_tags_that_may_not_be_written(
    world: World, on_protected: str, outcome: str, status: int
) -> None:
    for tag in ("v1", "v2"):
        world.registry.put(f"acme/app:{tag}", image("other"))
    end = world.push("acme/app:v1", "acme/app:v2", protect="v*", on_protected=on_protected)
    assert end.outcomes == {"acme/app:v1": outcome, "acme/app:v2": outcome}, end.log
    assert end.status == status
    assert world.count(Step.UPLOAD_POST, Step.UPLOAD_PUT, Step.MANIFEST_PUT) == 0


def test_before_is_the_digest_right_before_our_write(world: World) -> None:
    """Another job moves it after our first read, while an earlier tag is being written."""
    world.front.set(Behaviour(takes={Step.MANIFEST_PUT: 1.5}))
    moved: list[str] = []

    def move() -> None:
        while not world.count(Step.MANIFEST_HEAD, reference="2"):
            time.sleep(0.01)
        moved.append(world.registry.put("acme/app:2", image("other")))

    other_job = threading.Thread(target=move, daemon=True)
    other_job.start()
    end = world.push("acme/app:1", "acme/app:2", max_parallel="1")
    other_job.join(1)
    assert end.outcomes == {"acme/app:1": "pushed", "acme/app:2": "pushed"}, end.log
    assert [end.target("acme/app:2")["before"]] == moved
    assert world.count(Step.MANIFEST_PUT, reference="2") == 1


def test_a_retried_layer_counts_for_its_seed_only(
    world: World,
) -> None:
    once = Rule(match=on(Step.UPLOAD_PUT), answer=Answer(status=500), first=1)
    world.front.set(Behaviour(rules=(once,)))
    names = [f"acme/app:{n}" for n in range(5)]
    end = world.push(*names)
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    assert len(end.listed("retried")) == 1
    assert end.report["totals"]["retried_layers"] == 1
    assert "1 layer was retried" in end.summary
    assert "1 layer was retried" in end.log


def test_an_upload_is_reported_with_its_seed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tag is protected and has failed by then."""
    world.registry.put("acme/app:v1", image("other"))
    once = Rule(match=on(Step.UPLOAD_PUT), answer=Answer(status=500), first=1)
    world.front.set(Behaviour(rules=(once,)))
    assert world.docker is not None
    for name, value in world.docker.environ.items():
        monkeypatch.setenv(name, value)
    seen: list[object] = []
    names = [f"{world.front.address}/acme/app:{tag}" for tag in ("v1", "2")]
    push(names, source="app:1", protect="v*", backoff_initial="20ms", observer=seen.append)
    waits = [str(each.target) for each in seen if isinstance(each, Waiting)]
    done = [str(each.seed) for each in seen if isinstance(each, ContentDone)]
    assert (waits, done) == ([names[1]], [names[1]])


def test_a_tag_of_layers_that_are_there_asks_for_no_upload(world: World) -> None:
    world.push("acme/app:1")
    before = world.count(Step.UPLOAD_POST)
    end = world.push("acme/app:2", "acme/app:3")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    assert world.count(Step.UPLOAD_POST) == before


@pytest.mark.parametrize("store", ["classic", "containerd"])
def test_a_docker_push_that_fails_for_good_after_the_tag_landed_is_read_back(
    tmp_path: Path, store: str
) -> None:
    notary = "tls: failed to verify certificate: x509: certificate signed by unknown authority\n"
    says = Says(asked="image push *", status=1, err=notary, effect="after")
    with running_world(tmp_path, says=[says], store=store) as world:
        end = world.push("acme/app:1", transport="engine")
        assert end.outcomes == {"acme/app:1": "pushed"}, end.log
        assert end.target("acme/app:1")["verified"]
        assert end.digest("acme/app:1") == world.registry.digest("acme/app:1")


def test_a_docker_push_that_failed_for_good_and_did_nothing_is_failed(tmp_path: Path) -> None:
    says = Says(asked="image push *", status=1, err="denied: no\n")
    with running_world(tmp_path, says=[says]) as world:
        end = world.push("acme/app:1", transport="engine")
        assert end.outcomes == {"acme/app:1": "failed"}
        assert not end.target("acme/app:1")["may_have_landed"]


OTHER = digest_of(b"another platform")


@pytest.mark.parametrize(("transport", "noticed"), [("engine", True), ("auto", False)])
def test_another_digest_than_the_engines_own_is_not_silently_accepted(
    tmp_path: Path, transport: str, noticed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ghcr_push.pushing.engine_first.QUICKER_FROM", 1)
    says = Says(asked="image push *", out=f"1: digest: {OTHER} size: 500\n".encode())
    with running_world(tmp_path, says=[says], store="containerd") as world:
        end = world.push("acme/app:1", transport=transport, verify="false")
        assert end.outcomes == {"acme/app:1": "pushed"}, end.log
        assert any("in place of" in notice for notice in end.report["notices"]) is noticed
        if not noticed:  # we upload what docker push would change
            assert end.digest("acme/app:1") == world.registry.digest("acme/app:1") != OTHER


# -- all or nothing -------------------------------------------------------------------------


def two(world: World, **inputs: str) -> End:
    """Push one image to two repositories of the registry, all or nothing."""
    return world.push("acme/app:1", "acme/app:2", "acme/other:1", all_or_nothing="true", **inputs)


def test_no_tag_moves_before_the_content_of_every_target_is_there(tmp_path: Path) -> None:
    """Of two images, so that no blob of the second is mounted from the first one's repository."""
    with running_world(tmp_path, images={"one": image("one"), "two": image("two")}) as world:
        slow = on(Step.UPLOAD_PUT, repository="acme/other")
        world.front.set(Behaviour(rules=(Rule(match=slow, answer=Answer(status=500), first=3),)))
        here = world.front.address
        tags = f"one => {here}/acme/app:1\none => {here}/acme/app:2\ntwo => {here}/acme/other:1"
        end = world.run({"tags": tags, "all-or-nothing": "true"})
        assert set(end.outcomes.values()) == {"pushed"}, end.log
        steps = [each.step for each in world.front.log()]
        assert steps.index(Step.MANIFEST_PUT) > max(
            n for n, step in enumerate(steps) if step is Step.UPLOAD_PUT
        )
        assert world.count(Step.UPLOAD_PUT, repository="acme/other") == 6


def test_no_tag_moves_where_the_content_of_one_target_fails(world: World) -> None:
    there = world.registry.put("acme/app:1", image("other"))
    denied = Rule(
        match=on(Step.UPLOAD_POST, repository="acme/other"),
        answer=oci_error(403, "DENIED", "permission_denied: write_package"),
    )
    world.front.set(Behaviour(rules=(denied,)))
    end = two(world)
    assert end.status == 1
    assert end.outcomes["acme/other:1"] == "failed"
    assert {end.outcomes["acme/app:1"], end.outcomes["acme/app:2"]} <= {"failed", "skipped"}
    assert end.failure("acme/app:2")["kind"] == "held-back"
    assert "acme/other:1 failed" in end.failure("acme/app:2")["message"]
    assert end.outputs["cause"] == "permission"
    assert world.registry.tags("acme/app") == {"1": there}
    assert world.count(Step.MANIFEST_PUT, repository="acme/app") == 0


def test_no_tag_moves_where_an_image_is_missing(world: World) -> None:
    here = world.front.address
    tags = f"{here}/acme/app:1\n{here}/acme/app:2\nnone:1 => {here}/acme/other:1"
    end = world.run({"tags": tags, "source": "app:1", "all-or-nothing": "true"})
    assert end.outcomes["acme/other:1"] == "failed", end.log
    assert {end.outcomes["acme/app:1"], end.outcomes["acme/app:2"]} <= {"failed", "skipped"}
    assert world.count(Step.MANIFEST_PUT) == 0


@pytest.mark.parametrize("on_protected", ["fail", "keep"])
def test_a_protected_tag_that_names_another_image_holds_all_back_unless_kept(
    world: World, on_protected: str
) -> None:
    world.registry.put("acme/other:1", image("other"))
    end = world.push(
        "acme/app:2", "acme/other:1", all_or_nothing="true", protect="1", on_protected=on_protected
    )
    kept = on_protected == "keep"
    assert end.outcomes["acme/other:1"] == ("kept" if kept else "failed"), end.log
    assert (end.outcomes["acme/app:2"] == "pushed") is kept
    assert (world.count(Step.MANIFEST_PUT) == 1) is kept


def test_a_second_run_of_all_or_nothing_asks_for_no_right_to_write(world: World) -> None:
    two(world)
    posts = world.count(Step.UPLOAD_POST)
    end = two(world)
    assert set(end.outcomes.values()) == {"unchanged"}, end.log
    assert world.count(Step.UPLOAD_POST) == posts


def test_docker_push_cannot_keep_all_or_nothing(world: World) -> None:
    end = two(world, transport="engine")
    assert end.status == 2
    assert "all-or-nothing" in end.log
    assert world.count() == 0

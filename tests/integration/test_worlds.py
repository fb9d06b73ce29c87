"""The real action with a registry, a front and an engine that are configured as data."""

from pathlib import Path

import pytest
from tests.support.cases import World, closed_address, image, running_world
from tests.support.docker import FakeDocker, Says
from tests.support.front import (
    Answer,
    Auth,
    Behaviour,
    Rule,
    Step,
    User,
    oci_error,
    on,
    running_front,
)
from tests.support.memory import MemoryRegistry
from tests.support.tls import Authority


def test_a_push_lands_completely(world: World) -> None:
    end = world.push("acme/app:1", "acme/app:2", "acme/other:1")
    names = ["acme/app:1", "acme/app:2", "acme/other:1"]
    assert end.status == 0, end.log
    assert end.outcomes == dict.fromkeys(names, "pushed")
    for name in names:
        assert world.registry.digest(name) == end.digest(name)
        assert world.registry.lacking(name) == []
    again = world.push(*names)
    assert again.outcomes == dict.fromkeys(names, "unchanged")


def test_a_containerd_store_is_pushed_byte_for_byte(tmp_path: Path) -> None:
    app = image()
    with running_world(tmp_path, images={"app:1": app}, store="containerd") as world:
        end = world.push("acme/app:1")
        assert end.outcomes == {"acme/app:1": "pushed"}, end.log
        assert world.registry.digest("acme/app:1") == world.registry.put("acme/same:1", app)


def test_a_rule_applies_to_the_requests_that_it_names(world: World) -> None:
    refusal = oci_error(500, "UNKNOWN", "not now")
    rule = Rule(match=on(Step.MANIFEST_PUT, reference="2"), answer=refusal, first=2)
    world.front.set(Behaviour(rules=(rule,)))
    end = world.push("acme/app:1", "acme/app:2")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    assert world.count(Step.MANIFEST_PUT, reference="2") == 3
    assert len(end.target("acme/app:2")["attempts"]) >= 3


def test_docker_push_brings_what_the_engine_has(world: World) -> None:
    end = world.push("acme/app:1", transport="engine")
    assert end.outcomes == {"acme/app:1": "pushed"}, end.log
    assert world.docker is not None
    assert world.docker.count("image push") == 1
    assert world.docker.count("image save") == 0


def test_the_scripted_engine_answers_as_scripted(tmp_path: Path) -> None:
    says = Says(asked="image push *", status=1, err="denied: no\n", effect="after", first=1)
    with running_world(tmp_path, says=[says]) as world:
        end = world.push("acme/app:1", transport="engine")
        assert world.registry.tags("acme/app").keys() == {"1"}
        assert "image push" in end.log or end.status in (0, 1)


def test_a_body_is_cut_as_configured(tmp_path: Path) -> None:
    images = {"app:1": image(layers=1, size=3_000_000)}
    cut = Rule(
        match=on(Step.UPLOAD_PUT, larger_than=2_000_000),
        effect="cut",
        cut_after=1_000_000,
        answer=Answer(connection="reset"),
        first=1,
    )
    with running_world(tmp_path, Behaviour(rules=(cut,)), images=images) as world:
        end = world.push("acme/app:1")
        assert end.outcomes == {"acme/app:1": "pushed"}, end.log
        [rest] = world.requests(Step.UPLOAD_PATCH)
        assert rest.headers["Content-Range"].startswith("1000000-")
        assert world.registry.lacking("acme/app:1") == []


def test_a_refusal_may_name_the_front(world: World) -> None:
    moved = Answer(status=307, headers={"Location": "{scheme}://{other_address}{path}"})
    world.front.set(Behaviour(rules=(Rule(match=on(Step.BLOB_HEAD), answer=moved),)))
    world.push("acme/app:1")
    assert world.count(Step.BLOB_HEAD) > 0


def test_two_registries_stand_side_by_side(world: World, tmp_path: Path) -> None:
    with closed_address() as closed, running_front(MemoryRegistry()) as other:
        tags = f"{world.front.address}/acme/app:1\n{other.address}/acme/app:1\n{closed}/a/b:1"
        end = world.run({"tags": tags, "source": "app:1", "timeout": "5s"})
        assert end.outcomes["acme/app:1"] == "pushed"
        assert end.outcomes[f"{closed}/a/b:1"] == "failed"
    assert FakeDocker(tmp_path / "none").calls == []


def test_a_registry_may_speak_https_and_name_a_token_service_elsewhere(
    tmp_path: Path, world: World
) -> None:
    authority = Authority(tmp_path)
    user = User(password="secret")
    realm = "{scheme}://{other_address}/token"
    behaviour = Behaviour(auth=Auth(mode="token", users={"me": user}, realm=realm))
    registry = MemoryRegistry()
    with running_front(registry, behaviour, tls=authority.server()) as front:
        end = world.run(
            {
                "tags": f"{front.address}/acme/app:1",
                "source": "app:1",
                "username": "me",
                "password": "secret",
                "registry": front.address,
            },
            {"SSL_CERT_FILE": str(authority.file)},
        )
        assert end.outcomes == {f"{front.address}/acme/app:1": "pushed"}, end.log
        assert front.credentials().keys() == {"registry", "token"}
        assert registry.lacking("acme/app:1") == []


@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_a_first_tag_that_is_kept_leaves_the_others_to_land(world: World, transport: str) -> None:
    other = world.registry.put("acme/app:v1", image("other"))
    end = world.push(
        "acme/app:v1", "acme/app:2", transport=transport, protect="v*", on_protected="keep"
    )
    assert end.outcomes == {"acme/app:v1": "kept", "acme/app:2": "pushed"}, end.log
    assert world.registry.digest("acme/app:v1") == other
    assert end.target("acme/app:v1")["digest"] is None
    assert end.status == 0

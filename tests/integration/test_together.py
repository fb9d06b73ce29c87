"""`all-or-nothing` where only the engine reaches a registry: its pushes write tags with layers."""

import json
from pathlib import Path

import pytest
from tests.support.cases import closed_address, image, running_world
from tests.support.docker import Says
from tests.support.front import Step

OTHER = f"sha256:{'1' * 64}"
TOLD = json.dumps({"Descriptor": {"mediaType": "m", "digest": OTHER, "size": 7}, "Platforms": []})
ANSWERED = (
    f"HTTP/1.1 200 OK\r\nContent-Length: {len(TOLD)}\r\nConnection: close\r\n\r\n{TOLD}"
).encode()

BY_STDIO = {"DOCKER_HOST": "ssh://somebody@engine.test"}
"""An engine that is reached through the docker command."""


@pytest.mark.parametrize("store", ["classic", "containerd"])
@pytest.mark.parametrize("first", [True, False])
def test_no_tag_moves_if_docker_push_would_write_one_with_the_layers(
    tmp_path: Path, store: str, first: bool
) -> None:
    says = [Says(asked="system dial-stdio", out=ANSWERED)]
    images = {"app:1": image("app"), "app:2": image("other")}
    with (
        closed_address() as address,
        running_world(tmp_path, images=images, store=store, says=says) as world,
    ):
        beyond, near = f"{address}/acme/app:1", f"{world.front.address}/acme/app:1"
        tags = [f"app:2 => {beyond}", near]
        more = {"source": "app:1", "transport": "auto", "all-or-nothing": "true"}
        listed = "\n".join(tags if first else reversed(tags))
        end = world.run({"tags": listed, "timeout": "60s", **more}, BY_STDIO)
        assert world.registry.tags("acme/app") == {}
        assert world.count(Step.MANIFEST_PUT) == 0
        assert world.docker is not None
        assert world.docker.count("image push") == 0
    assert end.outcomes == {beyond: "failed", "acme/app:1": end.outcomes["acme/app:1"]}
    assert end.failure(beyond)["kind"] == "input"
    assert "`all-or-nothing` cannot be kept there" in end.failure(beyond)["message"]
    assert end.outcomes["acme/app:1"] in {"failed", "skipped"}
    held_back = end.failure("acme/app:1")
    assert held_back["kind"] == "held-back"
    assert f"no tag was written, because {beyond} failed" in held_back["message"]
    assert end.status == 1

"""A dry run reads the registry, reports how each tag would end, and writes nothing."""

from pathlib import Path

import pytest
from tests.support.cases import World, closed_address, image, running_world
from tests.support.front import Behaviour, Rule, Step, oci_error, on

READS = {
    *(Step.PING, Step.TOKEN, Step.MANIFEST_HEAD, Step.MANIFEST_GET),
    *(Step.BLOB_HEAD, Step.TAGS_LIST),
}


@pytest.mark.parametrize("store", ["classic", "containerd"])
@pytest.mark.parametrize("transport", ["auto", "direct", "engine"])
def test_every_outcome_is_predicted_and_nothing_is_written(
    tmp_path: Path, store: str, transport: str
) -> None:
    images = {"app:1": image("new"), "app:0": image("old")}
    with running_world(tmp_path, images=images, store=store) as world:
        first = world.push("acme/app:latest", "acme/app:v1", "acme/app:v2", source="app:0")
        assert first.status == 0, first.log
        assert world.push("acme/app:same").status == 0
        before = (world.registry.tags("acme/app"), world.count())
        tags = {
            "acme/app:latest": "pushed",
            "acme/app:new": "pushed",
            "acme/app:same": "unchanged",
            "acme/app:v1": "failed",
            "acme/app:v3": "pushed",
        }
        end = world.push(*tags, dry_run="true", protect="v*", transport=transport)
        kept = world.push("acme/app:v1", dry_run="true", protect="v*", on_protected="keep")
        asked = world.requests()[before[1] :]
        assert world.registry.tags("acme/app") == before[0]
    assert {each.step for each in asked} <= READS
    assert (end.status, set(end.outcomes.values())) == (0, {"planned"}), end.log
    old = first.digest("acme/app:latest")
    for name, expected in tags.items():
        reported = end.target(name)
        assert reported["expected"] == expected, name
        assert reported["before_known"]
        assert reported["failure"] is None
    assert end.target("acme/app:latest")["before"] == old
    assert end.target("acme/app:new")["before"] is None
    assert kept.target("acme/app:v1")["expected"] == "kept"
    for text in (end.log, end.summary):
        assert "3 of 5 tags would be pushed (2 new, 1 moved); 1 unchanged" in text
        assert "1 protected and refused, nothing was written" in text
        assert f"moved from {old[:19]}" in text


def test_a_registry_that_cannot_be_read_fails_no_dry_run(world: World) -> None:
    denied = oci_error(403, "DENIED", "permission_denied: read_package")
    world.front.set(
        Behaviour(rules=(Rule(match=on(Step.MANIFEST_HEAD, Step.MANIFEST_GET), answer=denied),))
    )
    with closed_address() as address:
        gone = f"{address}/acme/app:1"
        refused = f"{world.front.address}/acme/app:1"
        end = world.run({"tags": f"{gone}\n{refused}", "source": "app:1", "dry-run": "true"})
    assert (end.status, set(end.outcomes.values())) == (0, {"planned"}), end.log
    for name in (gone, "acme/app:1"):
        assert (end.target(name)["before_known"], end.target(name)["expected"]) == (False, None)
    notices = "\n".join(end.report["notices"])
    assert f"{address} could not be read" in notices
    assert "read_package" in notices
    assert "not read" in end.summary


def test_a_failing_registry_gets_no_further_reads(world: World) -> None:
    unwell = oci_error(503, "UNAVAILABLE", "try later")
    world.front.set(Behaviour(rules=(Rule(match=on(Step.MANIFEST_HEAD), answer=unwell),)))
    end = world.push(*(f"acme/app:{n}" for n in range(30)), dry_run="true", transport="direct")
    assert set(end.outcomes.values()) == {"planned"}
    assert world.count(Step.MANIFEST_HEAD) <= 8, "as many as are read at once"


def test_no_registry_is_asked_where_the_image_is_not_there(world: World) -> None:
    end = world.push("acme/app:1", source="gone:1", dry_run="true")
    assert (end.status, end.outcomes) == (1, {"acme/app:1": "failed"})
    assert end.failure("acme/app:1")["kind"] == "image-missing"
    assert world.count() == 0

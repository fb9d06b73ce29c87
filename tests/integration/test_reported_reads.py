"""Reads that fail although writes work: what is still written, and how it is reported."""

import pytest
from tests.support.cases import World, image
from tests.support.front import Answer, Behaviour, Rule, Step, oci_error, on
from tests.support.front.behaviour import Event
from tests.support.saved import digest_of


def answers(world: World, answer: Answer, *steps: Step) -> None:
    world.front.set(Behaviour(rules=(Rule(match=on(*steps), answer=answer),)))


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_without_head_of_manifests_tags_land_and_are_verified(world: World, status: int) -> None:
    answers(world, Answer(status=status), Step.MANIFEST_HEAD)
    end = world.push("acme/app:1", "acme/app:2", "acme/app:3")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    assert all(end.target(f"acme/app:{n}")["verified"] for n in (1, 2, 3))
    for number in "123":
        assert world.count(Step.MANIFEST_PUT, reference=number) == 1
    assert world.registry.tags("acme/app") == dict.fromkeys("123", end.digest("acme/app:1"))


def test_without_head_of_manifests_a_second_run_writes_nothing(
    world: World,
) -> None:
    answers(world, Answer(status=405), Step.MANIFEST_HEAD)
    world.push("acme/app:1", "acme/app:2")
    before = world.count(Step.MANIFEST_PUT, Step.UPLOAD_PUT)
    end = world.push("acme/app:1", "acme/app:2")
    assert set(end.outcomes.values()) == {"unchanged"}, end.log
    assert world.count(Step.MANIFEST_PUT, Step.UPLOAD_PUT) == before


def test_without_head_of_manifests_protected_tags_stay(world: World) -> None:
    there = world.registry.put("acme/app:v1", image("other"))
    answers(world, Answer(status=405), Step.MANIFEST_HEAD)
    end = world.push("acme/app:v1", "acme/app:v2", protect="v*")
    assert end.outcomes == {"acme/app:v1": "failed", "acme/app:v2": "pushed"}, end.log
    assert end.failure("acme/app:v1")["kind"] == "protected"
    assert world.registry.tags("acme/app")["v1"] == there


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=307, headers={"Location": "http://127.0.0.1:9/blob"}),
        Answer(status=307, headers={"Location": "ftp://storage.test/blob"}),
        Answer(status=307, headers={"Location": "http://[::1]:9/blob"}),
        Answer(status=403),
        Answer(status=405),
        oci_error(501, "UNSUPPORTED", "no"),
    ],
    ids=["dead", "ftp", "dead-v6", "403", "405", "501"],
)
def test_a_blob_is_sent_after_a_failed_read(world: World, answer: Answer) -> None:
    answers(world, answer, Step.BLOB_HEAD)
    end = world.push("acme/app:1", "acme/app:2")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    assert world.count(Step.UPLOAD_PUT) == 3, end.log
    assert world.registry.lacking("acme/app:1") == []
    assert digest_of(image().config) in world.registry.blobs("acme/app")


HARBOR = oci_error(
    412,
    "PROJECTPOLICYVIOLATION",
    "The image is not scanned, its project's policy keeps it from being pulled.",
)


@pytest.mark.parametrize("status", [412, 403])
def test_a_policy_that_forbids_reading_is_quoted(world: World, status: int) -> None:
    forbids = HARBOR.model_copy(update={"status": status})
    answers(world, forbids, Step.MANIFEST_HEAD, Step.MANIFEST_GET)
    end = world.push("acme/app:1", "acme/app:2", "acme/app:3")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    for number in "123":
        assert world.count(Step.MANIFEST_PUT, reference=number) == 1, end.log
        assert not end.target(f"acme/app:{number}")["verified"]
    assert len(world.registry.tags("acme/app")) == 3
    assert "not scanned" in end.log
    assert "not scanned" in end.summary


@pytest.mark.parametrize(
    "answer",
    [
        oci_error(401, "UNAUTHORIZED", "unauthorized to access repository: acme/app, action: pull"),
        oci_error(401, "UNAUTHORIZED", "authentication required"),
        oci_error(403, "DENIED", "requested access to the resource is denied"),
        Answer(status=403),
    ],
    ids=["harbor", "401", "denied", "403"],
)
def test_a_tag_that_the_account_may_not_read_landed_unverified(
    world: World, answer: Answer
) -> None:
    answers(world, answer, Step.MANIFEST_HEAD, Step.MANIFEST_GET)
    end = world.push("acme/app:1", "acme/app:2", "acme/app:3")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    for number in "123":
        assert world.count(Step.MANIFEST_PUT, reference=number) == 1, end.log
        assert not end.target(f"acme/app:{number}")["verified"]
    [notice] = end.report["notices"]
    assert "this account may not read it" in notice
    assert "permission to read" in notice


def test_a_tag_that_becomes_unreadable_after_its_write_has_not_landed(
    world: World,
) -> None:
    refused = oci_error(403, "DENIED", "requested access to the resource is denied")
    written = Event(steps=frozenset({Step.MANIFEST_PUT}))
    reads = on(Step.MANIFEST_HEAD, Step.MANIFEST_GET)
    world.front.set(Behaviour(rules=(Rule(match=reads, answer=refused, after=written),)))
    end = world.push("acme/app:1", timeout="5s")
    assert end.outcomes == {"acme/app:1": "failed"}, end.log
    assert end.failure("acme/app:1")["kind"] == "deadline"
    assert end.failure("acme/app:1")["kept_failing"] == "auth-blip"
    assert end.outputs["cause"] == "permission"
    assert end.target("acme/app:1")["may_have_landed"]


def test_a_protected_tag_that_a_policy_makes_unreadable_is_not_written(world: World) -> None:
    answers(world, HARBOR, Step.MANIFEST_HEAD, Step.MANIFEST_GET)
    end = world.push("acme/app:1", protect="1")
    assert end.outcomes == {"acme/app:1": "failed"}
    assert end.failure("acme/app:1")["kind"] == "read-forbidden"
    assert world.count(Step.MANIFEST_PUT, Step.UPLOAD_POST, Step.UPLOAD_PUT) == 0


def test_a_protected_tag_that_is_temporarily_unreadable_is_not_written(
    world: World,
) -> None:
    answers(world, Answer(status=403), Step.MANIFEST_HEAD, Step.MANIFEST_GET)
    end = world.push("acme/app:1", protect="1")
    assert end.outcomes == {"acme/app:1": "failed"}
    assert end.failure("acme/app:1")["kind"] == "auth-blip"
    assert world.count(Step.MANIFEST_PUT) == 0


CONFIG = digest_of(image().config)


def test_a_blob_that_head_finds_but_a_manifest_write_misses_is_sent_again_once(
    world: World,
) -> None:
    lies = Rule(match=on(Step.BLOB_HEAD, reference=CONFIG), answer=Answer(status=200))
    world.front.set(Behaviour(rules=(lies,)))
    end = world.push("acme/app:1", "acme/app:2", max_parallel="1")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    assert world.count(Step.UPLOAD_PUT, reference=CONFIG) == 1
    assert world.registry.lacking("acme/app:1") == []


def test_a_blob_that_the_registry_never_knows_is_sent_once_and_the_tags_fail(
    world: World,
) -> None:
    unknown = oci_error(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {CONFIG}")
    rules = (
        Rule(match=on(Step.BLOB_HEAD, reference=CONFIG), answer=Answer(status=200)),
        Rule(match=on(Step.MANIFEST_PUT), answer=unknown),
    )
    world.front.set(Behaviour(rules=rules))
    end = world.push("acme/app:1", "acme/app:2")
    assert set(end.outcomes.values()) == {"failed"}, end.log
    assert end.failure("acme/app:1")["kind"] == "not-visible"
    assert world.count(Step.UPLOAD_PUT, reference=CONFIG) == 1


def test_a_manifest_that_came_too_soon_for_its_blobs_is_sent_again_alone(world: World) -> None:
    unknown = oci_error(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {CONFIG}")
    rule = Rule(match=on(Step.MANIFEST_PUT), answer=unknown, first=1, per="reference")
    world.front.set(Behaviour(rules=(rule,)))
    end = world.push("acme/app:1", "acme/app:2")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    assert world.count(Step.UPLOAD_PUT) == 3


NAMELESS = {"Docker-Content-Digest": ""}


@pytest.mark.parametrize(
    ("step", "headers"),
    [
        (Step.MANIFEST_HEAD, NAMELESS),
        (Step.MANIFEST_GET, NAMELESS),
        (Step.MANIFEST_PUT, {**NAMELESS, "Location": ""}),
        (Step.UPLOAD_PUT, {**NAMELESS, "Location": ""}),
        (Step.BLOB_HEAD, NAMELESS),
        (Step.MANIFEST_HEAD, {"Content-Type": ""}),
        (Step.PING, {"Docker-Distribution-Api-Version": ""}),
    ],
)
def test_answers_that_say_little_are_enough(
    world: World, step: Step, headers: dict[str, str]
) -> None:
    little = Rule(match=on(step), answer=Answer(headers=headers), effect="alter")
    world.front.set(Behaviour(rules=(little,)))
    end = world.push("acme/app:1", "acme/app:2")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    assert end.target("acme/app:1")["verified"]
    again = world.push("acme/app:1", "acme/app:2")
    assert set(again.outcomes.values()) == {"unchanged"}, again.log


def test_an_upload_without_a_location_is_reported(world: World) -> None:
    nowhere = Rule(
        match=on(Step.UPLOAD_POST), answer=Answer(headers={"Location": ""}), effect="alter"
    )
    world.front.set(Behaviour(rules=(nowhere,)))
    end = world.push("acme/app:1")
    assert end.outcomes == {"acme/app:1": "failed"}
    assert "the answer 202 has no Location" in end.failure("acme/app:1")["message"]


@pytest.mark.parametrize(
    "body", ["", "out of order", "<html><title>Maintenance</title></html>", "{}", '{"errors": 5}']
)
def test_an_error_that_is_no_error_list_is_tried_again(world: World, body: str) -> None:
    passing = Rule(
        match=on(Step.MANIFEST_PUT), answer=Answer(status=503, body=body), first=1, per="reference"
    )
    world.front.set(Behaviour(rules=(passing,)))
    end = world.push("acme/app:1", "acme/app:2")
    assert set(end.outcomes.values()) == {"pushed"}, end.log

"""Refusals with registries' own texts: retried as often as it helps, reported with their cause."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.cases import World, image, running_world
from tests.support.docker import Says
from tests.support.front import Answer, Behaviour, Rule, Step, oci_error, on
from tests.support.front.behaviour import Event
from tests.support.loadable import archive_of_index

from ghcr_push.engine.platforms import Platforms
from ghcr_push.model import Manifest
from ghcr_push.references import Repository
from ghcr_push.registry.client import RegistryClient
from ghcr_push.sources.disk_sources import DiskSources
from ghcr_push.sources.saved import SavedImages


def in_detail(detail: dict[str, str]) -> Answer:
    """Return an answer with the reason in its detail only."""
    error = {"code": "MANIFEST_INVALID", "message": "manifest invalid", "detail": detail}
    return Answer(status=400, body=json.dumps({"errors": [error]}))


IMMUTABLE = {
    "harbor": oci_error(
        412, "PRECONDITION", "Failed to process request due to 'app:1' configured as immutable."
    ),
    "google-400": oci_error(
        400,
        "MANIFEST_INVALID",
        "cannot update tag 1. The repository has enabled tag immutability",
    ),
    "google-403": oci_error(403, "DENIED", "The repository has enabled tag immutability"),
    "ecr": oci_error(
        400,
        "TAG_INVALID",
        "The image tag '1' already exists in the 'app' repository and cannot be overwritten "
        "because the tag is immutable.",
    ),
    "docker-hub": oci_error(
        403,
        "DENIED",
        "requested access to the resource is denied - This tag is already assigned to an image in "
        "this repository and cannot be updated due to immutability settings.",
    ),
    "quay": oci_error(409, "TAG_ALREADY_EXISTS", "tag was already pushed"),
    "azure": oci_error(
        405, "UNSUPPORTED", "The operation is disallowed on this registry, repository or image."
    ),
    "artifactory": oci_error(
        403, "DENIED", "Not enough permissions to delete/overwrite artifact 'app/1/manifest.json'"
    ),
    "artifactory-401": oci_error(
        401, "UNAUTHORIZED", "Not enough permissions to delete/overwrite artifacts"
    ),
    "aliyun": oci_error(
        400, "UNKNOWN", "The requested tag already exists and cannot be overwritten."
    ),
    "azure-short": oci_error(405, "UNSUPPORTED", "The operation is disallowed."),
    "artifactory-400": in_detail({"description": "HTTP 403 Forbidden"}),
    "zot": in_detail(
        {
            "description": "During upload, manifests undergo several checks ensuring validity. If "
            "those checks fail, this error MAY be returned, unless a more specific error is "
            "included. The detail will contain information the failed validation.",
            "reason": 'changing manifest media-type from "application/vnd.oci.image.manifest.v1+'
            'json" to "application/vnd.oci.image.index.v1+json" is disallowed',
            "reference": "1",
        }
    ),
    "mirantis": oci_error(
        400, "UNKNOWN", "tag=1 cannot be overwritten because h/app is an immutable repository"
    ),
}


def refuses(world: World, answer: Answer, *steps: Step, reference: str = "*") -> None:
    world.front.set(Behaviour(rules=(Rule(match=on(*steps, reference=reference), answer=answer),)))


@pytest.mark.parametrize("answer", IMMUTABLE.values(), ids=IMMUTABLE)
def test_a_tag_that_cannot_be_moved_is_written_once_and_fails_alone(
    world: World, answer: Answer
) -> None:
    refuses(world, answer, Step.MANIFEST_PUT, reference="1")
    end = world.push("acme/app:1", "acme/app:2", "acme/app:3")
    assert end.outcomes == {
        "acme/app:1": "failed",
        "acme/app:2": "pushed",
        "acme/app:3": "pushed",
    }, end.log
    failure = end.failure("acme/app:1")
    assert failure["kind"] == "tag-refused"
    assert "packages: write" not in failure["advice"]
    assert world.count(Step.MANIFEST_PUT, reference="1") == 1


def test_a_repository_that_accepts_each_manifest_once_keeps_the_first_tag(world: World) -> None:
    """Nexus with its redeploy policy off counts the digest and the tags as one."""
    answer = oci_error(
        400, "BLOB_UPLOAD_INVALID", "Repository does not allow updating assets: docker-hosted"
    )
    tag = on(Step.MANIFEST_PUT, reference="[1-5]")
    after = Event(steps=tag.steps, reference=tag.reference, statuses=frozenset({201}))
    rule = Rule(match=tag, answer=answer, after=after)
    world.front.set(Behaviour(rules=(rule,)))
    names = [f"acme/app:{n}" for n in range(1, 6)]
    end = world.push(*names, max_parallel="1")
    assert sorted(end.outcomes.values()) == ["failed"] * 4 + ["pushed"], end.log
    for name in end.listed("failed"):
        assert end.failure(name)["kind"] == "tag-refused"
        assert "redeploy" in end.failure(name)["advice"]
        assert world.count(Step.MANIFEST_PUT, reference=name.rpartition(":")[2]) == 1


QUOTAS = {
    "harbor": oci_error(
        403,
        "DENIED",
        "adding 2.1 MiB of storage resource, which when updated to current usage of 97.9 MiB will "
        "exceed the configured upper limit of 100.0 MiB",
    ),
    "quay": oci_error(403, "DENIED", "Quota has been exceed on namespace"),
    "digitalocean": oci_error(403, "DENIED", "registry contains 1 repositories, limit is 1"),
    "ibm": oci_error(403, "DENIED", "You have exceeded your storage quota. Delete one or more"),
    "zot": oci_error(413, "TOOMANYREQUESTS", "too many requests"),
    "full": Answer(status=507),
}


@pytest.mark.parametrize("step", [Step.UPLOAD_PUT, Step.MANIFEST_PUT], ids=["blob", "tag"])
@pytest.mark.parametrize("answer", QUOTAS.values(), ids=QUOTAS)
def test_a_used_up_quota_is_tried_once(world: World, answer: Answer, step: Step) -> None:
    refuses(world, answer, step)
    end = world.push("acme/app:1", max_parallel="1")
    assert end.outcomes == {"acme/app:1": "failed"}
    failure = end.failure("acme/app:1")
    assert failure["kind"] == "quota"
    assert "quota" in failure["advice"]
    assert "packages: write" not in failure["advice"]
    assert world.count(step) == 1, end.log


def test_bytes_that_the_repository_holds_and_calls_invalid_are_sent_again(world: World) -> None:
    invalid = oci_error(400, "MANIFEST_INVALID", "manifest invalid")
    rule = Rule(match=on(Step.MANIFEST_PUT, reference="2"), answer=invalid, first=1)
    world.front.set(Behaviour(rules=(rule,)))
    end = world.push("acme/app:1", "acme/app:2")
    assert set(end.outcomes.values()) == {"pushed"}, end.log
    assert world.count(Step.MANIFEST_PUT, reference="2") == 2


def test_bytes_that_stay_invalid_fail_after_three_tries(world: World) -> None:
    refuses(world, oci_error(400, "MANIFEST_INVALID", "no"), Step.MANIFEST_PUT, reference="2")
    end = world.push("acme/app:1", "acme/app:2")
    assert end.outcomes == {"acme/app:1": "pushed", "acme/app:2": "failed"}
    assert end.failure("acme/app:2")["kind"] == "manifest-refused"
    assert world.count(Step.MANIFEST_PUT, reference="2") == 3


# --- unknown errors

TOKEN = "ghs_0123456789abcdefghijklmnopqrstuvwxyz"
STRANGE = Answer(
    status=400,
    headers={
        "Server": "kettle/1.0",
        "Content-Type": "text/plain",
        "X-GitHub-Request-Id": "1234:5678",
        "Set-Cookie": "session=verysecret",
    },
    body=f"short and stout\nfor {TOKEN} at https://s.example/b?sig=abcdef123456",
)


def test_an_unknown_failure_has_details_for_a_maintainer(world: World) -> None:
    refuses(world, STRANGE, Step.MANIFEST_PUT, reference="1")
    end = world.push("acme/app:1", "acme/app:2")
    assert end.outcomes == {"acme/app:1": "failed", "acme/app:2": "pushed"}
    failure = end.failure("acme/app:1")
    assert failure["kind"] == "unknown"
    for detail in (
        "PUT http://",
        "/v2/acme/app/manifests/1",
        "HTTP 400 Bad Request",
        "kettle/1.0",
        "1234:5678",
        "short and stout",
    ):
        assert detail in failure["details"]
    assert "For a bug report" in end.summary
    assert "kettle/1.0" in end.summary
    for secret in (TOKEN, "verysecret", "abcdef123456"):
        assert secret not in end.summary + end.log + json.dumps(end.report)


def test_an_internal_error_has_its_traceback(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    put = RegistryClient.put

    async def faulty(
        self: RegistryClient, repository: Repository, reference: str, manifest: Manifest
    ) -> None:
        if reference == "1":
            raise LookupError("no such wheel")
        await put(self, repository, reference, manifest)

    monkeypatch.setattr(RegistryClient, "put", faulty)
    end = world.push("acme/app:1", "acme/app:2")
    assert end.outcomes == {"acme/app:1": "failed", "acme/app:2": "pushed"}
    failure = end.failure("acme/app:1")
    assert failure["kind"] == "internal"
    assert failure["message"] == "LookupError: no such wheel"
    assert failure["details"].startswith("Traceback")
    assert "in faulty" in failure["details"]
    assert "For a bug report" in end.summary


@pytest.mark.parametrize(
    ("port", "method"),
    [(Platforms, "choose"), (DiskSources, "find"), (SavedImages, "__init__")],
    ids=["in the engine", "on disk", "being read"],
)
def test_an_internal_error_at_one_source_fails_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: type, method: str
) -> None:
    """Raises an error for the first of three sources."""
    faulty = iter([LookupError("no such wheel")])
    real = getattr(port, method)

    def once(*args: Any, **named: Any) -> Any:
        for error in faulty:
            raise error
        return real(*args, **named)

    monkeypatch.setattr(port, method, once)
    images = {"one": image("one"), "two": image("two")}
    with running_world(tmp_path, images=images) as world:
        archive, _ = archive_of_index("three:1", [image("three")])
        (tmp_path / "three.tar").write_bytes(archive)
        here = world.front.address
        sources = ("one", "two", f"oci-archive:{tmp_path}/three.tar")
        tags = "\n".join(f"{each} => {here}/acme/app{n}:1" for n, each in enumerate(sources))
        end = world.run({"tags": tags, "transport": "direct"})
        failed = [name for name, outcome in end.outcomes.items() if outcome == "failed"]
        assert len(failed) == 1, end.log
        assert list(end.outcomes.values()).count("pushed") == 2
        assert end.failure(failed[0])["kind"] == "internal"
        assert end.failure(failed[0])["message"] == "LookupError: no such wheel"
        assert "Traceback" in end.log


def test_known_failures_have_no_details(world: World) -> None:
    refuses(world, oci_error(403, "DENIED", "quota exceeded"), Step.MANIFEST_PUT, reference="1")
    end = world.push("acme/app:1", "acme/app:2")
    assert end.failure("acme/app:1")["details"] is None
    assert "For a bug report" not in end.summary


# --- a tag that is refused where others are not

NO_ACCESS = oci_error(403, "DENIED", "requested access to the resource is denied")
REFUSED = {
    "denied": (NO_ACCESS, "denied", 1),
    "denied and nothing more": (oci_error(403, "DENIED", "denied"), "auth-blip", 3),
    "403 alone": (Answer(status=403), "auth-blip", 3),
}


@pytest.mark.parametrize(("answer", "kind", "tries"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_the_advice_for_one_refused_tag_names_rules_for_tags(
    world: World, answer: Answer, kind: str, tries: int, *, there: bool
) -> None:
    """Both if its layers are uploaded in this run and if they are there already."""
    if there:
        world.push("acme/app:0")
    refuses(world, answer, Step.MANIFEST_PUT, reference="1")
    end = world.push(*(f"acme/app:{n}" for n in (1, 2, 3, 4)), max_parallel="1")
    assert end.outcomes == {
        "acme/app:1": "failed",
        **{f"acme/app:{n}": "pushed" for n in (2, 3, 4)},
    }, end.log
    failure = end.failure("acme/app:1")
    assert failure["kind"] == (kind if there else "auth-blip")
    assert "rule that forbids" in failure["advice"]
    assert "packages: write" not in failure["advice"]
    assert world.count(Step.MANIFEST_PUT, reference="1") == (tries if there else 3)


def test_the_advice_for_a_repository_that_refuses_every_tag_names_permissions(world: World) -> None:
    world.push("acme/app:0")
    refuses(world, NO_ACCESS, Step.MANIFEST_PUT, Step.UPLOAD_POST)
    end = world.push(*(f"acme/app:{n}" for n in range(1, 9)), max_parallel="1")
    assert set(end.outcomes.values()) == {"failed"}
    assert {end.failure(name)["kind"] for name in end.outcomes} == {"denied"}
    for name in end.outcomes:
        assert "account that may push" in end.failure(name)["advice"]
        assert world.count(Step.MANIFEST_PUT, reference=name[-1]) <= 1


def test_the_advice_for_a_repository_that_accepts_no_tag_names_permissions(world: World) -> None:
    """Although it allows an upload to start."""
    world.push("acme/app:0")
    refuses(world, NO_ACCESS, Step.MANIFEST_PUT)
    end = world.push("acme/app:1", "acme/app:2", "acme/other:1", "acme/app:3")
    assert set(end.outcomes.values()) == {"failed"}
    for name in ("acme/app:1", "acme/app:2", "acme/app:3"):
        assert "account that may push" in end.failure(name)["advice"]
        assert world.count(Step.MANIFEST_PUT, reference=name[-1], repository="acme/app") == 1


@pytest.mark.parametrize(
    "words", ["denied: requested access to the resource is denied", "denied: denied"]
)
def test_a_tag_refused_to_docker_push_fails_no_other(tmp_path: Path, words: str) -> None:
    says = Says(asked="image push *:1", status=1, err=f"{words}\n")
    with running_world(tmp_path, says=[says]) as world:
        names = ["acme/app:1", "acme/app:2", "acme/app:3"]
        end = world.push(*names, transport="engine")
        assert end.outcomes == {names[0]: "failed", names[1]: "pushed", names[2]: "pushed"}
        assert "rule that forbids" in end.failure("acme/app:1")["advice"]


def test_two_tags_refused_to_docker_push_end_the_others(tmp_path: Path) -> None:
    refused = "denied: requested access to the resource is denied\n"
    with running_world(tmp_path, says=[Says(asked="image push *", status=1, err=refused)]) as world:
        end = world.push(*(f"acme/app:{n}" for n in range(1, 9)), transport="engine")
        assert set(end.outcomes.values()) == {"failed"}
        assert world.docker is not None
        assert world.docker.count("image push") == 2


def test_a_refused_tag_fails_no_other_image_of_its_repository(tmp_path: Path) -> None:
    """The second image is read while the first one's tag is permanently refused."""
    images = {"app:1": image("one"), "app:2": image("two")}
    slow = Says(asked="image save * app:2", seconds=0.7, effect="after")
    with running_world(tmp_path, images=images, says=[slow]) as world:
        world.push("acme/app:0")
        refuses(world, NO_ACCESS, Step.MANIFEST_PUT, reference="1")
        here = f"{world.front.address}/acme/app"
        end = world.run({"tags": f"app:1 => {here}:1\napp:2 => {here}:2"})
        assert end.outcomes == {"acme/app:1": "failed", "acme/app:2": "pushed"}, end.log
        assert "rule that forbids" in end.failure("acme/app:1")["advice"]
        assert world.count(Step.MANIFEST_PUT, reference="1") == 1


def test_a_permanent_refusal_ends_the_other_images_of_the_repository_untried(
    tmp_path: Path,
) -> None:
    images = {"app:1": image("one"), "app:2": image("two")}
    slow = Says(asked="image save * app:2", seconds=0.7, effect="after")
    with running_world(tmp_path, images=images, says=[slow]) as world:
        world.push("acme/app:0")
        before = world.count(Step.UPLOAD_PUT)
        refuses(world, NO_ACCESS, Step.MANIFEST_PUT, Step.UPLOAD_POST)
        here = f"{world.front.address}/acme/app"
        end = world.run({"tags": f"app:1 => {here}:1\napp:2 => {here}:2"})
        assert set(end.outcomes.values()) == {"failed"}
        assert world.count(Step.MANIFEST_PUT, reference="2") == 0
        assert world.count(Step.UPLOAD_PUT) == before

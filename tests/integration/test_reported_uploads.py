"""Uploads that break, are cut off, or cannot be continued: sent again as often as it helps."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cases import World, image, running_world
from tests.support.front import Answer, Behaviour, Rule, Step, oci_error, on
from tests.support.layouts import one_image
from tests.support.memory import Serves
from tests.support.saved import digest_of

from ghcr_push.registry import upload

MIB = 1 << 20
LARGE = image("large", layers=1, size=9 * MIB)
POST = Step.UPLOAD_POST
RESET = Answer(connection="reset")


def cut(after: int, *, first: int | None = None) -> tuple[Rule, ...]:
    """Return rules that break every PUT and PATCH of more than so many bytes."""
    return tuple(
        Rule(
            match=on(step, larger_than=after),
            answer=RESET,
            effect="cut",
            cut_after=after,
            first=first,
        )
        for step in (Step.UPLOAD_PUT, Step.UPLOAD_PATCH)
    )


@pytest.fixture
def large(tmp_path: Path) -> Iterator[World]:
    """Yield a world whose image has a layer of 9 MiB."""
    with running_world(tmp_path, images={"app:1": LARGE}) as world:
        yield world


def wholes(world: World) -> int:
    """Return how often an upload of the whole layer began."""
    return sum(entry.size > 8 * MIB for entry in world.requests(Step.UPLOAD_PUT))


TOO_MUCH = "The request body is too large and exceeds the maximum permissible limit of 4.00MiB"


@pytest.mark.parametrize(
    "answer",
    [
        oci_error(416, "REQUESTED_RANGE_NOT_SATISFIABLE", TOO_MUCH),
        Answer(status=413),
        Answer(status=416),
        oci_error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"),
        oci_error(404, "BLOB_UPLOAD_INVALID", "blob upload invalid"),
        oci_error(400, "BLOB_UPLOAD_INVALID", "blob upload invalid"),
        Answer(status=405),
        Answer(status=501),
    ],
    ids=["ghcr", "413", "416", "unknown", "invalid-404", "invalid-400", "405", "501"],
)
def test_after_a_refused_continuation_the_blob_is_sent_from_its_beginning(
    large: World, answer: Answer
) -> None:
    rest = Rule(match=on(Step.UPLOAD_PATCH), answer=answer)
    large.front.set(Behaviour(rules=(*cut(5 * MIB, first=1), rest)))
    end = large.push("acme/app:1")
    assert end.outcomes == {"acme/app:1": "pushed"}, end.log
    assert "too-large" not in end.log
    assert (wholes(large), large.count(Step.UPLOAD_PATCH)) == (2, 1)
    assert large.registry.lacking("acme/app:1") == []


def test_a_layer_that_the_registry_always_refuses_is_one_failure(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Push a layout with a layer of a byte over 10 GB, which is not read."""
    monkeypatch.setattr(upload, "LARGEST", {world.front.address: upload.LARGEST["ghcr.io"]})
    made, _ = one_image()
    layout = made.written(tmp_path / "layout")
    [manifest] = (path for path in layout.rglob("blobs/*/*") if b'"layers"' in path.read_bytes())
    document = json.loads(manifest.read_bytes())
    document["layers"][0]["size"] = size = upload.LARGEST[world.front.address] + 1
    layer = document["layers"][0]["digest"]
    os.truncate(layout / "blobs" / "sha256" / layer[7:], size)
    index = json.loads((layout / "index.json").read_bytes())
    raw = json.dumps(document).encode()
    index["manifests"][0] |= {"digest": digest_of(raw), "size": len(raw)}
    (layout / "blobs" / "sha256" / digest_of(raw)[7:]).write_bytes(raw)
    (layout / "index.json").write_text(json.dumps(index))
    end = world.push("acme/app:1", "acme/app:2", source=f"oci-layout:{layout}")
    assert set(end.outcomes.values()) == {"failed"}
    failure = end.failure("acme/app:2")
    assert (failure["kind"], failure["retryable"]) == ("too-large", False)
    assert f"{layer} has {size:,} bytes" in failure["message"]
    assert str(layout) in end.report["targets"][0]["source"]
    assert world.count(Step.MANIFEST_PUT) == 0
    assert all(entry.size < MIB for entry in world.requests(Step.UPLOAD_PUT))


@pytest.mark.parametrize("status", [404, 410, 416])
def test_an_upload_that_the_registry_has_forgotten_is_begun_anew(large: World, status: int) -> None:
    forgotten = Rule(match=on(Step.UPLOAD_GET), answer=Answer(status=status))
    large.front.set(Behaviour(rules=(*cut(5 * MIB, first=1), forgotten)))
    end = large.push("acme/app:1")
    assert end.outcomes == {"acme/app:1": "pushed"}, end.log
    assert wholes(large) == 2


@pytest.mark.parametrize("resumes", [True, False], ids=["resumes", "forgets"])
def test_a_blob_whose_uploads_are_cut_off_repeatedly_is_sent_in_pieces(
    tmp_path: Path, resumes: bool
) -> None:
    serves = Serves(resumes=resumes)
    with running_world(tmp_path, images={"app:1": LARGE}, serves=serves) as world:
        world.front.set(Behaviour(rules=cut(4 * MIB + 1)))
        end = world.push("acme/app:1", max_attempts="4")
        assert end.outcomes == {"acme/app:1": "pushed"}, end.log
        assert world.registry.lacking("acme/app:1") == []
        assert max(entry.size for entry in world.requests(Step.UPLOAD_PATCH)) >= 4 * MIB
        assert wholes(world) <= 2


def test_a_blob_whose_uploads_are_cut_off_for_good_fails_within_its_attempts(
    tmp_path: Path,
) -> None:
    serves = Serves(resumes=False)
    with running_world(tmp_path, images={"app:1": LARGE}, serves=serves) as world:
        pieces = Rule(match=on(Step.UPLOAD_PATCH), answer=Answer(status=405))
        world.front.set(Behaviour(rules=(*cut(5 * MIB), pieces)))
        end = world.push("acme/app:1", "acme/app:2", max_attempts="4", max_parallel="1")
        assert set(end.outcomes.values()) == {"failed"}, end.log
        assert wholes(world) <= 4, end.log
        failure = end.failure("acme/app:1")
    assert failure["kind"] == "cut-off"
    assert "proxy" in failure["advice"]
    assert "at byte " in failure["message"]
    assert " s, at byte" in failure["message"]
    assert failure["message"].endswith("time")


def mounts(world: World) -> list[tuple[str, str]]:
    """Return the origin and the repository of each requested mount."""
    asked = ((entry, re.search("from=([^&]+)", entry.path)) for entry in world.requests(POST))
    return [(found[1], entry.repository) for entry, found in asked if found]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 500, 501, 502, 503, 504])
def test_a_mount_is_refused_once_and_then_blobs_are_sent(tmp_path: Path, status: int) -> None:
    images = {"app:1": image(layers=6)}
    with running_world(tmp_path, images=images) as world:
        refused = Rule(
            match=on(Step.UPLOAD_POST, reference="sha256:*"), answer=Answer(status=status)
        )
        world.front.set(Behaviour(rules=(refused,)))
        names = ("acme/app:1", "acme/other:1", "acme/third:1")
        end = world.push(*names, max_parallel="1")
        assert set(end.outcomes.values()) == {"pushed"}, end.log
        asked = mounts(world)
        assert asked
        assert len(set(asked)) == len(asked)
        if status in (
            401,
            403,
        ):  # an account that may not read an origin may not do so for any repository
            origins = [origin for origin, _ in asked]
            assert len(set(origins)) == len(origins)
        assert end.report["limit_changes"] == []
        assert "retried" not in end.log
        for name in names:
            assert world.registry.lacking(name) == []

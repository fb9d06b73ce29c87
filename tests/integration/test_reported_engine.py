"""Public reports about engines and their images (docs/reported.md, second section)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.cases import World, image, running_world
from tests.support.docker import Says
from tests.support.loadable import Loadable
from tests.support.saved import digest_of, tar

import ghcr_push.pushing.engine_first

LARGE = 3000
"""Bytes from which an image is a large one in these tests."""

SIZES = {"small": LARGE // 10, "large": LARGE}


@pytest.fixture(autouse=True)
def _large_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ghcr_push.pushing.engine_first, "QUICKER_FROM", LARGE)


@contextmanager
def containerd(folder: Path, size: str, says: Sequence[Says] = ()) -> Iterator[World]:
    """Run a world whose engine has a containerd store with `app:1` of that size."""
    app = image(layers=1, size=SIZES[size])
    with running_world(folder, images={"app:1": app}, store="containerd", says=says) as world:
        yield world


def calls(world: World, words: str) -> int:
    assert world.docker is not None
    return world.docker.count(words)


# -- docker push first, and it fails permanently -----------------------------------------------

FOR_GOOD = {
    "plain http": 'Get "https://192.0.2.7/v2/": http: server gave HTTP response to HTTPS client',
    "private CA": 'Get "https://registry.test/v2/": tls: failed to verify certificate: x509: '
    "certificate signed by unknown authority",
    "one platform of two": "missing content: content digest sha256:" + "0" * 64 + ": not found\n"
    "Note: You're trying to push a manifest list/index which references multiple platform "
    "specific manifests, but not all of them are available locally",
    "no host": 'Get "https://registry.test/v2/": dial tcp: lookup registry.test: no such host',
    "credentials": "unauthorized: authentication required",
    "denied": "denied: requested access to the resource is denied",
    "no words": "",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("words", FOR_GOOD)
def test_after_a_permanent_failure_of_docker_push_we_upload(
    tmp_path: Path, size: str, words: str
) -> None:
    says = [Says(asked="image push *", status=1, err=FOR_GOOD[words])]
    with containerd(tmp_path, size, says) as world:
        end = world.push("acme/app:1", "acme/app:2")
        assert end.outcomes == dict.fromkeys(["acme/app:1", "acme/app:2"], "pushed"), end.log
        assert world.registry.lacking("acme/app:1") == []
        assert calls(world, "image push") == (size == "large")


# -- an engine's errors about its own images ----------------------------------------------------

GONE = f"sha256:{'0' * 64}"

DAEMON = "Error response from daemon:"
INCOMPLETE = (
    f"{DAEMON} unable to create manifests file: NotFound: content digest {GONE}: not found\n",
    f"{DAEMON} content digest {GONE}: not found\n",
    "image with reference ghcr.io/o/i:t was found but does not provide any platform\n",
    f"{DAEMON} no suitable export target found: not found\n",
)
DAMAGED = (
    f'{DAEMON} file integrity checksum failed for "etc/default/cacerts"\n',
    f"{DAEMON} layer does not exist\n",
    f"{DAEMON} open /var/lib/docker/overlay2/layerdb/sha256/01/x: no such file or directory\n",
)
TOO_OLD = "client version 1.20 is too old. Minimum supported API version is 1.24, please upgrade"
OTHER_VERSIONS = (
    f'{DAEMON} {{"message":"{TOO_OLD}"}}\n',
    f"{DAEMON} {TOO_OLD}\n",
    f"{DAEMON} client version 1.99 is too new. Maximum supported API version is 1.45\n",
)


@pytest.mark.parametrize(
    ("words", "kind", "cause", "advice"),
    [
        *((each, "content-missing", "input", "docker pull --platform") for each in INCOMPLETE),
        *((each, "image-damaged", "engine", "build or pull it again") for each in DAMAGED),
        *((each, "engine-refused", "engine", "DOCKER_API_VERSION") for each in OTHER_VERSIONS),
    ],
)
def test_an_image_that_the_engine_cannot_export_is_requested_once(
    tmp_path: Path, words: str, kind: str, cause: str, advice: str
) -> None:
    says = [Says(asked="image save *", status=1, err=words)]
    with running_world(tmp_path, says=says) as world:
        end = world.push("acme/app:1", "acme/app:2", transport="direct")
        assert set(end.outcomes.values()) == {"failed"}
        assert end.failure("acme/app:1")["kind"] == kind
        assert advice in end.failure("acme/app:1")["advice"]
        assert '{"message"' not in end.failure("acme/app:1")["message"]
        assert end.outputs["cause"] == cause
        assert calls(world, "image save") == 1


@pytest.mark.parametrize("words", OTHER_VERSIONS)
def test_an_unsupported_engine_version_is_reported_before_any_request(
    tmp_path: Path, words: str
) -> None:
    says = [Says(asked="*", status=1, err=words)]
    with running_world(tmp_path, says=says) as world:
        end = world.push("acme/app:1")
        failure = end.failure("acme/app:1")
        assert (failure["kind"], end.outputs["cause"]) == ("engine-refused", "engine")
        assert "DOCKER_API_VERSION" in failure["advice"]
        assert failure["message"].startswith("client version 1.")


@pytest.mark.parametrize("words", ["flux capacitor out of alignment\n", "unexpected EOF\n", ""])
def test_an_unknown_engine_error_is_never_attributed_to_the_registry(
    tmp_path: Path, words: str
) -> None:
    says = [Says(asked="image save *", status=1, err=words)]
    with running_world(tmp_path, says=says) as world:
        end = world.push("acme/app:1", transport="direct")
        assert end.failure("acme/app:1")["kind"] == "engine-error"
        assert end.outputs["cause"] == "engine"
        assert calls(world, "image save") == 4
        assert not any(each["reason"] for each in end.report["limit_changes"])


# -- an engine that restarts --------------------------------------------------------------------

NO_ENGINE = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon "
    "running?\n"
)


@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_an_engine_that_restarts_is_asked_again(tmp_path: Path, transport: str) -> None:
    asked = {"direct": "image save *", "engine": "image push *"}[transport]
    says = [Says(asked=asked, status=1, err=NO_ENGINE, first=4)]
    with running_world(tmp_path, says=says) as world:
        end = world.push("acme/app:1", "acme/app:2", transport=transport)
        assert set(end.outcomes.values()) == {"pushed"}, end.log
        assert calls(world, asked[:10]) == 5


def test_an_engine_that_does_not_return_is_reported_as_lost(tmp_path: Path) -> None:
    says = [Says(asked="image save *", status=1, err=NO_ENGINE)]
    with running_world(tmp_path, says=says) as world:
        end = world.push("acme/app:1", transport="direct", max_attempts="3")
        assert end.failure("acme/app:1")["kind"] == "engine-restarting"
        assert end.outputs["cause"] == "engine"
        assert calls(world, "image save") == 3


def test_an_engine_that_never_answered_is_not_waited_for(tmp_path: Path) -> None:
    says = [Says(asked="*", status=1, err=NO_ENGINE)]
    with running_world(tmp_path, says=says) as world:
        end = world.push("acme/app:1")
        assert end.failure("acme/app:1")["kind"] == "engine-unreachable"
        assert calls(world, "image inspect") == 1


# -- the docker command -------------------------------------------------------------------------


def test_a_docker_command_without_permission_to_run_is_reported(world: World) -> None:
    assert world.docker is not None
    (world.docker.calls_file.parent / "docker").chmod(0o644)
    end = world.run(
        {"tags": f"{world.front.address}/acme/app:1", "source": "app:1"},
        {"PATH": str(world.docker.calls_file.parent)},
    )
    failure = end.failure("acme/app:1")
    assert (failure["kind"], end.outputs["cause"]) == ("engine-unreachable", "engine")
    assert "Traceback" not in end.log


@pytest.mark.parametrize(
    "printed", ["null", "17", '"x"', "[1]", '{"Id": 1, "RootFS": {"Layers": 3}}']
)
def test_json_of_another_shape_fails_the_targets_of_that_image_alone(
    tmp_path: Path, printed: str
) -> None:
    says = [Says(asked="image inspect *", out=printed.encode() + b"\n", first=1)]
    with running_world(tmp_path, says=says) as world:
        end = world.push("acme/app:1")
        assert end.failure("acme/app:1")["kind"] == "engine-error"
        assert "Traceback" not in end.log


@pytest.mark.parametrize("transport", ["direct", "engine"])
def test_content_trust_signs_nothing_and_fails_nothing(tmp_path: Path, transport: str) -> None:
    """The fake command reports the variable, which would make docker sign, and fail."""
    with running_world(tmp_path) as world:
        assert world.docker is not None
        command = world.docker.calls_file.parent / "docker"
        text = command.read_text()
        trusting = "import os, sys\nif 'DOCKER_CONTENT_TRUST' in os.environ: sys.exit('x509: no')\n"
        first, rest = text.split("\n", 1)
        command.write_text(f"{first}\n{trusting}{rest}")
        inputs = {"tags": f"{world.front.address}/acme/app:1", "source": "app:1"}
        end = world.run({**inputs, "transport": transport}, {"DOCKER_CONTENT_TRUST": "1"})
        assert end.outcomes == {"acme/app:1": "pushed"}, end.log
        [notice] = [each for each in end.report["notices"] if "DOCKER_CONTENT_TRUST" in each]
        assert "images" in notice


# -- Podman behind DOCKER_HOST ------------------------------------------------------------------


def as_podman_saves(app: Loadable) -> bytes:
    layers = dict(zip(app.diff_ids, app.layers, strict=True))
    files: dict[str, bytes | None] = {f"{name[7:]}.tar": raw for name, raw in layers.items()}
    links = {f"{name[8:]}0/layer.tar": f"../{name[7:]}.tar" for name in layers}
    files |= {f"{digest_of(app.config)[7:]}.json": app.config, "manifest.json": b"[]"}
    return tar(files, links=links)


@pytest.mark.parametrize("transport", ["direct", "auto", "engine"])
def test_images_saved_by_podman_land(tmp_path: Path, transport: str) -> None:
    app = image()
    says = [Says(asked="image save *", out=as_podman_saves(app))]
    with running_world(tmp_path, images={"app:1": app}, says=says) as world:
        end = world.push("acme/app:1", "acme/app:2", transport=transport)
        assert set(end.outcomes.values()) == {"pushed"}, end.log
        assert world.registry.lacking("acme/app:1") == []


def test_an_image_that_podman_lacks_is_missing(tmp_path: Path) -> None:
    words = (
        "Error response from daemon: failed to find image app:2: docker.io/library/app:2: No such "
        "image\n"
    )
    says = [Says(asked="image inspect *app:2", status=1, err=words)]
    with running_world(tmp_path, says=says) as world:
        end = world.push("acme/app:1", source="app:2")
        assert end.failure("acme/app:1")["kind"] == "image-missing"


# -- layers that the engine lacks, and may mount --------------------------------------------------

LACKS = f"{DAEMON} unable to create manifests file: NotFound: content digest {GONE}: not found\n"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pushes", [True, False])
def test_layers_that_the_engine_lacks_docker_push_may_mount(
    tmp_path: Path, size: str, pushes: bool
) -> None:
    says = [Says(asked="image save *", status=1, err=LACKS)]
    if not pushes:
        says.append(Says(asked="image push *", status=1, err=f"content digest {GONE}: not found\n"))
    with containerd(tmp_path, size, says) as world:
        end = world.push("acme/app:1", "acme/app:2")
        assert set(end.outcomes.values()) == {"pushed" if pushes else "failed"}, end.log
        assert calls(world, "image push") == 1
        assert calls(world, "image save") == (0 if pushes and size == "large" else 1)
        if not pushes:
            assert end.failure("acme/app:2")["kind"] == "content-missing"
            assert "pull the image again" in end.failure("acme/app:2")["advice"]


def test_docker_push_is_skipped_if_the_engine_reports_no_platforms(tmp_path: Path) -> None:
    """Engine 27 may push one platform of several, and does not say what it lacks."""
    says = [Says(asked="image save *", status=1, err=LACKS)]
    with running_world(tmp_path, says=says) as world:
        end = world.push("acme/app:1")
        assert end.failure("acme/app:1")["kind"] == "content-missing"
        assert calls(world, "image push") == 0

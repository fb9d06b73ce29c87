"""Images saved by real engines of every release and store, uploaded and pulled again."""

import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from io import FileIO
from secrets import token_hex
from select import select
from typing import Any, cast

import anyio
import httpx2
import pytest
from tests.support.engines import SCRIPTS, Engine, running_engine
from tests.support.registry import Registry
from tests.support.uploading import Uploaded, inspected, reading, save, upload_image

from ghcr_push.engine.output import output_of
from ghcr_push.failures import PushError, classify
from ghcr_push.model import Image, Kind
from ghcr_push.references import Repository, TagReference
from ghcr_push.registry.client import RegistryClient
from ghcr_push.sources.saved import SavedImages
from ghcr_push.sources.spool import Spool

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

ENGINES = (
    ("bookworm", "classic"),
    ("trixie", "classic"),
    ("trixie", "containerd"),
    ("sid", "classic"),
    ("sid", "containerd"),
)
DOCKERFILE = """\
FROM scratch
COPY random /random
COPY text /text
COPY random /random
COPY small /small
LABEL who="{who}"
"""


@pytest.fixture(scope="module", params=ENGINES, ids="-".join)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    release, store = request.param
    with running_engine(f"sv-{token_hex(3)}", release=release, store=store) as engine:
        yield engine


@pytest.fixture(scope="module")
def image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the name of an image with a repeated layer and with one of several chunks."""
    build(engine, "saved:1", tmp_path_factory.mktemp("context"))
    return "saved:1"


def build(engine: Engine, name: str, folder: Any, *options: str) -> None:
    (folder / "random").write_bytes(hashlib.shake_256(b"seed").digest(3_000_000))
    (folder / "text").write_text("".join(f"line {number}\n" for number in range(300_000)))
    (folder / "small").write_text("small")
    (folder / "Dockerfile").write_text(DOCKERFILE.format(who=name))
    engine.docker("build", *options, "--tag", name, str(folder))


def target(registry: Registry, name: str = "uploaded") -> TagReference:
    return TagReference(Repository(registry.address, f"{name}/{token_hex(4)}"), "v1")


async def uploaded(
    engine: Engine, image: str, to: TagReference, platform: str | None = None
) -> Uploaded:
    wanted = inspected(engine, image)
    async with RegistryClient({}) as client:
        return await upload_image(engine, image, to, client, image=wanted, platform=platform)


def manifest_of(to: TagReference) -> Any:
    accept = {
        "Accept": "application/vnd.docker.distribution.manifest.v2+json, "
        "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
    }
    url = f"http://{to.repository.registry}/v2/{to.repository.name}/manifests/{to.tag}"
    return httpx2.get(url, headers=accept).raise_for_status()


async def test_an_uploaded_image_is_pulled_as_the_same_image(
    engine: Engine, image: str, registry: Registry
) -> None:
    to = target(registry)
    await uploaded(engine, image, to)
    before = json.loads(engine.docker("image", "inspect", image))[0]
    engine.docker("pull", str(to))
    after = json.loads(engine.docker("image", "inspect", str(to)))[0]
    assert (after["Id"], after["RootFS"]) == (before["Id"], before["RootFS"])


async def test_the_manifest_is_what_docker_push_makes(
    engine: Engine, image: str, registry: Registry
) -> None:
    ours, theirs = target(registry), target(registry, "docker")
    await uploaded(engine, image, ours)
    engine.docker("tag", image, str(theirs))
    engine.docker("push", str(theirs))
    mine, docker = manifest_of(ours), manifest_of(theirs)
    assert mine.headers["Content-Type"] == docker.headers["Content-Type"]
    if inspected(engine, image).digest is not None:
        assert mine.content == docker.content
        return
    assert mine.json()["config"] == docker.json()["config"]
    assert shape(mine) == shape(docker)


def shape(answer: Any) -> str:
    """Return a manifest's text without the digests and sizes of its layers."""
    text = str(answer.text)
    for layer in answer.json()["layers"]:
        text = text.replace(layer["digest"], "DIGEST").replace(f": {layer['size']},", ": SIZE,")
    return text


async def test_every_layer_unpacks_to_its_diff_id(
    engine: Engine, image: str, registry: Registry
) -> None:
    wanted = inspected(engine, image)
    if wanted.digest is not None:
        pytest.skip("the containerd store's layers are its own")
    sent = (await uploaded(engine, image, to := target(registry))).image
    layers = json.loads(sent.manifests[-1].raw)["layers"]
    for diff_id, layer in zip(wanted.diff_ids, layers, strict=True):
        url = f"http://{registry.address}/v2/{to.repository.name}/blobs/{layer['digest']}"
        raw = zlib.decompress(httpx2.get(url).content, 31)
        assert diff_id == f"sha256:{hashlib.sha256(raw).hexdigest()}"


async def test_a_second_time_sends_no_blob(engine: Engine, image: str, registry: Registry) -> None:
    to = target(registry)
    first = await uploaded(engine, image, to)
    again = await uploaded(engine, image, to)
    assert (first.blobs > 0, again.blobs) == (True, 0)
    assert first.image == again.image


async def test_an_image_is_saved_by_its_id_too(
    engine: Engine, image: str, registry: Registry
) -> None:
    identifier = json.loads(engine.docker("image", "inspect", image))[0]["Id"]
    by_name = await uploaded(engine, image, target(registry))
    assert (await uploaded(engine, identifier, target(registry))).image == by_name.image


async def test_the_engines_text_about_a_missing_image_is_quoted(engine: Engine) -> None:
    nothing = Image(id=f"sha256:{'0' * 64}", layers=0)
    _, words = await failure(engine, "no-such-image:1", nothing)
    assert re.search("No such image: no-such-image:1|reference does not exist", words)


async def failure(engine: Engine, name: str, wanted: Image) -> tuple[Kind, str]:
    with pytest.raises(PushError) as raised:
        await read_completely(engine, name, wanted)
    return classify(raised.value.evidence).kind, str(raised.value)


async def read_completely(engine: Engine, name: str, wanted: Image) -> None:
    async with (
        output_of(save(name), engine.environ) as output,
        reading(output, wanted, Spool()) as saved,
    ):
        await drained(saved)


async def drained(saved: SavedImages) -> None:
    async for blob in saved:
        blob.release()


async def test_a_save_that_is_killed_is_a_failure_and_leaves_nothing(
    engine: Engine, image: str
) -> None:
    spool, wanted = Spool(), inspected(engine, image)
    async with (
        output_of(save(image), engine.environ) as output,
        reading(output, wanted, spool) as saved,
    ):
        # the pipe holds less than the image has
        select([cast("FileIO", output.reader)], [], [])
        output._process.kill()
        with pytest.raises(PushError, match="incomplete"):
            await drained(saved)
    assert spool.room.used == 0


async def test_cancelling_leaves_no_process_behind(engine: Engine, image: str) -> None:
    wanted = inspected(engine, image)
    with anyio.CancelScope() as scope:
        async with (
            output_of(save(image), engine.environ) as output,
            reading(output, wanted, Spool()) as saved,
        ):
            async for blob in saved:
                blob.release()
                scope.cancel()
    assert scope.cancelled_caught
    assert output._process.returncode is not None


async def test_an_engine_that_dies_is_a_failure_worth_another_try(tmp_path: Any) -> None:
    name = f"sv-{token_hex(3)}"
    with running_engine(name) as engine:
        build(engine, "dying:1", tmp_path)
        wanted = inspected(engine, "dying:1")
        await anyio.run_process([str(SCRIPTS / "engine-down"), name])
        kind, _ = await failure(engine, "dying:1", wanted)
    assert kind in {Kind.ENGINE_UNREACHABLE, Kind.ENGINE_ERROR}


@pytest.fixture(scope="module")
def pulled(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield an engine that pulled only its own platform of an image of two."""
    to = target(registry, "platforms")
    with running_engine(f"sv-{token_hex(3)}", release="trixie", store="containerd") as builder:
        folder = tmp_path_factory.mktemp("platforms")
        build(builder, str(to), folder, "--platform", "linux/amd64,linux/arm64")
        builder.docker("push", str(to))
    with running_engine(f"sv-{token_hex(3)}", release="sid", store="containerd") as engine:
        engine.docker("pull", str(to))
        yield engine, str(to)


async def test_the_only_pulled_platform_is_uploaded(pulled: Any, registry: Registry) -> None:
    engine, name = pulled
    sent = (await uploaded(engine, name, target(registry))).image
    assert "only linux/amd64 is in the engine" in (sent.notice or "")
    assert len(sent.manifests) == 1


async def test_a_platform_that_was_not_pulled_is_reported_as_missing(
    pulled: Any, registry: Registry
) -> None:
    engine, name = pulled
    with pytest.raises(PushError, match="linux/arm64") as raised:
        await uploaded(engine, name, target(registry), "linux/arm64")
    assert classify(raised.value.evidence).kind is Kind.CONTENT_MISSING

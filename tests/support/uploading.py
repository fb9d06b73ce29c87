"""Uploads an image from an engine to a repository, with a fixed number of uploads and one attempt.

All the parts of the direct transport without its queue: for tests of those parts and to measure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from ghcr_push.engine.output import CommandOutput, output_of
from ghcr_push.model import BlobOutcome, Image
from ghcr_push.pushing.ports import Blob
from ghcr_push.references import Digest, Repository, TagReference
from ghcr_push.registry.client import RegistryClient
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.saved import SavedImages
from ghcr_push.sources.spool import Spool
from tests.support.engines import Engine
from tests.support.saved import reading_of_classic, reading_of_stored, released


@dataclass(slots=True, kw_only=True)
class Uploaded:
    """The result of one upload; blobs and bytes are those that were sent."""

    image: SavedImage
    blobs: int
    sent: int
    highest_spool: int


def inspected(engine: Engine, name: str) -> Image:
    """Return what is known of a local image, by the store that the engine has."""
    image = json.loads(engine.docker("image", "inspect", name))[0]
    if "containerd" in engine.docker("info", "--format", "{{json .DriverStatus}}"):
        return Image(id=image["Id"], layers=0, digest=Digest(image["Id"]))
    diff_ids = tuple(image["RootFS"].get("Layers") or ())
    return Image(id=image["Id"], layers=len(diff_ids), diff_ids=diff_ids)


def reading(
    output: CommandOutput,
    image: Image,
    spool: Spool,
    platform: str | None = None,
) -> SavedImages:
    """Return the reader of one saved image."""
    reader, complaint = output.reader, output.complaint
    if image.digest is None:
        return reading_of_classic(reader, image, spool, complaint=complaint)
    wanted = [image.digest]
    return reading_of_stored(reader, wanted, spool, complaint=complaint, platform=platform)


def save(name: str) -> Sequence[str]:
    """Return the command that saves an image."""
    return ["docker", "image", "save", "--", name]


async def upload_image(
    engine: Engine,
    name: str,
    target: TagReference,
    client: RegistryClient,
    *,
    image: Image,
    platform: str | None = None,
    parallel: int = 4,
    spool: Spool | None = None,
) -> Uploaded:
    """Send image and tag, at most ``parallel`` writes at once."""
    space, slots = spool or Spool(), anyio.CapacityLimiter(parallel)
    outcomes: list[tuple[BlobOutcome, int]] = []

    async def send(blob: Blob) -> None:
        with released(blob):
            outcomes.append(await _sent(client, target.repository, blob, slots))

    async with (
        output_of(save(name), engine.environ) as output,
        reading(output, image, space, platform) as saved,
    ):
        try:
            async with anyio.create_task_group() as tasks:
                async for blob in saved:
                    tasks.start_soon(send, blob)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        manifests = saved.image
    await _write(client, target, manifests)
    sent = [size for landed, size in outcomes if landed is BlobOutcome.SENT]
    return Uploaded(
        image=manifests, blobs=len(sent), sent=sum(sent), highest_spool=space.room.highest
    )


async def _sent(
    client: RegistryClient,
    repository: Repository,
    blob: Blob,
    slots: anyio.CapacityLimiter,
) -> tuple[BlobOutcome, int]:
    if await client.has_blob(repository, blob.digest):
        return BlobOutcome.FOUND, 0
    upload = client.upload(repository, blob)
    async with slots:
        return await upload.attempt(), blob.size


async def _write(client: RegistryClient, target: TagReference, image: SavedImage) -> None:
    *children, top = image.manifests
    for child in children:
        await client.put(target.repository, child.digest, child)
    await client.put(target.repository, target.tag, top)

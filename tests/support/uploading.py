"""An image from an engine into a repository, with a fixed number of uploads at once, tried once.

All the parts of the direct transport without its queue: for tests of those parts and to measure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from ghcr_push.engine.output import CommandOutput, output_of
from ghcr_push.model import BlobOutcome
from ghcr_push.references import Digest, Repository, TagReference
from ghcr_push.registry.client import RegistryClient
from ghcr_push.sources.images import ClassicImage, SavedImage, StoredImage
from ghcr_push.sources.saved import SavedImages
from ghcr_push.sources.spool import Spool, SpooledBlob
from tests.support.engines import Engine


@dataclass(slots=True, kw_only=True)
class Carried:
    """What one carrying did; blobs and bytes are those that were sent."""

    image: SavedImage
    blobs: int
    sent: int
    highest_spool: int


def inspected(engine: Engine, name: str, platform: str | None = None) -> ClassicImage | StoredImage:
    """Return what is wanted of a local image, by the store that the engine has."""
    image = json.loads(engine.docker("image", "inspect", name))[0]
    if "containerd" in engine.docker("info", "--format", "{{json .DriverStatus}}"):
        return StoredImage(digest=Digest(image["Id"]), platform=platform)
    return ClassicImage(id=Digest(image["Id"]), diff_ids=tuple(image["RootFS"].get("Layers") or ()))


def reading(
    output: CommandOutput,
    image: ClassicImage | StoredImage,
    spool: Spool,
) -> SavedImages:
    """Return the reader of one saved image."""
    if isinstance(image, StoredImage):
        return SavedImages.stored(output.reader, [image], spool=spool, complaint=output.complaint)
    return SavedImages.classic(output.reader, image, spool=spool, complaint=output.complaint)


def save(name: str) -> Sequence[str]:
    """Return the command that saves an image."""
    return ["docker", "image", "save", "--", name]


async def carry(
    engine: Engine,
    name: str,
    target: TagReference,
    client: RegistryClient,
    *,
    image: ClassicImage | StoredImage,
    parallel: int = 4,
    spool: Spool | None = None,
) -> Carried:
    """Send image and tag, at most ``parallel`` writes at once."""
    space, slots = spool or Spool(), anyio.CapacityLimiter(parallel)
    carried: list[tuple[BlobOutcome, int]] = []

    async def send(blob: SpooledBlob) -> None:
        with blob:
            carried.append(await _sent(client, target.repository, blob, slots))

    async with (
        output_of(save(name), engine.environ) as output,
        reading(output, image, space) as saved,
    ):
        try:
            async with anyio.create_task_group() as tasks:
                async for blob in saved:
                    tasks.start_soon(send, blob)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        whole = saved.image
    await _write(client, target, whole)
    sent = [size for landed, size in carried if landed is BlobOutcome.SENT]
    return Carried(image=whole, blobs=len(sent), sent=sum(sent), highest_spool=space.highest)


async def _sent(
    client: RegistryClient,
    repository: Repository,
    blob: SpooledBlob,
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

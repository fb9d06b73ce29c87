"""What to push of an engine's image, known before it is read: one platform, layers compressed.

Engines from 28 on (API 1.48) list the platforms that a containerd store has of an image, and can
save a single one. From older engines the image is read twice: first its manifests, then the blobs
of one of them. An image whose layers are to be compressed is also read twice.
"""

import re
from collections.abc import Callable, Container, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Final

from ghcr_push.documents import Document
from ghcr_push.engine.api import EngineApi
from ghcr_push.engine.command import DockerCommand
from ghcr_push.model import Descriptor, Image, Kind, Source
from ghcr_push.references import Digest
from ghcr_push.sources.content import image_of
from ghcr_push.sources.graph import ENGINES_IMAGE, Child, platform_of, the_one
from ghcr_push.sources.images import SavedImage, incomplete
from ghcr_push.sources.plain import image_compressing, plain_layers
from ghcr_push.sources.saved import SavedImages

_SAVES_ONE: Final = (1, 48)
"""The first API with which engine and docker command save a single platform (Docker 28.0)."""


@dataclass(frozen=True, slots=True)
class Selection:
    """How to get a part of an image from the engine: by options, or by skipping blobs."""

    options: tuple[str, ...] = ()
    only: Container[Digest] | None = None
    platform: str | None = None
    """Selects one platform of what is saved."""
    plain: Mapping[Digest, Descriptor] = field(default_factory=dict)
    """Layers to compress."""
    wanted: Digest | None = None
    """What to read if the digest of the image will change."""


EVERYTHING: Final = Selection()

Save = Callable[[Source, Image, Selection], AbstractAsyncContextManager[SavedImages]]


class Platforms:
    """Selects ``platform`` of each image; ``save`` reads an image from the engine.

    ``compress``: compress uncompressed layers.
    """

    def __init__(
        self,
        platform: str | None,
        api: EngineApi,
        command: DockerCommand,
        save: Save,
        *,
        compress: bool,
    ) -> None:
        self._platform = platform
        self._compress = compress
        self._api = api
        self._command = command
        self._save = save
        self._saves_one: bool | None = None

    async def choose(self, source: Source, image: Image) -> tuple[Image, Selection]:
        """Return what to push of ``image``; the ``PushError`` lists the available platforms."""
        chosen = image, EVERYTHING
        if self._platform is not None:
            chosen = await self._choose(source, image, self._platform)
        return await self._compressing(source, *chosen) if self._compress else chosen

    async def _compressing(
        self, source: Source, image: Image, selection: Selection
    ) -> tuple[Image, Selection]:
        """Compress uncompressed layers if there are any; this changes the image's digest."""
        if image.digest is None:  # the classic store has no compressed layers
            return image, selection
        saved = await self._manifests(source, image, selection)
        plain = plain_layers(saved)
        if not plain:
            return image, selection
        changed = replace(selection, only=saved.digests, plain=plain, wanted=image.digest)
        return image_compressing(saved, plain), changed

    async def _choose(self, source: Source, image: Image, platform: str) -> tuple[Image, Selection]:
        if image.digest is None:
            the_one([Child(Digest(image.id), image.platform)], platform, ENGINES_IMAGE)
            return image, EVERYTHING
        listed = await self._api.manifests(image.id) if await self._knows_platforms() else []
        if listed:
            chosen = _choice(listed, platform)
        else:
            saved = await self._manifests(source, image, Selection(platform=platform))
            chosen = image_of(saved), Selection(only=saved.digests)
        return (image, EVERYTHING) if chosen[0].digest == image.digest else chosen

    async def _knows_platforms(self) -> bool:
        """Get, once per run, the API version that engine and docker command agree on."""
        if self._saves_one is None:
            _, version, _ = await self._command.run("version", "--format", "{{.Client.APIVersion}}")
            found = re.match(r"(\d+)\.(\d+)", version)
            self._saves_one = found is not None and (int(found[1]), int(found[2])) >= _SAVES_ONE
        return self._saves_one

    async def _manifests(self, source: Source, image: Image, part: Selection) -> SavedImage:
        """Read a part of an image without its blobs."""
        async with self._save(source, image, replace(part, only=())) as manifests:
            async for blob in manifests:
                blob.release()
            return manifests.image


def _choice(manifests: list[Document], platform: str) -> tuple[Image, Selection]:
    """Select from the engine's list of an image's manifests."""
    try:
        images = {
            Child(
                Digest(each["Descriptor"]["digest"]),
                platform_of(each["ImageData"]["Platform"]),
            ): each
            for each in manifests
            if each["Kind"] == "image"
        }
        chosen = the_one(list(images), platform, ENGINES_IMAGE)
        available, size = images[chosen]["Available"], int(images[chosen]["Size"]["Content"])
    except (KeyError, TypeError, ValueError) as error:
        message = f"the engine's list of platforms cannot be read: {error!r}"
        raise incomplete(message) from error
    if not available:
        raise incomplete(f"missing content: platforms {chosen.platform}", Kind.CONTENT_MISSING)
    image = Image(id=str(chosen.digest), layers=0, digest=chosen.digest, size=size)
    return image, Selection(options=("--platform", chosen.platform))

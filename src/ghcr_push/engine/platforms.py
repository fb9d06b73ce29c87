"""One platform of an engine's images, chosen before an image is read, so that no other goes up.

Engines from 28 on (API 1.48) tell which platforms a containerd store has of an image, and save one
alone. From older ones the image is read twice: first its manifests, then the blobs of one of them.
"""

import re
from collections.abc import Callable, Container
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from ghcr_push.engine.api import EngineApi
from ghcr_push.engine.command import DockerCommand
from ghcr_push.failures import PushError, classify
from ghcr_push.model import Failure, Image, Kind, Source
from ghcr_push.references import Digest
from ghcr_push.sources import SavedImages, StoredImage
from ghcr_push.sources.graph import ENGINES_IMAGE, Child, platform_of, the_one
from ghcr_push.sources.images import not_whole
from ghcr_push.sources.ready import image_of
from ghcr_push.sources.stored import AllBut

_SAVES_ONE: Final = (1, 48)
"""API from which on an engine, and its docker command, save one platform (Docker 28.0)."""


@dataclass(frozen=True, slots=True)
class Selection:
    """How one platform of an image is had from the engine: by options, or by passing over blobs."""

    options: tuple[str, ...] = ()
    held: Container[Digest] = ()


WHOLE: Final = Selection()

Save = Callable[[Source, StoredImage, Selection], AbstractAsyncContextManager[SavedImages]]


class Platforms:
    """Chooses ``platform`` of each image; ``save`` reads an image out of the engine."""

    def __init__(self, platform: str, api: EngineApi, command: DockerCommand, save: Save) -> None:
        self._platform = platform
        self._api = api
        self._command = command
        self._save = save
        self._saves_one: bool | None = None

    async def choose(self, source: Source, image: Image) -> tuple[Image, Selection] | Failure:
        """Return what is to be pushed of ``image``; a failure lists the platforms that it has."""
        try:
            return await self._choose(source, image)
        except PushError as error:
            return classify(error.evidence)

    async def _choose(self, source: Source, image: Image) -> tuple[Image, Selection]:
        if image.digest is None:
            the_one([Child(Digest(image.id), image.platform, None)], self._platform, ENGINES_IMAGE)
            return image, WHOLE
        told = await self._api.manifests(image.id) if await self._knows_platforms() else []
        chosen = self._told(told) if told else await self._read(source, image.digest)
        return (image, WHOLE) if chosen[0].digest == image.digest else chosen

    async def _knows_platforms(self) -> bool:
        """Ask, once a run, for the API version that engine and docker command agree on."""
        if self._saves_one is None:
            _, version, _ = await self._command.ask("version", "--format", "{{.Client.APIVersion}}")
            found = re.match(r"(\d+)\.(\d+)", version)
            self._saves_one = found is not None and (int(found[1]), int(found[2])) >= _SAVES_ONE
        return self._saves_one

    def _told(self, manifests: list[dict[str, Any]]) -> tuple[Image, Selection]:
        """Choose from what the engine tells of an image."""
        try:
            images = {
                Child(
                    Digest(each["Descriptor"]["digest"]),
                    platform_of(each["ImageData"]["Platform"]),
                    None,
                ): each
                for each in manifests
                if each["Kind"] == "image"
            }
            chosen = the_one(list(images), self._platform, ENGINES_IMAGE)
            available, size = images[chosen]["Available"], int(images[chosen]["Size"]["Content"])
        except (KeyError, TypeError, ValueError) as error:
            message = f"what the engine tells of its platforms cannot be read: {error!r}"
            raise not_whole(message) from error
        if not available:
            raise not_whole(f"missing content: platforms {chosen.platform}", Kind.CONTENT_MISSING)
        image = Image(
            id=str(chosen.digest), layers=0, digest=chosen.digest, size=size, in_engine=False
        )
        return image, Selection(options=("--platform", chosen.platform))

    async def _read(self, source: Source, digest: Digest) -> tuple[Image, Selection]:
        """Choose from the manifests of an image, read without its blobs."""
        wanted = StoredImage(digest=digest, platform=self._platform)
        async with self._save(source, wanted, Selection(held=AllBut(()))) as manifests:
            async for blob in manifests:
                blob.release()
            [saved] = manifests.images
        return image_of(saved), Selection(held=AllBut(saved.blobs))

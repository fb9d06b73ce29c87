"""The engine's port: describe, save and push images, and read a tag through the engine."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from ghcr_push import media_types
from ghcr_push.documents import as_dict, as_list
from ghcr_push.engine.api import EngineApi
from ghcr_push.engine.command import DockerCommand
from ghcr_push.engine.output import output_of
from ghcr_push.engine.platforms import Platforms, Selection
from ghcr_push.engine.push import push
from ghcr_push.failures import Origin, PushError, classify
from ghcr_push.model import Descriptor, Failure, Image, Kind, Source
from ghcr_push.pushing.context import classify_read_error
from ghcr_push.references import Digest, Repository, TagReference, parse_tag_reference
from ghcr_push.sources.classic import read_classic
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.content import FoundContent
from ghcr_push.sources.graph import platform_of
from ghcr_push.sources.saved import SavedImages, Steps
from ghcr_push.sources.spool import Spool
from ghcr_push.sources.stored import read_stored
from ghcr_push.sources.tarstream import TarStream

NAMES_PER_INSPECT: Final = 50
"""Images per ``docker image inspect``: the start of docker costs more than the answer."""

RESTORE_LIMIT: Final = 1.5
"""Time limit in seconds to restore the engine's tags: a cancelled run has 5 s in all."""

_SAID_DIGEST: Final = re.compile(r"^\S+: digest: (sha256:[0-9a-f]{64}) size: \d+\s*$")
_NO_SUCH_IMAGE: Final = re.compile(r"No such image: (\S+)|failed to find image (\S+): ")
"""How Docker and Podman report a missing image."""


class DockerEngine:
    """The engine of ``environ``, logged in with the private Docker configuration ``config``.

    ``authorizations`` are the values of ``X-Registry-Auth`` by registry; ``spool`` holds the blobs
    until they are uploaded. ``platform`` selects one platform of each image; None means all.
    ``compress``: compress uncompressed layers of a containerd store.
    """

    def __init__(
        self,
        config: Path,
        environ: Mapping[str, str],
        authorizations: Mapping[str, str],
        spool: Spool | None = None,
        platform: str | None = None,
        *,
        compress: bool = False,
    ) -> None:
        self._command = DockerCommand(config, environ)
        self._api = EngineApi(self._command, authorizations)
        self._answered = False
        self._spool = spool or Spool()
        self._platforms = Platforms(
            platform, self._api, self._command, self._saved, compress=compress
        )

    # -- images -----------------------------------------------------------------------------

    async def find(self, sources: Sequence[Source]) -> dict[Source, FoundContent | Failure]:
        """Find local images, or say why not; several names of one image share one content."""
        images = await self._inspect_all(sources)
        found: dict[Source, FoundContent | Failure] = {}
        by_id: dict[str, FoundContent] = {}
        for source in sources:
            content = await self._content(source, images[source])
            if isinstance(content, FoundContent) and content.image.in_engine:
                content = by_id.setdefault(content.image.id, content)
            found[source] = content
        return found

    async def _inspect_all(self, sources: Sequence[Source]) -> dict[Source, Image | Failure]:
        found: dict[Source, Image | Failure] = {}
        for start in range(0, len(sources), NAMES_PER_INSPECT):
            found |= await self._inspect(sources[start : start + NAMES_PER_INSPECT])
        return found

    async def _inspect(self, sources: Sequence[Source]) -> Mapping[Source, Image | Failure]:
        try:
            return await self._inspect_together(sources)
        except PushError as error:
            return dict.fromkeys(sources, classify(error.evidence))
        except Exception as error:  # noqa: BLE001 - what is unclear fails one image only
            if len(sources) == 1:
                return {sources[0]: classify_read_error(error, str(sources[0]))}
        found: dict[Source, Image | Failure] = {}
        for source in sources:
            found |= await self._inspect([source])
        return found

    async def _content(self, source: Source, image: Image | Failure) -> FoundContent | Failure:
        """Return what to push of an image."""
        if isinstance(image, Failure):
            return image
        try:
            chosen, part = await self._platforms.choose(source, image)
        except Exception as error:  # noqa: BLE001 - an internal error fails this image only
            return classify_read_error(error, str(source))
        return FoundContent(image=chosen, read=partial(self._read, source, chosen, part))

    async def _inspect_together(self, sources: Sequence[Source]) -> dict[Source, Image | Failure]:
        names = [source.image for source in sources]
        _, out, err = await self._command.run(
            "image", "inspect", "--format", "{{json .}}", "--", *names
        )
        missing = {"".join(names) for names in _NO_SUCH_IMAGE.findall(err)}
        images = [await self._described(inspected) for inspected in _inspected(out)]
        self._answered |= bool(images or missing)
        present = [source for source in sources if not _is_missing(source.image, missing)]
        if len(images) == len(present):
            gone = {source: _missing(source) for source in sources if source not in present}
            return dict(zip(present, images, strict=True)) | gone
        if not images or len(sources) == 1:
            raise PushError.of(Origin.STORE, err.strip())
        raise ValueError("it is unclear which answer belongs to which name")

    async def _described(self, inspected: dict[str, object]) -> Image:
        image = _image(inspected)
        # of an image in a containerd store, as engines from 28 on report it
        media_type = as_dict(inspected.get("Descriptor")).get("mediaType")
        if media_type is None:
            return image
        has_all = media_type not in media_types.INDEXES or await self._api.is_complete(image.id)
        return replace(image, has_all_platforms=has_all)

    @asynccontextmanager
    async def _read(
        self, source: Source, image: Image, part: Selection
    ) -> AsyncIterator[SavedImages]:
        """Read ``image`` from the stream in which the engine saves it."""
        with self._lost():
            async with self._saved(source, image, part) as saved:
                yield saved

    @asynccontextmanager
    async def _saved(
        self, source: Source, image: Image, part: Selection
    ) -> AsyncIterator[SavedImages]:
        read: Callable[[TarStream, LayerCompressor], Steps] = partial(read_classic, image)
        if wanted := image.digest or part.wanted:
            read = partial(
                read_stored, [wanted], platform=part.platform, only=part.only, plain=part.plain
            )
        command = self._command.words("image", "save", *part.options, "--", source.image)
        async with output_of(command, self._command.environ) as output:
            tar = TarStream(output.reader, output.complaint)
            async with SavedImages(partial(read, tar), self._spool) as saved:
                yield saved

    # -- push -------------------------------------------------------------------------------

    async def push(
        self, source: Source, target: TagReference, said: Callable[[Sequence[str]], None]
    ) -> Digest:
        """Push ``source`` as ``target`` and return the digest that docker printed."""
        lines: list[str] = []
        with self._lost():
            async with self._tagged(source, target):
                try:
                    await push(self._command, str(target), lines)
                finally:
                    said(lines)
        for line in reversed(lines):
            if match := _SAID_DIGEST.match(line):
                return Digest(match[1])
        raise PushError.of(Origin.ENGINE, "docker push succeeded but named no digest")

    @asynccontextmanager
    async def _tagged(self, source: Source, target: TagReference) -> AsyncIterator[None]:
        """Tag ``source`` as ``target`` inside, and restore the engine's tags afterwards."""
        if _same_name(source.image, target):
            yield
            return
        images = await self._inspect_all([source, Source(str(target))])
        wanted, before = images[source], images[Source(str(target))]
        if isinstance(wanted, Failure):
            raise PushError.of(Origin.STORE, wanted.message, wanted.kind)
        if isinstance(before, Image) and before.id == wanted.id:
            yield
            return
        await self._command.run_checked("image", "tag", "--", source.image, str(target))
        try:
            yield
        finally:
            with (
                anyio.CancelScope(shield=True),
                anyio.move_on_after(RESTORE_LIMIT),
                suppress(PushError),  # a stopped engine does not undo what landed
            ):
                if isinstance(before, Image):
                    await self._command.run("image", "tag", "--", before.id, str(target))
                else:
                    await self._command.run("image", "rm", "--no-prune", "--", str(target))

    # -- the registry, as the engine sees it --------------------------------------------------

    async def head(self, repository: Repository, reference: str) -> Descriptor | None:
        """Have the engine ask the registry for a tag."""
        with self._lost():
            return await self._api.head(repository, reference)

    # -- an engine that stops in the middle of a run ------------------------------------------

    @contextmanager
    def _lost(self) -> Iterator[None]:
        """Report an engine that has answered in this run and now does not as restarting."""
        try:
            yield
        except PushError as error:
            if not self._answered or classify(error.evidence).kind is not Kind.ENGINE_UNREACHABLE:
                raise
            evidence = replace(error.evidence, kind=Kind.ENGINE_RESTARTING)
            raise PushError(evidence) from error


def _inspected(printed: str) -> list[dict[str, object]]:
    """Parse the JSON objects of ``docker image inspect``, one per line."""
    try:
        objects = [json.loads(line) for line in printed.splitlines() if line.strip()]
    except ValueError as error:
        raise _unreadable(printed) from error
    if objects == [[]]:  # some clients print this when they find nothing
        return []
    if not all(isinstance(each, dict) for each in objects):
        raise _unreadable(printed)
    return objects


def _image(inspected: dict[str, object]) -> Image:
    try:
        layers = as_dict(inspected.get("RootFS")).get("Layers")
        diff_ids = tuple(Digest(name) for name in layers or ())
        return Image(
            id=str(inspected["Id"]),
            layers=len(diff_ids),
            digest=_digest(inspected),
            diff_ids=diff_ids,
            size=int(str(inspected.get("Size") or 0)),
            platform=platform_of({name.lower(): each for name, each in inspected.items()}),
            in_engine=True,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(json.dumps(inspected)) from error


def _unreadable(printed: str) -> PushError:
    message = f"the output of docker image inspect cannot be read: {printed[:200]}"
    return PushError.of(Origin.STORE, message)


def _digest(inspected: dict[str, object]) -> Digest | None:
    """Return the image's digest if the containerd store has one; the classic store has none.

    Engine 28.5 reports a descriptor. In 26.1 the ID is the digest; it differs from a classic ID by
    being a repository's digest too or, if the image has no name, by the snapshotter's name.
    """
    descriptor = inspected.get("Descriptor")
    if isinstance(descriptor, dict):
        return Digest(descriptor["digest"])
    name, driver = str(inspected["Id"]), as_dict(inspected.get("GraphDriver"))
    repositories = inspected.get("RepoDigests")
    if any(str(each).endswith(f"@{name}") for each in as_list(repositories)):
        return Digest(name)
    return Digest(name) if driver.get("Name") == "overlayfs" else None


def _is_missing(name: str, missing: set[str]) -> bool:
    return name in missing or f"{name}:latest" in missing


def _missing(source: Source) -> Failure:
    words = f"the engine has no image {source.image!r}"
    return classify(PushError.of(Origin.STORE, words, Kind.IMAGE_MISSING).evidence)


def _same_name(image: str, target: TagReference) -> bool:
    try:
        return parse_tag_reference(image) == target
    except ValueError:
        return False  # an ID or a digest

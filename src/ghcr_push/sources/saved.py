"""Images that are read once, blob by blob, as a Docker Engine saves them."""

from collections.abc import Callable, Generator
from threading import Lock
from types import TracebackType
from typing import Self

import anyio
from anyio import to_thread

from ghcr_push.pushing.ports import Blob
from ghcr_push.sources.compressor import LayerCompressor
from ghcr_push.sources.images import SavedImage
from ghcr_push.sources.spool import Spool, Stopped

Steps = Generator[Blob, None, SavedImage]
"""Yields blobs as they come; returns the image."""


class SavedImages:
    """An image that ``read`` reads in a thread: an async context manager, and iterator of blobs.

    Each blob comes when it is complete and its digest verified; the receiver releases it. Nothing
    is read before the next blob is requested: a slow receiver blocks the engine, and so does a
    spool full of unreleased blobs. ``image`` is available after the last blob, and only if all of
    it was complete. One attempt; a truncated, damaged or incomplete stream raises ``PushError``.

    Reading blocks a thread until the stream's writer is killed or exits: keep the process that
    writes it in a block around this one.
    """

    def __init__(self, read: Callable[[LayerCompressor], Steps], spool: Spool) -> None:
        self._compressor = LayerCompressor(spool=spool)
        self._steps = read(self._compressor)
        self._image: SavedImage | None = None
        self._fetched: Blob | None = None
        self._reading = False
        self._turn = Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._compressor.stop()
        with self._turn:
            if self._fetched is not None:
                self._fetched.release()
            if not self._reading:
                self._steps.close()

    @property
    def image(self) -> SavedImage:
        """The image."""
        if self._image is None:
            raise RuntimeError("the image is known after the last blob")
        return self._image

    @property
    def waits_for_space(self) -> bool:
        """Whether the next blob waits for temporary space."""
        return self._compressor.waits_for_space

    @property
    def seconds_compressing(self) -> float:
        """Processor seconds of compression so far, over all cores."""
        return self._compressor.compressing.seconds

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Blob:
        if self._image is not None:
            raise StopAsyncIteration
        self._reading = True
        await to_thread.run_sync(
            self._fetch, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
        )
        blob, self._fetched = self._fetched, None
        if blob is None:
            raise StopAsyncIteration
        return blob

    def _fetch(self) -> None:
        """Produce the next blob; runs in a thread that a cancelled task leaves behind."""
        blob: Blob | None = None
        try:
            blob = next(self._steps)
        except StopIteration as end:
            self._image = end.value
        except Stopped:
            pass  # the task was cancelled
        finally:
            with self._turn:
                self._reading = False
                if blob is not None and self._compressor.stopping.is_set():
                    blob.release()
                else:
                    self._fetched = blob

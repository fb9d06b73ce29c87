"""Waits that a source registry asks for, kept by all blobs that are read from there."""

from ghcr_push.pushing.context import RunContext


class SourcePause:
    """The time in which a source must not be read."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._until = 0.0

    @property
    def seconds(self) -> float:
        """Seconds for which it must not be read yet."""
        return max(0.0, self._until - self._context.clock())

    def extend(self, seconds: float) -> None:
        """Read nothing from the source for so long.

        A wait that would pass the run's deadline is not recorded: the content that got it gives up,
        and other content sends its own request.
        """
        if not self._context.backoff.passes_deadline(seconds):
            self._until = max(self._until, self._context.clock() + seconds)

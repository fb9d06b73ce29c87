"""What ends a run early: its cancellation, and failures for which nothing new is tried."""

from collections.abc import Iterable
from dataclasses import dataclass

from ghcr_push.model import Failure
from ghcr_push.pushing.tag_push import TagPush
from ghcr_push.pushing.together import Together


@dataclass(slots=True, kw_only=True)
class RunControl:
    """Whether a run starts work that was not tried yet."""

    fail_fast: bool
    together: Together
    cancelled: bool = False
    failing_fast: bool = False

    def may_start(self) -> bool:
        """Return whether untried targets may still be tried."""
        return not (self.cancelled or self.failing_fast or self.together.refusal)

    def note_failure(self) -> None:
        """Record that a target failed permanently."""
        self.failing_fast = self.fail_fast

    def fail_all(self, tag_pushes: Iterable[TagPush], failure: Failure) -> None:
        """End all of ``tag_pushes`` that have no result with ``failure``."""
        for tag_push in tag_pushes:
            if tag_push.result is None:
                tag_push.fail(failure)
                self.note_failure()

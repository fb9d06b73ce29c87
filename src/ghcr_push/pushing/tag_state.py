"""What is known of one tag during its push: facts only, no requests.

The report depends on these answers: what the tag named before us, whether we sent anything, whether
that may have taken effect, and whether it was verified.
"""

from dataclasses import dataclass

from ghcr_push.model import Descriptor, Outcome
from ghcr_push.references import Digest


@dataclass(slots=True)
class TagState:
    """The state of a tag; empty at first."""

    digest: Digest | None = None
    """The digest that the tag is to name; after some pushes known only from the answer."""
    before: Digest | None = None
    """What it named before our first write, None for no tag, if known."""
    known_before: bool = False
    sent: bool = False
    """Whether a write of it was sent."""
    in_doubt: bool = False
    """Whether a write was sent whose effect is unknown."""
    verified: bool = False
    """Whether a read showed the intended digest."""
    kept: bool = False
    """Whether it is protected, names another image, and stays so."""
    incomplete: bool = False
    """Whether it named the intended digest, but the repository had lost a part of it."""
    in_part: bool = False
    """Whether a write failed that also puts the parts of an index under the tag."""
    _doubted_before: bool = False
    """Whether a write was in doubt before the last one."""

    def looked(self, seen: Descriptor | None) -> None:
        """Record what the tag names, unless that may be our own write."""
        if not self.sent:
            self.known_before, self.before = True, seen.digest if seen else None

    def sends(self) -> None:
        """Record that a write is sent: from now on the tag may land."""
        self._doubted_before = self.in_doubt
        self.sent = self.in_doubt = True

    def failed(self, *, doubtful: bool) -> None:
        """Record how the last write failed: ``doubtful`` if it may have taken effect."""
        self.in_doubt = doubtful or self._doubted_before

    def record_verified(self, seen: Descriptor) -> None:
        """Record that the tag names the intended digest."""
        self.digest, self.verified, self.in_doubt = seen.digest, True, False

    def is_overtaken_by(self, seen: Descriptor) -> bool:
        """Return whether ``seen``, which is not ours, also differs from the original digest."""
        sure = self.sent and self.known_before and not self.in_part
        return sure and seen.digest != self.before

    @property
    def outcome(self) -> Outcome:
        """Its outcome if it ends well now."""
        if self.kept:
            return Outcome.KEPT
        same = self.known_before and self.digest is not None and self.before == self.digest
        same = same and not self.incomplete
        return Outcome.UNCHANGED if same else Outcome.PUSHED

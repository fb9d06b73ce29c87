"""What is known of one tag on its way into the registry: facts only, no request.

The report is as true as these few answers: what the tag named before us, whether anything of ours
was sent, whether that may have landed, and whether it was seen to.
"""

from dataclasses import dataclass

from ghcr_push.model import Descriptor, Outcome
from ghcr_push.references import Digest


@dataclass(slots=True)
class TagState:
    """The state of a tag; nothing is known of it at first."""

    digest: Digest | None = None
    """What the tag is to name; of some pushes only their answer tells."""
    before: Digest | None = None
    """What it named before anything of ours, None for nothing, where that is known."""
    known_before: bool = False
    sent: bool = False
    """Whether a write of it was sent."""
    in_doubt: bool = False
    """Whether a write was sent of which it is not known whether it landed."""
    verified: bool = False
    """Whether it was seen to name what it is to name."""
    kept: bool = False
    """Whether it is protected, names another image, and is to stay so."""
    incomplete: bool = False
    """Whether it named what it is to name, of which the repository had lost a part."""
    in_part: bool = False
    """Whether a write failed that puts the parts of an index under the tag, too."""
    _doubted_before: bool = False
    """Whether one was in doubt before the last write."""

    def looked(self, seen: Descriptor | None) -> None:
        """Note what the tag names, as long as nothing of ours may be what it names."""
        if not self.sent:
            self.known_before, self.before = True, seen.digest if seen else None

    def sends(self) -> None:
        """Note that a write is sent: from now on the tag may land."""
        self._doubted_before = self.in_doubt
        self.sent = self.in_doubt = True

    def failed(self, *, doubtful: bool) -> None:
        """Note how the last write failed: ``doubtful`` where it may have landed all the same."""
        self.in_doubt = doubtful or self._doubted_before

    def proved(self, seen: Descriptor) -> None:
        """Note that the tag names what it is to name."""
        self.digest, self.verified, self.in_doubt = seen.digest, True, False

    def is_shown_by(self, seen: Descriptor) -> bool:
        """Say whether the tag names what it is to name."""
        return seen.digest == self.digest

    def is_overtaken_by(self, seen: Descriptor) -> bool:
        """Say whether ``seen``, which is not ours, is not what the tag named at first either."""
        sure = self.sent and self.known_before and not self.in_part
        return sure and seen.digest != self.before

    @property
    def outcome(self) -> Outcome:
        """How it ends if it ends well now."""
        if self.kept:
            return Outcome.KEPT
        same = self.known_before and self.digest is not None and self.before == self.digest
        same = same and not self.incomplete
        return Outcome.UNCHANGED if same else Outcome.PUSHED

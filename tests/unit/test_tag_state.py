"""The state of a tag after each possible event."""

import pytest

from ghcr_push.model import Descriptor, Outcome
from ghcr_push.pushing.tag_state import TagState
from ghcr_push.references import Digest


def descriptor(letter: str) -> Descriptor:
    return Descriptor(
        media_type="application/vnd.oci.image.manifest.v1+json",
        digest=Digest(f"sha256:{letter * 64}"),
        size=2,
    )


OLD, OURS, THIRD = (descriptor(letter) for letter in "abc")


def tag_state(*, before: Descriptor | None = OLD) -> TagState:
    """Return the state of a tag that was read and is about to be written."""
    known = TagState(digest=OURS.digest)
    known.looked(before)
    return known


@pytest.mark.parametrize("before", [OLD, None])
def test_a_read_after_a_write_does_not_change_before(
    before: Descriptor | None,
) -> None:
    known = tag_state(before=before)
    known.sends()
    known.failed(doubtful=False)
    known.looked(OURS)

    assert known.known_before
    assert known.before == (before.digest if before else None)


def test_a_second_read_before_a_write_updates_before() -> None:
    known = tag_state(before=None)
    known.looked(OLD)
    assert known.before == OLD.digest


@pytest.mark.parametrize("doubtful", [False, True])
def test_a_write_is_in_doubt_until_it_is_known_how_it_ended(doubtful: bool) -> None:
    known = tag_state()
    seen = [known.in_doubt]
    known.sends()
    seen.append(known.in_doubt)
    known.failed(doubtful=doubtful)
    seen.append(known.in_doubt)
    assert seen == [False, True, doubtful]


def test_doubt_survives_a_later_failed_write_and_ends_with_verification() -> None:
    known = tag_state()
    known.sends()
    known.failed(doubtful=True)
    known.sends()
    known.failed(doubtful=False)
    assert known.in_doubt

    known.record_verified(OURS)
    assert known.verified
    assert not known.in_doubt


def test_a_tag_is_overtaken_by_a_digest_that_is_neither_ours_nor_the_former() -> None:
    known = tag_state()
    assert not known.is_overtaken_by(THIRD), "nothing of ours could be overtaken yet"
    known.sends()
    assert known.is_overtaken_by(THIRD)
    assert not known.is_overtaken_by(OLD)


def test_a_tag_that_was_not_there_is_overtaken_by_anything_else() -> None:
    known = tag_state(before=None)
    known.sends()
    assert known.is_overtaken_by(OLD)


def test_a_former_digest_or_a_part_of_ours_is_never_overtaken() -> None:
    unread, in_part = TagState(digest=OURS.digest), tag_state()
    for known in (unread, in_part):
        known.sends()
    in_part.in_part = True

    assert not unread.is_overtaken_by(THIRD)
    assert not in_part.is_overtaken_by(THIRD)


def test_it_is_unchanged_where_the_tag_named_ours_before() -> None:
    assert tag_state().outcome is Outcome.PUSHED
    assert tag_state(before=OURS).outcome is Outcome.UNCHANGED
    assert TagState().outcome is Outcome.PUSHED, "nothing known is nothing unchanged"

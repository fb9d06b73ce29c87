"""Faults planted in the upload of content."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from ghcr_push.model import Group
from ghcr_push.pushing import blob_push
from ghcr_push.pushing.blob_push import BlobPush
from ghcr_push.pushing.content_push import ContentPush
from ghcr_push.pushing.known_blobs import KnownBlobs
from ghcr_push.pushing.manifest_push import ManifestPush
from ghcr_push.pushing.ports import Blob
from ghcr_push.pushing.pressure import reachability
from ghcr_push.pushing.pressure.retry import AttemptError, Backoff, FailureCount
from ghcr_push.pushing.tag_push import TagPush
from ghcr_push.pushing.tag_writers import ByDockerPush
from ghcr_push.pushing.together import Together
from ghcr_push.pushing.units import Unit, Units
from ghcr_push.pushing.write_access import WriteAccess
from ghcr_push.sources.spool import Room
from tests.simulation.planting import Faults

FAULTS = Faults()

# -- content that we upload ourselves -------------------------------------------------------


@FAULTS.caught_by("unchanged_images_are_complete", skip=370)
def lost_parts_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    async def is_complete(*_: object) -> bool:
        return True

    patch.setattr(ByDockerPush, "is_complete", is_complete)


@FAULTS.caught_by("tags_name_complete_images")
def tag_before_blobs(patch: pytest.MonkeyPatch) -> None:
    async def bring(_: BlobPush, blob: Blob) -> None:
        del blob

    patch.setattr(BlobPush, "push", bring)


@FAULTS.caught_by("tags_name_complete_images")
def tag_before_child_manifests(patch: pytest.MonkeyPatch) -> None:
    async def bring_manifest(_: ManifestPush, manifest: Any) -> None:
        del manifest

    patch.setattr(ManifestPush, "_push_missing", bring_manifest)


@FAULTS.caught_by("blobs_are_uploaded_once", skip=250)
def blob_sent_by_two_groups(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(KnownBlobs, "lock", lambda *_: nullcontext())


@FAULTS.caught_by("blobs_are_uploaded_once")
def blob_sent_without_a_look(patch: pytest.MonkeyPatch) -> None:
    async def look(*_: Any) -> None: ...

    patch.setattr(BlobPush, "_look", look)


@FAULTS.caught_by("everything_is_released")
def blob_not_released(patch: pytest.MonkeyPatch) -> None:
    bring = BlobPush.push

    async def keeping(self: BlobPush, blob: Any) -> None:
        try:
            await bring(self, blob)
        except BaseException:
            patch.setattr(type(blob), "release", lambda *_: None)
            raise

    patch.setattr(BlobPush, "push", keeping)


@FAULTS.caught_by("space_is_bounded")
def space_taken_beyond_its_budget(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Room, "may_begin", lambda *_: True)


@FAULTS.caught_by("tags_move_together")
def tags_move_as_content_comes(patch: pytest.MonkeyPatch) -> None:
    async def all_ready(self: Together, _: Group) -> bool:
        return self.refusal is None

    patch.setattr(Together, "all_ready", all_ready)


@FAULTS.caught_by("images_are_read_again_for_a_reason")
def read_again_for_a_blob_that_ended(patch: pytest.MonkeyPatch) -> None:
    receive = ContentPush._receive

    async def again(self: ContentPush) -> Any:
        try:
            return await receive(self)
        except AttemptError:
            await self._content.until_read()
            return await receive(self)

    patch.setattr(ContentPush, "_receive", again)


@FAULTS.caught_by("blobs_are_sent_to_one_repository_first")
def blob_sent_to_all_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(KnownBlobs, "sending", lambda *_: nullcontext())


@FAULTS.caught_by("units_are_capped")
def caps_of_blobs_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backoff, "gives_up", lambda _, failed, *__: not failed.failure.retryable)


@FAULTS.caught_by("refusing_repositories_are_asked_once")
def refusing_repository_not_asked(patch: pytest.MonkeyPatch) -> None:
    async def refusal(*_: Any) -> None: ...

    patch.setattr(WriteAccess, "refusal", refusal)


@FAULTS.caught_by("content_attempts_are_recorded")
def content_retried_in_silence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TagPush, "content_attempt_number", 0)


@FAULTS.caught_by("transfers_add_up")
def blobs_counted_with_each_reading(patch: pytest.MonkeyPatch) -> None:
    bring_missing = BlobPush._push_missing

    async def forgetful(self: BlobPush, *args: Any) -> None:
        await bring_missing(self, *args)
        self.done = False

    patch.setattr(BlobPush, "_push_missing", forgetful)


@FAULTS.caught_by("nothing_is_begun_after_fail_fast", skip=290)
def content_begun_after_fail_fast(patch: pytest.MonkeyPatch) -> None:
    init = Units.__init__

    def eager(self: Units, **named: Any) -> None:
        init(self, **{**named, "may_begin": lambda: True})

    patch.setattr(Units, "__init__", eager)


@FAULTS.caught_by("units_wait_as_asked")
def blob_sent_again_at_once(patch: pytest.MonkeyPatch) -> None:
    persist = Unit.persist

    async def impatient(self: Unit, attempt: Any) -> Any:
        async def twice() -> Any:
            try:
                return await attempt()
            except AttemptError:
                return await attempt()

        return await persist(self, twice)

    patch.setattr(Unit, "persist", impatient)


@FAULTS.caught_by("blobs_are_looked_for_before_they_are_sent")
def blob_not_looked_for_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(blob_push, "LOOK_STAYS_TRUE", 1000.0)


@FAULTS.caught_by("blobs_are_mounted_from_where_they_are")
def blob_sent_that_could_be_mounted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(KnownBlobs, "mount_candidate", lambda *_: None)


@FAULTS.caught_by("origins_are_asked_once")
def origin_asked_by_each_group(patch: pytest.MonkeyPatch) -> None:
    look = KnownBlobs._look

    async def forgetful(self: KnownBlobs, *args: Any) -> None:
        await look(self, *args)
        self._asked.clear()
        self._held.clear()

    patch.setattr(KnownBlobs, "_look", forgetful)


@FAULTS.caught_by("refused_parts_are_tried_once", skip=150)
def refused_blob_tried_again(patch: pytest.MonkeyPatch) -> None:
    gives_up = Backoff.gives_up

    def stubborn(self: Backoff, failed: AttemptError, count: FailureCount, wait: float) -> bool:
        again = AttemptError(replace(failed.failure, retryable=True), counts=failed.counts)
        return gives_up(self, again, count, wait)

    patch.setattr(Backoff, "gives_up", stubborn)


@FAULTS.caught_by("content_waits_as_the_policy_says")
def blob_waits_without_end(patch: pytest.MonkeyPatch) -> None:
    wait = Backoff.wait
    patch.setattr(Backoff, "wait", lambda *args, spare: 2 * wait(*args, spare=spare) + 10)


@FAULTS.caught_by("silent_registries_are_given_up")
def refused_connections_waited_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability, "LONGEST_UNCONNECTED", reachability.LONGEST_SILENCE)


@FAULTS.caught_by("silent_registries_are_given_up")
def refused_connections_given_up_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability, "LONGEST_UNCONNECTED", 10.0)


@FAULTS.caught_by("silent_registries_are_given_up", skip=100)
def answers_not_recorded(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability.Reachability, "answered", lambda _: None)
    patch.setattr(
        reachability, "LONGEST_SILENCE", 300.0
    )  # so that more outages are long enough to show it

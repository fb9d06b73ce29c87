"""`referrers: true`: signatures, SBOMs and attestations are copied, and none is lost."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.attached import (
    REPOSITORY,
    SBOM,
    Attached,
    artifact,
    attach,
    described,
    list_by_tag,
    listed_by_tag,
    signatures,
    tag_of,
)
from tests.support.cases import End, World
from tests.support.front import Answer, Behaviour, Rule, Step, oci_error, on, running_front
from tests.support.front.steps import WRITES
from tests.support.memory import MemoryRegistry, Serves
from tests.support.saved import INDEX, digest_of

COPY = "acme/copy"
APIS = pytest.mark.parametrize(
    ("source_api", "target_api"), [(True, True), (True, False), (False, True), (False, False)]
)


class Pair:
    """A source registry that holds what `Attached` makes, and an empty target."""

    def __init__(self, source: World, target: World, attached: Attached) -> None:
        self.source = source
        self.target = target
        self.attached = attached

    def push(self, **inputs: str) -> End:
        given = {
            "tags": "\n".join(f"{self.target.front.address}/{COPY}:{tag}" for tag in ("1", "2")),
            "source": f"docker://{self.source.front.address}/{REPOSITORY}:1",
            "referrers": "true",
        }
        more = {name.replace("_", "-"): value for name, value in inputs.items()}
        return self.target.run({**given, **more})

    def listed(self, subject: str) -> list[str]:
        """Return the referrers of `subject` that a client of the target finds."""
        if self.target.registry.serves.referrers:
            return self.target.registry.referring(COPY, subject)
        return listed_by_tag(self.target.registry, COPY, subject)

    def writes(self) -> list[str]:
        """Return the references under which manifests were written at the target, in order."""
        return [entry.reference for entry in self.target.requests(Step.MANIFEST_PUT)]


@contextmanager
def running_pair(folder: Path, *, source_api: bool, target_api: bool) -> Iterator[Pair]:
    here, there = (MemoryRegistry(Serves(referrers=api)) for api in (source_api, target_api))
    with running_front(here) as source, running_front(there) as target:
        attached = Attached(here, api=source_api)
        yield Pair(
            World(folder=folder, registry=here, front=source, docker=None),
            World(folder=folder, registry=there, front=target, docker=None),
            attached,
        )
        assert (source.stats().front_errors, target.stats().front_errors) == (0, 0)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Yield two registries without a referrers API, like ghcr.io."""
    with running_pair(tmp_path, source_api=False, target_api=False) as pair:
        yield pair


@APIS
def test_all_referrers_of_an_image_are_copied(
    source_api: bool, target_api: bool, tmp_path: Path
) -> None:
    with running_pair(tmp_path, source_api=source_api, target_api=target_api) as pair:
        end = pair.push()
        assert end.status == 0, end.log
        for subject, manifest in pair.attached.subjects.items():
            assert pair.listed(subject) == [digest_of(manifest)]
            there = pair.target.registry.raw(f"{COPY}@{digest_of(manifest)}")
            assert there == manifest
            assert not pair.target.registry.lacking(f"{COPY}@{digest_of(manifest)}")
        signed = pair.source.registry.raw(f"{REPOSITORY}:{pair.attached.signature}")
        assert pair.target.registry.raw(f"{COPY}:{pair.attached.signature}") == signed
        [first, second] = end.report["targets"]
        assert [each["uploaded"] for each in first["referrers"]] == [True] * 4
        assert second["referrers"] == []
        sboms = "2 \N{MULTIPLICATION SIGN} application/spdx+json"
        assert f"4 referrers, 4 uploaded: {sboms}" in end.log
        assert "4 referrers, 4 uploaded" in end.summary
        tags = {"1", "2", pair.attached.signature}
        tags |= set() if target_api else {tag_of(each) for each in pair.attached.subjects}
        assert set(pair.target.registry.tags(COPY)) == tags


@APIS
def test_a_second_run_writes_nothing(source_api: bool, target_api: bool, tmp_path: Path) -> None:
    with running_pair(tmp_path, source_api=source_api, target_api=target_api) as pair:
        pair.push()
        pair.target.front.reset()
        end = pair.push()
        assert end.outcomes == {f"{COPY}:1": "unchanged", f"{COPY}:2": "unchanged"}
        assert not pair.target.requests(*WRITES)
        assert "4 referrers, 4 there already" in end.log


def test_a_signature_is_there_before_the_tag_moves(pair: Pair) -> None:
    pair.push()
    *before, last, first = pair.writes()
    assert {first, last} == {"1", "2"}
    assert pair.attached.signature in before
    assert tag_of(pair.attached.index) in before


def test_a_dry_run_counts_them_and_writes_nothing(pair: Pair) -> None:
    end = pair.push(dry_run="true")
    assert end.outcomes == {f"{COPY}:1": "planned", f"{COPY}:2": "planned"}
    assert "4 referrers of docker://" in end.log
    assert not pair.target.requests(*WRITES)


def test_without_the_input_no_referrers_are_copied(pair: Pair) -> None:
    end = pair.push(referrers="false")
    assert end.status == 0
    assert set(pair.target.registry.tags(COPY)) == {"1", "2"}
    assert not pair.source.requests(Step.REFERRERS)


def test_a_referrer_attached_later_is_copied_without_writing_the_tag(pair: Pair) -> None:
    pair.push()
    later = artifact(described(pair.source.registry.raw(f"{REPOSITORY}:1"), "x"), SBOM, b"more")
    attach(pair.source.registry, REPOSITORY, later, b"more")
    sbom = pair.attached.subjects[pair.attached.index]
    list_by_tag(pair.source.registry, REPOSITORY, pair.attached.index, sbom, later)
    pair.target.front.reset()
    end = pair.push()
    assert end.outcomes == {f"{COPY}:1": "unchanged", f"{COPY}:2": "unchanged"}
    assert pair.listed(pair.attached.index) == [digest_of(sbom), digest_of(later)]
    assert pair.writes() == [digest_of(later), tag_of(pair.attached.index)]


def test_entries_of_others_stay_in_the_list(pair: Pair) -> None:
    registry, subject = pair.target.registry, pair.attached.index
    other = artifact({"digest": subject, "mediaType": "x", "size": 1}, SBOM, b"another's")
    attach(registry, COPY, other, b"another's")
    list_by_tag(registry, COPY, subject, other)
    assert pair.push().status == 0
    sbom = pair.attached.subjects[subject]
    assert pair.listed(subject) == [digest_of(other), digest_of(sbom)]
    entry = registry.manifest(f"{COPY}:{tag_of(subject)}")["manifests"][1]
    assert entry["artifactType"] == SBOM
    assert entry["annotations"] == json.loads(sbom)["annotations"]


def test_a_list_is_written_without_entries_that_a_clean_up_removed(pair: Pair) -> None:
    registry, subject = pair.target.registry, pair.attached.index
    gone = artifact({"digest": subject, "mediaType": "x", "size": 1}, SBOM, b"gone")
    list_by_tag(registry, COPY, subject, gone)
    end = pair.push()
    assert end.status == 0, end.log
    assert pair.listed(subject) == [digest_of(pair.attached.subjects[subject])]


def test_listed_referrers_that_the_source_lacks_are_reported_and_skipped(pair: Pair) -> None:
    lost = digest_of(pair.attached.subjects[pair.attached.index])
    pair.source.registry.forget(REPOSITORY, lost)
    end = pair.push()
    assert end.status == 0, end.log
    assert f"lists referrers that are missing there: {lost}" in end.log
    assert pair.listed(pair.attached.index) == []


def test_the_image_is_not_taken_for_the_list_of_its_referrers(pair: Pair) -> None:
    registry, subject = pair.source.registry, pair.attached.index
    image = registry.raw(f"{REPOSITORY}:1")
    registry.hold(f"{REPOSITORY}:{tag_of(subject)}", image, media_type=INDEX)
    end = pair.push()
    assert end.status == 0, end.log
    assert pair.listed(subject) == []
    assert tag_of(subject) not in pair.target.registry.tags(COPY)


def test_no_tag_is_written_if_a_referrer_cannot_be_read(pair: Pair) -> None:
    sbom = json.loads(pair.attached.subjects[pair.attached.index])
    blob = sbom["layers"][0]["digest"]
    pair.source.registry.forget(REPOSITORY, blob)
    end = pair.push()
    assert end.outcomes == {f"{COPY}:1": "failed", f"{COPY}:2": "failed"}
    assert end.failure(f"{COPY}:2")["kind"] == "source-invalid"
    assert blob in end.failure(f"{COPY}:1")["message"]
    assert not {"1", "2"} & pair.target.registry.tags(COPY).keys()


def test_a_refused_list_fails_the_targets_with_the_registrys_text(pair: Pair) -> None:
    tag = tag_of(pair.attached.index)
    answer = oci_error(412, "PRECONDITION", "the tag is configured as immutable")
    rule = Rule(match=on(Step.MANIFEST_PUT, reference=tag), answer=answer)
    pair.target.front.set(Behaviour(rules=(rule,)))
    end = pair.push()
    assert end.outcomes == {f"{COPY}:1": "failed", f"{COPY}:2": "failed"}
    assert "immutable" in end.failure(f"{COPY}:1")["message"]


def test_a_registry_that_needs_subjects_first_gets_referrers_in_a_second_run(pair: Pair) -> None:
    pair.target.registry.serves = Serves(needs_subjects=True)
    end = pair.push()
    failure = end.failure(f"{COPY}:1")
    assert (failure["kind"], failure["message"].split(" sha256:")[0]) == (
        "unsupported",
        "unknown subject",
    )
    assert "Push without `referrers` first" in failure["advice"]
    assert pair.push(referrers="false").status == 0
    sbom = digest_of(pair.attached.subjects[pair.attached.index])
    late = Rule(match=on(Step.MANIFEST_PUT, reference=sbom), first=1)
    pair.target.front.set(Behaviour(rules=(late,)))
    assert pair.push().status == 0
    for subject, manifest in pair.attached.subjects.items():
        assert pair.listed(subject) == [digest_of(manifest)]


@pytest.mark.parametrize(
    "step", [Step.MANIFEST_PUT, Step.MANIFEST_HEAD, Step.REFERRERS, Step.UPLOAD_PUT]
)
def test_a_registry_with_a_temporary_failure_is_asked_again(step: Step, tmp_path: Path) -> None:
    with running_pair(tmp_path, source_api=False, target_api=True) as pair:
        rule = Rule(match=on(step), answer=Answer(status=503), first=3)
        pair.target.front.set(Behaviour(rules=(rule,)))
        end = pair.push()
        assert end.status == 0, end.log
        for subject, manifest in pair.attached.subjects.items():
            assert pair.listed(subject) == [digest_of(manifest)]


@pytest.mark.parametrize("look", range(4))
def test_a_failed_read_of_cosigns_tag_is_repeated(look: int, pair: Pair) -> None:
    match = on(Step.MANIFEST_HEAD, reference=pair.attached.signature)
    rule = Rule(match=match, answer=Answer(status=503), skip=look, first=1)
    pair.target.front.set(Behaviour(rules=(rule,)))
    end = pair.push()
    assert end.status == 0, end.log
    assert pair.attached.signature in pair.target.registry.tags(COPY)


# -- cosign's tags ----------------------------------------------------------------------------


def test_more_signatures_at_the_source_replace_fewer(pair: Pair) -> None:
    pair.push()
    signed = pair.attached.sign("first", "second")
    assert pair.push().status == 0
    assert pair.target.registry.tags(COPY)[pair.attached.signature] == signed


def test_more_signatures_at_the_target_stay(pair: Pair) -> None:
    pair.push()
    manifest, blobs = signatures("first", "of the target")
    kept = pair.target.registry.hold(f"{COPY}:{pair.attached.signature}", manifest, *blobs)
    end = pair.push()
    assert end.status == 0
    assert pair.target.registry.tags(COPY)[pair.attached.signature] == kept
    assert "left unchanged" not in end.log


def test_signatures_that_each_side_lacks_are_kept_and_reported(pair: Pair) -> None:
    manifest, blobs = signatures("of the target")
    kept = pair.target.registry.hold(f"{COPY}:{pair.attached.signature}", manifest, *blobs)
    end = pair.push()
    assert end.status == 0
    assert pair.target.registry.tags(COPY)[pair.attached.signature] == kept
    assert f"{COPY}:{pair.attached.signature} was left unchanged" in end.log


def test_tags_that_lead_round_in_a_circle_come_to_an_end(pair: Pair) -> None:
    registry = pair.source.registry
    signature = registry.tags(REPOSITORY)[pair.attached.signature]
    registry.hold(
        f"{REPOSITORY}:{tag_of(signature)}.sig", registry.raw(f"{REPOSITORY}@{signature}")
    )
    end = pair.push()
    assert end.status == 0, end.log
    assert pair.target.registry.tags(COPY)[f"{tag_of(signature)}.sig"] == signature


# -- many writers -----------------------------------------------------------------------------


def test_an_entry_that_another_writer_overwrote_is_added_again(pair: Pair) -> None:
    """Another writer read the list before our write, and writes right after it."""
    registry, subject = pair.target.registry, pair.attached.index
    other = artifact({"digest": subject, "mediaType": "x", "size": 1}, SBOM, b"another's")
    attach(registry, COPY, other, b"another's")
    written: list[str] = []

    def overwrite(reference: str) -> None:
        if reference == tag_of(subject) and not written:
            written.append(reference)
            list_by_tag(registry, COPY, subject, other)

    registry.after_write = overwrite
    assert pair.push().status == 0
    assert written
    sbom = digest_of(pair.attached.subjects[subject])
    assert sorted(pair.listed(subject)) == sorted([sbom, digest_of(other)])


# -- other sources ----------------------------------------------------------------------------


def test_an_image_of_the_engine_has_no_referrers_and_a_notice_says_so(tmp_path: Path) -> None:
    with running_pair(tmp_path, source_api=False, target_api=False) as pair:
        end = pair.push(source="app:1", dry_run="true")
        assert "`referrers` works with" in end.log


def test_one_platform_includes_only_its_own_referrers(pair: Pair) -> None:
    assert pair.push(platform="linux/amd64").status == 0
    assert pair.listed(pair.attached.child) != []
    assert pair.listed(pair.attached.index) == []

"""Tags, image and source to targets: every way of writing them, and what is said of bad ones."""

import json

import pytest

from ghcr_push.model import Source
from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, read_settings

FULL = "ghcr.io/acme/app"


def read(tags: str, **inputs: str) -> Settings:
    return read_settings({"tags": tags} | {n.replace("_", "-"): v for n, v in inputs.items()})


def pairs(settings: Settings) -> list[tuple[str, str]]:
    return [(str(target), str(target.source)) for target in settings.targets]


def only_line(tags: str, **inputs: str) -> str:
    with pytest.raises(InputError) as caught:
        read(tags, **inputs)
    (line,) = str(caught.value).splitlines()
    return line


def test_a_full_reference_is_its_own_source_as_it_was_written() -> None:
    assert pairs(read("app:1")) == [("docker.io/library/app:1", "app:1")]
    assert pairs(read("acme/app")) == [("docker.io/acme/app:latest", "acme/app")]
    assert pairs(read(f"{FULL}:1, {FULL}:2")) == [
        (f"{FULL}:1", f"{FULL}:1"),
        (f"{FULL}:2", f"{FULL}:2"),
    ]


def test_bare_tags_are_joined_to_the_image() -> None:
    assert pairs(read("1.2\nV1", image=FULL)) == [
        (f"{FULL}:1.2", f"{FULL}:1.2"),
        (f"{FULL}:V1", f"{FULL}:V1"),
    ]


def test_full_references_and_bare_tags_mix() -> None:
    assert pairs(read("1, quay.io/a/b:2", image=FULL, source="app:dev")) == [
        (f"{FULL}:1", "app:dev"),
        ("quay.io/a/b:2", "app:dev"),
    ]


def test_a_bare_tag_without_an_image_is_told_both_ways_out() -> None:
    assert only_line("latest") == (
        "tags: 'latest' is a bare tag, or a name without a tag: set `image` to the repository "
        "that it is a tag of, or write the whole reference, such as ghcr.io/acme/app:1.0."
    )


def test_an_arrow_gives_one_target_its_own_source() -> None:
    settings = read(
        f"app:dev => {FULL}:1\nother=>2, docker-daemon:third => 3, 4", image=FULL, source="main"
    )
    assert pairs(settings) == [
        (f"{FULL}:1", "app:dev"),
        (f"{FULL}:2", "other"),
        (f"{FULL}:3", "third"),
        (f"{FULL}:4", "main"),
    ]


@pytest.mark.parametrize("tags", ["=> 1", "app =>", "=>"])
def test_an_arrow_has_two_sides(tags: str) -> None:
    assert only_line(tags, image=FULL).endswith(
        "lacks one side of its arrow; write SOURCE => TARGET."
    )


METADATA = {
    "tags": [f"{FULL}:1.2", f"{FULL}:latest"],
    "tag-names": ["1.2", "latest"],
    "labels": {"org.opencontainers.image.title": "app, and => more"},
    "annotations": [],
}


@pytest.mark.parametrize("indent", [None, 2])
def test_the_json_of_metadata_action_is_read(indent: int | None) -> None:
    settings = read(json.dumps(METADATA, indent=indent), source="app")
    assert pairs(settings) == [(f"{FULL}:1.2", "app"), (f"{FULL}:latest", "app")]


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ('{"tags": [', "begins with `{` and is not JSON"),
        ("{" * 100_000, "begins with `{` and is not JSON"),
        ('{"a":' * 100_000, "begins with `{` and is not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "begins with `{` and is not JSON"),
        ("{}", "is JSON without a list of references at its key `tags`"),
        ('{"tags": "a"}', "is JSON without a list of references at its key `tags`"),
        ('{"tags": [1]}', "is JSON without a list of references at its key `tags`"),
    ],
)
def test_json_of_another_shape_is_refused(tags: str, says: str) -> None:
    assert says in only_line(tags)


@pytest.mark.parametrize("tags", ["", " \n", ",", '{"tags": []}', '{"tags": [""]}'])
def test_no_tags_are_bad_input_unless_allowed(tags: str) -> None:
    assert only_line(tags).startswith("tags is empty: docker/metadata-action yields no tags on")
    assert read(tags, allow_empty="true").targets == ()


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        (f"{FULL}:a b", "has a space in it; write one entry per line"),
        ("https://ghcr.io/acme/app:1", "has a protocol in front; leave it out"),
        (f"{FULL}@sha256:" + "a" * 64, "names a digest, which cannot be pushed to; name a tag"),
        ("ghcr.io/Acme/App:V1", "must be lower case up to its tag: write 'ghcr.io/acme/app:V1'"),
        ("Acme/App", "must be lower case up to its tag: write 'acme/app'"),
        (
            "ghcr.io/app:1",
            "has no owner: packages of ghcr.io are named ghcr.io/OWNER/app",
        ),
        (
            f"{FULL}:feature/x",
            f"has no tag after its colon, but another text; write '{FULL}:feature-x'",
        ),
        ("host:5000x/app", "'host:5000x' is not a registry host"),
        ("acme//app:1", "'acme//app' is not a repository name; write registry/repository:tag"),
        (f"{FULL}:-1", f"write '{FULL}:1'"),
        (f"{FULL}:", f"write '{FULL}:latest'"),
        ("ghcr.io:99999/a/b:1", "'ghcr.io:99999' is not a registry host"),
        (FULL + ":" + "a" * 400, "is longer than a reference can be (384 characters)"),
    ],
)
def test_bad_references_are_told_what_to_change(tags: str, says: str) -> None:
    line = only_line(tags)
    assert line.startswith(f"tags: '{tags[:100]}")
    assert says in line


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("a b", "has a space in it"),
        ("-rc", "such as 'rc'."),
        ("v1+build", "such as 'v1-build'."),
        ("é", "such as 'latest'."),
        ("a" * 129, f"such as '{'a' * 128}'."),
    ],
)
def test_bad_bare_tags_are_told_the_nearest_good_one(tag: str, says: str) -> None:
    assert says in only_line(tag, image=FULL)


def test_upper_case_in_the_image_is_lowered_with_a_notice() -> None:
    settings = read("V1", image="GHCR.io/Acme/App")
    assert pairs(settings) == [(f"{FULL}:V1", f"{FULL}:V1")]
    assert settings.notices == (
        "image 'GHCR.io/Acme/App' was lowered to 'ghcr.io/acme/app': repositories are lower case.",
    )


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("ghcr.io/app", "has no owner"),
        ("https://ghcr.io/acme/app", "has a protocol in front"),
        (f"{FULL}:1", "write it without a tag"),
        (f"{FULL}\nghcr.io/acme/b", "is more than one word; give one repository"),
        ("ghcr.io/acme/", "is not a repository"),
    ],
)
def test_a_bad_image_is_one_problem_however_many_tags_need_it(image: str, says: str) -> None:
    line = only_line("1, 2, 3", image=image)
    assert line.startswith("image: ")
    assert says in line


@pytest.mark.parametrize(
    "source",
    [
        *("app", "app:dev", FULL, f"{FULL}:1@sha256:" + "a" * 64, "app@sha256:" + "a" * 64),
        *("0123456789ab", "sha256:" + "f" * 64, "f" * 64, "sha256:0123"),
    ],
)
def test_local_images_are_sources_by_name_id_and_digest(source: str) -> None:
    expected = Source(source)
    assert read(f"{FULL}:1", source=source).targets[0].source == expected
    assert read(f"{FULL}:1", source=f"docker-daemon:{source}").targets[0].source == expected


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("oci-layout:dir:1", "is not supported yet (`oci-layout:`)"),
        ("oci-archive:a.tar", "is not supported yet (`oci-archive:`)"),
        ("docker-archive:a.tar", "is not supported yet (`docker-archive:`)"),
        ("docker://alpine", "is not supported yet (`docker://`)"),
        ("docker-daemon:", "is not a repository name"),
        ("--all-tags", "is not a repository name"),
        ("a b", "has a space in it"),
        ("app@sha256:12", "has 'sha256:12' for a digest"),
        ("ghcr.io/Acme/App:1", "must be lower case up to its tag"),
    ],
)
def test_other_sources_are_refused_wherever_they_stand(source: str, says: str) -> None:
    assert says in only_line(f"{FULL}:1", source=source)
    line = only_line(f"{source} => {FULL}:1")
    assert line.startswith("tags: ")
    assert says in line


def test_the_same_target_twice_is_merged_with_a_notice() -> None:
    settings = read("app:latest, docker.io/library/app, index.docker.io/app, b:1")
    assert pairs(settings) == [
        ("docker.io/library/app:latest", "app:latest"),
        ("docker.io/library/b:1", "b:1"),
    ]
    assert settings.notices == (
        "tags names more than once, now merged: 'docker.io/library/app:latest'.",
    )
    assert settings.conflicts == ()


def test_many_repetitions_are_one_notice() -> None:
    tags = [f"b:{number}" for number in range(10)] * 3
    (notice,) = read("\n".join(tags)).notices
    assert notice.endswith(", 'docker.io/library/b:2' and 7 more.")


def test_the_same_target_with_the_same_source_is_merged() -> None:
    settings = read(f"a => {FULL}:1, docker-daemon:a => {FULL}:1")
    assert pairs(settings) == [(f"{FULL}:1", "a")]
    assert settings.conflicts == ()


def test_the_same_target_with_several_sources_is_left_to_the_engine() -> None:
    settings = read(f"a => {FULL}:1, b => {FULL}:1, {FULL}:1, c => {FULL}:2", source="a")
    (conflict,) = settings.conflicts
    assert str(conflict.reference) == f"{FULL}:1"
    assert conflict.sources == (Source("a"), Source("b"))
    assert str(conflict.problem) == (
        f"tags: '{FULL}:1' is given the sources 'a' and 'b', not known as one image; keep one of "
        "them."
    )


def test_a_source_against_the_targets_own_name_is_a_conflict_of_texts() -> None:
    (conflict,) = read("a => app:1, app:1, docker.io/library/app:1").conflicts
    assert conflict.sources == (Source("a"), Source("app:1"))


def test_ten_thousand_tags_are_read_good_and_bad() -> None:
    tags = "\n".join(f"src:{n % 7} => {FULL}-{n % 50}:{n}" for n in range(10_000))
    assert len(read(tags).targets) == 10_000
    with pytest.raises(InputError) as caught:
        read(tags.replace(":", ":-"))
    assert len(caught.value.problems) == 10_000
    assert len(str(caught.value).splitlines()) == 11

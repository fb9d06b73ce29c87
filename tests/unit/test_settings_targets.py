"""Tags, image and source to targets: every way of writing them, and errors for bad ones."""

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
    assert pairs(read("docker.io/app:1")) == [("docker.io/library/app:1", "docker.io/app:1")]
    assert pairs(read("docker.io/acme/app")) == [
        ("docker.io/acme/app:latest", "docker.io/acme/app")
    ]
    assert pairs(read("[::1]:5000/acme/app:1")) == [
        ("[::1]:5000/acme/app:1", "[::1]:5000/acme/app:1")
    ]
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


def test_the_error_for_a_bare_tag_without_an_image_names_both_fixes() -> None:
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
        (f"[{FULL}:1, {FULL}:2]", "begins with `[` and is not JSON; write one reference per line"),
        ('["a",', "begins with `[` and is not JSON"),
        ("[1]", "is a JSON array with other values"),
        ('[["a"]]', "is a JSON array with other values"),
        ("[" * 100_000, "begins with `[` and is not JSON"),
    ],
)
def test_json_of_another_shape_is_refused(tags: str, says: str) -> None:
    assert says in only_line(tags)


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_array_of_strings_is_read(indent: int | None) -> None:
    tags = json.dumps([f"{FULL}:1", "", f" app => {FULL}:2\n"], indent=indent)
    assert pairs(read(tags)) == [(f"{FULL}:1", f"{FULL}:1"), (f"{FULL}:2", "app")]


def test_bare_tags_come_in_json_too() -> None:
    assert [str(each) for each in read('["1", "2"]', image=FULL).targets] == [
        f"{FULL}:1",
        f"{FULL}:2",
    ]


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        *(("", "tags is"), (" \n", "tags is"), (",", "tags: ',' is"), ("[]", "tags: '[]' is")),
        ('{"tags": []}', """tags: '{"tags": []}' is"""),
        ('{"tags": [""]}', """tags: '{"tags": [""]}' is"""),
    ],
)
def test_no_tags_are_bad_input_unless_allowed(tags: str, said: str) -> None:
    assert only_line(tags).startswith(
        f"{said} empty: docker/metadata-action yields no tags on many pull requests; set "
        "`allow-empty: true`"
    )
    assert read(tags, allow_empty="true").targets == ()


@pytest.mark.parametrize("arrows", [f"a => b => {FULL}:1", f"a=>b=>{FULL}:1", "=> =>"])
def test_a_second_arrow_is_refused_with_all_of_the_entry(arrows: str) -> None:
    assert only_line(arrows) == (
        f"tags: '{arrows}' has more than one arrow; write SOURCE => TARGET, one per line."
    )


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        (f"{FULL}:a b", "has a space in it; write one entry per line"),
        ("https://ghcr.io/acme/app:1", "starts with a protocol; leave it out"),
        (f"{FULL}@sha256:" + "a" * 64, "names a digest, which cannot be pushed to; name a tag"),
        ("ghcr.io/Acme/App:V1", "must be lower case up to its tag: write 'ghcr.io/acme/app:V1'"),
        ("docker.io/Acme/App", "must be lower case up to its tag: write 'docker.io/acme/app'"),
        (f"# {FULL}:1", "is a comment, which lists cannot have; leave it out"),
        ("# none", "is a comment, which lists cannot have; leave it out"),
        ("oci-layout:out", "is a source; write SOURCE => TARGET (in double quotes"),
        ("docker-archive:/a", "is a source; write SOURCE => TARGET"),
        (f"- {FULL}:1", "starts with a dash, like a YAML list; leave it out"),
        (
            "ghcr.io/app:1",
            "has no owner: packages of ghcr.io are named ghcr.io/OWNER/app",
        ),
        (
            f"{FULL}:feature/x",
            f"has an invalid tag after its colon; write '{FULL}:feature-x'",
        ),
        ("host:5000x/app", "'host:5000x' is not a registry host"),
        ("acme+app/x", "names no registry: write registry/repository:tag"),
        ("docker.io/a+b", "'a+b' is not a repository name; write registry/repository:tag"),
        ("ghcr.io//:sha-1", "has an empty part, perhaps from an empty variable; fill it or leave"),
        ("ghcr.io/acme/app/:1", "has an empty part, perhaps from an empty variable"),
        ("/acme/app:1", "has an empty part, perhaps from an empty variable"),
        (f"{FULL}:${{GITHUB_REF##*/}}", "has a shell variable in it, which is not expanded"),
        (f"{FULL}:$(git_sha)", "has a shell variable in it"),
        (f"{FULL}:$TAG", "has a shell variable in it"),
        (f"{FULL}:refs/pull/1/merge", f"write '{FULL}:refs-pull-1-merge'"),
        (f"{FULL}:refs/heads/main", f"write '{FULL}:main'"),
        (f"{FULL}:-1", f"write '{FULL}:1'"),
        (f"{FULL}:", f"without a tag, as where a variable is empty; write '{FULL}:latest' if"),
        (f"{FULL}:{'é' * 3}", f"write '{FULL}:latest'"),
        ("ghcr.io:99999/a/b:1", "'ghcr.io:99999' is not a registry host"),
        (FULL + ":" + "a" * 400, "is longer than a reference can be (384 characters)"),
    ],
)
def test_the_error_for_a_bad_reference_says_what_to_change(tags: str, says: str) -> None:
    line = only_line(tags)
    assert line.startswith(f"tags: '{tags[:100]}")
    assert says in line


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("a b", "has a space in it"),
        ("-rc", "such as 'rc'."),
        ("v1+build", "such as 'v1-build'."),
        ("initial-home=page", "such as 'initial-home-page'."),
        ("feature-#6-quiz", "such as 'feature--6-quiz'."),
        ("é", "such as 'latest'."),
        ("a" * 129, f"such as '{'a' * 128}'."),
    ],
)
def test_the_error_for_a_bad_bare_tag_suggests_a_valid_one(tag: str, says: str) -> None:
    assert says in only_line(tag, image=FULL)


@pytest.mark.parametrize(
    ("tags", "written"),
    [
        ("acme/app:1", ["ghcr.io/acme/app:1", "docker.io/acme/app:1"]),
        ("acme/app", ["ghcr.io/acme/app", "docker.io/acme/app"]),
        ("Acme/App:V1", ["ghcr.io/acme/app:V1", "docker.io/acme/app:V1"]),
        ("app:1", ["ghcr.io/OWNER/app:1", "docker.io/OWNER/app:1"]),
        ("library/app:1", ["ghcr.io/library/app:1", "docker.io/library/app:1"]),
        ("release-1.2/fix", ["ghcr.io/release-1.2/fix", "docker.io/release-1.2/fix"]),
        ("refs/heads/main", ["ghcr.io/refs/heads/main", "docker.io/refs/heads/main"]),
    ],
)
def test_a_reference_names_its_registry(tags: str, written: list[str]) -> None:
    expected = " or ".join(f"'{each}'" for each in written)
    assert only_line(tags) == f"tags: '{tags}' names no registry: write {expected}."
    assert only_line(f"local/image => {tags}").startswith(f"tags: '{tags}' names no registry")


@pytest.mark.parametrize(
    ("tag", "character", "nearest"),
    [
        ("feature/foo", "/", "feature-foo"),
        ("Feature/Foo", "/", "Feature-Foo"),
        ("123/merge", "/", "123-merge"),
        ("refs/heads/main", "/", "main"),
        ("refs/heads/feature/x", "/", "feature-x"),
        ("refs/tags/v1.2.3", "/", "v1.2.3"),
        ("dependabot/npm_and_yarn/x-1.2", "/", "dependabot-npm_and_yarn-x-1.2"),
        ("release-1.2/fix", "/", "release-1.2-fix"),
        ("acme/app:1", "/", "1"),
        ("app:1", ":", "1"),
    ],
)
def test_the_name_of_a_branch_is_no_tag_and_goes_nowhere(
    tag: str, character: str, nearest: str
) -> None:
    line = only_line(tag, image=FULL)
    assert line.startswith(
        f"tags: '{tag}' has '{character}' in it, as no tag has, and names no registry: for a tag "
        f"of `image` write '{nearest}', for a reference "
    )
    assert pairs(read(nearest, image=FULL)) == [(f"{FULL}:{nearest}", f"{FULL}:{nearest}")]


@pytest.mark.parametrize(
    ("text", "tag", "reference"),
    [
        ("v1.x/fix", "v1.x-fix", "'v1.x/fix:latest'"),
        ("V1.x/Fix", "V1.x-Fix", "'v1.x/fix:latest'"),
        ("jane.doe/new/idea", "jane.doe-new-idea", "'jane.doe/new/idea:latest'"),
        ("v1.x/fix#2", "v1.x-fix-2", "registry/repository:tag"),
    ],
)
def test_the_error_for_a_branch_that_looks_like_a_host_names_both_readings(
    text: str, tag: str, reference: str
) -> None:
    assert only_line(text, image=FULL) == (
        f"tags: '{text}' may be a tag with '/' in it, as no tag has, or a reference without a tag: "
        f"for a tag of `image` write '{tag}', for a reference {reference}."
    )
    assert only_line(f"local/image => {text}", image=FULL).startswith(f"tags: '{text}' may be a")


@pytest.mark.parametrize(
    "text",
    ["ghcr.io/a/b", "docker.io/a/b", "quay.io/a/c", "quay.io:443/a/b", "10.0.0.1/b", "r.test/a:1"],
)
def test_beside_an_image_a_reference_without_a_tag_names_a_host_that_is_known(text: str) -> None:
    (target,) = read(text, image="quay.io/a/b").targets
    assert str(target).startswith(text)


@pytest.mark.parametrize(
    "reference", ["localhost/app:1", "localhost:5000/app", "10.0.0.1/app:1", "10.0.0.1:80/a/b:1"]
)
def test_hosts_of_every_kind_are_registries(reference: str) -> None:
    (target,) = read(reference, image=FULL).targets
    assert str(target).startswith(reference)


@pytest.mark.parametrize("image", ["acme/app", "Acme/App", "app"])
def test_an_image_names_its_registry(image: str) -> None:
    line = only_line("1", image=image)
    name = image.lower() if "/" in image else "OWNER/app"
    assert line.endswith(f"names no registry: write 'ghcr.io/{name}' or 'docker.io/{name}'.")


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
        ("https://ghcr.io/acme/app", "starts with a protocol"),
        (f"{FULL}:1", "write it without a tag"),
        (f"{FULL}\nghcr.io/acme/b", "is more than one word; give one repository"),
        ("ghcr.io/acme/", "has an empty part, perhaps from an empty variable"),
        ("ghcr.io/acme/a+b", "is not a repository"),
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
        ("oci-layout:", "names no path; write oci-layout:PATH"),
        ("oci-archive::1", "names no path; write oci-archive:PATH"),
        ("docker://Acme/app", "must be lower case"),
        ("docker://ghcr.io/acme/app@sha256:12", "has 'sha256:12' for a digest"),
        ("docker-daemon:", "is not a repository name"),
        ("--all-tags", "is not a repository name"),
        ("a b", "has a space in it"),
        *(
            (path, "cannot be the name of an image (is a variable empty?); paths are written oci-")
            for path in (
                *("/tmp/app.tar", "./app.tar", "../app", "~/app", "/app:1"),
                *("dir:./out", "oci-dir:/out", "ocidir:out", "containers-storage:app:1"),
            )
        ),
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
    settings = read("docker.io/app, docker.io/library/app, index.docker.io/app:latest, quay.io/b")
    assert pairs(settings) == [
        ("docker.io/library/app:latest", "docker.io/app"),
        ("quay.io/b:latest", "quay.io/b"),
    ]
    assert settings.notices == (
        "tags names more than once, now merged: 'docker.io/library/app:latest'.",
    )
    assert settings.conflicts == ()


def test_many_repetitions_are_one_notice() -> None:
    tags = [f"quay.io/b:{number}" for number in range(10)] * 3
    (notice,) = read("\n".join(tags)).notices
    assert notice.endswith(", 'quay.io/b:2' and 7 more.")


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
    (conflict,) = read("a => quay.io/app:1, quay.io/app:1").conflicts
    assert conflict.sources == (Source("a"), Source("quay.io/app:1"))


def test_ten_thousand_tags_are_read_good_and_bad() -> None:
    tags = "\n".join(f"src:{n % 7} => {FULL}-{n % 50}:{n}" for n in range(10_000))
    assert len(read(tags).targets) == 10_000
    with pytest.raises(InputError) as caught:
        read(tags.replace(":", ":-"))
    assert len(caught.value.problems) == 10_000
    assert len(str(caught.value).splitlines()) == 11

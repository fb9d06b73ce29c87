"""``mount-from`` to repositories: full and bare names, and errors for bad ones."""

import pytest

from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, read_settings

HUB_AND_GHCR = "ghcr.io/acme/app:1, docker.io/acme/app:1"


def read(mount_from: str, **inputs: str) -> Settings:
    return read_settings({"tags": "ghcr.io/acme/app:1", "mount-from": mount_from} | inputs)


def named(settings: Settings) -> list[str]:
    return [str(repository) for repository in settings.mount_from]


def problem(mount_from: str) -> str:
    with pytest.raises(InputError) as caught:
        read(mount_from)
    (line,) = str(caught.value).splitlines()
    return line


def test_nothing_is_mounted_from_anywhere_by_default() -> None:
    assert read("").mount_from == ()


def test_a_list_of_full_names_is_read_each_once() -> None:
    settings = read("ghcr.io/acme/base, ghcr.io/acme/tools\nghcr.io/acme/base")
    assert named(settings) == ["ghcr.io/acme/base", "ghcr.io/acme/tools"]
    assert settings.notices == ()


def test_a_bare_name_is_a_repository_of_every_targets_registry() -> None:
    assert named(read("acme/base", tags=HUB_AND_GHCR)) == [
        "ghcr.io/acme/base",
        "docker.io/acme/base",
    ]
    assert named(read("acme/base, ghcr.io/acme/base")) == ["ghcr.io/acme/base"]
    assert named(read("base", tags="localhost:5000/app:1")) == ["localhost:5000/base"]


def test_docker_hub_needs_its_name_where_targets_are_elsewhere_too() -> None:
    assert named(read("docker.io/debian", tags=HUB_AND_GHCR)) == ["docker.io/library/debian"]


def test_upper_case_is_lowered_with_a_notice() -> None:
    settings = read("Acme/Base")
    assert named(settings) == ["ghcr.io/acme/base"]
    assert settings.notices == (
        "mount-from 'Acme/Base' was lowered to 'acme/base': repositories are lower case.",
    )


def test_a_repository_of_another_registry_is_left_out_with_a_notice() -> None:
    settings = read("quay.io/acme/base, acme/base")
    assert named(settings) == ["ghcr.io/acme/base"]
    (notice,) = settings.notices
    assert notice == (
        "mount-from 'quay.io/acme/base' was left out: no target is on quay.io, and layers are "
        "mounted within one registry only."
    )


def test_docker_push_does_not_see_the_variable() -> None:
    (notice,) = read("acme/base", transport="engine").notices
    assert notice.startswith("`mount-from` has no effect with `transport: engine`")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ghcr.io/acme/base:1", "is not a repository: 'acme/base:1' is not a repository name;"),
        ("acme/base:1", "is not a repository: 'acme/base:1' is not a repository name;"),
        ("https://ghcr.io/acme/base", "starts with a protocol; leave it out"),
        ("acme/base acme/tools", "has a space in it; write one entry per line"),
        (f"acme/base@sha256:{'0' * 64}", "names a digest"),
        ("acme//base", "has an empty part, perhaps from an empty variable"),
        ("acme/+base", "is not a repository: 'acme/+base' is not a repository name"),
        ("base", "has no owner: packages of ghcr.io are named ghcr.io/OWNER/base"),
        ("ghcr.io/base", "has no owner: packages of ghcr.io are named ghcr.io/OWNER/base"),
        ("ghcr.io:0/acme/base", "is not a repository: 'ghcr.io:0' is not a registry host"),
        ("a" * 400, "is longer than a reference can be"),
    ],
)
def test_bad_repositories_are_refused_by_name(text: str, says: str) -> None:
    line = problem(text)
    assert line.startswith(f"mount-from: '{text[:100]}")
    assert says in line


def test_a_bad_repository_and_bad_tags_are_reported_together() -> None:
    with pytest.raises(InputError) as caught:
        read_settings({"tags": "ghcr.io/acme/app:a b", "mount-from": "acme//base"})
    assert [each.input for each in caught.value.problems] == ["tags", "mount-from"]

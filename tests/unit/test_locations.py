"""Parsing a source's text: a location on disk, in a registry, or several joined."""

import pytest

from ghcr_push.planning.locations import (
    DiskLocation,
    Form,
    Location,
    MergedLocation,
    RegistryLocation,
    parse_location,
)
from ghcr_push.references import Repository


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("oci-layout:out", DiskLocation(Form.OCI_LAYOUT, "out")),
        ("oci:out:1.0", DiskLocation(Form.OCI_LAYOUT, "out", "1.0")),
        (
            f"oci-layout:out@sha256:{'a' * 64}",
            DiskLocation(Form.OCI_LAYOUT, "out", f"sha256:{'a' * 64}"),
        ),
        ("oci-archive:/x/y.tar:a/b:c", DiskLocation(Form.OCI_ARCHIVE, "/x/y.tar", "a/b:c")),
        ("docker-archive:img.tar:app:1", DiskLocation(Form.DOCKER_ARCHIVE, "img.tar", "app:1")),
        ("docker://ghcr.io/a/b:1", RegistryLocation(Repository("ghcr.io", "a/b"), "1")),
        ("docker://alpine", RegistryLocation(Repository("docker.io", "library/alpine"), "latest")),
        (
            f"docker://localhost:5000/a:1@sha256:{'a' * 64}",
            RegistryLocation(Repository("localhost:5000", "a"), f"sha256:{'a' * 64}"),
        ),
        ("app:1", None),
        ("ghcr.io/acme/app:1", None),
        ("sha256:" + "a" * 64, None),
    ],
)
def test_a_source_names_its_place(text: str, location: Location | None) -> None:
    assert parse_location(text) == location


def test_a_place_reads_as_it_is_written() -> None:
    for text in ("oci-layout:out:1.0", f"oci-archive:a.tar@sha256:{'a' * 64}", "docker-archive:b"):
        location = parse_location(text)
        assert parse_location(str(location)) == location


def test_members_of_an_index_are_joined_by_a_plus() -> None:
    location = parse_location("oci-layout:a:1 + docker://ghcr.io/a/b:2")
    assert isinstance(location, MergedLocation)
    assert [type(member) for member in location.members] == [DiskLocation, RegistryLocation]
    assert parse_location(str(location)) == location


@pytest.mark.parametrize("text", ["oci-layout:a + app:1", "oci-layout:a + docker-archive:b"])
def test_an_invalid_member_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"joins '{text.split(' + ')[1]}'"):
        parse_location(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("oci-layout:a +", "lacks a source beside its"),
        ("oci-layout:a + + oci-layout:b", "lacks a source beside its"),
        ("oci-layout:a+oci-layout:b", "without spaces around it"),
        ("docker://ghcr.io/a/b:1+docker://ghcr.io/a/b:2", "without spaces around it"),
    ],
)
def test_a_plus_stands_between_two_sources(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_location(text)


@pytest.mark.parametrize("text", ["oci-layout:", "oci:", "oci-archive::1", "docker-archive:@x"])
def test_a_place_without_a_path_is_refused(text: str) -> None:
    if text != "docker-archive:@x":
        with pytest.raises(ValueError, match="names no path"):
            parse_location(text)

"""References and digests: the specification's grammar, and Docker's defaults."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ghcr_push.references import (
    Repository,
    TagReference,
    is_digest,
    is_tag,
    names_registry,
    parse_registry,
    parse_repository,
    parse_tag_reference,
)

# The grammar once more, as the specifications print it: distribution-spec, "Pulling manifests",
# and image-spec, "Digests"
SPEC_NAME = re.compile(
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII
)
SPEC_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)

COMPONENTS = st.from_regex(r"[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
NAMES = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)
PORTS = st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}"))
HOSTS = st.one_of(
    st.just("localhost"),
    st.from_regex(r"[a-z0-9]{1,8}(?:-[a-z0-9]{1,4})?\.[a-z]{2,6}", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
REGISTRIES = st.builds("{}{}".format, HOSTS, PORTS)
TAGS = st.from_regex(SPEC_TAG, fullmatch=True)
# texts near the grammar: its own characters in any order, and strangers among them
NEAR = st.text(alphabet="abAB09._-/:@[] \n=>é", max_size=40)


@given(registry=REGISTRIES, name=NAMES, tag=TAGS)
def test_a_full_reference_reads_as_its_parts_and_writes_as_it_was(
    registry: str, name: str, tag: str
) -> None:
    reference = parse_tag_reference(f"{registry}/{name}:{tag}")
    assert reference == TagReference(Repository(registry, name), tag)
    assert str(reference) == f"{registry}/{name}:{tag}"


@given(text=st.one_of(NEAR, st.builds("{}/{}:{}".format, REGISTRIES, NEAR, NEAR)))
@example("Docker.io/x")
@example("Acme/app")
@example("index.docker.io/app:1")
@example("LOCALHOST/app")
@example("a/b\n")
def test_accepted_references_follow_the_grammar_and_round_trip(text: str) -> None:
    try:
        reference = parse_tag_reference(text)
    except ValueError:
        return
    assert SPEC_NAME.fullmatch(reference.repository.name)
    assert SPEC_TAG.fullmatch(reference.tag)
    assert parse_registry(reference.repository.registry) == reference.repository.registry
    assert parse_tag_reference(str(reference)) == reference
    assert parse_repository(str(reference.repository)) == reference.repository


@given(text=NEAR)
def test_tags_are_those_of_the_specification(text: str) -> None:
    assert is_tag(text) == bool(SPEC_TAG.fullmatch(text))


@pytest.mark.parametrize(
    ("text", "registry", "name", "tag"),
    [
        ("app", "docker.io", "library/app", "latest"),
        ("app:1", "docker.io", "library/app", "1"),
        ("docker.io/app:1", "docker.io", "library/app", "1"),
        ("Docker.IO/app:1", "docker.io", "library/app", "1"),
        ("index.docker.io/app:1", "docker.io", "library/app", "1"),
        ("index.docker.io/library/app:1", "docker.io", "library/app", "1"),
        ("acme/app:1", "docker.io", "acme/app", "1"),
        ("ghcr.io/acme/app", "ghcr.io", "acme/app", "latest"),
        ("GHCR.io/acme/app:V1", "ghcr.io", "acme/app", "V1"),
        ("localhost/app:1", "localhost", "app", "1"),
        ("localhost:5000/a/b/c:1", "localhost:5000", "a/b/c", "1"),
        ("localhost:5000", "docker.io", "library/localhost", "5000"),
        ("registry:5000/app", "registry:5000", "app", "latest"),
        ("[::1]:5000/app:1", "[::1]:5000", "app", "1"),
        ("[2001:DB8::1]/app", "[2001:db8::1]", "app", "latest"),
        ("a.b/c__d/e---f.g_h:_", "a.b", "c__d/e---f.g_h", "_"),
        ("x/" + "a" * 64, "docker.io", "x/" + "a" * 64, "latest"),
    ],
)
def test_references_are_read_as_docker_reads_them(
    text: str, registry: str, name: str, tag: str
) -> None:
    assert parse_tag_reference(text) == TagReference(Repository(registry, name), tag)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a repository name"),
        ("ghcr.io/", "not a repository name"),
        ("ghcr.io//app:1", "not a repository name"),
        ("/app:1", "not a repository name"),
        ("ghcr.io/acme/app/:1", "not a repository name"),
        ("ghcr.io/acme/app:", "not a tag"),
        ("ghcr.io/acme/app:a b", "not a tag"),
        ("ghcr.io/acme/app:.1", "not a tag"),
        ("ghcr.io/acme/app:-1", "not a tag"),
        ("ghcr.io/acme/app:" + "a" * 129, "not a tag"),
        ("ghcr.io/acme/app:1\n", "not a tag"),
        ("ghcr.io/Acme/app:1", "must be lower case"),
        ("Acme/app:1", "must be lower case"),
        ("App:1", "must be lower case"),
        ("ghcr.io/acme/a___b:1", "not a repository name"),
        ("ghcr.io/acme/a..b:1", "not a repository name"),
        ("ghcr.io/acme/-a:1", "not a repository name"),
        ("ghcr.io/acme/é:1", "not a repository name"),
        ("ghcr.io/acme/٣:1", "not a repository name"),
        ("-h:1", "not a repository name"),
        ("ghcr.io:0/acme/app", "not a registry"),
        ("ghcr.io:65536/acme/app", "not a registry"),
        ("ghcr.io:x/acme/app", "not a registry"),
        ("my_host.io/acme/app", "not a registry"),
        ("-a.io/acme/app", "not a registry"),
        ("[::1/app", "not a registry"),
        ("[:::]/app", "not a registry"),
        ("[1.2.3.4]/app", "not a registry"),
        ("ghcr.io/acme/app@sha256:" + "a" * 64, "a digest cannot be pushed to"),
        ("a" * 64, "image ID"),
        ("ghcr.io/" + "a" * 248, "longer than 255"),
    ],
)
def test_an_invalid_reference_is_rejected_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_tag_reference(text)


def test_the_longest_names_and_tags_are_accepted() -> None:
    text = "ghcr.io/" + "a" * 247 + ":" + "a" * 128
    assert str(parse_tag_reference(text)) == text


def test_a_long_senseless_text_is_rejected_at_once() -> None:
    # a grammar with catastrophic backtracking would not return from these
    for text in ("a" * 100_000 + "!", "a-" * 50_000, "a." * 50_000 + "/x", "a_" * 50_000):
        with pytest.raises(ValueError, match="not a"):
            parse_repository(text)


@pytest.mark.parametrize(
    ("text", "registry"),
    [
        ("GHCR.io", "ghcr.io"),
        ("index.docker.io", "docker.io"),
        ("localhost:5000", "localhost:5000"),
        ("registry", "registry"),
        ("127.0.0.1:80", "127.0.0.1:80"),
    ],
)
def test_registries_are_hosts_in_lower_case(text: str, registry: str) -> None:
    assert parse_registry(text) == registry


@pytest.mark.parametrize("text", ["", "https://ghcr.io", "ghcr.io/acme", "a b", "ghcr.io:", "a\n"])
def test_an_invalid_host_is_no_registry(text: str) -> None:
    with pytest.raises(ValueError, match="not a registry host"):
        parse_registry(text)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("sha256:" + "a" * 64, True),
        ("sha256:" + "A" * 64, False),
        ("sha256:" + "a" * 63, False),
        ("sha256:" + "a" * 64 + "\n", False),
        ("sha512:" + "0" * 128, True),
        ("sha512:" + "0" * 64, False),
        ("blake3:" + "0" * 64, True),
        ("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", True),
        ("sha256", False),
        ("", False),
        (":" + "a" * 64, False),
    ],
)
def test_digests_are_those_of_the_specification(text: str, valid: bool) -> None:
    assert is_digest(text) is valid


@pytest.mark.parametrize(
    ("text", "registry"),
    [
        ("ghcr.io/app", True),
        ("localhost/app", True),
        ("host:1/app", True),
        ("Host/app", True),
        ("acme/app", False),
        ("ghcr.io", False),
        ("app:1", False),
    ],
)
def test_a_registry_is_distinguished_from_a_name_as_docker_does(text: str, registry: bool) -> None:
    assert names_registry(text) is registry

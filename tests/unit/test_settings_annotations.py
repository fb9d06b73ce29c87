"""The input ``annotations``: the level of each line, and the allowed sources."""

from typing import Any

import pytest

from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, read_settings

MERGED = "oci-layout:a + oci-layout:b"
TITLE = "org.opencontainers.image.title"


def read(annotations: str, source: str = MERGED) -> Settings:
    texts = {"tags": "ghcr.io/acme/app:1", "source": source, "annotations": annotations}
    return read_settings(texts)


def refused(*given: Any) -> str:
    with pytest.raises(InputError) as raised:
        read(*given)
    [line] = str(raised.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        (f"{TITLE}=App", {TITLE: "App"}),
        (f"index:{TITLE}=App", {TITLE: "App"}),
        (f"manifest,index:{TITLE}=App", {TITLE: "App"}),
        (f"index:{TITLE}=a = b, c:d", {TITLE: "a = b, c:d"}),
        (f"{TITLE}=", {TITLE: ""}),
        (f"{TITLE}=first\n\n  {TITLE}=last  \nb=1\na=2", {"a": "2", "b": "1", TITLE: "last"}),
        ("com.acme:key=1", {"com.acme:key": "1"}),
        ("", {}),
    ],
)
def test_lines_of_the_index_are_read(text: str, read_as: dict[str, str]) -> None:
    settings = read(text)
    assert dict(settings.annotations.index) == read_as
    assert list(settings.annotations.index) == sorted(settings.annotations.index)
    assert not settings.notices


def test_lines_of_descriptors_are_of_images_by_platform() -> None:
    settings = read(
        f"index,manifest-descriptor:{TITLE}=App\n"
        "manifest-descriptor[linux/arm64]:b=2\nmanifest-descriptor[linux/arm64]:a=1\n"
        "manifest,manifest-descriptor[linux/amd64]:a=b"
    )
    assert dict(settings.annotations.index) == {TITLE: "App"}
    assert settings.annotations.images == (
        ("", TITLE, "App"),
        ("linux/amd64", "a", "b"),
        ("linux/arm64", "a", "1"),
        ("linux/arm64", "b", "2"),
    )
    assert not settings.notices


def test_lines_for_manifests_are_ignored_with_a_notice() -> None:
    settings = read(f"manifest:{TITLE}=App\nindex-descriptor:a=b\nindex:{TITLE}=I")
    assert dict(settings.annotations.index) == {TITLE: "I"}
    [notice] = settings.notices
    assert f"'manifest:{TITLE}=App', 'index-descriptor:a=b' were ignored" in notice


@pytest.mark.parametrize("level", ["manifest", "manifest[linux/amd64]", "index-descriptor"])
def test_annotations_without_a_line_for_the_index_are_rejected(level: str) -> None:
    line = refused(f"{level}:{TITLE}=App")
    assert "is of another level than `index` and `manifest-descriptor`" in line
    assert "DOCKER_METADATA_ANNOTATIONS_LEVELS" in line


def test_an_index_of_one_platform_is_refused() -> None:
    line = refused(f"index[linux/amd64]:{TITLE}=App")
    assert "names a platform, but the index is for all platforms" in line


@pytest.mark.parametrize("line", ["title", "=App", "index:=App", "a key=App"])
def test_an_invalid_annotation_is_rejected(line: str) -> None:
    assert refused(line) == (
        f"annotations: {line!r} is not an annotation; write KEY=VALUE or index:KEY=VALUE."
    )


@pytest.mark.parametrize("source", ["app:1", "oci-layout:a", "docker://ghcr.io/acme/app:1"])
def test_a_source_that_is_pushed_unchanged_takes_no_annotations(source: str) -> None:
    line = refused(f"{TITLE}=App", source)
    assert line.startswith("annotations are for an index made from several sources")
    assert f"{source!r} is pushed unchanged" in line

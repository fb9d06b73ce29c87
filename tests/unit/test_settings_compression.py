"""The input ``compress-layers``: the sources that support it."""

import pytest

from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import Settings, read_settings


def read(source: str, **more: str) -> Settings:
    texts = {"tags": "ghcr.io/acme/app:1", "source": source, "compress-layers": "true"}
    return read_settings(texts | more)


@pytest.mark.parametrize("source", ["app:1", "oci-layout:a", "oci-archive:a", "docker-archive:a"])
def test_layers_of_the_engine_of_layouts_and_archives_are_compressed(source: str) -> None:
    assert read(source).compress_layers
    assert not read_settings({"tags": "ghcr.io/acme/app:1"}).compress_layers


@pytest.mark.parametrize(
    ("source", "more", "sentence"),
    [
        ("docker://ghcr.io/acme/app:1", {}, "'docker://ghcr.io/acme/app:1' is pushed unchanged"),
        ("oci-layout:a + oci-layout:b", {}, "is pushed unchanged"),
        ("app:1", {"transport": "engine"}, "leave `transport` out"),
        ("oci-layout:a", {"referrers": "true"}, "changes the digest that referrers name"),
    ],
)
def test_compressing_an_unsupported_source_is_rejected(
    source: str, more: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InputError) as raised:
        read(source, **more)
    [line] = str(raised.value).splitlines()
    assert line.startswith("compress-layers: 'true' ")
    assert sentence in line

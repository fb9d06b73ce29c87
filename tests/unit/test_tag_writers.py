"""Parsing of a manifest with any content."""

import pytest

from ghcr_push.model import Image, Manifest
from ghcr_push.pushing.tag_writers import is_of, parts_of
from ghcr_push.references import digest_of

CONFIG = digest_of(b"config")


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"no", b"{}", b'{"layers": 1}', b'{"config": {}, "layers": [1]}', b"[" * 200_000],
    ids=["empty", "list", "text", "object", "number", "layers", "nested"],
)
@pytest.mark.parametrize("template", [None, b'{"layers": [{}]}'])
def test_an_unknown_document_is_of_no_image_and_has_no_parts(
    raw: bytes, template: bytes | None
) -> None:
    manifest = Manifest.of("application/vnd.oci.image.manifest.v1+json", raw)
    assert not is_of(manifest, Image(id=CONFIG, layers=1, template=template))
    assert parts_of(manifest) == ()

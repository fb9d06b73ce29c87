"""Sizes as people write them, and the temporary space for layers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghcr_push.planning.problems import InputError
from ghcr_push.planning.settings import read_settings
from ghcr_push.planning.sizes import parse_size
from ghcr_push.sources.spool import DEFAULT_BUDGET

TAGS = {"tags": "ghcr.io/acme/app:1"}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1048576", 1 << 20),
        ("500B", 500),
        ("500MB", 500_000_000),
        ("500 MB", 500_000_000),
        ("64kB", 64_000),
        ("64KiB", 65_536),
        ("2GiB", 2 << 30),
        ("2gib", 2 << 30),
        ("1.5GiB", 3 << 29),
        ("0.5KiB", 512),
        ("1TB", 10**12),
        ("1TiB", 1 << 40),
        ("0", 0),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1", "2G", "2g", "1e9", "2GiBs", "2 GiB free", "1.", ".5GiB", "٣", "1PiB"]
)
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write it like `2GiB`"):
        parse_size(text)


@given(st.text(alphabet="0123456789.kmgtib ", max_size=16))
def test_a_size_is_a_whole_number_of_bytes(text: str) -> None:
    try:
        size = parse_size(text)
    except ValueError:
        return
    assert size >= 0


def test_the_default_is_that_of_the_spool() -> None:
    assert read_settings(TAGS).spool_size == DEFAULT_BUDGET


def problem(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_settings({**TAGS, "spool-size": text})
    return str(caught.value)


def test_a_size_that_is_none_is_refused_by_name() -> None:
    assert read_settings({**TAGS, "spool-size": "64MiB"}).spool_size == 64 << 20
    assert problem("2G") == (
        "spool-size: '2G' is not a size; write it like `2GiB`, `500MB` or a number of bytes."
    )
    assert problem("0MB") == "spool-size: '0MB' is zero; give more."

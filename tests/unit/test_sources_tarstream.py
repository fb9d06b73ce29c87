"""Archives in pieces of any size, truncated anywhere, and with errors of engines in them."""

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.saved import Choppy, tar

from ghcr_push.failures import PushError, classify
from ghcr_push.model import Kind
from ghcr_push.sources.tarstream import TarStream

LONG = "a-very-long-name/" * 12
FILES = {"folder/": None, "first": b"1" * 700, "empty": b"", LONG: b"2" * 512, "last": b"3"}
ARCHIVE = tar(FILES, links={"link": "first"})
READ = [(name, content) for name, content in FILES.items() if content is not None]
ERROR = b'{"errorDetail":{"message":"blob sha256:12 \\"gone\\""},"error":"blob sha256:12 gone"}\r\n'


def read(archive: bytes, *sizes: int, complaint: str = "") -> list[tuple[str, bytes]]:
    stream = TarStream(Choppy(archive, sizes or (1 << 20,)), lambda: complaint)
    return [(entry.name, stream.content()) for entry in stream.entries()]


@given(st.lists(st.integers(1, 2000), min_size=1))
def test_reads_the_same_files_whatever_sizes_arrive(sizes: list[int]) -> None:
    assert read(ARCHIVE, *sizes) == READ


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_reads_every_form_of_archive(form: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        entry = tarfile.TarInfo("folder/" * 20 + "name")
        entry.size, entry.mtime = 4, 1.5 if form == tarfile.PAX_FORMAT else 1
        archive.addfile(entry, io.BytesIO(b"text"))
    assert read(buffer.getvalue()) == [("folder/" * 20 + "name", b"text")]


def test_takes_a_size_from_a_pax_header() -> None:
    entry = tarfile.TarInfo("big")
    entry.pax_headers = {"size": "3"}
    header = entry.tobuf(tarfile.PAX_FORMAT)
    assert read(header + b"abc".ljust(512, b"\0") + bytes(1024)) == [("big", b"abc")]


def test_skips_unread_bytes() -> None:
    stream = TarStream(Choppy(ARCHIVE))
    assert [entry.name for entry in stream.entries()] == [name for name, _ in READ]


def test_cuts_pieces_where_it_is_told_to() -> None:
    stream = TarStream(Choppy(ARCHIVE, [7]))
    next(stream.entries())
    assert [len(piece) for piece in stream.pieces(300)] == [300, 300, 100]


END = len(ARCHIVE.rstrip(b"\0")) // 512 * 512 + 512
BOUNDARIES = sorted(
    {0, 1, 511, 512, 513, 1023, 1024, 1300, 2047, 2048, END - 513, END - 512, END - 1, END, END + 1}
)


@pytest.mark.parametrize("length", BOUNDARIES)
def test_says_that_an_archive_was_cut_off(length: int) -> None:
    with pytest.raises(PushError) as raised:
        read(ARCHIVE[:length])
    assert classify(raised.value.evidence).kind is Kind.ENGINE_ERROR
    assert "incomplete" in str(raised.value)


@given(st.integers(0, END))
def test_never_takes_a_part_for_the_whole(length: int) -> None:
    with pytest.raises(PushError):
        read(ARCHIVE[:length], 512)


@pytest.mark.parametrize("length", BOUNDARIES)
@pytest.mark.parametrize("sizes", [(1 << 20,), (3,)])
def test_raises_the_engines_own_error(length: int, sizes: tuple[int, ...]) -> None:
    with pytest.raises(PushError) as raised:
        read(ARCHIVE[:length] + ERROR, *sizes)
    assert str(raised.value) == 'blob sha256:12 "gone"'


def test_raises_the_error_output_of_the_writer() -> None:
    words = "Error response from daemon: No such image: x:1"
    with pytest.raises(PushError) as raised:
        read(b"", complaint=f"{words}\n")
    assert classify(raised.value.evidence).kind is Kind.IMAGE_MISSING


@given(st.integers(0, len(ARCHIVE) - 1), st.binary(min_size=1, max_size=600))
def test_damage_is_an_error_or_seen_in_the_files(place: int, damage: bytes) -> None:
    damaged = ARCHIVE[:place] + damage + ARCHIVE[place + len(damage) :]
    with suppress(PushError):
        read(damaged)


def test_a_reader_that_fails_is_a_broken_stream() -> None:
    class Failing:
        def readinto(self, _: memoryview, /) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(PushError, match="Input/output error"):
        list(TarStream(Failing()).entries())


def test_a_negative_size_is_damage() -> None:
    header = bytearray(ARCHIVE[:512])
    header[124:136], header[148:156] = b"\xff" * 12, b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(PushError, match="a negative size"):
        read(bytes(header) + ARCHIVE[512:])

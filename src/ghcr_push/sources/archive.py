"""Tar archives on disk: plain ones read in place by file name, compressed ones as a stream.

Links inside an archive are resolved inside it, never on disk. Two entries of one name are accepted
only if their bytes are the same.
"""

import hashlib
import io
import posixpath
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Literal

from ghcr_push.model import LARGEST_MANIFEST
from ghcr_push.sources.compression import LONGEST_SIGN, Unpack, unpacker, unreadable
from ghcr_push.sources.disk import Extent, Folder, absent, read_small, readable, unusable

_MOST_LINKS: Final = 40
"""Maximum length of a chain of links, as in Linux."""

_MOST_NAMES: Final = 100_000
"""Maximum number of entries of an archive."""

_TOP: Final = frozenset({"index.json", "manifest.json"})
"""The files that name all others in an archive."""

_KEPT_IN_ALL: Final = 64 << 20
"""Maximum bytes of JSON kept of a compressed archive; what exceeds them is read again if needed.

Small layers are not kept: they may come before the manifests that name them.
"""

_ARCHIVE: Final = re.compile(r"\.(?:tar|tgz|tar\.\w+)$")

_JSON: Final = re.compile(rb"\s*[{\[]")


def _unpacker(path: Path) -> Unpack | None:
    """Return the unpacker of the archive, None if it is plain; else raise ``PushError``."""
    with readable(path):
        is_folder = path.is_dir()
    if is_folder:
        raise unusable(f"{path} is a folder; write oci-layout: for a layout in a folder")
    if Folder(path.parent).extent(path.name) is None:
        raise absent(path, lambda each: _ARCHIVE.search(each.name) is not None)
    with readable(path), path.open("rb") as file:
        first = file.read(LONGEST_SIGN)
    if reason := unreadable(first):
        raise unusable(f"{path} {reason}")
    return unpacker(first)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open the archive to read its tar bytes from start to end."""
    unpack = _unpacker(path)
    with readable(path):
        file = path.open("rb")
    with file:
        yield unpack(file) if unpack else file


class Archive:
    """An index of an archive: files, and links resolved to files. Reads it once when created."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.compressed = _unpacker(path) is not None
        self._members: dict[str, Extent] = {}
        """Regular files, and the positions of their bytes in the tar."""
        self._links: dict[str, str] = {}
        self._small: dict[str, bytes] = {}
        self._kept = 0
        self._at = "its beginning"
        """The entry that is being read."""
        with opened(path) as file, readable(path):
            try:
                self._index(file)
            except (tarfile.TarError, ValueError) as error:
                raise unusable(f"{path} is truncated or damaged at {self._at}: {error}") from error

    def resolved(self, name: str) -> str | None:
        """Return the regular file that ``name`` means, following links inside the archive."""
        place: str | None = normal_name(name)
        for _ in range(_MOST_LINKS):
            if place is None or place in self._members:
                return place
            place = self._links.get(place)
        raise unusable(f"{self.path} has circular links at {name}")

    def content(self, name: str, most: int = LARGEST_MANIFEST) -> bytes | None:
        """Return the bytes of a file of at most ``most``; None if it is missing."""
        file_name = self.resolved(name)
        if file_name is None:
            return None
        extent = self._members[file_name]
        if not self.compressed:
            return read_small(extent, name, most)
        if extent.size > most:
            raise unusable(f"{self.path} has {extent.size:,} bytes of {name}, too many to keep")
        if file_name not in self._small:
            with self._read_again(file_name) as file:
                return file.read(extent.size)
        return self._small[file_name]

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes."""
        extent = self.extent(name)
        return extent.size if extent else None

    def extent(self, name: str) -> Extent | None:
        """Return the position of a file's bytes in the tar."""
        return self._members.get(self.resolved(name) or "")

    def names(self) -> list[str]:
        """Return the names of all files and links."""
        return sorted({*self._members, *self._links})

    # -- the tar ------------------------------------------------------------------------------

    def _index(self, file: IO[bytes]) -> None:
        # a stream cannot seek back; of a file on disk only the headers are read
        mode: Literal["r|", "r:"] = "r|" if self.compressed else "r:"
        source = _Ending(file) if self.compressed else file
        with tarfile.open(fileobj=source, mode=mode, errorlevel=2) as tar:
            for info in tar:
                if info.size < 0:  # tarfile would go back and read headers for ever
                    raise tarfile.ReadError("a file of negative size")
                if len(self._members) + len(self._links) > _MOST_NAMES:
                    raise unusable(f"{self.path} has more than {_MOST_NAMES:,} entries")
                self._note(tar, info)
            end = tar.offset
        if not self._members:
            raise unusable(f"{self.path} holds no files")
        if not self.compressed:
            self._check_end(file, end)
        while self.compressed and file.read(1 << 20):
            pass  # the checksum is at the end

    def _note(self, tar: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        name = self._at = normal_name(info.name)
        if info.issparse():
            raise unusable(f"{self.path} has {name} as a sparse file; write it without --sparse")
        if info.islnk() or info.issym():
            self._links[name] = self._led_to(name, info)
        elif info.isreg():
            known = self._members.get(name)
            if known is None:
                self._members[name] = Extent(self.path, info.offset_data, info.size)
                if self.compressed:
                    self._keep(tar, info, name)
            elif not self._is_same(tar, name, info):
                raise unusable(f"{self.path} has two entries {name} with other bytes")

    def _keep(self, tar: tarfile.TarFile, info: tarfile.TarInfo, name: str) -> None:
        """Keep a small file that looks like JSON of a stream, which cannot seek back."""
        file = tar.extractfile(info)
        if file is None or not 0 < info.size <= min(LARGEST_MANIFEST, _KEPT_IN_ALL - self._kept):
            return
        first = file.read(min(info.size, tarfile.BLOCKSIZE))
        if _JSON.match(first):
            self._small[name] = first + file.read()
            self._kept += info.size

    def _is_same(self, tar: tarfile.TarFile, name: str, info: tarfile.TarInfo) -> bool:
        known = self._members[name]
        if known.size != info.size:
            return False
        with self._read_again(name) as first:
            return _hash(first, known.size) == _hash(tar.extractfile(info), info.size)

    @contextmanager
    def _read_again(self, name: str) -> Iterator[IO[bytes]]:
        """Yield the first entry called ``name``; a stream is read again from its start."""
        if not self.compressed:
            with self.path.open("rb") as plain:
                plain.seek(self._members[name].start)
                yield plain
            return
        with opened(self.path) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for info in tar:
                if info.isreg() and normal_name(info.name) == name:
                    yield tar.extractfile(info) or io.BytesIO()
                    return
        raise unusable(f"{self.path} has no {name} any more")

    def _led_to(self, name: str, info: tarfile.TarInfo) -> str:
        """Return the target of a link: symbolic ones start at its folder, hard ones at the top."""
        base = posixpath.dirname(name) if info.issym() else ""
        target = posixpath.normpath(posixpath.join(base, info.linkname))
        if target.startswith(("/", "../")) or target == "..":
            raise unusable(f"{self.path} has a link {name} that leads out of it: {info.linkname}")
        return target

    def _check_end(self, file: IO[bytes], end: int) -> None:
        """Check that the last file is complete: a truncated tar still lists it.

        The ``end`` marker may be missing only if the files that name all others are there.
        """
        last = max(member.start + member.size for member in self._members.values())
        size = file.seek(0, io.SEEK_END)
        unmarked = size < end + tarfile.BLOCKSIZE
        if size < last or (unmarked and not _TOP.intersection(self.names())):
            raise unusable(f"{self.path} is truncated at {self._at}")


class _Ending(io.RawIOBase):
    """A stream that raises an error if it is read again after its end.

    tarfile reads as many bytes as a header says, however long that takes.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        if not piece and self._ended:
            raise tarfile.ReadError("it ends too early")
        self._ended = not piece
        return piece


def normal_name(name: str) -> str:
    """Return a name in the form of all tools, without a leading ``./``."""
    return posixpath.normpath(name).lstrip("/")


def _hash(file: IO[bytes] | None, size: int) -> bytes:
    found = hashlib.sha256()
    while file and size > 0 and (piece := file.read(min(size, 1 << 20))):
        found.update(piece)
        size -= len(piece)
    return found.digest()

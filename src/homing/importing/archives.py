"""Containers of images: folders, tars (also split into byte chunks) and zips, listed and read without unpacking.

Nothing is extracted: a member is an offset to read bytes from, and its name is only compared. Links, devices and
encrypted members are skipped. Behind damaged bytes the next member is searched for, so the rest of an archive is found.
"""

import logging
import os
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from homing.errors import HomingError

log = logging.getLogger(__name__)

BLOCK = 512  # of a tar (POSIX.1-2017, pax: ustar interchange format)
ZEROS = bytes(BLOCK)
SEARCH_BYTES = 1 << 20  # read at once while searching for the next member
MAX_NAME_BYTES = 1 << 16
MAX_IMAGE_BYTES = 256_000_000  # of one image file; a deflated member is read no further
LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a zip (PKWARE APPNOTE 4.3.7)


class Member(NamedTuple):
    """A file in a container.

    offset: where its bytes begin; in a zip, where its local header begins; in a folder, 0. size: of the stored bytes,
    which are to be inflated if `deflated`.
    """

    name: str
    offset: int
    size: int
    deflated: bool = False


@dataclass
class Folder:
    """A folder; each file below it is a member."""

    root: Path

    def members(self) -> Iterator[Member]:
        """Yield all files, sorted within each folder. Raises HomingError if the folder is missing."""
        if not self.root.is_dir():
            raise HomingError(f"{self.root}: no such folder of images")
        for folder, subfolders, files in os.walk(self.root):
            subfolders.sort()
            for file in sorted(files):
                path = Path(folder, file)
                yield Member(path.relative_to(self.root).as_posix(), 0, path.stat().st_size)

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member."""
        return (self.root / member.name).read_bytes()


class ConcatenatedFiles:
    """Random access to several files as if they were one. Thread-safe; can be pickled."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [Path(path) for path in paths]
        self.starts = [0]
        for path in self.paths:
            if not path.is_file():
                raise HomingError(f"{path}: no such file")
            self.starts.append(self.starts[-1] + path.stat().st_size)
        self.descriptors: dict[int, int] = {}  # of files read so far

    def __len__(self) -> int:
        return self.starts[-1]

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"descriptors": {}}

    def pread(self, size: int, offset: int) -> bytes:
        """Return `size` bytes from `offset`, fewer only at the end."""
        number = bisect_right(self.starts, offset) - 1
        if number == len(self.paths):
            return b""
        descriptor = self.descriptors.get(number)
        if descriptor is None:
            descriptor = self.descriptors[number] = os.open(self.paths[number], os.O_RDONLY)
        data = os.pread(descriptor, size, offset - self.starts[number])
        if len(data) == size or not data:
            return data
        return data + self.pread(size - len(data), offset + len(data))

    def close(self) -> None:
        """Close the files; they are opened again when read."""
        while self.descriptors:
            os.close(self.descriptors.popitem()[1])


class Tar:
    """A tar, whole or split into byte chunks."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.file = ConcatenatedFiles(paths)
        self.name = self.file.paths[0].name

    def members(self) -> Iterator[Member]:
        """Yield regular files in storage order; damaged bytes are skipped and a truncated end dropped, both logged."""
        position = 0
        long_name: str | None = None  # of the next member, from a GNU or pax header before it
        long_size: int | None = None
        while len(header := self.file.pread(BLOCK, position)) == BLOCK:
            if header == ZEROS:
                position += BLOCK
                continue
            if not _is_header(header):
                position, long_name, long_size = self._find_header(position), None, None
                continue
            size = _number(header[124:136]) if long_size is None else long_size
            kind, data = header[156:157], position + BLOCK
            after = data + -(-size // BLOCK) * BLOCK
            if data + size > len(self.file):
                log.warning("%s: truncated in the middle of a member; the members before it are used", self.name)
                return
            if kind in b"Lx" and size <= MAX_NAME_BYTES:
                content = self.file.pread(size, data)
                long_name, long_size = (_text(content), None) if kind == b"L" else _pax(content, long_name)
            elif kind != b"g":
                if kind in b"0\0007":
                    yield Member(long_name or _name(header), data, size)
                long_name, long_size = None, None
            position = after

    def _find_header(self, position: int) -> int:
        """Return the position of the next valid header behind `position`, or the end of the file."""
        begin, position = position, position + BLOCK
        while block := self.file.pread(SEARCH_BYTES, position):
            for start in range(0, len(block) - BLOCK + 1, BLOCK):
                if block[start + 257 : start + 262] == b"ustar" and _is_header(block[start : start + BLOCK]):
                    log.warning("%s: skipped %d damaged bytes at %d", self.name, position + start - begin, begin)
                    return position + start
            position += len(block) - len(block) % BLOCK if len(block) >= BLOCK else BLOCK
        log.warning("%s: damaged from byte %d to its end; the members before it are used", self.name, begin)
        return len(self.file)

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member."""
        return self.file.pread(member.size, member.offset)


def _is_header(header: bytes) -> bool:
    """True if the checksum is right: the sum of all bytes, with spaces in the checksum field."""
    field = header[148:156]
    try:
        return _number(field) == sum(header) - sum(field) + 256
    except ValueError:
        return False


def _number(field: bytes) -> int:
    """Parse an octal number, or GNU's base 256 for large ones."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return int(field.split(b"\0", 1)[0].strip() or b"0", 8)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _pax(records: bytes, name: str | None) -> tuple[str | None, int | None]:
    """Return path and size from pax records `<length> <key>=<value>\\n`; `name` and None where they are not given."""
    size = None
    while records:
        length, _, rest = records.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(records):
            break
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        name = value.decode("utf-8", "replace") if key == b"path" else name
        size = int(value) if key == b"size" and value.isdigit() else size
        records = records[int(length) :]
    return name, size


class Zip:
    """A zip, listed from its central directory, or from its local headers if the directory is damaged."""

    def __init__(self, path: Path) -> None:
        self.file = ConcatenatedFiles([path])
        self.path = Path(path)

    def members(self) -> Iterator[Member]:
        """Yield stored and deflated files, in storage order."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                listed = sorted(archive.infolist(), key=lambda info: info.header_offset)
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, struct.error) as error:
            log.warning("%s: no readable directory (%s); scanning for its members", self.path.name, error)
            yield from self._scan()
            return
        for info in listed:
            usable = not info.flag_bits & 1 and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if usable and not info.is_dir():
                deflated = info.compress_type == zipfile.ZIP_DEFLATED
                yield Member(info.filename, info.header_offset, info.compress_size, deflated)

    def _scan(self) -> Iterator[Member]:
        """Yield the complete members whose local header states their size."""
        position = 0
        while len(header := self.file.pread(LOCAL_HEADER.size, position)) == LOCAL_HEADER.size:
            signature, _, flags, method, _, _, _, size, _, names, extra = LOCAL_HEADER.unpack(header)
            data = position + LOCAL_HEADER.size + names + extra
            if signature != b"PK\x03\x04" or data + size > len(self.file):
                position = self._find_local_header(position + 1)
                continue
            if not flags & 9 and method in (0, 8):
                name = self.file.pread(names, position + LOCAL_HEADER.size).decode("utf-8", "replace")
                if not name.endswith("/"):
                    yield Member(name, position, size, method == 8)
            position = data + size

    def _find_local_header(self, position: int) -> int:
        """Return the position of the next local header from `position` on, or the end of the file."""
        while block := self.file.pread(SEARCH_BYTES, position):
            found = block.find(b"PK\x03\x04")
            if found >= 0:
                return position + found
            position += max(1, len(block) - 3)
        return len(self.file)

    def read(self, member: Member) -> bytes:
        """Return the inflated bytes of a member; empty if it is damaged."""
        header = self.file.pread(LOCAL_HEADER.size, member.offset)
        if len(header) < LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            return b""
        names, extra = LOCAL_HEADER.unpack(header)[-2:]
        data = self.file.pread(member.size, member.offset + LOCAL_HEADER.size + names + extra)
        if not member.deflated:
            return data
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_IMAGE_BYTES)
        except zlib.error:
            return b""


Container = Folder | Tar | Zip


def open_container(path: Path) -> Container:
    """Return the folder, tar or zip at `path`. Raises HomingError for anything else."""
    path = Path(path)
    if path.is_dir():
        return Folder(path)
    if path.suffix == ".tar":
        return Tar([path])
    if path.suffix == ".zip":
        return Zip(path)
    raise HomingError(f"{path}: images must be in a folder, a .tar or a .zip (a .tar.gz must be unzipped to a .tar)")


def list_members(containers: Iterable[Container]) -> Iterator[tuple[int, Member]]:
    """Yield all members, each with the index of its container."""
    for number, container in enumerate(containers):
        for member in container.members():
            yield number, member

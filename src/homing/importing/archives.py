"""Where images lie: folders, tars (also cut into byte chunks), zips; listed without unpacking, read at their place.

Nothing is extracted: a member is a place to read bytes from, its name is only compared. Links, devices and encrypted
members are left out. A damaged stretch is searched for the next member, so that the rest of an archive is still found.
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
SEARCH = 1 << 20
LONGEST_NAME = 1 << 16
LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # of a zip (PKWARE APPNOTE 4.3.7)


class Member(NamedTuple):
    """An image file: its name, where it begins (zip: its local header; folder: 0) and the bytes it takes there."""

    name: str
    offset: int
    size: int
    deflated: bool = False


@dataclass
class Folder:
    """Files below a folder, each a member."""

    root: Path

    def members(self) -> Iterator[Member]:
        if not self.root.is_dir():
            raise HomingError(f"{self.root}: no such folder of images")
        for place, folders, files in os.walk(self.root):
            folders.sort()
            for file in sorted(files):
                path = Path(place, file)
                yield Member(path.relative_to(self.root).as_posix(), 0, path.stat().st_size)

    def read(self, member: Member) -> bytes:
        return (self.root / member.name).read_bytes()


class Chunks:
    """Files read at any place as if they were one behind the other. Safe among threads."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [Path(path) for path in paths]
        self.starts = [0]
        for path in self.paths:
            if not path.is_file():
                raise HomingError(f"{path}: no such file")
            self.starts.append(self.starts[-1] + path.stat().st_size)
        self.opened: dict[int, int] = {}

    def __len__(self) -> int:
        return self.starts[-1]

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"opened": {}}

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer only at the end."""
        number = bisect_right(self.starts, offset) - 1
        if number == len(self.paths):
            return b""
        file = self.opened.get(number)
        if file is None:
            file = self.opened[number] = os.open(self.paths[number], os.O_RDONLY)
        here = os.pread(file, size, offset - self.starts[number])
        if len(here) == size or not here:
            return here
        return here + self.pread(size - len(here), offset + len(here))

    def close(self) -> None:
        while self.opened:
            os.close(self.opened.popitem()[1])


class Tar:
    """A tar, whole or in chunks."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.file = Chunks(paths)
        self.name = self.file.paths[0].name

    def members(self) -> Iterator[Member]:
        """Regular files in storage order; a broken stretch and an early end are logged and passed."""
        position, long_name, long_size = 0, None, None
        while len(header := self.file.pread(BLOCK, position)) == BLOCK:
            if header == ZEROS:
                position += BLOCK
                continue
            if not _is_header(header):
                position, long_name, long_size = self.resume(position), None, None
                continue
            size = _number(header[124:136]) if long_size is None else long_size
            kind, data = header[156:157], position + BLOCK
            after = data + -(-size // BLOCK) * BLOCK
            if data + size > len(self.file):
                log.warning("%s: ends in the middle of a member; what is before the cut is kept", self.name)
                return
            if kind in b"Lx" and size <= LONGEST_NAME:
                found = self.file.pread(size, data)
                long_name, long_size = (_text(found), None) if kind == b"L" else _pax(found, long_name)
            elif kind != b"g":
                if kind in b"0\0007":
                    yield Member(long_name or _name(header), data, size)
                long_name, long_size = None, None
            position = after

    def resume(self, position: int) -> int:
        """The next valid header behind a broken stretch, or the end."""
        begin, position = position, position + BLOCK
        while block := self.file.pread(SEARCH, position):
            for start in range(0, len(block) - BLOCK + 1, BLOCK):
                if block[start + 257 : start + 262] == b"ustar" and _is_header(block[start : start + BLOCK]):
                    log.warning("%s: %d broken bytes at %d passed", self.name, position + start - begin, begin)
                    return position + start
            position += len(block) - len(block) % BLOCK if len(block) >= BLOCK else BLOCK
        log.warning("%s: broken from byte %d to its end; what is before it is kept", self.name, begin)
        return len(self.file)

    def read(self, member: Member) -> bytes:
        return self.file.pread(member.size, member.offset)


def _is_header(header: bytes) -> bool:
    """Whether the checksum is right: the sum of all bytes with the field itself as spaces."""
    field = header[148:156]
    try:
        return _number(field) == sum(header) - sum(field) + 256
    except ValueError:
        return False


def _number(field: bytes) -> int:
    """An octal number, or GNU's base 256 for large ones."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return int(field.split(b"\0", 1)[0].strip() or b"0", 8)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _pax(records: bytes, name: str | None) -> tuple[str | None, int | None]:
    """Path and size of pax records `<length> <key>=<value>\\n`."""
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
    """A zip: listed from its central directory, or where that is missing by its local headers."""

    def __init__(self, path: Path) -> None:
        self.file = Chunks([path])
        self.path = Path(path)

    def members(self) -> Iterator[Member]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                listed = sorted(archive.infolist(), key=lambda info: info.header_offset)
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, struct.error) as error:
            log.warning("%s: no readable directory (%s); its members are searched one by one", self.path.name, error)
            yield from self.scanned()
            return
        for info in listed:
            usable = not info.flag_bits & 1 and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if usable and not info.is_dir():
                deflated = info.compress_type == zipfile.ZIP_DEFLATED
                yield Member(info.filename, info.header_offset, info.compress_size, deflated)

    def scanned(self) -> Iterator[Member]:
        """Members whose local header states their size, up to the first cut."""
        position = 0
        while len(header := self.file.pread(LOCAL_HEADER.size, position)) == LOCAL_HEADER.size:
            signature, _, flags, packing, _, _, _, size, _, names, extra = LOCAL_HEADER.unpack(header)
            data = position + LOCAL_HEADER.size + names + extra
            if signature != b"PK\x03\x04" or data + size > len(self.file):
                position = self.search(position + 1)
                continue
            if not flags & 9 and packing in (0, 8):
                name = self.file.pread(names, position + LOCAL_HEADER.size).decode("utf-8", "replace")
                if not name.endswith("/"):
                    yield Member(name, position, size, packing == 8)
            position = data + size

    def search(self, position: int) -> int:
        while block := self.file.pread(SEARCH, position):
            found = block.find(b"PK\x03\x04")
            if found >= 0:
                return position + found
            position += max(1, len(block) - 3)
        return len(self.file)

    def read(self, member: Member) -> bytes:
        header = self.file.pread(LOCAL_HEADER.size, member.offset)
        if len(header) < LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            return b""
        names, extra = LOCAL_HEADER.unpack(header)[-2:]
        data = self.file.pread(member.size, member.offset + LOCAL_HEADER.size + names + extra)
        if not member.deflated:
            return data
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_BYTES)
        except zlib.error:
            return b""


MAX_BYTES = 256_000_000  # of one image file
Container = Folder | Tar | Zip


def open_container(path: Path) -> Container:
    """The folder, tar or zip at `path`. Raises HomingError for anything else."""
    path = Path(path)
    if path.is_dir():
        return Folder(path)
    if path.suffix == ".tar":
        return Tar([path])
    if path.suffix == ".zip":
        return Zip(path)
    raise HomingError(f"{path}: images must be in a folder, a .tar or a .zip (a .tar.gz must be unzipped to a .tar)")


def list_members(containers: Iterable[Container]) -> Iterator[tuple[int, Member]]:
    """All members, each with the number of its container."""
    for number, container in enumerate(containers):
        for member in container.members():
            yield number, member

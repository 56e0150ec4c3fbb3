"""Tar shards of photos with WebDataset's file names, and an index for random access.

Any tool can read the tars. Training reads by the index: a global shuffle, and resuming at any photo.
"""

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from homing import tables
from homing.errors import HomingError

BLOCK = tarfile.BLOCKSIZE
END_OF_ARCHIVE = bytes(2 * BLOCK)
BUFFER_BYTES = 4 << 20


def member_name(photo_id: str, view: int, views: int) -> str:
    """Return `<photo_id>.jpg`, or `<photo_id>.<view>.jpg` if there are several views.

    Dots and slashes of the id are written as %2E and %2F, since WebDataset's key ends at the first dot.
    """
    safe = quote(photo_id, safe=" !#$&'()+,;=@[]{}~").replace(".", "%2E")
    return f"{safe}.jpg" if views == 1 else f"{safe}.{view}.jpg"


def tar_header(name: str, size: int) -> bytes:
    """Return the header of a regular file: ustar, or pax if the name is long or the file large."""
    raw = name.encode("ascii")
    if len(raw) > 100 or size >= 8**11:
        member = tarfile.TarInfo(name)
        member.size = size
        return member.tobuf(tarfile.PAX_FORMAT)
    head = raw.ljust(100, b"\0") + b"0000644\x000000000\x000000000\x00%011o\x0000000000000\x00" % size
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00" + bytes(167)
    return b"%s%06o\0 %s" % (head, sum(head) + sum(tail) + 8 * 32, tail)


class ShardWriter:
    """Writes one tar, faster than tarfile; `size` bytes so far."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb", buffering=BUFFER_BYTES)
        self.size = 0

    def add(self, name: str, data: bytes) -> int:
        """Append a file and return the offset of its bytes."""
        header = tar_header(name, len(data))
        offset = self.size + len(header)
        padding = -len(data) % BLOCK
        self.file.writelines((header, data, bytes(padding)))
        self.size = offset + len(data) + padding
        return offset

    def close(self) -> None:
        """Write the end of the archive and close the file."""
        self.file.write(END_OF_ARCHIVE)
        self.file.close()


class ShardReader:
    """Random access to the images of a data set by photo_id. Can be pickled; shards are opened when first read.

    The ids are one sorted array of bytes, about 50 MB per million photos, and found by bisection.
    """

    def __init__(self, folder: str | Path, index: str | Path) -> None:
        self.folder, self.index_path = Path(folder), Path(index)
        frame = tables.read(index, "index", columns=["photo_id", "view", "shard", "offset", "bytes"])
        keys = np.array([photo_id.encode("utf-8") for photo_id in frame["photo_id"]], dtype="S")
        order = np.lexsort((frame["view"].to_numpy(), keys))
        self.keys = keys[order]
        self.views = 1 + int(frame["view"].max()) if len(frame) else 1  # per photo
        shards = frame["shard"].astype("category")
        self.shards: Sequence[str] = shards.cat.categories.tolist()
        locations = (shards.cat.codes, frame["offset"], frame["bytes"])
        self.locations = np.stack([column.to_numpy(dtype=np.int64) for column in locations], axis=1)[order]
        self.descriptors: dict[int, int] = {}  # of shards opened so far

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"descriptors": {}}

    def __contains__(self, photo_id: str) -> bool:
        return bool(self.rows([photo_id])[0] >= 0)

    def rows(self, photo_ids: Sequence[str]) -> np.ndarray:
        """Return the rows of photos in the index, for `read_row`, int64 (n,); -1 for a photo without an image."""
        wanted = np.array([photo_id.encode("utf-8") for photo_id in photo_ids], dtype="S")
        row = np.searchsorted(self.keys, wanted)
        found = row < len(self.keys)
        found[found] = self.keys[row[found]] == wanted[found]
        return np.where(found, row, -1)

    def read(self, photo_id: str, view: int = 0) -> bytes:
        """Return the bytes of an image. Raises HomingError if the photo or its shard is missing."""
        row = int(self.rows([photo_id])[0])
        if row < 0 or row + view >= len(self.keys) or self.keys[row + view] != self.keys[row]:
            raise HomingError(f"{self.index_path}: no photo {photo_id!r}, view {view}")
        return self.read_row(row + view)

    def read_row(self, row: int) -> bytes:
        """Return the bytes of the image in a row of the index; the views of a photo have consecutive rows."""
        shard, offset, size = self.locations[row].tolist()
        data = os.pread(self.descriptors.get(shard) or self._open(shard), size, offset)
        if len(data) != size:
            path = self.folder / self.shards[shard]
            raise HomingError(f"{path}: shorter than its index says; import the photos again")
        return data

    def _open(self, shard: int) -> int:
        path = self.folder / self.shards[shard]
        try:
            return self.descriptors.setdefault(shard, os.open(path, os.O_RDONLY))
        except FileNotFoundError:
            raise HomingError(f"{path}: missing shard; import the photos again") from None

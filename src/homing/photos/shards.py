"""Photos in tar shards, named as WebDataset wants, and an index for positional reads.

Standard tars for everybody's tools; our own reading goes by the index, which gives a global shuffle and resume at any
photo.
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
END = bytes(2 * BLOCK)
BUFFER = 4 << 20


def member_name(photo_id: str, view: int, views: int) -> str:
    """`<photo_id>.jpg`, or `<photo_id>.<view>.jpg` for panoramas; dots and slashes of an id written as %2E and %2F.

    WebDataset takes everything before the first dot for the key.
    """
    safe = quote(photo_id, safe=" !#$&'()+,;=@[]{}~").replace(".", "%2E")
    return f"{safe}.jpg" if views == 1 else f"{safe}.{view}.jpg"


def tar_header(name: str, size: int) -> bytes:
    """The header of a regular file: ustar written directly, pax where the name is long."""
    raw = name.encode("ascii")
    if len(raw) > 100 or size >= 8**11:
        member = tarfile.TarInfo(name)
        member.size = size
        return member.tobuf(tarfile.PAX_FORMAT)
    head = raw.ljust(100, b"\0") + b"0000644\x000000000\x000000000\x00%011o\x0000000000000\x00" % size
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00" + bytes(167)
    return b"%s%06o\0 %s" % (head, sum(head) + sum(tail) + 8 * 32, tail)


class Shard:
    """One tar being written."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb", buffering=BUFFER)
        self.size = 0

    def add(self, name: str, data: bytes) -> int:
        """Append a file; the offset of its bytes."""
        header = tar_header(name, len(data))
        offset = self.size + len(header)
        padding = -len(data) % BLOCK
        self.file.writelines((header, data, bytes(padding)))
        self.size = offset + len(data) + padding
        return offset

    def close(self) -> None:
        """Write the end of the archive."""
        self.file.write(END)
        self.file.close()


class ShardReader:
    """Reads images of a data set by photo_id, in any order. Can be pickled; files are opened when first read.

    The ids are kept as one array of bytes in order, some 50 MB per million photos, and found by bisection.
    """

    def __init__(self, folder: str | Path, index: str | Path) -> None:
        self.folder, self.index_path = Path(folder), Path(index)
        frame = tables.read(index, "index", columns=["photo_id", "view", "shard", "offset", "bytes"])
        keys = np.array([photo_id.encode("utf-8") for photo_id in frame["photo_id"]], dtype="S")
        order = np.lexsort((frame["view"].to_numpy(), keys))
        self.keys = keys[order]
        self.views = 1 + int(frame["view"].max()) if len(frame) else 1  # of each photo
        shards = frame["shard"].astype("category")
        self.shards: Sequence[str] = shards.cat.categories.tolist()
        places = (shards.cat.codes, frame["offset"], frame["bytes"])
        self.places = np.stack([column.to_numpy(dtype=np.int64) for column in places], axis=1)[order]
        self.files: dict[int, int] = {}

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"files": {}}

    def __contains__(self, photo_id: str) -> bool:
        return bool(self.rows([photo_id])[0] >= 0)

    def rows(self, photo_ids: Sequence[str]) -> np.ndarray:
        """Where photos are in the index, int64 (n,), for `read_row`; -1 for those that have no image."""
        wanted = np.array([photo_id.encode("utf-8") for photo_id in photo_ids], dtype="S")
        row = np.searchsorted(self.keys, wanted)
        found = row < len(self.keys)
        found[found] = self.keys[row[found]] == wanted[found]
        return np.where(found, row, -1)

    def read(self, photo_id: str, view: int = 0) -> bytes:
        """The bytes of an image. Raises HomingError when the photo or its shard is missing."""
        row = int(self.rows([photo_id])[0])
        if row < 0 or row + view >= len(self.keys) or self.keys[row + view] != self.keys[row]:
            raise HomingError(f"{self.index_path}: no photo {photo_id!r}, view {view}")
        return self.read_row(row + view)

    def read_row(self, row: int) -> bytes:
        """The bytes of the image in a row of the index; the views of a photo are in rows one after the other."""
        shard, offset, size = self.places[row].tolist()
        data = os.pread(self.files.get(shard) or self._open(shard), size, offset)
        if len(data) != size:
            path = self.folder / self.shards[shard]
            raise HomingError(f"{path}: shorter than its index says; import the photos again")
        return data

    def _open(self, shard: int) -> int:
        path = self.folder / self.shards[shard]
        try:
            return self.files.setdefault(shard, os.open(path, os.O_RDONLY))
        except FileNotFoundError:
            raise HomingError(f"{path}: missing shard; import the photos again") from None

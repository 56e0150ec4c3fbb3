"""Photos in tar shards, named as WebDataset wants, and an index for positional reads.

Standard tars for everybody's tools; our own reading goes by the index, which gives a global shuffle and resume at any
photo.
"""

import io
import os
import tarfile
from pathlib import Path

import pandas as pd

from homing import tables
from homing.errors import HomingError


def member_name(photo_id: str, view: int, views: int) -> str:
    """`<photo_id>.jpg`, or `<photo_id>.<view>.jpg` for panoramas."""
    return f"{photo_id}.jpg" if views == 1 else f"{photo_id}.{view}.jpg"


class ShardWriter:
    """Writes photos into `000000.tar`, `000001.tar` ... of about `shard_megabytes` each; same content, same bytes."""

    def __init__(self, folder: Path, shard_megabytes: float) -> None:
        self.folder = folder
        self.limit = shard_megabytes * 1e6
        self.rows: list[dict[str, object]] = []
        self.tar: tarfile.TarFile | None = None
        self.shards = 0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, photo_id: str, data: bytes, view: int = 0, views: int = 1) -> None:
        """Append one image."""
        if self.tar is None or self.tar.offset > self.limit:
            self._next_shard()
        member = tarfile.TarInfo(member_name(photo_id, view, views))
        member.size = len(data)
        header = len(member.tobuf(self.tar.format, self.tar.encoding, self.tar.errors))
        offset = self.tar.offset + header
        self.tar.addfile(member, io.BytesIO(data))
        shard = f"{self.shards - 1:06d}.tar"
        self.rows.append({"photo_id": photo_id, "view": view, "shard": shard, "offset": offset, "bytes": len(data)})

    def _next_shard(self) -> None:
        self.close()
        self.tar = tarfile.open(self.folder / f"{self.shards:06d}.tar", "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self.shards += 1

    def close(self) -> None:
        """Finish the shard that is open."""
        if self.tar is not None:
            self.tar.close()
            self.tar = None

    def index(self) -> pd.DataFrame:
        """The `index` table of what was written."""
        return pd.DataFrame(self.rows, columns=tables.SCHEMAS["index"].names)


class ShardReader:
    """Reads images of a data set by photo_id, in any order. Can be pickled; files are opened when first read."""

    def __init__(self, folder: str | Path, index: str | Path) -> None:
        self.folder = Path(folder)
        self.index_path = Path(index)
        frame = tables.read(index, "index")
        keys = zip(frame["photo_id"], frame["view"], strict=True)
        places = zip(frame["shard"], frame["offset"], frame["bytes"], strict=True)
        self.places = dict(zip(keys, places, strict=True))
        self.files: dict[str, int] = {}

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"files": {}}

    def __contains__(self, photo_id: str) -> bool:
        return (photo_id, 0) in self.places

    def read(self, photo_id: str, view: int = 0) -> bytes:
        """The bytes of an image. Raises HomingError when the photo or its shard is missing."""
        try:
            shard, offset, size = self.places[photo_id, view]
        except KeyError:
            raise HomingError(f"{self.index_path}: no photo {photo_id!r}, view {view}") from None
        data = os.pread(self._open(shard), size, offset)
        if len(data) != size:
            raise HomingError(f"{self.folder / shard}: shorter than its index says; import the photos again")
        return data

    def _open(self, shard: str) -> int:
        if shard not in self.files:
            try:
                self.files[shard] = os.open(self.folder / shard, os.O_RDONLY)
            except FileNotFoundError:
                raise HomingError(f"{self.folder / shard}: missing shard; import the photos again") from None
        return self.files[shard]

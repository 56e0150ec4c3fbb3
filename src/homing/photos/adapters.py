"""How each kind of collection is read: one small class per kind, behind one interface.

An adapter yields rows as dictionaries of strings (`photo_id`, `latitude`, `longitude`, and what else it knows), in a
fixed order, and yields the images it has. Nothing is judged here; `collect` does that.
"""

import csv
import io
import json
import logging
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow.parquet as pq

from homing.errors import HomingError

log = logging.getLogger(__name__)

Row = dict[str, str]

# Usual names of each column, first match wins; a data set's `columns` overrides them.
COLUMN_NAMES = {
    "photo_id": ("photo_id", "img_id", "id", "image_id"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "file": ("file", "filename", "path", "image", "img"),
    "captured_at": ("captured_at", "date_taken", "datetime", "timestamp"),
    "author": ("author", "photographer", "creator_id", "creator_username", "sequence"),
    "heading_deg": ("heading_deg", "heading", "compass_angle"),
    "split": ("split",),
    "licence": ("licence", "license"),
    "source_url": ("source_url", "url", "thumb_original_url"),
}


class Adapter(Protocol):
    """A collection of photos."""

    has_images: bool

    def rows(self) -> Iterator[Row]:
        """The rows of the collection's table, columns renamed to ours."""

    def images(self) -> Iterator[tuple[str, bytes]]:
        """(photo_id, bytes) of each image there is, in storage order."""


def adapter_for(dataset: Mapping[str, Any], files: Sequence[Path]) -> Adapter:
    """The adapter of a data set's configuration, on the files that rule import_photos got."""
    if dataset["adapter"] == "mp16":
        return Mp16(files)
    images = dataset.get("images")
    return CsvFolder(files[0], Path(images) if images else None, dataset.get("columns", {}), dataset.get("licence"))


class CsvFolder:
    """Any CSV or Parquet table, and the folder its file column is relative to; or coordinates alone."""

    def __init__(self, table: Path, images: Path | None, columns: Mapping[str, str], licence: str | None) -> None:
        self.table, self.folder, self.licence = table, images, licence
        self.has_images = images is not None
        self.names = match_columns(table, read_header(table), columns, needs_file=self.has_images)

    def rows(self) -> Iterator[Row]:
        for row in read_rows(self.table):
            renamed = {ours: row[theirs] for ours, theirs in self.names.items()}
            if self.licence and not renamed.get("licence"):
                renamed["licence"] = self.licence
            if "photo_id" not in renamed:
                renamed["photo_id"] = PurePosixPath(renamed.get("file", "")).stem
            renamed["photo_id"] = renamed["photo_id"].replace("/", "_")
            yield renamed

    def images(self) -> Iterator[tuple[str, bytes]]:
        if self.folder is None:
            return
        for row in self.rows():
            path = self.folder / row["file"]
            if row["file"] and path.is_file():
                yield row["photo_id"], path.read_bytes()


class Mp16:
    """MP-16: a tar cut into byte chunks, read as one file without a second copy, and its csv.

    Ids are the file's name without folder and suffix, slashes and underscores alike (`aa/bb/123.jpg`, `aa_bb_123.jpg`).
    """

    has_images = True

    def __init__(self, files: Sequence[Path]) -> None:
        tables = [path for path in files if path.suffix == ".csv"]
        self.chunks = sorted(path for path in files if path.suffix != ".csv")
        if len(tables) != 1 or not self.chunks:
            raise HomingError(f"mp16: expected one csv and the chunks of a tar, got {[path.name for path in files]}")
        self.table = tables[0]
        wanted = {"photo_id": "IMG_ID", "author": "AUTHOR", "latitude": "LAT", "longitude": "LON"}
        header = read_header(self.table)
        self.names = match_columns(self.table, header, wanted, needs_file=False)

    def rows(self) -> Iterator[Row]:
        for row in read_rows(self.table):
            renamed = {ours: row[theirs] for ours, theirs in self.names.items()}
            yield renamed | {"photo_id": self.photo_id(renamed["photo_id"])}

    @staticmethod
    def photo_id(name: str) -> str:
        """`aa/bb/123.jpg` and `./images/aa_bb_123.jpg` are both aa_bb_123."""
        return PurePosixPath(name.removeprefix("./").removeprefix("images/").replace("/", "_")).stem

    def images(self) -> Iterator[tuple[str, bytes]]:
        with tarfile.open(fileobj=Chunks(self.chunks), mode="r:") as tar:
            try:
                for member in tar:
                    if member.isfile():
                        yield self.photo_id(member.name), tar.extractfile(member).read()
            except (tarfile.ReadError, EOFError, OSError) as error:
                log.warning(
                    "%s: the archive ends early (%s); the photos before the cut are kept", self.chunks[-1], error
                )


class Chunks(io.RawIOBase):
    """Files read one after the other as if they were one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.starts = [0]
        for path in self.paths:
            self.starts.append(self.starts[-1] + path.stat().st_size)
        self.position = 0
        self.opened: dict[Path, io.BufferedReader] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.starts[-1]}[whence]
        self.position = max(0, base + offset)
        return self.position

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            size = max(0, self.starts[-1] - self.position)
        pieces = []
        while size > 0 and self.position < self.starts[-1]:
            number = next(i for i in range(len(self.paths)) if self.position < self.starts[i + 1])
            piece = self._read_from(number, min(size, self.starts[number + 1] - self.position))
            pieces.append(piece)
            self.position += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _read_from(self, number: int, size: int) -> bytes:
        path = self.paths[number]
        if path not in self.opened:
            self.opened[path] = path.open("rb")
        file = self.opened[path]
        file.seek(self.position - self.starts[number])
        return file.read(size)

    def close(self) -> None:
        for file in self.opened.values():
            file.close()
        super().close()


def match_columns(table: Path, header: Sequence[str], given: Mapping[str, str], needs_file: bool) -> dict[str, str]:
    """Our column names -> the table's. Raises HomingError naming the column that is missing."""
    lower = {name.lower(): name for name in reversed(header)}
    names = {}
    for ours, usual in COLUMN_NAMES.items():
        if ours in given:
            if given[ours] not in header:
                raise HomingError(f"{table}: no column {given[ours]!r} for {ours}; it has {', '.join(header)}")
            names[ours] = given[ours]
        else:
            found = next((lower[name] for name in usual if name in lower), None)
            if found:
                names[ours] = found
    needed = ["latitude", "longitude", "file"] if needs_file else ["latitude", "longitude", "photo_id"]
    for ours in needed:
        if ours not in names:
            raise HomingError(
                f"{table}: no column for {ours} (looked for {', '.join(COLUMN_NAMES[ours])}); it has "
                f"{', '.join(header)}. Name it in the data set's `columns`"
            )
    return names


def read_header(table: Path) -> list[str]:
    """Column names of a CSV or Parquet table."""
    if not table.is_file():
        raise HomingError(f"{table}: no such table")
    if table.suffix == ".parquet":
        return pq.read_schema(table).names
    with table.open(newline="", encoding="utf-8-sig") as lines:
        return next(csv.reader(lines), [])


def read_rows(table: Path) -> Iterator[Row]:
    """The rows of a CSV or Parquet table as text; nothing is taken for missing but the empty cell ("NA" is Namibia)."""
    if table.suffix == ".parquet":
        for batch in pq.ParquetFile(table).iter_batches():
            for row in batch.to_pylist():
                yield {name: "" if value is None else str(value) for name, value in row.items()}
        return
    with table.open(newline="", encoding="utf-8-sig") as lines:
        for row in csv.DictReader(lines, restval=""):
            yield {name: value or "" for name, value in row.items() if name is not None}


def as_text(row: Row) -> str:
    """A row as it came, for the table of rejects."""
    return json.dumps(row, ensure_ascii=False)

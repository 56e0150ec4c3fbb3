"""Adapters: one small class for each kind of photo collection, behind one interface.

An adapter yields the rows of its tables as text under our column names; a row names its image by a key. Its containers
(folders, tars, zips) hold the image files, and `key` gives the key of a file. Adapters do not validate: `candidates`
does. How to add one: docs/data.md.
"""

import logging
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.importing.archives import Container, Folder, Tar, Zip, open_container
from homing.photos.exif import read_exif
from homing.text_tables import Batch, TextTable

log = logging.getLogger(__name__)

# Usual names of each column; the first match wins, and a data set's `columns` overrides them.
COLUMN_NAMES = {
    "photo_id": ("photo_id", "img_id", "id", "image_id", "pano_id", "panoid"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "file": ("file", "filename", "path", "image", "img"),
    "file_0": ("file_0", "image_0", "file_1", "image_1"),
    "view": ("view",),
    "captured_at": ("captured_at", "date_taken", "datetime", "timestamp"),
    "author": ("author", "photographer", "creator_id", "creator_username", "sequence"),
    "heading_deg": ("heading_deg", "heading", "compass_angle"),
    "split": ("split",),
    "licence": ("licence", "license"),
    "source_url": ("source_url", "url", "thumb_original_url"),
    "given_country": ("given_country",),
    "given_climate": ("given_climate",),
    "given_drives_on_left": ("given_drives_on_left",),
}
IMAGE_SUFFIX = r"(?i)\.(jpe?g|png|webp|hei[cf]|tiff?|bmp|gif)$"
TABLE_SUFFIXES = {".csv", ".tsv", ".txt", ".parquet"}
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".gif"}


class Adapter(Protocol):
    """A collection of photos."""

    @property
    def containers(self) -> Sequence[Container]:
        """The folders, tars and zips of its image files; none for a collection of coordinates only."""

    def rows(self) -> Iterator[Batch]:
        """Yield the rows under our column names.

        The key of a row's image is in the column `image`, or in `image_0` to `image_3` for four views.
        """

    def key(self, name: str) -> str | None:
        """Return the key of a file in the containers, or None if it is not a photo."""


def adapter_for(dataset: Mapping[str, Any], files: Sequence[Path]) -> Adapter:
    """Return the adapter that a data set's configuration names, on its raw `files` (or its table and images)."""
    return ADAPTERS[dataset["adapter"]](dataset, [Path(file) for file in files])


class CsvFolder:
    """Any CSV or Parquet table, with a folder, tars or zips that its file column is relative to, or without images.

    Four views are given as columns file_0 to file_3, as a file pattern with {view}, or as four rows with a view column.
    """

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        tables = [path for path in files if path.suffix in TABLE_SUFFIXES]
        if len(tables) != 1:
            raise HomingError(f"csv_folder: expected one table, got {[path.name for path in files]}")
        self.table = TextTable.from_path(tables[0])
        images = [Path(dataset["images"])] if dataset.get("images") else [file for file in files if file not in tables]
        self.containers = [open_container(path) for path in images]
        self.licence, self.views = dataset.get("licence"), dataset.get("views", 1)
        self.by_name = dataset.get("match", "path") == "name"
        self.strip = re.compile(dataset["strip"]) if dataset.get("strip") else None
        given = dict(dataset.get("columns", {}))
        self.file_pattern = given.pop("file") if "{" in given.get("file", "") else None
        self.names = match_columns(self.table, given)
        self._require_columns()

    def _require_columns(self) -> None:
        if not self.containers or self.file_pattern:
            require_columns(self.table, self.names, "latitude", "longitude", "photo_id")
        elif self.views > 1 and "file_0" in self.names:
            first = self.names["file_0"]
            stem, number = first[:-1], int(first[-1])
            self.names |= {f"file_{view}": f"{stem}{number + view}" for view in range(self.views)}
            absent = [name for name in self.names.values() if name not in self.table.header]
            if absent:
                raise HomingError(f"{self.table.name}: no column {absent[0]!r} for a view; see `views` in docs/data.md")
            require_columns(self.table, self.names, "latitude", "longitude", "photo_id")
        else:
            wanted = ("view", "photo_id") if self.views > 1 else ()
            require_columns(self.table, self.names, "latitude", "longitude", "file", *wanted)

    def rows(self) -> Iterator[Batch]:
        for batch in read_renamed(self.table, self.names):
            cells = batch.cells
            if self.licence:
                cells["licence"] = _fill_empty(cells.get("licence"), self.licence, cells.index)
            ids = cells["photo_id"] if "photo_id" in cells else _normalise_paths(cells["file"])
            cells["photo_id"] = ids.str.replace(IMAGE_SUFFIX, "", regex=True).str.replace("/", "_", regex=False)
            yield Batch(batch.rows, self._with_image_keys(cells), batch.invalid)

    def _with_image_keys(self, cells: pd.DataFrame) -> pd.DataFrame:
        if not self.containers:
            return cells.drop(columns=[name for name in cells if name.startswith("file")])
        wide = self.views > 1 and "view" not in self.names
        for view in range(self.views if wide else 1):
            if self.file_pattern:
                paths = [self.file_pattern.format(photo_id=name, view=view) for name in cells["photo_id"]]
                files = pd.Series(paths, index=cells.index, dtype="str")
            else:
                files = cells[f"file_{view}"] if wide else cells["file"]
            cells[f"image_{view}" if wide else "image"] = self._keys(_normalise_paths(files))
        return cells.drop(columns=[name for name in cells if name.startswith("file")])

    def _keys(self, files: pd.Series) -> pd.Series:
        return files.str.rsplit("/", n=1).str[-1] if self.by_name else files

    def key(self, name: str) -> str | None:
        if self.by_name:
            name = name.rsplit("/", 1)[-1]
            return self.strip.sub("", name) if self.strip else name
        return name.removeprefix("./")


def _normalise_paths(files: pd.Series) -> pd.Series:
    """Write paths as archive members are named: with forward slashes, without a leading "./"."""
    return files.str.replace("\\", "/", regex=False).str.replace(r"^(\./)+", "", regex=True)


def _fill_empty(column: pd.Series | None, text: str, index: pd.Index) -> pd.Series:
    """Return the column with `text` in its empty cells; only `text` if there is no column."""
    constant = pd.Series(text, index=index, dtype="str")
    return constant if column is None else column.where(column != "", constant)


class Mp16:
    """MP-16: a tar split into byte chunks, read as one file without a second copy, and a CSV.

    A photo_id is its path below images/ without suffix and with underscores for slashes, since the CSV writes
    `aa/bb/123.jpg` and the tar `aa_bb_123.jpg`.
    """

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        tables = [path for path in files if path.suffix == ".csv"]
        chunks = sorted(path for path in files if path.suffix != ".csv")
        if len(tables) != 1 or not chunks:
            raise HomingError(f"mp16: expected one csv and the chunks of a tar, got {[path.name for path in files]}")
        self.table = TextTable.from_path(tables[0])
        wanted = {"photo_id": "IMG_ID", "author": "AUTHOR", "latitude": "LAT", "longitude": "LON"}
        self.names = match_columns(self.table, wanted)
        self.containers = [Tar(chunks)]

    def rows(self) -> Iterator[Batch]:
        for batch in read_renamed(self.table, self.names):
            ids = _normalise_paths(batch.cells["photo_id"]).str.replace(r"^images/", "", regex=True)
            ids = ids.str.replace("/", "_", regex=False).str.replace(r"\.[^.]*$", "", regex=True)
            yield Batch(batch.rows, batch.cells.assign(photo_id=ids, image=ids), batch.invalid)

    def key(self, name: str) -> str | None:
        return PurePosixPath(name.removeprefix("./").removeprefix("images/").replace("/", "_")).stem


class Osv5m:
    """OpenStreetView-5M: train.csv, test.csv, and zips of `<id>.jpg` in any folders.

    Its own labels are kept for comparison. Columns are found by name, since their order differs between the files:
    `country` is ISO2 ("NA" is Namibia), `climate` Koppen 1..30, `drive_side` 1 on the left, `captured_at` milliseconds
    since 1970.
    """

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        self.licence = dataset.get("licence", "CC BY-SA 4.0 (Mapillary)")
        self.tables, self.containers = self.open_files(dataset, files)
        if not self.tables or not self.containers:
            raise HomingError(
                f"{dataset['adapter']}: expected csv tables and images, got {[path.name for path in files]}"
            )

    def open_files(
        self, dataset: Mapping[str, Any], files: Sequence[Path]
    ) -> tuple[list[TextTable], Sequence[Container]]:
        tables = [TextTable.from_path(path) for path in files if path.suffix == ".csv"]
        return tables, [Zip(path) for path in files if path.suffix == ".zip"]

    def rows(self) -> Iterator[Batch]:
        first_row = 0  # of this table, numbering the rows of all tables together
        for table in self.tables:
            next_row = first_row
            for batch in read_renamed(table, self._names(table)):
                batch.cells["image"] = batch.cells["photo_id"]
                batch.cells["split"], batch.cells["licence"] = _split_of(Path(table.name).name), self.licence
                invalid = [(row + first_row, reason, text) for row, reason, text in batch.invalid]
                yield Batch(batch.rows + first_row, batch.cells, invalid)
                if len(batch.rows):
                    next_row = int(batch.rows[-1]) + first_row + 1
            first_row = next_row

    def _names(self, table: TextTable) -> dict[str, str]:
        given = {"given_country": "country", "given_climate": "climate", "given_drives_on_left": "drive_side"}
        names = match_columns(table, {ours: theirs for ours, theirs in given.items() if theirs in table.header})
        require_columns(table, names, "photo_id", "latitude", "longitude")
        return names

    def key(self, name: str) -> str | None:
        path = PurePosixPath(name)
        return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else None


def _split_of(file_name: str) -> str:
    return "test" if "test" in file_name else "val" if "val" in file_name else "train"


class OsvMini(Osv5m):
    """OSV-mini-129k, the part of OSV-5M in the USA: one zip, or the folder it was unpacked to."""

    def open_files(
        self, dataset: Mapping[str, Any], files: Sequence[Path]
    ) -> tuple[list[TextTable], Sequence[Container]]:
        if dataset.get("images"):
            root = Path(dataset["images"])
            return [TextTable.from_path(path) for path in sorted(root.rglob("*_mini.csv"))], [Folder(root)]
        tables = []
        for path in files:
            with zipfile.ZipFile(path) as archive:
                names = sorted(name for name in archive.namelist() if name.endswith("_mini.csv"))
                tables += [TextTable.from_bytes(f"{path}/{name}", archive.read(name)) for name in names]
        return tables, [Zip(path) for path in files]


class Landmarks:
    """Google Landmarks v2: tars, train.csv and its attribution; coordinates come from a table of landmarks' places."""

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        tables = {path.name: TextTable.from_path(path) for path in files if path.suffix == ".csv"}
        wanted = ("train.csv", "train_attribution.csv", "google_landmarks_places.csv")
        absent = [name for name in wanted if name not in tables]
        if absent:
            raise HomingError(f"landmarks: no {absent[0]} among {', '.join(tables) or 'the files'}")
        self.images, self.attribution, self.places = (tables[name] for name in wanted)
        self.containers = [Tar([path]) for path in sorted(files) if path.suffix == ".tar"]

    def rows(self) -> Iterator[Batch]:
        places = _read_all(self.places, ["id", "lat", "lon"]).drop_duplicates("id").set_index("id")
        credits = _read_all(self.attribution, ["id", "author", "license"])
        credits = credits.assign(license=credits["license"].astype("category")).drop_duplicates("id").set_index("id")
        with_place = total = 0
        for batch in self.images.batches(["id", "url", "landmark_id"]):
            placed = batch.cells["landmark_id"].isin(places.index).to_numpy()
            cells = batch.cells[placed]
            place, credit = places.reindex(cells["landmark_id"]), credits.reindex(cells["id"])
            with_place, total = with_place + int(placed.sum()), total + len(placed)
            columns = {
                "photo_id": cells["id"].to_numpy(),
                "image": cells["id"].to_numpy(),
                "latitude": place["lat"].to_numpy(),
                "longitude": place["lon"].to_numpy(),
                "author": credit["author"].fillna("").to_numpy(),
                "licence": credit["license"].astype("str").fillna("").to_numpy(),
                "source_url": cells["url"].to_numpy(),
            }
            yield Batch(batch.rows[placed], pd.DataFrame(columns, dtype="str"), batch.invalid)
        log.info(
            "landmarks: %d of %d photos are of a landmark with a known place; the rest is left out", with_place, total
        )

    def key(self, name: str) -> str | None:
        path = PurePosixPath(name)
        return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else None


class ExifFolder:
    """A folder, tar or zip of photos whose EXIF holds their position, and possibly date, heading and artist."""

    BATCH = 1024

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        self.containers = [open_container(Path(dataset["images"]))]
        self.licence = dataset.get("licence", "")

    def rows(self) -> Iterator[Batch]:
        container = self.containers[0]
        photos: list[tuple[int, dict[str, str]]] = []
        invalid: list[tuple[int, str, str]] = []
        for row, member in enumerate(member for member in container.members() if self.key(member.name)):
            try:
                photos.append((row, read_exif(container.read(member)) | self._describe(member.name)))
            except HomingError as error:
                invalid.append((row, str(error), member.name))
            if len(photos) + len(invalid) >= self.BATCH:
                yield self._batch(photos, invalid)
                photos, invalid = [], []
        if photos or invalid:
            yield self._batch(photos, invalid)

    def _describe(self, name: str) -> dict[str, str]:
        photo_id = re.sub(r"\.[^./]*$", "", name).replace("/", "_")
        return {"photo_id": photo_id, "image": name, "licence": self.licence}

    def _batch(self, photos: list[tuple[int, dict[str, str]]], invalid: list[tuple[int, str, str]]) -> Batch:
        names = ["photo_id", "image", "latitude", "longitude", "captured_at", "heading_deg", "author", "licence"]
        cells = pd.DataFrame([cells for _, cells in photos], columns=names, dtype="str").fillna("")
        return Batch(np.array([row for row, _ in photos], dtype=np.int64), cells, invalid)

    def key(self, name: str) -> str | None:
        return name if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES else None


ADAPTERS: dict[str, Callable[[Mapping[str, Any], Sequence[Path]], Adapter]] = {
    "mp16": Mp16,
    "osv5m": Osv5m,
    "osv_mini": OsvMini,
    "landmarks": Landmarks,
    "csv_folder": CsvFolder,
    "exif_folder": ExifFolder,
}


def match_columns(table: TextTable, given: Mapping[str, str]) -> dict[str, str]:
    """Map our column names to the table's, where it has them; `given` ones first.

    Raises HomingError if the table lacks a given one.
    """
    lower = {name.lower(): name for name in reversed(table.header)}
    names = {}
    for ours, usual in COLUMN_NAMES.items():
        if ours in given:
            if given[ours] not in table.header:
                raise HomingError(
                    f"{table.name}: no column {given[ours]!r} for {ours}; it has {', '.join(table.header)}"
                )
            names[ours] = given[ours]
        else:
            found = next((lower[name] for name in usual if name in lower), None)
            if found:
                names[ours] = found
    return names


def require_columns(table: TextTable, names: Mapping[str, str], *wanted: str) -> None:
    """Raise HomingError naming the columns there are if one of the `wanted` is missing."""
    for ours in wanted:
        if ours not in names:
            raise HomingError(
                f"{table.name}: no column for {ours} (looked for {', '.join(COLUMN_NAMES[ours])}); it has "
                f"{', '.join(table.header)}. Name it in the data set's `columns`"
            )


def read_renamed(table: TextTable, names: Mapping[str, str]) -> Iterator[Batch]:
    """Yield the batches of a table under our column names, as `match_columns` found them."""
    theirs = list(dict.fromkeys(names.values()))
    for batch in table.batches(theirs):
        cells = pd.DataFrame({ours: batch.cells[name] for ours, name in names.items()})
        yield Batch(batch.rows, cells, batch.invalid)


def _read_all(table: TextTable, columns: Sequence[str]) -> pd.DataFrame:
    absent = [name for name in columns if name not in table.header]
    if absent:
        raise HomingError(f"{table.name}: no column {absent[0]!r}; it has {', '.join(table.header)}")
    return pd.concat([batch.cells for batch in table.batches(columns)], ignore_index=True)

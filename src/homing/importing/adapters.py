"""How each kind of collection is read: one small class per kind, behind one interface.

An adapter yields the rows of its tables as text under our column names, and says which image each row wants by a key;
its containers (folders, tars, zips) hold the images, and `key` tells which key a file answers to. Nothing is judged
here; `candidates` does that. How to add one: docs/data.md.
"""

import logging
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.importing.archives import Container, Folder, Tar, Zip, open_container
from homing.importing.tabular import Batch, Table, from_bytes
from homing.photos.exif import read_exif

log = logging.getLogger(__name__)

# Usual names of each column, first match wins; a data set's `columns` overrides them.
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
SUFFIX = r"(?i)\.(jpe?g|png|webp|hei[cf]|tiff?|bmp|gif)$"
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".gif"}


class Adapter(Protocol):
    """A collection of photos."""

    containers: list[Container]

    def rows(self) -> Iterator[Batch]:
        """The rows under our names. A row's images are in `image`, or in `image_0` to `image_3` for four views."""

    def key(self, name: str) -> str | None:
        """The key that a file of the containers answers to; None: it is no photo."""


def adapter_for(dataset: Mapping[str, Any], files: Sequence[Path]) -> Adapter:
    """The adapter of a data set's configuration, on the raw files or the table and images it names."""
    return ADAPTERS[dataset["adapter"]](dataset, [Path(file) for file in files])


class CsvFolder:
    """Any CSV or Parquet, and a folder, tars or zips that its file column is relative to; or coordinates alone.

    Four views come as columns file_0 to file_3, as a file name with {view} in it, or as four rows with a view column.
    """

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        tables = [path for path in files if path.suffix in (".csv", ".tsv", ".txt", ".parquet")]
        if len(tables) != 1:
            raise HomingError(f"csv_folder: expected one table, got {[path.name for path in files]}")
        self.table = Table.of(tables[0])
        images = [Path(dataset["images"])] if dataset.get("images") else [f for f in files if f not in tables]
        self.containers = [open_container(path) for path in images]
        self.licence, self.views = dataset.get("licence"), dataset.get("views", 1)
        self.by_name = dataset.get("match", "path") == "name"
        self.strip = re.compile(dataset["strip"]) if dataset.get("strip") else None
        given = dict(dataset.get("columns", {}))
        self.template = given.pop("file") if "{" in given.get("file", "") else None
        self.names = match_columns(self.table, given)
        self._need()

    def _need(self) -> None:
        if not self.containers or self.template:
            require(self.table, self.names, "latitude", "longitude", "photo_id")
        elif self.views > 1 and "file_0" in self.names:
            first = self.names["file_0"]
            stem, number = first[:-1], int(first[-1])
            self.names |= {f"file_{view}": f"{stem}{number + view}" for view in range(self.views)}
            absent = [name for name in self.names.values() if name not in self.table.header]
            if absent:
                raise HomingError(f"{self.table.name}: no column {absent[0]!r} for a view; see `views` in docs/data.md")
            require(self.table, self.names, "latitude", "longitude", "photo_id")
        else:
            wanted = ("view", "photo_id") if self.views > 1 else ()
            require(self.table, self.names, "latitude", "longitude", "file", *wanted)

    def rows(self) -> Iterator[Batch]:
        for batch in renamed(self.table, self.names):
            cells = batch.cells
            if self.licence:
                cells["licence"] = _first_known(cells.get("licence"), self.licence, cells.index)
            ids = cells["photo_id"] if "photo_id" in cells else _clean(cells["file"])
            cells["photo_id"] = ids.str.replace(SUFFIX, "", regex=True).str.replace("/", "_", regex=False)
            yield Batch(batch.rows, self.with_images(cells), batch.broken)

    def with_images(self, cells: pd.DataFrame) -> pd.DataFrame:
        if not self.containers:
            return cells.drop(columns=[name for name in cells if name.startswith("file")])
        wide = self.views > 1 and "view" not in self.names
        for view in range(self.views if wide else 1):
            if self.template:
                texts = [self.template.format(photo_id=name, view=view) for name in cells["photo_id"]]
                files = pd.Series(texts, index=cells.index, dtype="str")
            else:
                files = cells[f"file_{view}"] if wide else cells["file"]
            cells[f"image_{view}" if wide else "image"] = self.keys(_clean(files))
        return cells.drop(columns=[name for name in cells if name.startswith("file")])

    def keys(self, files: pd.Series) -> pd.Series:
        return files.str.rsplit("/", n=1).str[-1] if self.by_name else files

    def key(self, name: str) -> str | None:
        if self.by_name:
            name = name.rsplit("/", 1)[-1]
            return self.strip.sub("", name) if self.strip else name
        return name.removeprefix("./")


def _clean(files: pd.Series) -> pd.Series:
    """Paths as members are named: forward slashes, no leading "./"."""
    return files.str.replace("\\", "/", regex=False).str.replace(r"^(\./)+", "", regex=True)


def _first_known(column: pd.Series | None, text: str, index: pd.Index) -> pd.Series:
    constant = pd.Series(text, index=index, dtype="str")
    return constant if column is None else column.where(column != "", constant)


class Mp16:
    """MP-16: a tar cut into byte chunks, read as one file without a second copy, and its csv.

    Ids are the file's name without folder and suffix, slashes and underscores alike (`aa/bb/123.jpg`, `aa_bb_123.jpg`).
    """

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        tables = [path for path in files if path.suffix == ".csv"]
        chunks = sorted(path for path in files if path.suffix != ".csv")
        if len(tables) != 1 or not chunks:
            raise HomingError(f"mp16: expected one csv and the chunks of a tar, got {[path.name for path in files]}")
        self.table = Table.of(tables[0])
        wanted = {"photo_id": "IMG_ID", "author": "AUTHOR", "latitude": "LAT", "longitude": "LON"}
        self.names = match_columns(self.table, wanted)
        self.containers = [Tar(chunks)]

    def rows(self) -> Iterator[Batch]:
        for batch in renamed(self.table, self.names):
            ids = _clean(batch.cells["photo_id"]).str.replace(r"^images/", "", regex=True)
            ids = ids.str.replace("/", "_", regex=False).str.replace(r"\.[^.]*$", "", regex=True)
            yield Batch(batch.rows, batch.cells.assign(photo_id=ids, image=ids), batch.broken)

    def key(self, name: str) -> str | None:
        return PurePosixPath(name.removeprefix("./").removeprefix("images/").replace("/", "_")).stem


class Osv5m:
    """OpenStreetView-5M: train.csv, test.csv and zips of `<id>.jpg` in any folders; its own labels kept for comparison.

    Columns go by name, since their order differs between the files. `country` is ISO2 ("NA" is Namibia), `climate`
    Koppen 1..30, `drive_side` 1 on the left, `captured_at` milliseconds since 1970.
    """

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        self.licence = dataset.get("licence", "CC BY-SA 4.0 (Mapillary)")
        self.tables, self.containers = self.parts(dataset, files)
        if not self.tables or not self.containers:
            raise HomingError(f"{dataset['adapter']}: expected csv tables and images, got {[f.name for f in files]}")

    def parts(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> tuple[list[Table], list[Container]]:
        tables = [Table.of(path) for path in files if path.suffix == ".csv"]
        return tables, [Zip(path) for path in files if path.suffix == ".zip"]

    def rows(self) -> Iterator[Batch]:
        first = 0
        for table in self.tables:
            split = "test" if "test" in Path(table.name).name else "val" if "val" in Path(table.name).name else "train"
            given = {"given_country": "country", "given_climate": "climate", "given_drives_on_left": "drive_side"}
            given = {ours: theirs for ours, theirs in given.items() if theirs in table.header}
            names = match_columns(table, given)
            require(table, names, "photo_id", "latitude", "longitude")
            last = first
            for batch in renamed(table, names):
                batch.cells["image"] = batch.cells["photo_id"]
                batch.cells["split"], batch.cells["licence"] = split, self.licence
                broken = [(row + first, reason, text) for row, reason, text in batch.broken]
                yield Batch(batch.rows + first, batch.cells, broken)
                last = max([last, *(int(row) + first + 1 for row in batch.rows[-1:])])
            first = last

    def key(self, name: str) -> str | None:
        path = PurePosixPath(name)
        return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else None


class OsvMini(Osv5m):
    """OSV-mini-129k, a part of OSV-5M in the USA: one zip, or the folder it was unpacked to."""

    def parts(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> tuple[list[Table], list[Container]]:
        if dataset.get("images"):
            root = Path(dataset["images"])
            return [Table.of(path) for path in sorted(root.rglob("*_mini.csv"))], [Folder(root)]
        tables = []
        for path in files:
            with zipfile.ZipFile(path) as archive:
                names = sorted(name for name in archive.namelist() if name.endswith("_mini.csv"))
                tables += [from_bytes(f"{path}/{name}", archive.read(name)) for name in names]
        return tables, [Zip(path) for path in files]


class Landmarks:
    """Google Landmarks v2: tars, train.csv and its attribution; coordinates from a table of the landmarks' places."""

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        tables = {path.name: Table.of(path) for path in files if path.suffix == ".csv"}
        wanted = ("train.csv", "train_attribution.csv", "google_landmarks_places.csv")
        absent = [name for name in wanted if name not in tables]
        if absent:
            raise HomingError(f"landmarks: no {absent[0]} among {', '.join(tables) or 'the files'}")
        self.images, self.attribution, self.places = (tables[name] for name in wanted)
        self.containers = [Tar([path]) for path in sorted(files) if path.suffix == ".tar"]

    def rows(self) -> Iterator[Batch]:
        places = _whole(self.places, ["id", "lat", "lon"]).drop_duplicates("id").set_index("id")
        credit = _whole(self.attribution, ["id", "author", "license"])
        credit = credit.assign(license=credit["license"].astype("category")).drop_duplicates("id").set_index("id")
        known = total = 0
        for batch in self.images.batches(["id", "url", "landmark_id"]):
            placed = batch.cells["landmark_id"].isin(places.index).to_numpy()
            cells = batch.cells[placed]
            place, owner = places.reindex(cells["landmark_id"]), credit.reindex(cells["id"])
            known, total = known + int(placed.sum()), total + len(placed)
            columns = {
                "photo_id": cells["id"].to_numpy(),
                "image": cells["id"].to_numpy(),
                "latitude": place["lat"].to_numpy(),
                "longitude": place["lon"].to_numpy(),
                "author": owner["author"].fillna("").to_numpy(),
                "licence": owner["license"].astype("str").fillna("").to_numpy(),
                "source_url": cells["url"].to_numpy(),
            }
            yield Batch(batch.rows[placed], pd.DataFrame(columns, dtype="str"), batch.broken)
        log.info("landmarks: %d of %d photos show a landmark of known place; the others are left out", known, total)

    def key(self, name: str) -> str | None:
        path = PurePosixPath(name)
        return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else None


class ExifFolder:
    """A folder, tar or zip of photos that know their place: position, date, direction and artist from their EXIF."""

    BATCH = 1024

    def __init__(self, dataset: Mapping[str, Any], files: Sequence[Path]) -> None:
        self.containers = [open_container(Path(dataset["images"]))]
        self.licence = dataset.get("licence", "")

    def rows(self) -> Iterator[Batch]:
        container, found, broken = self.containers[0], [], []
        for row, member in enumerate(m for m in container.members() if self.key(m.name)):
            try:
                found.append((row, read_exif(container.read(member)) | self.described(member.name)))
            except HomingError as error:
                broken.append((row, str(error), member.name))
            if len(found) + len(broken) >= self.BATCH:
                yield self.batch(found, broken)
                found, broken = [], []
        if found or broken:
            yield self.batch(found, broken)

    def described(self, name: str) -> dict[str, str]:
        photo_id = re.sub(r"\.[^./]*$", "", name).replace("/", "_")
        return {"photo_id": photo_id, "image": name, "licence": self.licence}

    def batch(self, found: list[tuple[int, dict[str, str]]], broken: list[tuple[int, str, str]]) -> Batch:
        names = ["photo_id", "image", "latitude", "longitude", "captured_at", "heading_deg", "author", "licence"]
        cells = pd.DataFrame([row for _, row in found], columns=names, dtype="str").fillna("")
        return Batch(np.array([number for number, _ in found], dtype=np.int64), cells, broken)

    def key(self, name: str) -> str | None:
        return name if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES else None


ADAPTERS: dict[str, type] = {
    "mp16": Mp16,
    "osv5m": Osv5m,
    "osv_mini": OsvMini,
    "landmarks": Landmarks,
    "csv_folder": CsvFolder,
    "exif_folder": ExifFolder,
}


def match_columns(table: Table, given: Mapping[str, str]) -> dict[str, str]:
    """Our column names -> the table's, as far as it has them. Raises HomingError for a given one that it lacks."""
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


def require(table: Table, names: Mapping[str, str], *wanted: str) -> None:
    """Raise HomingError naming the column that is missing and what there is."""
    for ours in wanted:
        if ours not in names:
            raise HomingError(
                f"{table.name}: no column for {ours} (looked for {', '.join(COLUMN_NAMES[ours])}); it has "
                f"{', '.join(table.header)}. Name it in the data set's `columns`"
            )


def renamed(table: Table, names: Mapping[str, str]) -> Iterator[Batch]:
    """Batches of a table with our column names."""
    theirs = list(dict.fromkeys(names.values()))
    for batch in table.batches(theirs):
        cells = pd.DataFrame({ours: batch.cells[name] for ours, name in names.items()})
        yield Batch(batch.rows, cells, batch.broken)


def _whole(table: Table, columns: Sequence[str]) -> pd.DataFrame:
    absent = [name for name in columns if name not in table.header]
    if absent:
        raise HomingError(f"{table.name}: no column {absent[0]!r}; it has {', '.join(table.header)}")
    return pd.concat([batch.cells for batch in table.batches(columns)], ignore_index=True)

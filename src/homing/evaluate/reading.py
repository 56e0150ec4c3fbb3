"""Files of places from anybody: what can be used, and each row that cannot with its reason.

A CSV (comma, semicolon or tab) or Parquet file with an id, a latitude and a longitude per photo. Of our own tables with
several answers per photo, those of rank 0 count. A photo that is listed twice counts as not listed: which row is
meant, nobody knows.
"""

from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.text_tables import TextTable

# Usual names of each column, first match wins, capitals or not.
COLUMNS = {
    "photo_id": ("photo_id", "img_id", "id", "image_id", "pano_id", "photo", "filename", "file", "image"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng", "long"),
    "rank": ("rank",),
    "author": ("author", "photographer", "creator_id", "creator_username", "sequence"),
    "country": ("country", "country_code", "given_country"),
    "region": ("region_id", "region", "unique_region"),
}
SUFFIX = r"(?i)\.(?:jpe?g|png|webp|hei[cf]|tiff?|bmp|gif)$"
EXAMPLES = 3


@dataclass(frozen=True)
class Problem:
    """Rows of one kind that could not be used, or something else that a reader of the figures must know."""

    kind: str
    message: str  # with the file, the first rows and the cure
    count: int = 1

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": self.kind, "count": self.count, "message": self.message}


@dataclass
class Places:
    """A file's photos: frame with photo_id, latitude, longitude, row and what else there is; and its problems."""

    path: str
    frame: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)

    def where(self, row: int) -> str:
        """A row as a person finds it: the line of a CSV, whose first is the header, else the row of a Parquet file."""
        return f"row {row + 1}" if self.path.endswith(".parquet") else f"line {row + 2}"

    def reject(self, bad: np.ndarray, kind: str, reasons: pd.Series, cure: str) -> None:
        """Take rows (a mask) out of the frame and keep their reasons."""
        if not bad.any():
            return
        rows, reasons = self.frame.loc[bad, "row"], reasons[bad]
        shown = [f"{self.where(row)}: {why}" for row, why in zip(rows[:EXAMPLES], reasons[:EXAMPLES], strict=True)]
        more = f"; and {bad.sum() - EXAMPLES:,} more" if bad.sum() > EXAMPLES else ""
        self.problems.append(Problem(kind, f"{self.path}: {'; '.join(shown)}{more}. {cure}", int(bad.sum())))
        self.frame = self.frame[~bad].reset_index(drop=True)


def read_places(path: str | Path, role: str) -> Places:
    """The places in a file; `role` (predictions, truth) is for messages.

    Raises HomingError when there is no such file, no column for the id or a coordinate, or no first answer in it.
    """
    table = TextTable.from_path(path)
    lower = {name.lower(): name for name in reversed(table.header)}
    names = {ours: next((lower[name] for name in usual if name in lower), None) for ours, usual in COLUMNS.items()}
    for ours in ("photo_id", "latitude", "longitude"):
        if names[ours] is None:
            raise HomingError(
                f"{path}: no column for {ours} (looked for {', '.join(COLUMNS[ours])}); it has "
                f"{', '.join(table.header) or 'no header'}"
            )
    names = {ours: name for ours, name in names.items() if name}
    places = _gathered(str(path), table, names)
    if "rank" in places.frame:
        rank = pd.to_numeric(places.frame["rank"], errors="coerce")
        if len(rank) and not (rank == 0).any():
            raise HomingError(f"{path}: no row of the {role} has rank 0, which is the first answer of a photo")
        places.frame = places.frame[rank == 0].drop(columns="rank").reset_index(drop=True)
    _identify(places, names["photo_id"].lower())
    _coordinates(places)
    return places


def _gathered(path: str, table: TextTable, names: dict[str, str]) -> Places:
    """All rows as text, with our names; lines that cannot be read are a problem."""
    theirs = list(dict.fromkeys(names.values()))
    frames, broken = [pd.DataFrame(columns=[*theirs, "\0row"])], []
    for batch in table.batches(theirs):
        frames.append(batch.cells.assign(**{"\0row": batch.rows}))
        broken += batch.invalid
    whole = pd.concat(frames[1:] or frames, ignore_index=True)
    places = Places(path, pd.DataFrame({ours: whole[name] for ours, name in names.items()} | {"row": whole["\0row"]}))
    if broken:
        shown = [f"{places.where(row)}: {reason}" for row, reason, _ in broken[:EXAMPLES]]
        message = f"{path}: {'; '.join(shown)}. Such lines are left out"
        places.problems.append(Problem("unreadable line", message, len(broken)))
    return places


def _identify(places: Places, column: str) -> None:
    """Ids without image suffix, slashes as underscores; of a column of files that we wrote, the file's name."""
    ids = places.frame["photo_id"].astype("str").str.strip()
    if column == "photo":
        ids = ids.map(lambda path: PurePath(path).name)
    places.frame["photo_id"] = (
        ids.str.replace("\\", "/", regex=False).str.replace("/", "_", regex=False).str.replace(SUFFIX, "", regex=True)
    )
    empty = (places.frame["photo_id"] == "").to_numpy()
    places.reject(empty, "no id", pd.Series("the photo's id is empty", index=places.frame.index), "They are left out")
    twice = places.frame["photo_id"].duplicated(keep=False).to_numpy()
    reasons = places.frame["photo_id"] + " is listed more than once"
    places.reject(twice, "repeated", reasons, "None of a photo's rows counts: keep the one that is meant")


def _coordinates(places: Places) -> None:
    """Numbers within their ranges, or problems."""
    frame = places.frame
    texts = {name: frame[name].astype("str").str.strip() for name in ("latitude", "longitude")}
    for name in texts:
        frame[name] = pd.to_numeric(texts[name], errors="coerce").astype(np.float64)
    numbers = frame[["latitude", "longitude"]].to_numpy()
    wanting = ~np.isfinite(numbers).all(axis=1)
    told = frame["photo_id"] + ": latitude '" + texts["latitude"] + "', longitude '" + texts["longitude"] + "'"
    outside = ~wanting & ((np.abs(numbers[:, 0]) > 90) | (np.abs(numbers[:, 1]) > 180))
    swapped = outside & (np.abs(numbers[:, 0]) <= 180) & (np.abs(numbers[:, 1]) <= 90)
    hint = "; the other way round they would fit, the columns may be swapped" if swapped.any() else ""
    kept = ~wanting
    places.reject(wanting, "no number", told + " are no two numbers", "They count as not answered")
    cure = f"Latitudes are -90 to 90, longitudes -180 to 180 degrees{hint}"
    places.reject(outside[kept], "out of range", told[kept].reset_index(drop=True) + " is no place", cure)

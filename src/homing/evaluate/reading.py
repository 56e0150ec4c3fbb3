"""Reading of files with places, such as truth and predictions: valid rows, and the problems of the others.

A CSV (comma, semicolon or tab) or Parquet file with an id, a latitude and a longitude per photo. In tables with several
answers per photo, those of rank 0 count. A photo that is listed twice is left out, since it is unknown which row is
meant.
"""

from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.text_tables import TextTable

# Usual names of each column, case-insensitive; the first match is taken.
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
    """Rows that cannot be used for one reason, or something else that a reader of the metrics must know."""

    kind: str
    message: str  # names the file, the first rows and the cure
    count: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return the problem ready for JSON."""
        return {"kind": self.kind, "count": self.count, "message": self.message}


@dataclass
class Places:
    """The photos of a file and its problems. frame: photo_id, latitude, longitude, row, and optional columns."""

    path: str
    frame: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)

    def where(self, row: int) -> str:
        """Return the line of a row in a CSV file (the header is line 1), or its number in a Parquet file."""
        return f"row {row + 1}" if self.path.endswith(".parquet") else f"line {row + 2}"

    def reject(self, bad: np.ndarray, kind: str, reasons: pd.Series, cure: str) -> None:
        """Remove the rows of a mask `bad` (n,) from the frame, and add a problem with their reasons (n,)."""
        if not bad.any():
            return
        rows, reasons = self.frame.loc[bad, "row"], reasons[bad]
        shown = [f"{self.where(row)}: {why}" for row, why in zip(rows[:EXAMPLES], reasons[:EXAMPLES], strict=True)]
        more = f"; and {bad.sum() - EXAMPLES:,} more" if bad.sum() > EXAMPLES else ""
        self.problems.append(Problem(kind, f"{self.path}: {'; '.join(shown)}{more}. {cure}", int(bad.sum())))
        self.frame = self.frame[~bad].reset_index(drop=True)


def read_places(path: str | Path, role: str) -> Places:
    """Read the places in a file; `role` (predictions, truth) is used in messages.

    Raises HomingError if there is no such file, no column for the id or a coordinate, or no answer of rank 0.
    """
    table = TextTable.from_path(path)
    lower = {name.lower(): name for name in reversed(table.header)}
    found = {ours: [lower[name] for name in usual if name in lower] for ours, usual in COLUMNS.items()}
    names = {ours: matches[0] for ours, matches in found.items() if matches}
    for ours in ("photo_id", "latitude", "longitude"):
        if ours not in names:
            raise HomingError(
                f"{path}: no column for {ours} (looked for {', '.join(COLUMNS[ours])}); it has "
                f"{', '.join(table.header) or 'no header'}"
            )
    places = _gather(str(path), table, names)
    if "rank" in places.frame:
        rank = pd.to_numeric(places.frame["rank"], errors="coerce")
        if len(rank) and not (rank == 0).any():
            raise HomingError(f"{path}: no row of the {role} has rank 0, the first answer of a photo")
        places.frame = places.frame[rank == 0].drop(columns="rank").reset_index(drop=True)
    _identify(places, names["photo_id"].lower())
    _coordinates(places)
    return places


def _gather(path: str, table: TextTable, names: dict[str, str]) -> Places:
    """Return all rows as text, with our column names; lines that cannot be read become a problem."""
    columns = list(dict.fromkeys(names.values()))
    frames, broken = [pd.DataFrame(columns=[*columns, "\0row"])], []
    for batch in table.batches(columns):
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
    """Remove image suffixes from ids and replace slashes by underscores; a column `photo` holds paths of files."""
    ids = places.frame["photo_id"].astype("str").str.strip()
    if column == "photo":
        ids = ids.map(lambda path: PurePath(path).name)
    places.frame["photo_id"] = (
        ids.str.replace("\\", "/", regex=False).str.replace("/", "_", regex=False).str.replace(SUFFIX, "", regex=True)
    )
    empty = (places.frame["photo_id"] == "").to_numpy()
    places.reject(
        empty, "no id", pd.Series("the photo's id is empty", index=places.frame.index), "These rows are left out"
    )
    twice = places.frame["photo_id"].duplicated(keep=False).to_numpy()
    reasons = places.frame["photo_id"] + " is listed more than once"
    places.reject(twice, "repeated", reasons, "No row of such a photo counts: keep the right one")


def _coordinates(places: Places) -> None:
    """Convert coordinates to numbers; rows without numbers or out of range become problems."""
    frame = places.frame
    texts = {name: frame[name].astype("str").str.strip() for name in ("latitude", "longitude")}
    for name in texts:
        frame[name] = pd.to_numeric(texts[name], errors="coerce").astype(np.float64)
    numbers = frame[["latitude", "longitude"]].to_numpy()
    not_numbers = ~np.isfinite(numbers).all(axis=1)
    described = frame["photo_id"] + ": latitude '" + texts["latitude"] + "', longitude '" + texts["longitude"] + "'"
    outside = ~not_numbers & ((np.abs(numbers[:, 0]) > 90) | (np.abs(numbers[:, 1]) > 180))
    swapped = outside & (np.abs(numbers[:, 0]) <= 180) & (np.abs(numbers[:, 1]) <= 90)
    hint = "; swapped they would fit, so the columns may be swapped" if swapped.any() else ""
    kept = ~not_numbers
    places.reject(not_numbers, "no number", described + " are not two numbers", "These photos count as not answered")
    cure = f"Latitudes are -90 to 90, longitudes -180 to 180 degrees{hint}"
    places.reject(outside[kept], "out of range", described[kept].reset_index(drop=True) + " is not a place", cure)

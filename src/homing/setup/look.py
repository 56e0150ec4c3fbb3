"""Inspect a user's table: which columns are which, whether coordinates are swapped, whether the photos exist."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.importing.adapters import COLUMN_NAMES, match_columns, read_renamed
from homing.importing.archives import open_container
from homing.plan.facts import table_rows
from homing.text_tables import TextTable

INSPECTED_ROWS = 5000
CHECKED_PHOTOS = 200
SHOWN_ROWS = 3
# Names beyond those that `csv_folder` recognises; they are written into the key `columns`.
MORE_NAMES = {
    "photo_id": ("panorama_id", "photoid", "imageid", "uuid", "key"),
    "latitude": ("gps_latitude", "gps_lat", "gpslatitude", "y"),
    "longitude": ("gps_longitude", "gps_lon", "gps_lng", "gpslongitude", "x"),
    "file": ("file_name", "filepath", "file_path", "image_path", "img_path", "image_file", "photo", "photo_path"),
    "heading_deg": ("bearing", "yaw", "azimuth", "direction"),
    "captured_at": ("date", "capture_date", "taken_at", "created_at"),
}
PATTERNS = ("{photo_id}.jpg", "{photo_id}.jpeg", "{photo_id}.png", "{photo_id}_{view}.jpg", "{photo_id}.{view}.jpg")


@dataclass
class TableLayout:
    """How a table is to be read: the keys of the adapter `csv_folder`, and what to show a user for confirmation."""

    columns: dict[str, str] = field(default_factory=dict)  # our name -> the table's, where csv_folder would not find it
    names: dict[str, str] = field(default_factory=dict)  # our name -> the table's, all columns
    match: str = "path"
    views: int = 1
    swapped: bool = False  # latitude and longitude are swapped in the table
    rows: int = 0
    shown: list[dict[str, str]] = field(default_factory=list)  # the first rows under our names
    checked: int = 0  # photos that were looked for
    missing: list[str] = field(default_factory=list)  # those that were not found


def inspect_table(path: Path, images: Path, given: Mapping[str, str]) -> TableLayout:
    """Inspect the first rows of a table. `given` maps our column to the table's, as the user says.

    Raises HomingError naming the columns of the table if latitude or longitude is not among them.
    """
    table = TextTable.from_path(path)
    found = TableLayout(columns=dict(given) | _unusual_names(table, given))
    found.names = match_columns(table, _without_patterns(found.columns))
    for wanted in ("latitude", "longitude"):
        if wanted not in found.names:
            raise HomingError(
                f"{path}: no column for {wanted}; it has {', '.join(table.header)}: add --column {wanted}=NAME"
            )
    frame = _first_rows(table, found.names)
    if frame.empty:
        raise HomingError(f"{path}: no rows below the header")
    found.swapped = "latitude" not in given and is_swapped(frame["latitude"], frame["longitude"])
    if found.swapped:
        frame = frame.rename(columns={"latitude": "longitude", "longitude": "latitude"})
        found.columns |= {"latitude": found.names["longitude"], "longitude": found.names["latitude"]}
        found.names |= {key: found.columns[key] for key in ("latitude", "longitude")}
    _find_photos(found, frame, images, path)
    found.shown = frame.head(SHOWN_ROWS).to_dict("records")
    found.rows = table_rows(path)
    return found


def _without_patterns(columns: Mapping[str, str]) -> dict[str, str]:
    """Return the columns without a pattern of file names, which is no column."""
    return {ours: theirs for ours, theirs in columns.items() if "{" not in theirs}


def _unusual_names(table: TextTable, given: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that only `MORE_NAMES` recognises."""
    lower = {name.strip().lower(): name for name in reversed(table.header)}
    found: dict[str, str] = {}
    for ours, more in MORE_NAMES.items():
        if ours not in given and not any(name in lower for name in COLUMN_NAMES[ours]):
            theirs = next((lower[name] for name in more if name in lower), None)
            found |= {ours: theirs} if theirs else {}
    return found


def _first_rows(table: TextTable, names: Mapping[str, str]) -> pd.DataFrame:
    """Return the first rows under our names, as text."""
    frames, count = [], 0
    for batch in read_renamed(table, names):
        frames.append(batch.cells)
        count += len(batch.cells)
        if count >= INSPECTED_ROWS:
            break
    return pd.concat(frames, ignore_index=True).head(INSPECTED_ROWS) if frames else pd.DataFrame(columns=list(names))


def is_swapped(latitude: pd.Series, longitude: pd.Series) -> bool:
    """Return True if some latitudes are beyond 90 degrees and no longitude is."""
    latitudes, longitudes = (pd.to_numeric(column, errors="coerce").to_numpy() for column in (latitude, longitude))
    known = np.isfinite(latitudes) & np.isfinite(longitudes)
    latitudes, longitudes = np.abs(latitudes[known]), np.abs(longitudes[known])
    beyond = (latitudes > 90) & (latitudes <= 180)
    return bool(beyond.any() and (longitudes <= 90).all())


def _find_photos(found: TableLayout, frame: pd.DataFrame, images: Path, path: Path) -> None:
    """Look for the photos of the first rows; set `match`, `views` and a pattern of file names if needed."""
    members = _Members(images)
    if "file" in found.names:
        wanted = frame["file"].head(CHECKED_PHOTOS).str.replace("\\", "/", regex=False).str.removeprefix("./")
        missing = [name for name in wanted if not members.has(name)]
        by_name = [name for name in wanted if not members.has_name(name)] if missing else missing
        found.match = "name" if len(by_name) < len(missing) else "path"
        found.missing = by_name if found.match == "name" else missing
    elif "photo_id" in found.names:
        ids = frame["photo_id"].head(CHECKED_PHOTOS)
        pattern = max(PATTERNS, key=lambda one: sum(members.has(one.format(photo_id=name, view=0)) for name in ids))
        wanted = [pattern.format(photo_id=name, view=0) for name in ids]
        found.missing = [name for name in wanted if not members.has(name)]
        found.columns["file"] = pattern
        found.views = 4 if "{view}" in pattern else 1
    else:
        raise HomingError(f"{path}: no column for file or photo_id; it has {', '.join(found.names.values())}")
    found.checked = len(wanted)


class _Members:
    """The files of a folder or an archive, by path and by name."""

    def __init__(self, images: Path) -> None:
        if not images.exists():
            raise HomingError(f"--photos {images}: no such folder or archive")
        self.folder = images if images.is_dir() else None
        self.paths = (
            set() if self.folder else {member.name.removeprefix("./") for member in open_container(images).members()}
        )
        self.names: set[str] | None = None

    def has(self, path: str) -> bool:
        return (self.folder / path).is_file() if self.folder else path in self.paths

    def has_name(self, path: str) -> bool:
        if self.names is None:
            self.names = {one.rsplit("/", 1)[-1] for one in self._all_paths()}
        return path.rsplit("/", 1)[-1] in self.names

    def _all_paths(self) -> Iterator[str]:
        if not self.folder:
            return iter(self.paths)
        return (one.name for one in self.folder.rglob("*") if one.is_file())

"""A table of unknown origin, looked at: which columns are which, whether swapped, whether its pictures exist."""

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

LOOKED_AT = 5000  # rows
SOUGHT = 200  # pictures
SHOWN = 3
# Names beside those that `csv_folder` knows itself; they are written into `columns`.
ALSO = {
    "photo_id": ("panorama_id", "photoid", "imageid", "uuid", "key"),
    "latitude": ("gps_latitude", "gps_lat", "gpslatitude", "y"),
    "longitude": ("gps_longitude", "gps_lon", "gps_lng", "gpslongitude", "x"),
    "file": ("file_name", "filepath", "file_path", "image_path", "img_path", "image_file", "photo", "photo_path"),
    "heading_deg": ("bearing", "yaw", "azimuth", "direction"),
    "captured_at": ("date", "capture_date", "taken_at", "created_at"),
}
PATTERNS = ("{photo_id}.jpg", "{photo_id}.jpeg", "{photo_id}.png", "{photo_id}_{view}.jpg", "{photo_id}.{view}.jpg")


@dataclass
class Understood:
    """What `csv_folder` is to be told of a table, and what a user should see before it is believed."""

    columns: dict[str, str] = field(default_factory=dict)  # those that its usual names do not find
    names: dict[str, str] = field(default_factory=dict)  # ours -> the table's
    match: str = "path"
    views: int = 1
    swapped: bool = False
    rows: int = 0
    shown: list[dict[str, str]] = field(default_factory=list)
    sought: int = 0
    missing: list[str] = field(default_factory=list)


def understand(path: Path, images: Path, given: Mapping[str, str]) -> Understood:
    """Look at the first rows of a table. `given`: our column -> the table's, where the user knows better.

    Raises HomingError naming the columns there are when no latitude or longitude is among them.
    """
    table = TextTable.from_path(path)
    found = Understood(columns=dict(given) | _unusual(table, given))
    found.names = match_columns(table, _columns_alone(found.columns))
    for wanted in ("latitude", "longitude"):
        if wanted not in found.names:
            raise HomingError(
                f"{path}: no column for {wanted}; it has {', '.join(table.header)}: say --column {wanted}=NAME"
            )
    frame = _first_rows(table, found.names)
    if frame.empty:
        raise HomingError(f"{path}: no row below its header")
    found.swapped = "latitude" not in given and is_swapped(frame["latitude"], frame["longitude"])
    if found.swapped:
        frame = frame.rename(columns={"latitude": "longitude", "longitude": "latitude"})
        found.columns |= {"latitude": found.names["longitude"], "longitude": found.names["latitude"]}
        found.names |= {key: found.columns[key] for key in ("latitude", "longitude")}
    _find_pictures(found, frame, images, path)
    found.shown = frame.head(SHOWN).to_dict("records")
    found.rows = table_rows(path)
    return found


def _columns_alone(columns: Mapping[str, str]) -> dict[str, str]:
    """Without the pattern of file names, which is no column."""
    return {ours: theirs for ours, theirs in columns.items() if "{" not in theirs}


def _unusual(table: TextTable, given: Mapping[str, str]) -> dict[str, str]:
    """Columns under names that only `ALSO` knows."""
    lower = {name.strip().lower(): name for name in reversed(table.header)}
    found = {}
    for ours, also in ALSO.items():
        if ours not in given and not any(name in lower for name in COLUMN_NAMES[ours]):
            theirs = next((lower[name] for name in also if name in lower), None)
            found |= {ours: theirs} if theirs else {}
    return found


def _first_rows(table: TextTable, names: Mapping[str, str]) -> pd.DataFrame:
    """The first rows under our names, as text."""
    frames, count = [], 0
    for batch in read_renamed(table, names):
        frames.append(batch.cells)
        count += len(batch.cells)
        if count >= LOOKED_AT:
            break
    return pd.concat(frames, ignore_index=True).head(LOOKED_AT) if frames else pd.DataFrame(columns=list(names))


def is_swapped(latitude: pd.Series, longitude: pd.Series) -> bool:
    """Whether latitudes go beyond 90 degrees where longitudes never do."""
    north, east = (pd.to_numeric(column, errors="coerce").to_numpy() for column in (latitude, longitude))
    known = np.isfinite(north) & np.isfinite(east)
    north, east = np.abs(north[known]), np.abs(east[known])
    beyond = (north > 90) & (north <= 180)
    return bool(beyond.any() and (east <= 90).all())


def _find_pictures(found: Understood, frame: pd.DataFrame, images: Path, path: Path) -> None:
    """Which files the first rows want, and whether they are there; sets `match`, `views` and a pattern where needed."""
    members = _Members(images)
    if "file" in found.names:
        wanted = frame["file"].head(SOUGHT).str.replace("\\", "/", regex=False).str.removeprefix("./")
        missing = [name for name in wanted if not members.has(name)]
        by_name = [name for name in wanted if not members.has_name(name)] if missing else missing
        found.match = "name" if len(by_name) < len(missing) else "path"
        found.missing = by_name if found.match == "name" else missing
    elif "photo_id" in found.names:
        ids = frame["photo_id"].head(SOUGHT)
        pattern = max(PATTERNS, key=lambda one: sum(members.has(one.format(photo_id=name, view=0)) for name in ids))
        wanted = [pattern.format(photo_id=name, view=0) for name in ids]
        found.missing = [name for name in wanted if not members.has(name)]
        found.columns["file"] = pattern
        found.views = 4 if "{view}" in pattern else 1
    else:
        raise HomingError(f"{path}: no column for file or photo_id; it has {', '.join(found.names.values())}")
    found.sought = len(wanted)


class _Members:
    """The files in a folder or an archive, by path and by name."""

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
            self.names = {one.rsplit("/", 1)[-1] for one in self._every()}
        return path.rsplit("/", 1)[-1] in self.names

    def _every(self) -> Iterator[str]:
        if not self.folder:
            return iter(self.paths)
        return (one.name for one in self.folder.rglob("*") if one.is_file())

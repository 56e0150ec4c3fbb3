"""Split photos into train, val and test by hashes, so that adding photos moves none of the others.

The draw is by coordinates, photographer or block of the globe. What is too near to another split follows from the shape
of the held-out area, not from the photos in it, so that this too does not depend on other photos.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.sphere import KM_PER_DEGREE

GIVEN = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
TRAIN, VAL, TEST = 0, 1, 2
NAMES = np.array(["train", "val", "test"], dtype=object)


def assign_splits(photos: pd.DataFrame, settings: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """Return the table `splits` of the table `photos`: train, val, test or unused.

    settings: the configuration's `splits`. Raises HomingError if no photo is in train, val or test.
    """
    method = settings["method"]
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    if method == "regions":
        split = _by_regions(latitude, longitude, settings, seed)
    elif method == "distance":
        split = _by_distance(latitude, longitude, settings, seed)
    elif method == "given":
        split = _given(photos, settings, seed)
    else:
        keys = _coordinate_keys(latitude, longitude) if method == "random" else _author_keys(photos)
        split = NAMES[_draw(uniform(keys, seed), settings)]
    for name in ("train", "val", "test"):
        if not (split == name).any():
            raise HomingError(f"splits: no photo falls into {name!r} ({len(photos)} photos, method {method!r})")
    return pd.DataFrame({"photo_id": photos["photo_id"], "split": split})


def uniform(keys: Iterable[Any], seed: int) -> np.ndarray:
    """Return a number in [0, 1) for each key, from its hash with the seed, float64 (n,)."""
    digests = (hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.float64) / 2.0**64


def _draw(uniforms: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Return TEST, VAL or TRAIN for each number in [0, 1), by the configured shares."""
    limits = (settings["test_share"], settings["test_share"] + settings["val_share"])
    return np.select([uniforms < limits[0], uniforms < limits[1]], [TEST, VAL], TRAIN)


def _coordinate_keys(latitude: np.ndarray, longitude: np.ndarray) -> list[str]:
    """Return one key for all photos at the same coordinates (a burst), which stay together."""
    return [f"{north!r},{east!r}" for north, east in zip(latitude.tolist(), longitude.tolist(), strict=True)]


def _author_keys(photos: pd.DataFrame) -> pd.Series:
    """Return the photographer, or the photo itself where the photographer is unknown."""
    return photos["author"].fillna(photos["photo_id"])


def circle_extent(latitude: np.ndarray, radius_km: float) -> tuple[np.ndarray, np.ndarray]:
    """Return half the extent in latitude and in longitude, degrees (n,), of circles of `radius_km` around points (n,).

    A circle is widest on another parallel than its centre's: sin(extent) = sin(radius) / cos(latitude), by the right
    spherical triangle of pole, centre and tangent meridian. A circle around a pole spans all longitudes.
    """
    radius = radius_km / KM_PER_DEGREE * (1 + 1e-9)
    sine = np.sin(np.radians(radius)) / np.maximum(np.cos(np.radians(latitude)), 1e-300)
    has_pole = np.abs(latitude) + radius >= 90
    east = np.degrees(np.arcsin(np.clip(np.where(has_pole, 1, sine), 0, 1)))
    return np.full(len(latitude), radius), np.where(has_pole, 180.0, east)


class Blocks:
    """A grid of blocks of about equal size: rows of equal height, each with its own number of columns."""

    def __init__(self, side_km: float) -> None:
        self.rows = max(1, int(180 * KM_PER_DEGREE / side_km))
        latitude = (np.arange(self.rows) + 0.5) * 180 / self.rows - 90  # of the rows' centre lines
        self.columns = np.maximum(1, (360 * KM_PER_DEGREE * np.cos(np.radians(latitude)) / side_km).astype(np.int64))
        self.first = np.concatenate([[0], np.cumsum(self.columns)])

    def row(self, latitude: np.ndarray) -> np.ndarray:
        """Return the row of each latitude, from the south."""
        return np.clip(((latitude + 90) * self.rows / 180).astype(np.int64), 0, self.rows - 1)

    def column(self, longitude: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Return the column of each longitude in its row; outside -180..180 degrees, outside 0..columns-1."""
        return np.floor((longitude + 180) * self.columns[row] / 360).astype(np.int64)

    def number(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Return the number of each block; columns wrap around the globe."""
        return self.first[row] + column % self.columns[row]


def _by_distance(latitude: np.ndarray, longitude: np.ndarray, settings: Mapping[str, Any], seed: int) -> np.ndarray:
    """Draw blocks; photos nearer than `distance_km` to a block of a higher split (test > val > train) are unused."""
    blocks = Blocks(settings["block_km"])
    row = blocks.row(latitude)
    own = _draw_blocks(blocks.number(row, blocks.column(longitude, row)), settings, seed)
    north, east = circle_extent(latitude, settings["distance_km"])
    low, high = blocks.row(latitude - north), blocks.row(latitude + north)
    split = NAMES[own]
    for step in range(int((high - low).max()) + 1):
        near_row = np.minimum(low + step, high)
        west, last = blocks.column(longitude - east, near_row), blocks.column(longitude + east, near_row)
        count = np.minimum(last - west + 1, blocks.columns[near_row])
        for offset in range(int(count.max())):
            todo = np.flatnonzero((offset < count) & (split != "unused"))
            if step == 0 and offset == 0:  # most circles are inside their own block
                todo = todo[(low[todo] != high[todo]) | (count[todo] > 1)]
            near = _draw_blocks(blocks.number(near_row[todo], west[todo] + offset), settings, seed)
            split[todo[near > own[todo]]] = "unused"
    return split


def _draw_blocks(numbers: np.ndarray, settings: Mapping[str, Any], seed: int) -> np.ndarray:
    """Return TEST, VAL or TRAIN for each block number."""
    unique, inverse = np.unique(numbers, return_inverse=True)
    return _draw(uniform(unique.tolist(), seed), settings)[inverse]


def _by_regions(latitude: np.ndarray, longitude: np.ndarray, settings: Mapping[str, Any], seed: int) -> np.ndarray:
    """Test the boxes; photos nearer than `buffer_km` to one are unused, and of the rest val is drawn."""
    test, near = np.zeros(len(latitude), dtype=bool), np.zeros(len(latitude), dtype=bool)
    for box in settings["regions"]:
        test |= in_box(box, latitude, longitude)
        near |= in_box(box, latitude, longitude, settings["buffer_km"])
    val = uniform(_coordinate_keys(latitude, longitude), seed) < settings["val_share"]
    return np.select([test, near, val], ["test", "unused", "val"], "train").astype(object)


def in_box(box: str, latitude: np.ndarray, longitude: np.ndarray, buffer_km: float = 0) -> np.ndarray:
    """Return a mask of the points in 'south,west,north,east' (degrees, borders included), or within `buffer_km` of it.

    A box with west > east crosses 180 degrees. At the corners the buffer is wider than `buffer_km`, never narrower.
    Raises HomingError if `box` is not four numbers.
    """
    try:
        south, west, north, east = (float(part) for part in box.split(","))
    except ValueError:
        raise HomingError(f"splits.regions: {box!r} must be 'south,west,north,east' in degrees") from None
    north_margin, east_margin = circle_extent(latitude, buffer_km) if buffer_km else (np.zeros(1), np.zeros(1))
    width = 360.0 if east - west >= 360 else (east - west) % 360
    offset = (longitude - west) % 360
    outside = np.where(offset <= width, 0.0, np.minimum(offset - width, 360 - offset))
    return (latitude >= south - north_margin) & (latitude <= north + north_margin) & (outside <= east_margin)


def _given(photos: pd.DataFrame, settings: Mapping[str, Any], seed: int) -> np.ndarray:
    """Use the data set's own splits; if it has no val, draw it from its train by photographer, or by photo."""
    names = photos["split"].str.lower().map(GIVEN)
    if photos["split"].isna().all():
        raise HomingError("splits.method is 'given', but the data set's table names no split")
    split = names.fillna("unused").to_numpy(dtype=object)
    if not (split == "val").any():
        split[(split == "train") & (uniform(_author_keys(photos), seed) < settings["val_share"])] = "val"
    return split


def in_set(splits: pd.DataFrame, photo_set: str) -> set[str] | None:
    """Return the photo_ids of the run's train, val or test set; None, for all photos, if it names a benchmark."""
    if photo_set not in ("train", "val", "test"):
        return None
    return set(splits.loc[splits["split"] == photo_set, "photo_id"])


def rows_in_set(photos: pd.DataFrame, splits: pd.DataFrame, photo_set: str) -> pd.DataFrame:
    """Return the rows of a table with photo_id that are in a photo set: a split, or all of a benchmark."""
    wanted = in_set(splits, photo_set)
    return photos if wanted is None else photos[photos["photo_id"].isin(wanted)].reset_index(drop=True)

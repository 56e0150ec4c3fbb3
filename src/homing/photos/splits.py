"""Train, val and test, each photo decided by itself and a hash: adding photos moves none.

The random draw goes by coordinate, photographer or place; what lies too near to another split is found from the shape
of the held-out area and not from the photos in it, so that a new photo changes nothing for those that were there.
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
    """The `splits` table of a `photos` table: train, val, test or unused. Raises HomingError when a part is empty."""
    method = settings["method"]
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    if method == "regions":
        split = _by_regions(latitude, longitude, settings, seed)
    elif method == "distance":
        split = _by_distance(latitude, longitude, settings, seed)
    elif method == "given":
        split = _as_given(photos, settings, seed)
    else:
        keys = _places(latitude, longitude) if method == "random" else _authors(photos)
        split = NAMES[_draw(uniform(keys, seed), settings)]
    for part in ("train", "val", "test"):
        if not (split == part).any():
            raise HomingError(f"splits: no photo falls into {part!r} ({len(photos)} photos, method {method!r})")
    return pd.DataFrame({"photo_id": photos["photo_id"], "split": split})


def uniform(keys: Iterable[Any], seed: int) -> np.ndarray:
    """A number in [0, 1) for each key, from its hash with the seed."""
    digests = (hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.float64) / 2.0**64


def _draw(share: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """TEST below the test's share, VAL below both together, else TRAIN."""
    limits = (settings["test_share"], settings["test_share"] + settings["val_share"])
    return np.select([share < limits[0], share < limits[1]], [TEST, VAL], TRAIN)


def _places(latitude: np.ndarray, longitude: np.ndarray) -> list[str]:
    """Photos of one coordinate (bursts) stay together."""
    return [f"{north!r},{east!r}" for north, east in zip(latitude.tolist(), longitude.tolist(), strict=True)]


def _authors(photos: pd.DataFrame) -> pd.Series:
    return photos["author"].fillna(photos["photo_id"])


def cap(latitude: np.ndarray, radius_km: float) -> tuple[np.ndarray, np.ndarray]:
    """Half the extent in latitude and in longitude, degrees, of the circle of `radius_km` around points.

    The circle's widest parallel is not its centre's (Bronstein's spherical tangent); over a pole it spans all.
    """
    radius = radius_km / KM_PER_DEGREE * (1 + 1e-9)
    sine = np.sin(np.radians(radius)) / np.maximum(np.cos(np.radians(latitude)), 1e-300)
    wide = np.abs(latitude) + radius >= 90
    east = np.degrees(np.arcsin(np.clip(np.where(wide, 1, sine), 0, 1)))
    return np.full(len(latitude), radius), np.where(wide, 180.0, east)


class Blocks:
    """The globe in rows of one height, each row in whole columns of about the same width."""

    def __init__(self, side_km: float) -> None:
        self.rows = max(1, int(180 * KM_PER_DEGREE / side_km))
        middle = (np.arange(self.rows) + 0.5) * 180 / self.rows - 90
        self.columns = np.maximum(1, (360 * KM_PER_DEGREE * np.cos(np.radians(middle)) / side_km).astype(np.int64))
        self.first = np.concatenate([[0], np.cumsum(self.columns)])

    def row(self, latitude: np.ndarray) -> np.ndarray:
        return np.clip(((latitude + 90) * self.rows / 180).astype(np.int64), 0, self.rows - 1)

    def column(self, longitude: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Not yet brought into 0..columns-1."""
        return np.floor((longitude + 180) * self.columns[row] / 360).astype(np.int64)

    def number(self, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return self.first[row] + column % self.columns[row]


def _by_distance(latitude: np.ndarray, longitude: np.ndarray, settings: Mapping[str, Any], seed: int) -> np.ndarray:
    """Blocks of the globe are drawn; photos near a block that matters more than their own are left out."""
    blocks = Blocks(settings["block_km"])
    row = blocks.row(latitude)
    own = _draw_blocks(blocks.number(row, blocks.column(longitude, row)), settings, seed)
    north, east = cap(latitude, settings["distance_km"])
    low, high = blocks.row(latitude - north), blocks.row(latitude + north)
    split = NAMES[own]
    for step in range(int((high - low).max()) + 1):
        beside = np.minimum(low + step, high)
        west, last = blocks.column(longitude - east, beside), blocks.column(longitude + east, beside)
        count = np.minimum(last - west + 1, blocks.columns[beside])
        for further in range(int(count.max())):
            here = np.flatnonzero((further < count) & (split != "unused"))
            if step == 0 and further == 0:  # most circles lie in one block alone
                here = here[(low[here] != high[here]) | (count[here] > 1)]
            near = _draw_blocks(blocks.number(beside[here], west[here] + further), settings, seed)
            split[here[near > own[here]]] = "unused"
    return split


def _draw_blocks(numbers: np.ndarray, settings: Mapping[str, Any], seed: int) -> np.ndarray:
    unique, inverse = np.unique(numbers, return_inverse=True)
    return _draw(uniform(unique.tolist(), seed), settings)[inverse]


def _by_regions(latitude: np.ndarray, longitude: np.ndarray, settings: Mapping[str, Any], seed: int) -> np.ndarray:
    test, near = np.zeros(len(latitude), dtype=bool), np.zeros(len(latitude), dtype=bool)
    for box in settings["regions"]:
        test |= in_box(box, latitude, longitude)
        near |= in_box(box, latitude, longitude, settings["buffer_km"])
    val = uniform(_places(latitude, longitude), seed) < settings["val_share"]
    return np.select([test, near, val], ["test", "unused", "val"], "train").astype(object)


def in_box(box: str, latitude: np.ndarray, longitude: np.ndarray, reach_km: float = 0) -> np.ndarray:
    """Which points lie in 'south,west,north,east' (degrees, borders included), or no farther than `reach_km` from it.

    West > east crosses 180 degrees. The reach is generous at the corners, never short.
    """
    try:
        south, west, north, east = (float(part) for part in box.split(","))
    except ValueError:
        raise HomingError(f"splits.regions: {box!r} must be 'south,west,north,east' in degrees") from None
    up, aside = cap(latitude, reach_km) if reach_km else (0.0, 0.0)
    width = 360.0 if east - west >= 360 else (east - west) % 360
    offset = (longitude - west) % 360
    beyond = np.where(offset <= width, 0.0, np.minimum(offset - width, 360 - offset))
    return (latitude >= south - up) & (latitude <= north + up) & (beyond <= aside)


def _as_given(photos: pd.DataFrame, settings: Mapping[str, Any], seed: int) -> np.ndarray:
    """As the data set says; where it has no val, a share of its train by photographer, or by photo."""
    names = photos["split"].str.lower().map(GIVEN)
    if photos["split"].isna().all():
        raise HomingError("splits.method is 'given', but the data set's table names no split")
    split = names.fillna("unused").to_numpy(dtype=object)
    if not (split == "val").any():
        split[(split == "train") & (uniform(_authors(photos), seed) < settings["val_share"])] = "val"
    return split


def in_set(splits: pd.DataFrame, photo_set: str) -> set[str] | None:
    """The photo_ids of the run's train, val or test set; None for the name of a benchmark: all its photos."""
    if photo_set not in ("train", "val", "test"):
        return None
    return set(splits.loc[splits["split"] == photo_set, "photo_id"])

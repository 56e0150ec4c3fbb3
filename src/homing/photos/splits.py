"""Train, val and test, decided by hash: the same photo always falls the same way, and adding photos moves none."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from homing.errors import HomingError
from homing.sphere import km_to_chord, unit_vectors, wrap_longitude

GIVEN = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def assign_splits(photos: pd.DataFrame, settings: Mapping[str, Any], seed: int) -> pd.DataFrame:
    """The `splits` table of a `photos` table: train, val, test or unused. Raises HomingError when a part is empty."""
    method = settings["method"]
    if method == "regions":
        split = _by_regions(photos, settings, seed)
    elif method == "given":
        split = _as_given(photos)
    else:
        keys = _places(photos) if method == "random" else photos["author"].fillna(photos["photo_id"])
        share = uniform(keys, seed)
        limits = [settings["test_share"], settings["test_share"] + settings["val_share"]]
        split = np.select([share < limits[0], share < limits[1]], ["test", "val"], "train")
    for part in ("train", "val", "test"):
        if not (split == part).any():
            raise HomingError(f"splits: no photo falls into {part!r} ({len(photos)} photos, method {method!r})")
    return pd.DataFrame({"photo_id": photos["photo_id"], "split": split})


def uniform(keys: Iterable[str], seed: int) -> np.ndarray:
    """A number in [0, 1) for each key, from its hash with the seed."""
    digests = (hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest() for key in keys)
    return np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.float64) / 2.0**64


def _places(photos: pd.DataFrame) -> list[str]:
    """Photos of one coordinate (bursts) stay together."""
    return [
        f"{latitude!r},{longitude!r}"
        for latitude, longitude in zip(photos["latitude"], photos["longitude"], strict=True)
    ]


def _by_regions(photos: pd.DataFrame, settings: Mapping[str, Any], seed: int) -> np.ndarray:
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    test = np.zeros(len(photos), dtype=bool)
    for box in settings["regions"]:
        test |= in_box(box, latitude, longitude)
    val = uniform(_places(photos), seed) < settings["val_share"]
    split = np.select([test, val], ["test", "val"], "train").astype(object)
    if test.any():
        vectors = unit_vectors(latitude, longitude)
        chord, _ = cKDTree(vectors[test]).query(
            vectors, distance_upper_bound=km_to_chord(settings["buffer_km"]) + 1e-12
        )
        split[~test & np.isfinite(chord)] = "unused"
    return split


def in_box(box: str, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Which points lie in 'south,west,north,east' (degrees, borders included); west > east crosses 180 degrees."""
    try:
        south, west, north, east = (float(part) for part in box.split(","))
    except ValueError:
        raise HomingError(f"splits.regions: {box!r} must be 'south,west,north,east' in degrees") from None
    inside = (longitude >= west) & (longitude <= east)
    if west > east:
        longitude = wrap_longitude(longitude)
        inside = (longitude >= west) | (longitude <= east)
    return (latitude >= south) & (latitude <= north) & inside


def _as_given(photos: pd.DataFrame) -> np.ndarray:
    names = photos["split"].str.lower().map(GIVEN)
    if photos["split"].isna().all():
        raise HomingError("splits.method is 'given', but the data set's table names no split")
    return names.fillna("unused").to_numpy(dtype=object)


def in_set(splits: pd.DataFrame, photo_set: str) -> set[str] | None:
    """The photo_ids of the run's train, val or test set; None for the name of a benchmark: all its photos."""
    if photo_set not in ("train", "val", "test"):
        return None
    return set(splits.loc[splits["split"] == photo_set, "photo_id"])

"""How far predictions lie from the truth, by stated rules.

Within a radius means distance <= radius. A photo without a prediction counts as wrong at every radius and as half the
globe away in medians and means.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from homing.errors import HomingError
from homing.geoscore import MAX_SCORE, relative_score
from homing.sphere import EARTH_RADIUS_KM, haversine_km

FARTHEST_KM = np.pi * EARTH_RADIUS_KM


def distances_km(truth: pd.DataFrame, predictions: pd.DataFrame) -> np.ndarray:
    """Distance (n,) of the rank-0 answer from each photo of `truth` (photo_id, latitude, longitude).

    Raises HomingError when a photo is answered twice.
    """
    first = predictions[predictions["rank"] == 0] if "rank" in predictions else predictions
    if first["photo_id"].duplicated().any():
        name = first.loc[first["photo_id"].duplicated(), "photo_id"].iloc[0]
        raise HomingError(f"predictions: photo {name!r} is answered more than once")
    return away_km(truth, first, rows_of(truth["photo_id"], first["photo_id"]))


def rows_of(wanted: pd.Series, photo_ids: pd.Series) -> np.ndarray:
    """The row (n,) of each wanted id among `photo_ids`, -1 where it is not there."""
    sought, among = (pa.array(ids, type=pa.string(), from_pandas=True) for ids in (wanted, photo_ids))
    return pc.fill_null(pc.index_in(sought, among), -1).to_numpy()


def away_km(truth: pd.DataFrame, predictions: pd.DataFrame, at: np.ndarray) -> np.ndarray:
    """Distance (n,) of each photo of `truth` from the row `at` (n,) of its answer; -1: none, half the globe away."""
    places = predictions[["latitude", "longitude"]].to_numpy(dtype=np.float64)
    found = np.vstack([places, [np.nan, np.nan]])[at]  # -1 is the last
    away = haversine_km(truth["latitude"], truth["longitude"], found[:, 0], found[:, 1])
    return np.where(np.isnan(away), FARTHEST_KM, away)


def geoscores(away: np.ndarray) -> np.ndarray:
    """5000 exp(-distance / 1492.7 km) of each photo; their mean is the GeoScore."""
    return MAX_SCORE * relative_score(away)

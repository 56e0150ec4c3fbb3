"""Errors of predictions: the great-circle distance from each answer to the true place.

Within a radius means distance <= radius. A photo without a prediction is wrong at every radius and counts as half the
Earth's circumference in medians and means.
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
    """Return the error (n,) of the rank-0 answer to each photo of `truth` (photo_id, latitude, longitude).

    Raises HomingError if a photo has several answers of rank 0.
    """
    first = predictions[predictions["rank"] == 0] if "rank" in predictions else predictions
    if first["photo_id"].duplicated().any():
        name = first.loc[first["photo_id"].duplicated(), "photo_id"].iloc[0]
        raise HomingError(f"predictions: photo {name!r} is answered more than once")
    return errors_km(truth, first, rows_of(truth["photo_id"], first["photo_id"]))


def rows_of(wanted: pd.Series, photo_ids: pd.Series) -> np.ndarray:
    """Return the row (n,) of each wanted id in `photo_ids`, -1 if it is absent."""
    sought, among = (pa.array(ids, type=pa.string(), from_pandas=True) for ids in (wanted, photo_ids))
    return pc.fill_null(pc.index_in(sought, among), -1).to_numpy()


def errors_km(truth: pd.DataFrame, predictions: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Return the error (n,) of each photo of `truth`; rows: (n,), the row of its answer in `predictions`, or -1."""
    places = predictions[["latitude", "longitude"]].to_numpy(dtype=np.float64)
    answers = np.vstack([places, [np.nan, np.nan]])[rows]  # -1 is the last row
    error_km = haversine_km(truth["latitude"], truth["longitude"], answers[:, 0], answers[:, 1])
    return np.where(np.isnan(error_km), FARTHEST_KM, error_km)


def geoscores(error_km: np.ndarray) -> np.ndarray:
    """Return 5000 exp(-error / 1492.7 km) of each photo; the GeoScore is their mean."""
    return MAX_SCORE * relative_score(error_km)

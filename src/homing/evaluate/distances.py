"""How far predictions lie from the truth, by stated rules.

Within a radius means distance <= radius. A photo without a prediction counts as wrong at every radius and as half the
globe away in medians and means.
"""

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.sphere import EARTH_RADIUS_KM, haversine_km

FARTHEST_KM = np.pi * EARTH_RADIUS_KM
GEOSCORE_KM = 1492.7  # of OSV-5M's GeoScore (Astruc et al., CVPR 2024)


def distances_km(truth: pd.DataFrame, predictions: pd.DataFrame) -> np.ndarray:
    """Distance (n,) of the rank-0 answer from each photo of `truth` (photo_id, latitude, longitude).

    Raises HomingError when a photo is answered twice.
    """
    first = predictions[predictions["rank"] == 0] if "rank" in predictions else predictions
    if first["photo_id"].duplicated().any():
        name = first.loc[first["photo_id"].duplicated(), "photo_id"].iloc[0]
        raise HomingError(f"predictions: photo {name!r} is answered more than once")
    at = pd.Index(first["photo_id"]).get_indexer(truth["photo_id"])
    places = first[["latitude", "longitude"]].to_numpy(dtype=np.float64)
    found = np.vstack([places, [np.nan, np.nan]])[at]  # -1, no answer, is the last
    away = haversine_km(truth["latitude"], truth["longitude"], found[:, 0], found[:, 1])
    return np.where(np.isnan(away), FARTHEST_KM, away)


def geoscores(away: np.ndarray) -> np.ndarray:
    """5000 exp(-distance / 1492.7 km) of each photo; their mean is the GeoScore."""
    return 5000 * np.exp(-away / GEOSCORE_KM)

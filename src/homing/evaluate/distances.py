"""How far predictions lie from the truth, by stated rules.

Within a radius means distance <= radius. A photo without a prediction counts as wrong at every radius and as half the
globe away in medians and means. Intervals resample photographers, not photos: one person's photos are not independent.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.sphere import EARTH_RADIUS_KM, haversine_km

FARTHEST_KM = np.pi * EARTH_RADIUS_KM
GEOSCORE_KM = 1492.7  # of OSV-5M's GeoScore (Astruc et al., CVPR 2024)
RESAMPLES = 1000


def distances_km(truth: pd.DataFrame, predictions: pd.DataFrame) -> np.ndarray:
    """Distance (n,) of the rank-0 answer from each photo of `truth` (photo_id, latitude, longitude).

    Raises HomingError when a photo is answered twice.
    """
    first = predictions[predictions["rank"] == 0] if "rank" in predictions else predictions
    if first["photo_id"].duplicated().any():
        name = first.loc[first["photo_id"].duplicated(), "photo_id"].iloc[0]
        raise HomingError(f"predictions: photo {name!r} is answered more than once")
    found = first.set_index("photo_id")[["latitude", "longitude"]].reindex(truth["photo_id"]).to_numpy(dtype=np.float64)
    away = haversine_km(truth["latitude"], truth["longitude"], found[:, 0], found[:, 1])
    return np.where(np.isnan(away), FARTHEST_KM, away)


def figures(away: np.ndarray, missing: int, authors: pd.Series, radii_km: Sequence[float], seed: int) -> dict[str, Any]:
    """Median, mean, GeoScore and shares within the radii, each with a 95 % interval."""
    statistics = {"median_km": np.median, "mean_km": np.mean, "geoscore": geoscore}
    statistics |= {f"within_{radius:g}_km": _within(radius) for radius in radii_km}
    values = {name: float(statistic(away)) for name, statistic in statistics.items()}
    groups = clusters(authors)
    intervals = {name: [] for name in statistics}
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        drawn = np.concatenate([groups[one] for one in rng.integers(0, len(groups), len(groups))])
        for name, statistic in statistics.items():
            intervals[name].append(statistic(away[drawn]))
    bounds = {name: np.percentile(drawn, [2.5, 97.5]).tolist() for name, drawn in intervals.items()}
    return values | {"missing": missing, "interval_95": bounds}


def _within(radius: float):
    return lambda away: np.mean(away <= radius)


def geoscore(away: np.ndarray) -> float:
    """Mean of 5000 exp(-distance / 1492.7 km)."""
    return float(np.mean(5000 * np.exp(-away / GEOSCORE_KM)))


def clusters(authors: pd.Series) -> list[np.ndarray]:
    """Rows of each photographer; a photo without one is by itself."""
    own = pd.Series([f"\0{row}" for row in range(len(authors))])
    names = authors.reset_index(drop=True).where(authors.notna().to_numpy(), own)
    return [np.sort(rows) for _, rows in sorted(names.groupby(names).indices.items())]


def score(
    truth: pd.DataFrame, readouts: Mapping[str, pd.DataFrame], radii_km: Sequence[float], seed: int
) -> dict[str, Any]:
    """Figures of each `predictions` table; truth: photo_id, latitude, longitude, author."""
    scored = {}
    for name, predictions in readouts.items():
        missing = int((~truth["photo_id"].isin(predictions["photo_id"])).sum())
        away = distances_km(truth, predictions)
        scored[name] = figures(away, missing, truth["author"], radii_km, seed)
    return scored

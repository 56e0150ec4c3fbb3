"""The country and region of any coordinates, by the boundaries that photos are labelled with."""

import numpy as np
import pandas as pd

from homing.labels.areas import locate
from homing.labels.grid import Grid


def name_places(
    grid: Grid, areas: pd.DataFrame, nearest_km: float, latitude: np.ndarray, longitude: np.ndarray
) -> pd.DataFrame:
    """Return country and region (the region_id) of points (n,) in degrees; missing where no area is within nearest_km.

    areas: columns country and region_id, in the order of the grid.
    """
    number, _ = locate(grid, latitude, longitude, nearest_km)
    names = areas[["country", "region_id"]].rename(columns={"region_id": "region"}).reset_index(drop=True)
    return names.reindex(np.where(number < 0, len(names), number)).reset_index(drop=True)

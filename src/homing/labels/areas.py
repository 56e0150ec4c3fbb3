"""The administrative area of each photo: exact point in polygon, else the nearest area on the sphere."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from homing.labels.grid import DIGEST, NOTHING, Grid


@dataclass(frozen=True)
class AreaLookup:
    """Look up the area that contains a point, or the nearest one within `nearest_km`, in a saved grid."""

    grid: str  # folder of the saved grid
    nearest_km: float

    name: ClassVar[str] = "areas"
    columns: ClassVar[tuple[str, ...]] = ("area_number", "admin_distance_km")

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> dict[str, np.ndarray]:
        """Return the row of each point's area (-1: none within `nearest_km`) and its distance in km (0 inside)."""
        number, distance = locate(load_grid(self.grid), latitude, longitude, self.nearest_km)
        return {"area_number": number, "admin_distance_km": distance}

    def identity(self) -> tuple:
        """What the answers depend on."""
        return (self.name, (Path(self.grid) / DIGEST).read_text(encoding="utf-8"), self.nearest_km)


@lru_cache(maxsize=1)
def load_grid(folder: str) -> Grid:
    """Load a saved grid, once per process."""
    return Grid.load(folder)


def locate(grid: Grid, latitude: np.ndarray, longitude: np.ndarray, nearest_km: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each point's area (-1: none within `nearest_km`) and its distance in km.

    The distance is 0 inside and NaN without an area. Where areas overlap, and on a common border, the first one counts.
    Longitudes of 180 and -180 degrees are the same meridian.
    """
    found = grid.locate(latitude, longitude)
    on_antimeridian = np.flatnonzero((found == NOTHING) & (np.abs(longitude) == 180))
    found[on_antimeridian] = grid.locate(latitude[on_antimeridian], -longitude[on_antimeridian])
    distance = np.where(found == NOTHING, np.nan, 0.0)
    outside = np.flatnonzero(found == NOTHING)
    if len(outside) and nearest_km > 0:
        found[outside], distance[outside] = grid.nearest(latitude[outside], longitude[outside], nearest_km)
    return found, distance

"""The administrative area of each photo: exact point in polygon, else the nearest area, measured on the sphere."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from homing.labels.grid import DIGEST, NOTHING, Grid


@dataclass(frozen=True)
class AreaLookup:
    """Which area holds a point, or is nearest within a reach, by a saved grid."""

    grid: str  # folder
    nearest_km: float

    name: ClassVar[str] = "areas"
    columns: ClassVar[tuple[str, ...]] = ("area_number", "admin_distance_km")

    def __call__(self, latitude: np.ndarray, longitude: np.ndarray) -> dict[str, np.ndarray]:
        """Row of the area in the table of areas (-1: none within reach), and its distance in km (0 inside)."""
        number, distance = locate(load_grid(self.grid), latitude, longitude, self.nearest_km)
        return {"area_number": number, "admin_distance_km": distance}

    def identity(self) -> tuple:
        """What the answers depend on."""
        return (self.name, (Path(self.grid) / DIGEST).read_text(encoding="utf-8"), self.nearest_km)


@lru_cache(maxsize=1)
def load_grid(folder: str) -> Grid:
    """A saved grid, once per process."""
    return Grid.load(folder)


def locate(grid: Grid, latitude: np.ndarray, longitude: np.ndarray, nearest_km: float) -> tuple[np.ndarray, np.ndarray]:
    """Number of the area of each point (-1: none within reach) and its distance in km (0 inside, NaN without).

    Where areas overlap, and on a common border, the first one counts. 180 and -180 degrees are the same meridian.
    """
    found = grid.locate(latitude, longitude)
    seam = np.flatnonzero((found == NOTHING) & (np.abs(longitude) == 180))
    found[seam] = grid.locate(latitude[seam], -longitude[seam])
    distance = np.where(found == NOTHING, np.nan, 0.0)
    outside = np.flatnonzero(found == NOTHING)
    if len(outside) and nearest_km > 0:
        found[outside], distance[outside] = grid.nearest(latitude[outside], longitude[outside], nearest_km)
    return found, distance

"""The administrative area of each photo: exact point in polygon, else the nearest area, measured on the sphere."""

from functools import lru_cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy.spatial import cKDTree

from homing.sphere import EARTH_RADIUS_KM, haversine_km, km_to_chord, unit_vectors

SPACING_DEGREES = 0.05  # of the points along borders among which the nearest is looked for
CANDIDATES = 12


class AreaIndex:
    """Areas ready to be asked: which one holds a point, which one is nearest."""

    def __init__(self, areas: gpd.GeoDataFrame) -> None:
        self.areas = areas.drop(columns="geometry").reset_index(drop=True)
        self.geometry = areas.geometry.to_numpy()
        self.rank = np.argsort(np.argsort(areas["area_id"].to_numpy().astype(str), kind="stable"), kind="stable")
        self._borders: tuple[np.ndarray, np.ndarray, np.ndarray, cKDTree] | None = None

    def locate(self, latitude: np.ndarray, longitude: np.ndarray, nearest_km: float) -> tuple[np.ndarray, np.ndarray]:
        """Row of the area of each point (-1: none within reach) and its distance in km (0 inside, NaN without).

        Where areas overlap, and on a common border, the smallest area_id wins.
        """
        found = self._inside(latitude, longitude)
        on_antimeridian = np.flatnonzero((found < 0) & (np.abs(longitude) == 180))
        if len(on_antimeridian):
            found[on_antimeridian] = self._inside(latitude[on_antimeridian], -longitude[on_antimeridian])
        distance = np.where(found >= 0, 0.0, np.nan)
        outside = np.flatnonzero(found < 0)
        if len(outside) and len(self.areas) and nearest_km > 0:
            nearest, away = self._nearest(latitude[outside], longitude[outside], nearest_km)
            found[outside], distance[outside] = nearest, away
        return found, distance

    def _inside(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        points = shapely.points(longitude, latitude)
        area, point = shapely.STRtree(points).query(self.geometry, predicate="intersects")
        best = np.full(len(points), len(self.geometry))
        np.minimum.at(best, point, self.rank[area])
        row_of_rank = np.append(np.argsort(self.rank), -1)
        return row_of_rank[best]

    def _nearest(self, latitude: np.ndarray, longitude: np.ndarray, limit_km: float) -> tuple[np.ndarray, np.ndarray]:
        """Nearest area within the limit: candidates by points along the borders, then the distance to segments."""
        starts, ends, owner, tree = self.borders()
        reach = km_to_chord(limit_km + SPACING_DEGREES * 111.2)
        vectors = unit_vectors(latitude, longitude)
        _, near = tree.query(vectors, k=min(CANDIDATES, tree.n), distance_upper_bound=reach)
        near = near.reshape(len(vectors), -1)
        missing = near >= tree.n
        segment = np.where(missing, 0, near)
        away = segment_distance_km(latitude[:, None], longitude[:, None], starts[segment], ends[segment])
        away[missing] = np.inf
        shortest = away.min(axis=1)
        # Neighbours share their border: among equally near areas the smallest area_id.
        tied = away <= shortest[:, None] + 1e-9
        rank = np.where(tied, self.rank[owner[segment]], len(self.areas))
        choice = rank.argmin(axis=1)
        area = owner[segment[np.arange(len(segment)), choice]]
        reached = shortest <= limit_km
        return np.where(reached, area, -1), np.where(reached, shortest, np.nan)

    def borders(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, cKDTree]:
        """Segments of all borders, at most SPACING_DEGREES long: starts and ends (lat, lon), owner, tree of middles."""
        if self._borders is None:
            lines = shapely.segmentize(shapely.boundary(self.geometry), SPACING_DEGREES)
            rings, ring_owner = shapely.get_parts(lines, return_index=True)
            coordinates, ring = shapely.get_coordinates(rings, return_index=True)
            joined = ring[1:] == ring[:-1]
            starts, ends = coordinates[:-1][joined][:, ::-1], coordinates[1:][joined][:, ::-1]
            middles = unit_vectors(*starts.T) + unit_vectors(*ends.T)
            middles /= np.linalg.norm(middles, axis=1, keepdims=True)
            self._borders = starts, ends, ring_owner[ring[:-1][joined]], cKDTree(middles)
        return self._borders


def segment_distance_km(
    latitude: np.ndarray, longitude: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Distance in km of points to short segments (lat, lon).

    The nearest place on a segment is found in the plane that touches the globe there, its distance on the sphere.
    """
    shrink = np.cos(np.radians(latitude))

    def planar(corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        east = (corner[..., 1] - longitude + 180) % 360 - 180
        return np.radians(east) * shrink * EARTH_RADIUS_KM, np.radians(corner[..., 0] - latitude) * EARTH_RADIUS_KM

    (ax, ay), (bx, by) = planar(starts), planar(ends)
    dx, dy = bx - ax, by - ay
    length = np.maximum(dx * dx + dy * dy, 1e-18)
    along = np.clip(-(ax * dx + ay * dy) / length, 0, 1)
    east = (ends[..., 1] - starts[..., 1] + 180) % 360 - 180
    nearest_latitude = starts[..., 0] + along * (ends[..., 0] - starts[..., 0])
    return haversine_km(latitude, longitude, nearest_latitude, starts[..., 1] + along * east)


@lru_cache(maxsize=1)
def load_index(path: str) -> AreaIndex:
    """The index of an areas table, once per process."""
    return AreaIndex(gpd.read_parquet(Path(path)))


def label_areas(path: str | Path, latitude: np.ndarray, longitude: np.ndarray, nearest_km: float) -> pd.DataFrame:
    """Country, region, area and distance of each point; null where no area is within reach."""
    index = load_index(str(path))
    row, distance = index.locate(latitude, longitude, nearest_km)
    found = index.areas.iloc[np.maximum(row, 0)].reset_index(drop=True).astype(object)
    found.loc[row < 0] = None
    names = ["country", "country_name", "region_id", "region", "area_id", "area"]
    return found[names].assign(admin_distance_km=distance)

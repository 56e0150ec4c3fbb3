"""The geocell of any photo: the one whose land it lies in, else that of the nearest photo that shaped the cells."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy.spatial import cKDTree

from homing.sphere import unit_vectors


def assign(cells: gpd.GeoDataFrame, shaping: pd.DataFrame, photos: pd.DataFrame) -> np.ndarray:
    """cell_id (n,) of photos (latitude, longitude, country, area_id; the last two null in mid-ocean).

    A photo belongs to a cell of its own area; where its area was split, to the one that contains it, or off the coast
    to that of the nearest shaping photo (photo_id, latitude, longitude, country, cell_id) of its country. Photos of a
    country without cells, and those without a country, take the cell of the nearest shaping photo anywhere.
    """
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    cell_ids = np.full(len(photos), -1, dtype=np.int64)
    cell_of_area = _cells_by_area(cells)
    own = photos["area_id"].map(cell_of_area)
    single = own.map(lambda candidates: isinstance(candidates, list) and len(candidates) == 1).to_numpy(dtype=bool)
    cell_ids[single] = [candidates[0] for candidates in own[single]]
    several = np.flatnonzero(own.map(lambda candidates: isinstance(candidates, list) and len(candidates) > 1))
    if len(several):
        cell_ids[several] = _containing(cells, latitude[several], longitude[several], own.iloc[several].tolist())
    for country, rows in photos.reset_index(drop=True).groupby("country", dropna=True).indices.items():
        rows = rows[cell_ids[rows] < 0]
        if len(rows):
            near = shaping[shaping["country"] == country]
            cell_ids[rows] = nearest_cell(near if len(near) else shaping, latitude[rows], longitude[rows])
    rows = np.flatnonzero(cell_ids < 0)
    if len(rows):
        cell_ids[rows] = nearest_cell(shaping, latitude[rows], longitude[rows])
    return cell_ids


def _cells_by_area(cells: gpd.GeoDataFrame) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for cell_id, area_ids in zip(cells["cell_id"], cells["area_ids"], strict=True):
        for area_id in area_ids:
            found.setdefault(area_id, []).append(int(cell_id))
    return found


def _containing(
    cells: gpd.GeoDataFrame, latitude: np.ndarray, longitude: np.ndarray, candidates: list[list[int]]
) -> np.ndarray:
    """The candidate cell that holds each point (the first, on a common border), or -1."""
    points = shapely.points(longitude, latitude)
    cell, point = shapely.STRtree(points).query(cells.geometry.to_numpy(), predicate="intersects")
    ids = cells["cell_id"].to_numpy()[cell]
    allowed = np.fromiter((int(one) in candidates[at] for one, at in zip(ids, point, strict=True)), bool, len(ids))
    best = np.full(len(points), np.iinfo(np.int64).max)
    np.minimum.at(best, point[allowed], ids[allowed])
    return np.where(best == np.iinfo(np.int64).max, -1, best)


def nearest_cell(shaping: pd.DataFrame, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """The cell of the nearest shaping photo, on the sphere."""
    tree = cKDTree(unit_vectors(shaping["latitude"], shaping["longitude"]))
    _, nearest = tree.query(unit_vectors(latitude, longitude))
    return shaping["cell_id"].to_numpy()[nearest]

"""The geocell of any photo: the one whose land it lies in, else the one whose land is nearest."""

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from homing.geocells.country import NEAREST_KM
from homing.labels.grid import Grid
from homing.sphere import unit_vectors


def assign(cells: gpd.GeoDataFrame, shaping: pd.DataFrame, photos: pd.DataFrame, within_countries: bool) -> np.ndarray:
    """cell_id (n,) of photos (latitude, longitude, country; null in mid-ocean).

    within_countries: a photo belongs to the cell of its country that holds it, or off the coast to the nearest one;
    else (partitions that know no countries) to whichever cell holds it. All others take the cell of the nearest shaping
    photo (latitude, longitude, cell_id) anywhere.
    """
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    cell_ids = np.full(len(photos), -1, dtype=np.int64)
    if within_countries:
        shapes = dict(list(cells.groupby("country")))
        for country, rows in (
            photos["country"].reset_index(drop=True).groupby(photos["country"].to_numpy()).indices.items()
        ):
            if country in shapes:
                cell_ids[rows] = _in_cells(shapes[country], latitude[rows], longitude[rows], NEAREST_KM)
    else:
        cell_ids = _in_cells(cells, latitude, longitude, 0)
    lost = np.flatnonzero(cell_ids < 0)
    if len(lost):
        cell_ids[lost] = nearest_cell(shaping, latitude[lost], longitude[lost])
    return cell_ids


def _in_cells(cells: gpd.GeoDataFrame, latitude: np.ndarray, longitude: np.ndarray, nearest_km: float) -> np.ndarray:
    """cell_id of photos, -1 where no cell is within the distance."""
    grid = Grid.of(cells.geometry.to_numpy())
    found = grid.locate(latitude, longitude)
    outside = np.flatnonzero(found < 0)
    if len(outside) and nearest_km > 0:
        # The cell at the nearest border is asked for there: near the end of two cells both are as good as equally far.
        place = grid.nearest_places(latitude[outside], longitude[outside], nearest_km)
        near = np.flatnonzero(~np.isnan(place[:, 0]))
        found[outside[near]], _ = grid.nearest(*place[near].T, nearest_km)
    return np.where(found >= 0, cells["cell_id"].to_numpy()[found], -1)


def nearest_cell(shaping: pd.DataFrame, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """The cell of the nearest shaping photo, on the sphere."""
    tree = cKDTree(unit_vectors(shaping["latitude"], shaping["longitude"]))
    _, nearest = tree.query(unit_vectors(latitude, longitude))
    return shaping["cell_id"].to_numpy()[nearest]

"""The geocell of any photo: the one whose land contains it, else the one whose land is nearest."""

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from homing.geocells.methods.country import NEAREST_KM
from homing.labels.grid import Grid
from homing.sphere import unit_vectors


def assign(cells: gpd.GeoDataFrame, shaping: pd.DataFrame, photos: pd.DataFrame, within_countries: bool) -> np.ndarray:
    """Return the cell_id (n,) of photos (latitude, longitude, country; null in mid-ocean).

    shaping: the photos that shaped the cells (country, latitude, longitude, cell_id). A photo at the coordinates of one
    of them has its cell, even on a border. within_countries: a photo belongs to the cell of its country that contains
    it, or off the coast to the nearest one within NEAREST_KM. Otherwise, for lattices, it belongs to the cell that
    contains it. All other photos are assigned the cell of the nearest shaping photo.
    """
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    cell_ids = _at_shaping_photos(shaping, photos, [*["country"] * within_countries, "latitude", "longitude"])
    new = np.flatnonzero(cell_ids < 0)
    if within_countries:
        shapes = dict(list(cells.groupby("country")))
        for country, own in pd.Series(new).groupby(photos["country"].to_numpy()[new]):
            if country in shapes:
                cell_ids[own] = _in_cells(shapes[country], latitude[own], longitude[own], NEAREST_KM)
    else:
        cell_ids[new] = _in_cells(cells, latitude[new], longitude[new], 0)
    unassigned = np.flatnonzero(cell_ids < 0)
    if len(unassigned):
        cell_ids[unassigned] = nearest_cell(shaping, latitude[unassigned], longitude[unassigned])
    return cell_ids


def _at_shaping_photos(shaping: pd.DataFrame, photos: pd.DataFrame, place: list[str]) -> np.ndarray:
    """Return the cell_id of photos with the same values of the columns `place` as a shaping photo; others -1."""
    cell_of = shaping.drop_duplicates(place)[[*place, "cell_id"]]
    return np.array(photos[place].merge(cell_of, on=place, how="left")["cell_id"].fillna(-1), dtype=np.int64)


def _in_cells(cells: gpd.GeoDataFrame, latitude: np.ndarray, longitude: np.ndarray, nearest_km: float) -> np.ndarray:
    """Return the cell_id of photos: of the cell that contains it, or the nearest within `nearest_km`; else -1."""
    grid = Grid.of(cells.geometry.to_numpy())
    found = grid.locate(latitude, longitude)
    outside = np.flatnonzero(found < 0)
    if len(outside) and nearest_km > 0:
        # Where two cells meet at the coast both are equally far up to rounding: ask for the cell at the nearest point.
        coast = grid.nearest_places(latitude[outside], longitude[outside], nearest_km)
        near = np.flatnonzero(~np.isnan(coast[:, 0]))
        found[outside[near]], _ = grid.nearest(coast[near, 0], coast[near, 1], nearest_km)
    return np.where(found >= 0, cells["cell_id"].to_numpy()[found], -1)


def nearest_cell(shaping: pd.DataFrame, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Return the cell_id (n,) of the nearest shaping photo on the sphere."""
    tree = cKDTree(unit_vectors(shaping["latitude"], shaping["longitude"]))
    _, nearest = tree.query(unit_vectors(latitude, longitude))
    return shaping["cell_id"].to_numpy()[nearest]

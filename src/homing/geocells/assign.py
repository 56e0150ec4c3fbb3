"""The geocell of any photo: the one whose land it lies in, else that of the nearest photo that shaped the cells."""

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from homing.labels.areas import locate
from homing.labels.grid import Grid
from homing.sphere import unit_vectors

NEAREST_KM = 1_000  # a photo that far from all cells of its country has the wrong country


def assign(cells: gpd.GeoDataFrame, shaping: pd.DataFrame, photos: pd.DataFrame) -> np.ndarray:
    """cell_id (n,) of photos (latitude, longitude, country; null in mid-ocean).

    A photo belongs to the cell of its country that holds it, or off the coast to the nearest one. Photos of a country
    without cells, and those without a country, take the cell of the nearest shaping photo (latitude, longitude,
    cell_id) anywhere.
    """
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    cell_ids = np.full(len(photos), -1, dtype=np.int64)
    countries = photos["country"].reset_index(drop=True)
    shapes = dict(list(cells.groupby("country")))
    for country, rows in countries.groupby(countries, sort=False).indices.items():
        if country in shapes:
            own = shapes[country]
            found, _ = locate(Grid.of(own.geometry.to_numpy()), latitude[rows], longitude[rows], NEAREST_KM)
            cell_ids[rows] = np.where(found >= 0, own["cell_id"].to_numpy()[found], -1)
    lost = np.flatnonzero(cell_ids < 0)
    if len(lost):
        cell_ids[lost] = nearest_cell(shaping, latitude[lost], longitude[lost])
    return cell_ids


def nearest_cell(shaping: pd.DataFrame, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """The cell of the nearest shaping photo, on the sphere."""
    tree = cKDTree(unit_vectors(shaping["latitude"], shaping["longitude"]))
    _, nearest = tree.query(unit_vectors(latitude, longitude))
    return shaping["cell_id"].to_numpy()[nearest]

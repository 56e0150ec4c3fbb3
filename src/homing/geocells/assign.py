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
    photo (country, latitude, longitude, cell_id) anywhere. At the place of a shaping photo, be it on a border, all have
    its cell.
    """
    latitude, longitude = photos["latitude"].to_numpy(), photos["longitude"].to_numpy()
    cell_ids = _known(shaping, photos, [*["country"] * within_countries, "latitude", "longitude"])
    new = np.flatnonzero(cell_ids < 0)
    if within_countries:
        shapes = dict(list(cells.groupby("country")))
        for country, own in pd.Series(new).groupby(photos["country"].to_numpy()[new]):
            if country in shapes:
                cell_ids[own] = _in_cells(shapes[country], latitude[own], longitude[own], NEAREST_KM)
    else:
        cell_ids[new] = _in_cells(cells, latitude[new], longitude[new], 0)
    lost = np.flatnonzero(cell_ids < 0)
    if len(lost):
        cell_ids[lost] = nearest_cell(shaping, latitude[lost], longitude[lost])
    return cell_ids


def _known(shaping: pd.DataFrame, photos: pd.DataFrame, place: list[str]) -> np.ndarray:
    """cell_id of photos at places of shaping photos, -1 elsewhere."""
    cell_of = shaping.drop_duplicates(place)[[*place, "cell_id"]]
    return np.array(photos[place].merge(cell_of, on=place, how="left")["cell_id"].fillna(-1), dtype=np.int64)


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

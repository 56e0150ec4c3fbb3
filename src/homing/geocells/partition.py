"""The geocells of a run by the configured method, country by country. All methods return the same table.

The result does not depend on the order of rows or the number of workers.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd

from homing.errors import HomingError
from homing.geocells.describe import describe
from homing.geocells.geometry.places import Places
from homing.geocells.methods.admin import admin_cells
from homing.geocells.methods.country import Cells, Country, Settings
from homing.geocells.methods.kmeans import kmeans_cells
from homing.geocells.methods.lattices import Lattice, h3_cells, quadtree_cells, s2_cells
from homing.geocells.methods.semantic import exceptions, semantic_cells
from homing.jobs.workers import run

CLUSTER_FROM = 50_000  # photos; fewer take less time than starting a cluster

log = logging.getLogger(__name__)

LATTICES: dict[str, Callable[..., Lattice]] = {"s2": s2_cells, "h3": h3_cells, "quadtree": quadtree_cells}
BY_COUNTRY: dict[str, Callable[[Country, Settings], Cells]] = {
    "semantic": semantic_cells,
    "hierarchy": semantic_cells,
    "kmeans": kmeans_cells,
    "admin": admin_cells,
}


class Partition(NamedTuple):
    """Geocells and the photos that shaped them."""

    cells: gpd.GeoDataFrame  # columns as in docs/architecture.md
    shaping: pd.DataFrame  # the points, with the cell_id of each
    exceptions: list[dict[str, Any]]  # cell_id, country, photos and reason of cells outside the limits


def make_geocells(areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Settings, workers: int = 1) -> Partition:
    """Partition `areas` (areas.parquet), shaped by `points` (photo_id, latitude, longitude, country, area_id).

    Raises HomingError if no point lies in a country of the areas.
    """
    points = points[points["country"].isin(areas["country"])].sort_values(["latitude", "longitude", "photo_id"])
    if points.empty:
        raise HomingError("geocells: no training photo lies in any administrative area; check labels.boundaries")
    lattice = settings["method"] in LATTICES
    made = [lattice_cells(areas, points, settings)] if lattice else _by_country(areas, points, settings, workers)
    cells: list[gpd.GeoDataFrame] = []
    shaping: list[pd.DataFrame] = []
    for own_cells, own_points in made:
        begin = sum(len(frame) for frame in cells)
        cells.append(own_cells)
        shaping.append(own_points.assign(cell_id=own_points["cell_id"] + begin))
    table = gpd.GeoDataFrame(pd.concat(cells, ignore_index=True), geometry="geometry", crs="EPSG:4326")
    table.insert(0, "cell_id", np.arange(len(table), dtype=np.int32))
    odd = table[table["exception"].notna()].rename(columns={"exception": "reason"})
    log.info("%d cells in %d countries, %d outside the limits", len(table), points["country"].nunique(), len(odd))
    return Partition(
        table.drop(columns="exception"),
        pd.concat(shaping, ignore_index=True),
        odd[["cell_id", "country", "photos", "reason"]].to_dict("records"),
    )


CellsAndPoints = tuple[gpd.GeoDataFrame, pd.DataFrame]  # with columns exception and cell_id (0.. in each country)


def _by_country(
    areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Settings, workers: int
) -> Iterator[CellsAndPoints]:
    """Yield the cells of each country by its name; several workers start with the countries with most photos."""
    own_points = dict(list(points.groupby("country", sort=True)))
    own_areas = dict(list(areas[areas["country"].isin(list(own_points))].groupby("country")))
    if workers == 1 or len(points) < CLUSTER_FROM:
        for country, own in own_points.items():
            yield country_cells(own_areas[country], own, settings)
        return
    with tempfile.TemporaryDirectory() as folder:
        order = sorted(own_points, key=lambda country: (-len(own_points[country]), country))
        tasks = []
        for number, country in enumerate(order):
            paths = Path(folder) / f"{number}-areas.parquet", Path(folder) / f"{number}-points.parquet"
            own_areas.pop(country).to_parquet(paths[0])
            own_points.pop(country).to_parquet(paths[1])
            tasks.append((*map(str, paths), dict(settings)))
        made = dict(zip(order, run(saved_country_cells, tasks, workers), strict=True))
    for country in sorted(made):
        yield made[country]


def saved_country_cells(areas: str, points: str, settings: Settings) -> CellsAndPoints:
    """Return `country_cells` of areas and points in GeoParquet and Parquet files."""
    return country_cells(gpd.read_parquet(areas), pd.read_parquet(points), settings)


def country_cells(areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Settings) -> CellsAndPoints:
    """Return the cells of one country, with the reason why one is outside the limits, and the points with theirs."""
    country, place = Country.of(areas, points)
    cells = BY_COUNTRY[settings["method"]](country, settings)
    cell = cells.cell[place]
    described = describe(cells, country, points, cell)
    fullest = np.zeros(len(described), dtype=np.int64)
    np.maximum.at(fullest, cells.cell, country.places.photos)
    semantic = settings["method"] in ("semantic", "hierarchy")
    on_land_km = country.places.radii_km(cells.cell, len(described))
    sizes = described["photos"].to_numpy(), fullest, described["radius_km"].to_numpy(), on_land_km
    reasons = exceptions(*sizes, settings) if semantic else None
    return described.assign(exception=pd.Series(reasons, dtype=object)), points.assign(cell_id=cell)


def lattice_cells(areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Settings) -> CellsAndPoints:
    """Return the cells of a lattice, named by their keys; a cell belongs to the country of most of its photos."""
    lattice = LATTICES[settings["method"]](points["latitude"].to_numpy(), points["longitude"].to_numpy(), settings)
    places, place = Places.of(points["latitude"].to_numpy(), points["longitude"].to_numpy())
    areas = areas.drop(columns="geometry").sort_values("area_id", ignore_index=True)
    area, cell = np.empty(len(places), dtype=np.int64), np.empty(len(places), dtype=np.int64)
    area[place] = areas["area_id"].searchsorted(points["area_id"])
    cell[place] = lattice.cell
    held = pd.DataFrame({"cell": cell, "area": area}).drop_duplicates().sort_values(["cell", "area"])
    rows = [own.to_numpy() for _, own in held.groupby("cell")["area"]]
    world = Country(areas, np.empty(0, dtype=object), -180.0, places, area)
    described = describe(Cells(lattice.polygon, cell, rows), world, points, lattice.cell)
    return described.assign(name=lattice.key, exception=None), points.assign(cell_id=lattice.cell)

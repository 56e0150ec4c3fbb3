"""Semantic geocells, country by country: areas merged below the minimum, split above the maximum.

Haas et al., "PIGEON", CVPR 2024, section 3.1, with guarantees: deterministic, whatever the order of rows; the land of
each country with photos is covered once; no cell crosses a country; sizes between the minimum and the maximum, with
each exception named. Voronoi edges are straight in the plane that touches the globe at the cell's middle, which is
right to a thousandth for cells of a few hundred km.
"""

import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from homing.errors import HomingError
from homing.geocells.clusters import divide
from homing.geocells.land import area_km2, disjoint, rolled, surface, union, unrolled
from homing.geocells.merge import merge_small
from homing.sphere import KM_PER_DEGREE, haversine_km, spherical_mean
from homing.workers import run

CLUSTER_FROM = 50_000  # photos; fewer are divided before a cluster has started

log = logging.getLogger(__name__)


def make_geocells(
    areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Mapping[str, Any], workers: int = 1
) -> tuple[gpd.GeoDataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """The geocells of `areas` (areas.parquet) shaped by `points` (photo_id, latitude, longitude, country, area_id).

    Returns the cells (columns as in docs/architecture.md), the points with the cell each of them
    shaped (cell_id), and the exceptions to the sizes, each with its reason.
    Raises HomingError when no point lies in any area.
    """
    points = points[points["area_id"].isin(areas["area_id"])].sort_values(["latitude", "longitude", "photo_id"])
    if points.empty:
        raise HomingError("geocells: no training photo lies in any administrative area; check labels.boundaries")
    cells: list[dict[str, Any]] = []
    shaping: list[pd.DataFrame] = []
    exceptions: list[dict[str, Any]] = []
    for country, (made, assigned, odd) in _by_country(areas, points, settings, workers):
        exceptions += [entry | {"country": country, "cell_id": entry["cell_id"] + len(cells)} for entry in odd]
        shaping.append(assigned.assign(cell_id=assigned["cell_id"] + len(cells)))
        cells += made
    frame = gpd.GeoDataFrame(cells, geometry="geometry", crs="EPSG:4326")
    frame.insert(0, "cell_id", np.arange(len(frame), dtype=np.int32))
    log.info(
        "%d cells in %d countries, %d exceptions to the sizes", len(frame), points["country"].nunique(), len(exceptions)
    )
    return frame, pd.concat(shaping, ignore_index=True), exceptions


Made = tuple[list[dict[str, Any]], pd.DataFrame, list[dict[str, Any]]]


def _by_country(
    areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Mapping[str, Any], workers: int
) -> Iterator[tuple[str, Made]]:
    """The cells of each country, by its name; with several workers the countries with most photos are begun first."""
    own_points = dict(list(points.groupby("country", sort=True)))
    own_areas = {
        country: own.sort_values("area_id", ignore_index=True)
        for country, own in areas[areas["country"].isin(list(own_points))].groupby("country")
    }
    if workers == 1 or len(points) < CLUSTER_FROM:
        for country, own in own_points.items():
            yield country, _country_cells(own_areas[country], own, settings)
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
    yield from sorted(made.items())


def saved_country_cells(areas: str, points: str, settings: Mapping[str, Any]) -> Made:
    """The same for a country whose areas and points lie in files."""
    return _country_cells(gpd.read_parquet(areas), pd.read_parquet(points), settings)


def _country_cells(
    areas: gpd.GeoDataFrame, points: pd.DataFrame, settings: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], pd.DataFrame, list[dict[str, Any]]]:
    geometry, turned = unrolled(areas.geometry.to_numpy())
    geometry = disjoint(geometry)
    with_land = ~shapely.is_empty(geometry)
    areas, geometry = areas[with_land].reset_index(drop=True), geometry[with_land]
    photos = points["area_id"].value_counts().reindex(areas["area_id"], fill_value=0).to_numpy()
    regions = [None if pd.isna(region) else region for region in areas["region_id"]]
    groups = merge_small(geometry, regions, photos, settings["min_photos"], settings["max_photos"])
    cells: list[dict[str, Any]] = []
    exceptions: list[dict[str, Any]] = []
    assigned = []
    for rows in groups:
        members = points[points["area_id"].isin(areas["area_id"].iloc[rows])]
        land = union(geometry[rows])
        pieces, labels, indivisible = _split(land, members, settings, turned)
        for number in range(len(pieces)):
            own = members[labels == number]
            reason = _exception(len(own), number in indivisible, settings)
            if reason:
                exceptions.append({"cell_id": len(cells) + number, "photos": len(own), "reason": reason})
        assigned.append(members.assign(cell_id=labels + len(cells)))
        cells += [
            _describe(areas.iloc[rows], geometry[rows], piece, members[labels == number], number, len(pieces), turned)
            for number, piece in enumerate(pieces)
        ]
    return cells, pd.concat(assigned), exceptions


def _exception(photos: int, indivisible: bool, settings: Mapping[str, Any]) -> str | None:
    if photos < settings["min_photos"]:
        return "the country has fewer photos than geocells.min_photos"
    if photos > settings["max_photos"] or indivisible:
        return "one coordinate holds too many photos, or no cut leaves geocells.min_photos on both sides"
    return None


def _split(
    land: shapely.Geometry, members: pd.DataFrame, settings: Mapping[str, Any], turned: bool
) -> tuple[list[shapely.Geometry], np.ndarray, set[int]]:
    """The pieces of a cell, the piece of each of its photos, and the pieces that could not be divided further."""
    latitude, longitude = members["latitude"].to_numpy(), members["longitude"].to_numpy()
    if len(members) <= settings["max_photos"]:
        return [land], np.zeros(len(members), dtype=np.int64), set()
    longitude = np.where((longitude < 0) & turned, longitude + 360, longitude)
    middle = (latitude.min() + latitude.max()) / 2
    scale = np.array([KM_PER_DEGREE * np.cos(np.radians(middle)), KM_PER_DEGREE])
    plane, inverse, weights = np.unique(
        np.column_stack([longitude, latitude]), axis=0, return_inverse=True, return_counts=True
    )
    plane = plane * scale
    labels, indivisible = divide(plane, weights, settings["min_photos"], settings["max_photos"], settings["optics"])
    pieces = tessellate(land, plane, labels, scale)
    return pieces, labels[inverse.ravel()], set(indivisible)


def tessellate(
    land: shapely.Geometry, plane: np.ndarray, labels: np.ndarray, scale: np.ndarray
) -> list[shapely.Geometry]:
    """The land nearest to the points of each label: unions of their Voronoi polygons, cut to the land.

    plane: (u, 2) unique points in km; scale: km per degree of longitude and latitude, so that plane / scale is degrees.
    """
    if labels.max() == 0:
        return [land]
    stretched = shapely.transform(land, lambda degrees: degrees * scale)
    polygons = shapely.get_parts(
        shapely.voronoi_polygons(shapely.multipoints(plane), extend_to=stretched, ordered=True)
    )
    wholes = [shapely.union_all(polygons[labels == label]) for label in range(labels.max() + 1)]
    return [
        shapely.transform(surface(shapely.intersection(stretched, whole)), lambda km: km / scale) for whole in wholes
    ]


def _describe(
    areas: gpd.GeoDataFrame,
    geometry: np.ndarray,
    piece: shapely.Geometry,
    own: pd.DataFrame,
    number: int,
    count: int,
    turned: bool,
) -> dict[str, Any]:
    """One row of the geocells table."""
    in_area = own["area_id"].value_counts()
    touched = (
        shapely.area(shapely.intersection(geometry, piece)) > 1e-9 if count > 1 else np.ones(len(areas), dtype=bool)
    )
    touched |= areas["area_id"].isin(in_area.index).to_numpy()
    main = areas.set_index("area_id").loc[sorted(in_area.index, key=lambda name: (-in_area[name], name))[0]]
    latitude, longitude = spherical_mean(own["latitude"], own["longitude"])
    name = main["area"] or main["region"] or main["country_name"]
    radius = haversine_km(latitude, longitude, own["latitude"], own["longitude"]).max()
    return {
        "country": main["country"],
        "country_name": main["country_name"],
        "region_id": main["region_id"],
        "region": main["region"],
        "area_ids": sorted(areas["area_id"][touched]),
        "name": name if count == 1 else f"{name} ({number + 1})",
        "geometry": rolled(piece) if turned else piece,
        "latitude": latitude,
        "longitude": longitude,
        "photos": len(own),
        "area_km2": area_km2(piece),
        "radius_km": float(radius),
    }

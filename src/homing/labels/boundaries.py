"""Administrative areas become one table: each country in the deepest level it has."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from homing.labels.editions import read_levels

log = logging.getLogger(__name__)

DISPUTED = Path(__file__).resolve().parents[3] / "resources" / "disputed_areas.csv"
NAMES = ["area_id", "area", "region_id", "region", "country", "country_name"]


def read_areas(files: Sequence[Path]) -> gpd.GeoDataFrame:
    """The areas of an edition (see `editions`) with the columns of `NAMES`; geometries valid, EPSG:4326.

    A country with second-level areas is made of them, else of its first-level areas, else it is one area.
    Raises HomingError when no edition is recognised, or a layer or column it needs is missing.
    """
    parts: list[gpd.GeoDataFrame] = []
    covered: set[str] = set()
    for name, areas in read_levels(files):
        areas = areas[~areas["unit"].isin(covered)]
        covered |= set(areas["unit"])
        log.info("%s: %d areas of %d countries", name, len(areas), areas["unit"].nunique())
        parts.append(areas)
    areas = pd.concat(parts, ignore_index=True)
    areas["country"] = areas["country"].replace(disputed_countries())
    areas = _with_unique_ids(areas).sort_values("area_id", ignore_index=True)
    return _repaired(areas, Path(files[0]))[[*NAMES, "geometry"]]


def disputed_countries() -> dict[str, str]:
    """GADM's codes of disputed areas (Z01 ... Z09) and the country that administers them."""
    with DISPUTED.open(newline="", encoding="utf-8") as file:
        return {row["gid"]: row["country"] for row in csv.DictReader(file)}


def _with_unique_ids(areas: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Real files repeat ids; each repetition gets a number."""
    repeated = areas.groupby("area_id").cumcount()
    if repeated.any():
        log.warning("%d repeated area ids were numbered", int((repeated > 0).sum()))
    suffix = np.where(repeated > 0, "#" + repeated.astype(str), "")
    return areas.assign(area_id=areas["area_id"] + suffix)


def _repaired(areas: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """Invalid rings repaired, polygons only, empty areas left out; each counted in the log."""
    geometry = areas.geometry.to_numpy()
    invalid = ~shapely.is_valid(geometry)
    if invalid.any():
        log.warning(
            "%s: %d invalid areas repaired, first %s", path.name, invalid.sum(), areas["area_id"][invalid].iloc[0]
        )
        geometry[invalid] = shapely.make_valid(geometry[invalid])
    lines = ~np.isin(shapely.get_type_id(geometry), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    geometry[lines] = [polygons_of(shape) for shape in geometry[lines]]
    areas = areas.set_geometry(gpd.GeoSeries(geometry, index=areas.index, crs="EPSG:4326"))
    empty = shapely.is_empty(geometry)
    if empty.any():
        log.warning("%s: %d areas without any surface left out", path.name, empty.sum())
    return areas[~empty].reset_index(drop=True)


def polygons_of(shape: shapely.Geometry) -> shapely.Geometry:
    """The surface of a geometry collection."""
    parts = shapely.get_parts(shape)
    nested = [polygons_of(part) for part in parts] if shape.geom_type == "GeometryCollection" else list(parts)
    surfaces = [part for part in nested if part.geom_type in ("Polygon", "MultiPolygon") and not part.is_empty]
    return shapely.union_all(surfaces) if surfaces else shapely.MultiPolygon()

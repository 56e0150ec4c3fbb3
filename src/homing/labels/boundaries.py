"""One table of administrative areas, each country at the deepest level it has."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from shapely import affinity

from homing.labels.editions import read_levels
from homing.shipped import ROOT

log = logging.getLogger(__name__)

SETTLED = ROOT / "resources" / "settled_codes.csv"
NAMES = ["area_id", "area", "region_id", "region", "country", "country_name"]


def read_areas(files: Sequence[Path]) -> gpd.GeoDataFrame:
    """Read the areas of an edition (see `editions`): columns `NAMES` and valid geometries in EPSG:4326, by area_id.

    A country consists of its second-level areas, with the first-level areas of regions that have none; without a second
    level of its first-level areas, else it is one area. Raises HomingError if no edition is recognised, or a layer or
    column it needs is missing.
    """
    parts: list[gpd.GeoDataFrame] = []
    for name, areas in read_levels(files):
        added = _not_covered(areas, parts)
        log.info("%s: %d areas of %d countries", name, len(added), added["unit"].nunique())
        parts.append(added)
    areas = _with_settled_codes(pd.concat(parts, ignore_index=True))
    areas = _with_unique_ids(areas).sort_values("area_id", ignore_index=True)
    return _repaired(areas, Path(files[0]))[[*NAMES, "geometry"]]


def _not_covered(areas: gpd.GeoDataFrame, deeper: Sequence[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    """Return the areas of a level that no deeper level covers: of countries without one, and regions it leaves out."""
    if not deeper:
        return areas
    below = pd.concat(deeper, ignore_index=True)
    in_deeper = areas["unit"].isin(below["unit"])
    uncovered = in_deeper & areas["region_id"].notna() & ~areas["region_id"].isin(below["region_id"])
    if (
        uncovered.any()
    ):  # the deeper level may use another region_id: keep a region only if a point of it is in no deeper area
        points = areas.loc[uncovered, ["unit"]].set_geometry(areas.geometry[uncovered].representative_point())
        taken = points.sjoin(below[["geometry"]], predicate="intersects").index
        uncovered &= ~areas.index.isin(taken)
    return areas[~in_deeper | uncovered]


def settled_codes() -> dict[str, tuple[str, str]]:
    """Read country code and name by GADM's code of a country or region, where GADM and ISO 3166 disagree.

    An empty country code means that the area is no land (the Caspian Sea).
    """
    with SETTLED.open(newline="", encoding="utf-8") as file:
        return {row["gid"]: (row["country"], row["name"]) for row in csv.DictReader(file)}


def _with_settled_codes(areas: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    codes = settled_codes()
    key = areas["region_id"].where(areas["region_id"].isin(codes), areas["country"])
    found = key.isin(codes)
    areas.loc[found, "country"] = key[found].map(lambda gid: codes[gid][0])
    areas.loc[found, "country_name"] = key[found].map(lambda gid: codes[gid][1])
    return areas[areas["country"] != ""]


def _with_unique_ids(areas: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Number repeated area ids, which real files have."""
    repeated = areas.groupby("area_id").cumcount()
    if repeated.any():
        log.warning("%d repeated area ids were numbered", int((repeated > 0).sum()))
    suffix = np.where(repeated > 0, "#" + repeated.astype(str), "")
    return areas.assign(area_id=areas["area_id"] + suffix)


def _repaired(areas: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """Repair invalid rings, keep polygons only, wrap at 180 degrees, drop empty areas; log how many of each."""
    geometry = areas.geometry.to_numpy()
    invalid = ~shapely.is_valid(geometry)
    if invalid.any():
        log.warning(
            "%s: %d invalid areas repaired, first %s", path.name, invalid.sum(), areas["area_id"][invalid].iloc[0]
        )
        geometry[invalid] = shapely.make_valid(geometry[invalid])
    not_polygon = ~np.isin(
        shapely.get_type_id(geometry), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    )
    geometry[not_polygon] = [polygons_of(shape) for shape in geometry[not_polygon]]
    beyond = np.abs(shapely.bounds(geometry)[:, [0, 2]]).max(axis=1) > 180
    if beyond.any():
        log.warning("%s: %d areas reach beyond 180 degrees and were wrapped", path.name, beyond.sum())
        geometry[beyond] = [_wrapped(shape) for shape in geometry[beyond]]
    areas = areas.set_geometry(gpd.GeoSeries(geometry, index=areas.index, crs="EPSG:4326"))
    empty = shapely.is_empty(geometry)
    if empty.any():
        log.warning("%s: %d areas without any surface left out", path.name, empty.sum())
    return areas[~empty].reset_index(drop=True)


def _wrapped(shape: shapely.Geometry) -> shapely.Geometry:
    """Move what lies beyond 180 degrees to the other side of the antimeridian."""
    parts = []
    for shift in (-360, 0, 360):
        moved = affinity.translate(shape, shift)
        parts.append(polygons_of(shapely.GeometryCollection([shapely.clip_by_rect(moved, -180, -90, 180, 90)])))
    return polygons_of(shapely.GeometryCollection([shapely.make_valid(shapely.union_all(parts))]))


def polygons_of(shape: shapely.Geometry) -> shapely.Geometry:
    """Return the union of the polygons of a geometry collection."""
    parts = shapely.get_parts(shape)
    nested = [polygons_of(part) for part in parts] if shape.geom_type == "GeometryCollection" else list(parts)
    surfaces = [part for part in nested if part.geom_type in ("Polygon", "MultiPolygon") and not part.is_empty]
    return shapely.union_all(surfaces) if surfaces else shapely.MultiPolygon()

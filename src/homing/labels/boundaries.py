"""Administrative areas become one table: each country in the deepest level it has."""

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
    """The areas of an edition (see `editions`) with the columns of `NAMES`; geometries valid, EPSG:4326, by area_id.

    A country is made of its second-level areas, with the first-level areas of regions that have none, else of its
    first-level areas, else it is one area. Raises HomingError when no edition is recognised, or a layer or column it
    needs is missing.
    """
    parts: list[gpd.GeoDataFrame] = []
    for name, areas in read_levels(files):
        added = _not_covered(areas, parts)
        log.info("%s: %d areas of %d countries", name, len(added), added["unit"].nunique())
        parts.append(added)
    areas = _settled(pd.concat(parts, ignore_index=True))
    areas = _with_unique_ids(areas).sort_values("area_id", ignore_index=True)
    return _repaired(areas, Path(files[0]))[[*NAMES, "geometry"]]


def _not_covered(areas: gpd.GeoDataFrame, deeper: Sequence[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    """Areas of a level that no deeper level is made of: of countries without one, and regions that it leaves out."""
    if not deeper:
        return areas
    below = pd.concat(deeper, ignore_index=True)
    of_country = areas["unit"].isin(below["unit"])
    left_out = of_country & areas["region_id"].notna() & ~areas["region_id"].isin(below["region_id"])
    if left_out.any():  # a region may have other ids below: something of it must be nobody's
        points = areas.loc[left_out, ["unit"]].set_geometry(areas.geometry[left_out].representative_point())
        taken = points.sjoin(below[["geometry"]], predicate="intersects").index
        left_out &= ~areas.index.isin(taken)
    return areas[~of_country | left_out]


def settled_codes() -> dict[str, tuple[str, str]]:
    """Country code and name of what has a code of its own in GADM and none in ISO 3166, or the reverse.

    By GADM's code of the country or of the region; no country: the area is none (the Caspian Sea).
    """
    with SETTLED.open(newline="", encoding="utf-8") as file:
        return {row["gid"]: (row["country"], row["name"]) for row in csv.DictReader(file)}


def _settled(areas: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    codes = settled_codes()
    key = areas["region_id"].where(areas["region_id"].isin(codes), areas["country"])
    found = key.isin(codes)
    areas.loc[found, "country"] = key[found].map(lambda gid: codes[gid][0])
    areas.loc[found, "country_name"] = key[found].map(lambda gid: codes[gid][1])
    return areas[areas["country"] != ""]


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
    """What lies beyond 180 degrees, moved to where it is on the other side."""
    parts = []
    for turn in (-360, 0, 360):
        moved = affinity.translate(shape, turn)
        parts.append(polygons_of(shapely.GeometryCollection([shapely.clip_by_rect(moved, -180, -90, 180, 90)])))
    return polygons_of(shapely.GeometryCollection([shapely.make_valid(shapely.union_all(parts))]))


def polygons_of(shape: shapely.Geometry) -> shapely.Geometry:
    """The surface of a geometry collection."""
    parts = shapely.get_parts(shape)
    nested = [polygons_of(part) for part in parts] if shape.geom_type == "GeometryCollection" else list(parts)
    surfaces = [part for part in nested if part.geom_type in ("Polygon", "MultiPolygon") and not part.is_empty]
    return shapely.union_all(surfaces) if surfaces else shapely.MultiPolygon()
